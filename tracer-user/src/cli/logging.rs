//! What gostuck says about itself: `tracing` on standard error.

use std::io::{self, IsTerminal};

use clap::{ArgAction, Args};
use tracing_subscriber::EnvFilter;

/// The environment variable that overrides `-v` and `-q`.
const VARIABLE: &str = "GOSTUCK_LOG";

/// How much to log.
#[derive(Debug, Clone, Copy, Args)]
#[group(skip)]
pub struct Options {
    /// Log more on standard error: -v what is done, -vv details, -vvv everything.
    /// GOSTUCK_LOG sets it by module, for example GOSTUCK_LOG=info,tracer_user::probes=debug
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// Log errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
}

impl Options {
    const fn directive(self) -> &'static str {
        match (self.quiet, self.verbose) {
            (true, _) => "error",
            (false, 0) => "warn",
            (false, 1) => "info",
            (false, 2) => "debug",
            (false, _) => "trace",
        }
    }

    /// Starts logging for the rest of the process, unless it would write over a view that fills the
    /// terminal.
    pub fn start(self, fills_terminal: bool) {
        if fills_terminal && io::stderr().is_terminal() {
            return;
        }
        let filter = EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| self.directive().into());
        // A second start (tests) keeps the first subscriber.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(io::stderr)
            .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
            .try_init();
    }
}
