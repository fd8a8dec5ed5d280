//! Questions over HTTP.

use std::time::Duration;

use ureq::Agent;

use crate::Result;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(60);

/// What a server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// For example 200.
    pub status: u16,
    /// All of the body.
    pub body: String,
}

/// Asks the server at `address`, for example `127.0.0.1:80`, for `path`, over a connection of its
/// own. `host` is what it is asked as.
///
/// # Errors
/// When there is no answer.
pub fn ask_as(host: &str, address: &str, path: &str) -> Result<Answer> {
    let agent = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(LIMIT))
        .build()
        .new_agent();
    let request = agent.get(format!("http://{address}{path}"));
    let request = request.header("Host", host).header("Connection", "close");
    let told = |error: ureq::Error| format!("{address}{path}: {error}");
    let mut response = request.call().map_err(told)?;
    let body = response.body_mut().with_config().limit(u64::MAX);
    Ok(Answer {
        body: body.read_to_string().map_err(told)?,
        status: response.status().as_u16(),
    })
}

/// Asks the server at `address` for `path`.
///
/// # Errors
/// When there is no answer.
pub fn ask(address: &str, path: &str) -> Result<Answer> {
    ask_as("localhost", address, path)
}

/// Returns the body of what the server at `address` answers, if that is no error.
pub fn get(address: &str, path: &str) -> Option<String> {
    let answer = ask(address, path).ok()?;
    (answer.status == 200).then_some(answer.body)
}
