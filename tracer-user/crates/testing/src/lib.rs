//! What gostuck's tests share: Go toolchains and the programs built with them, processes that end
//! with their test, the daemon under test, HTTP, waiting, the schema of documents, and trials that
//! are skipped by name.
//!
//! It depends on no other crate of gostuck, so that each of them can use it in its tests. A helper
//! that needs one of them lives beside the tests that use it.

pub mod cgroup;
#[cfg(feature = "suites")]
pub mod daemon;
pub mod go;
#[cfg(feature = "suites")]
pub mod http;
pub mod paths;
pub mod process;
#[cfg(feature = "suites")]
pub mod schema;
pub mod times;
#[cfg(feature = "suites")]
pub mod trials;
pub mod wait;

/// What a step of a test comes to. An error is a sentence for the one who reads the failed test.
pub type Result<T = ()> = std::result::Result<T, String>;

/// Returns the JSON that `text` is.
///
/// # Errors
/// When it is none.
#[cfg(feature = "suites")]
pub fn json(text: &str) -> Result<serde_json::Value> {
    serde_json::from_str(text).map_err(|error| format!("{error} in {text}"))
}
