//! The commands, one file each. They only wire the other rooms together.
