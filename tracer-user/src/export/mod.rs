//! The faces of a diagnosis: text, JSON, DOT, pprof, Prometheus, HTTP, web page, terminal view.
