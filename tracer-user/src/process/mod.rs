//! Which Go processes there are: the /proc scan, exec and exit events, container and pod identity.
