//! The faces of a diagnosis: text, JSON, DOT, pprof, Prometheus, HTTP, web page, terminal view.
//!
//! All of them are made from one [`document::Document`], so that they cannot disagree.

pub mod documents;
pub mod dot;
pub mod folded;
pub mod grouped;
pub mod groups;
pub mod http;
pub mod json;
pub mod metrics;
pub mod on_demand;
pub mod pprof;
#[cfg(feature = "tui")]
pub mod terminal;
pub mod text;
pub mod view;
