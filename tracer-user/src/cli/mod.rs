//! The commands, one file each. They only wire the other rooms together.

mod answering;
mod changes;
mod daemon_client;
mod doctor;
mod ending;
mod explain;
mod fail_on;
mod failure;
mod heap_walk_options;
mod inspect;
mod logging;
mod output;
mod percent;
mod ps;
mod record;
mod run;
mod series;
mod stderr;
#[cfg(feature = "tui")]
mod top;
mod wait_summary;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use failure::Failure;

/// The exit status when `--fail-on` saw what it was told to look for.
pub const EXIT_FINDING: u8 = 3;

/// Which goroutines of a live Go process are stuck, on what, and behind whom.
#[derive(Debug, Parser)]
#[command(
    name = "gostuck",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    propagate_version = true,
    subcommand_required = true,
    long_about = "gostuck watches the Go processes of a Linux host from outside and says which \
        goroutines are stuck, on what, behind whom, and whether they can ever move again.\n\n\
        No rebuild, no import, no pprof port, no pause of the target. Stripped binaries work.",
    after_long_help = AFTER_HELP
)]
struct Cli {
    #[command(flatten)]
    logging: logging::Options,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Examples:
  gostuck ps                               the Go processes of this host
  sudo gostuck inspect 4711                one look at one process: who is stuck, and why
  sudo gostuck watch --for 30s 4711        findings as they appear and clear
  sudo gostuck watch --fail-on proven -- go test ./...
  sudo gostuck run --listen 127.0.0.1:9102 the daemon: metrics, JSON, web page
  gostuck doctor                           what this machine lacks, and what that costs

Exit status:
  0  done            2  wrong usage
  1  failed          3  --fail-on saw such a finding
  watch -- COMMAND passes the command's own status through when it has nothing to add.";

#[derive(Debug, Subcommand)]
#[cfg_attr(
    not(feature = "tui"),
    allow(clippy::large_enum_variant, reason = "there is one, for a moment")
)]
enum Command {
    /// List the Go processes of this host
    Ps(ps::Options),
    /// Look at one process: who is stuck, on what, behind whom
    Inspect(inspect::Options),
    /// Say why one goroutine waits: how what it waits for is reached, and who could act on it
    Explain(explain::Options),
    /// Write one moment of a process to a file, for a bug report or another machine
    Record(record::RecordOptions),
    /// Look at what `record` wrote
    Replay(record::ReplayOptions),
    /// Print the findings of a process or a command as they appear and clear
    Watch(watch::Options),
    /// Run the daemon: trace all Go processes; serve metrics, a JSON API and a web page
    Run(run::Options),
    /// Show the Go processes of this host in the terminal, stuck and growing ones first
    #[cfg(feature = "tui")]
    Top(top::Options),
    /// Say what this machine offers gostuck, and what each missing thing costs
    Doctor(doctor::Options),
}

impl Command {
    /// Whether it draws on the whole screen: log lines would spoil it.
    const fn takes_the_screen(&self) -> bool {
        #[cfg(feature = "tui")]
        if matches!(self, Self::Top(_)) {
            return true;
        }
        false
    }
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    cli.logging.start(cli.command.takes_the_screen());
    let outcome = match cli.command {
        Command::Ps(options) => ps::run(&options),
        Command::Inspect(options) => inspect::run(&options),
        Command::Explain(options) => explain::run(&options),
        Command::Record(options) => record::record(&options),
        Command::Replay(options) => record::replay(&options),
        Command::Watch(options) => watch::run(&options),
        Command::Run(options) => run::run(&options),
        #[cfg(feature = "tui")]
        Command::Top(options) => top::run(&options),
        Command::Doctor(options) => doctor::run(&options),
    };
    outcome.unwrap_or_else(|failure| {
        if failure.is_broken_pipe() {
            return ExitCode::SUCCESS;
        }
        stderr::say(failure);
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::Cli;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_process_is_not_the_time_for_which_it_is_held() {
        for freeze in ["--freeze", "--freeze=1s"] {
            let cli = Cli::try_parse_from(["gostuck", "inspect", freeze, "4711"]);
            assert!(cli.is_ok(), "{freeze}: {cli:?}");
        }
    }

    #[test]
    fn every_argument_has_a_help_text() {
        for command in Cli::command().get_subcommands() {
            assert!(
                command.get_about().is_some(),
                "{} has no help",
                command.get_name()
            );
            for argument in command.get_arguments() {
                assert!(
                    argument.get_help().is_some(),
                    "{} {} has no help",
                    command.get_name(),
                    argument.get_id()
                );
            }
        }
    }
}
