//! `gostuck doctor`: what this machine offers, and what each missing thing costs.

mod access;
mod check;
mod kernel;
mod mounts;
mod probes;
mod sites;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, ValueEnum};

use self::check::{Check, Host, State};
use super::Failure;
use crate::{export::json, target_text::clean};

const AFTER_HELP: &str = "\
Examples:
  gostuck doctor                 as this user
  sudo gostuck doctor            as root: most limits vanish
  gostuck doctor --format json   for a program to read
  gostuck doctor --image ./shop  where the probes go in a Go program, and why there

Exit status: 0 when everything needed is there (perhaps at a cost), 1 when something is missing.";

/// Options of `gostuck doctor`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Options {
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Say where the probes go in this Go program instead, and why there
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Prints the checks.
///
/// # Errors
/// Only when standard output cannot be written.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    if let Some(path) = &options.image {
        return sites::run(path, options.format);
    }
    let host = Host::real();
    let checks: Vec<Check> = [
        kernel::checks(&host),
        access::checks(&host),
        mounts::checks(&host),
        probes::checks(),
    ]
    .concat();
    let mut out = io::stdout().lock();
    match options.format {
        Format::Text => write_text(&mut out, &checks)?,
        Format::Json => {
            json::write_pretty(&mut out, &checks)?;
            writeln!(out)?;
        }
    }
    let worst = checks.iter().map(|check| check.state).max();
    Ok(if worst == Some(State::Missing) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn write_text(out: &mut impl Write, checks: &[Check]) -> io::Result<()> {
    for check in checks {
        let mark = match check.state {
            State::Good => "ok     ",
            State::Limited => "limited",
            State::Missing => "MISSING",
        };
        writeln!(out, "{mark}  {:<16} {}", check.subject, clean(&check.found))?;
        if let Some(cost) = &check.cost {
            writeln!(out, "{:26} cost: {cost}", "")?;
        }
        if let Some(remedy) = &check.remedy {
            writeln!(out, "{:26} help: {remedy}", "")?;
        }
    }
    writeln!(out, "\n{}", conclusion(checks))
}

fn conclusion(checks: &[Check]) -> &'static str {
    match checks.iter().map(|check| check.state).max() {
        Some(State::Missing) => "Some commands cannot do all their work here: see MISSING above.",
        Some(State::Limited) => "Everything works, at the costs named above.",
        Some(State::Good) | None => "Everything gostuck can use is here.",
    }
}
