//! What gostuck says about itself: `tracing` on standard error.

use std::{
    env,
    io::{self, IsTerminal},
};

use clap::{ArgAction, Args};
use tracing_subscriber::EnvFilter;

use crate::log_fields::clean_fields;

/// The environment variable that overrides `-v` and `-q`.
const VARIABLE: &str = "GOSTUCK_LOG";
/// What modules that are crates of their own by now were called, and what they are called. The old names go
/// on to work.
const RENAMED: [(&str, &str); 14] = [
    (
        "tracer_user::cancellation",
        "gostuck_resources::cancellation",
    ),
    ("tracer_user::descriptors", "gostuck_resources::descriptors"),
    ("tracer_user::image", "gostuck_image"),
    ("tracer_user::process", "gostuck_process"),
    ("tracer_user::memory", "gostuck_memory"),
    ("tracer_user::sampling", "gostuck_sampling"),
    ("tracer_user::snapshot", "gostuck_snapshot"),
    ("tracer_user::release", "gostuck_holders"),
    ("tracer_user::reach", "gostuck_reach"),
    ("tracer_user::probes", "gostuck_probes"),
    ("tracer_user::state", "tracer_user::timeline"),
    ("tracer_user::cli::fleet", "tracer_user::daemon::supervisor"),
    (
        "tracer_user::cli::probing",
        "tracer_user::daemon::probe_manager",
    ),
    (
        "tracer_user::cli::attendance",
        "tracer_user::daemon::attendance",
    ),
];

/// How much to log.
#[derive(Debug, Clone, Copy, Args)]
#[group(skip)]
pub struct Options {
    /// Log more on standard error: -v what is done, -vv details, -vvv everything.
    /// GOSTUCK_LOG sets it by module, for example GOSTUCK_LOG=info,gostuck_probes=debug
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
        let chosen = env::var(VARIABLE).ok().and_then(|text| filter(&text));
        let filter = chosen.unwrap_or_else(|| self.directive().into());
        // A second start (tests) keeps the first subscriber.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .fmt_fields(clean_fields())
            .with_writer(io::stderr)
            .with_ansi(io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none())
            .try_init();
    }
}

/// What `GOSTUCK_LOG` says; `None` where it cannot be understood.
fn filter(text: &str) -> Option<EnvFilter> {
    let mut text = text.to_owned();
    for (old, new) in RENAMED {
        text = text.replace(old, new);
    }
    EnvFilter::try_new(text).ok()
}

#[cfg(test)]
mod tests {
    use super::filter;

    #[test]
    fn modules_go_by_their_old_names_too() {
        let shown = |text| filter(text).map(|filter| filter.to_string());
        assert_eq!(
            shown("tracer_user::probes=debug"),
            shown("gostuck_probes=debug")
        );
        assert_eq!(
            shown("tracer_user::probes=debug").as_deref(),
            Some("gostuck_probes=debug")
        );
        assert!(shown("=,=").is_none());
    }
}
