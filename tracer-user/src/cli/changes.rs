//! Findings as they appear and clear, as `watch` and `replay` print them.

use std::{
    io::{self, Write},
    time::SystemTime,
};

use serde::Serialize;

use super::{output, wait_summary::Waits};
use crate::{
    daemon::{probe_manager::Switch, process_table::Mode},
    document::{self, Document},
    export::{
        json,
        text::{self, Paint, Style},
    },
    finding::Change,
    inspect::{Inspection, Origin},
};
use ids::Pid;
use probes::WaitHistogram;

/// Prints changes as they come.
pub struct Report {
    json: bool,
    /// Standard output belongs to the command that is watched.
    to_stderr: bool,
    paint: Paint,
}

/// A line of `--format json`.
#[derive(Serialize)]
struct Line<'a> {
    event: &'static str,
    time: String,
    pid: Pid,
    #[serde(skip_serializing_if = "Option::is_none")]
    finding: Option<&'a document::Finding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seen_for_seconds: Option<f64>,
    /// The ids of the findings whose place it takes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    replaces: Vec<String>,
}

/// The last line of `--format json`.
#[derive(Serialize)]
struct Summary {
    event: &'static str,
    time: String,
    findings: Findings,
    waits: Vec<Waits>,
}

/// A line of `--format json` about the probes of a process.
#[derive(Serialize)]
struct Probes {
    event: &'static str,
    time: String,
    pid: Pid,
    mode: Mode,
    on_trial: bool,
    cost_ratio: f64,
}

/// How many findings stand.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Findings {
    /// Proven ones.
    pub proven: usize,
    /// Suspected ones.
    pub suspected: usize,
}

impl Report {
    /// Prints as `json` lines or as text.
    pub const fn new(json: bool, to_stderr: bool, paint: Paint) -> Self {
        Self {
            json,
            to_stderr,
            paint,
        }
    }

    fn out(&self) -> Box<dyn Write> {
        if self.to_stderr {
            Box::new(io::stderr().lock())
        } else {
            Box::new(io::stdout().lock())
        }
    }

    /// Prints what an inspection changed.
    pub fn changes(&self, look: &Inspection, changes: &[Change]) -> io::Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let document = Document::new(look);
        let clock = document::Clock::at(look.diagnosis.snapshot.taken_ns);
        let mut out = self.out();
        for change in changes {
            let (event, finding, replaced, seen_for_ns) = match change {
                Change::Appeared(finding) => ("appeared", finding, &[][..], None),
                Change::Changed { finding, replaces } => ("changed", finding, &replaces[..], None),
                Change::Cleared {
                    finding,
                    seen_for_ns,
                } => ("cleared", finding, &[][..], Some(*seen_for_ns)),
            };
            let replaces = replaced.iter().map(|finding| finding.id.to_string());
            let replaces: Vec<String> = replaces.collect();
            let finding = document::Finding::new(finding, &clock);
            let seen_for = seen_for_ns.map(document::seconds);
            if self.json {
                let line = Line {
                    event,
                    time: time_of(look),
                    pid: document.process.pid,
                    finding: Some(&finding),
                    seen_for_seconds: seen_for,
                    replaces,
                };
                json::write(&mut out, &line)?;
                writeln!(out)?;
            } else if finding.cause.is_none() {
                // Of a queue its cause tells.
                let instead = match &replaces[..] {
                    [] => String::new(),
                    ids => format!(", in place of {}", ids.join(" and ")),
                };
                let heading = format!(
                    "{} {} (pid {}): {event}{instead}",
                    time_of(look),
                    document.process.command,
                    document.process.pid
                );
                self.text(&mut out, &document, &heading, &finding, seen_for)?;
            }
        }
        out.flush()
    }

    fn text(
        &self,
        out: &mut impl Write,
        document: &Document,
        heading: &str,
        finding: &document::Finding,
        seen_for: Option<f64>,
    ) -> io::Result<()> {
        let heading = self.paint.style(Style::Faint, heading);
        if let Some(seen_for) = seen_for {
            return writeln!(
                out,
                "{heading} after {}: {}  {}",
                text::duration(seen_for),
                finding.summary,
                self.paint.style(Style::Faint, &finding.id)
            );
        }
        let options = text::Options {
            paint: self.paint,
            width: output::width(),
            all: false,
        };
        writeln!(out, "{heading}")?;
        text::finding_with_stacks(out, document, finding, options)?;
        writeln!(out)
    }

    /// Says what the governor did to the probes of a process.
    pub fn switch(&self, pid: Pid, switch: Switch) -> io::Result<()> {
        let mut out = self.out();
        if self.json {
            let line = Probes {
                event: "probes",
                time: now(),
                pid,
                mode: switch.mode(),
                on_trial: switch.is_trial(),
                cost_ratio: switch.cost_ratio,
            };
            json::write(&mut out, &line)?;
            writeln!(out)?;
        } else {
            let text = format!("{} process {pid}: {switch}", now());
            writeln!(out, "{}", self.paint.style(Style::Faint, text))?;
        }
        out.flush()
    }

    /// Says that the watched process has ended.
    pub fn gone(&self, pid: Pid) -> io::Result<()> {
        let mut out = self.out();
        if self.json {
            let line = Line {
                event: "ended",
                time: now(),
                pid,
                finding: None,
                seen_for_seconds: None,
                replaces: Vec::new(),
            };
            json::write(&mut out, &line)?;
            return writeln!(out);
        }
        let text = format!("{} process {pid} has ended", now());
        writeln!(out, "{}", self.paint.style(Style::Faint, text))
    }

    /// Says how many findings stand at the end, and how long the waits of each process lasted.
    pub fn summary(
        &self,
        findings: Findings,
        waits: &[(Pid, Vec<WaitHistogram>)],
    ) -> io::Result<()> {
        let waits: Vec<Waits> = waits
            .iter()
            .flat_map(|(pid, all)| all.iter().filter_map(|waits| Waits::new(*pid, waits)))
            .collect();
        let mut out = self.out();
        if self.json {
            let summary = Summary {
                event: "summary",
                time: now(),
                findings,
                waits,
            };
            json::write(&mut out, &summary)?;
            return writeln!(out);
        }
        let (style, text) = match findings {
            Findings {
                proven: 0,
                suspected: 0,
            } => (Style::Good, "no finding stands".to_owned()),
            Findings { proven, suspected } => (
                if proven > 0 {
                    Style::Proven
                } else {
                    Style::Suspected
                },
                format!("standing: {proven} proven, {suspected} suspected"),
            ),
        };
        writeln!(out, "gostuck: {}", self.paint.style(style, text))?;
        for waits in waits {
            writeln!(out, "  {waits}")?;
        }
        Ok(())
    }
}

/// When `look` was made.
fn time_of(look: &Inspection) -> String {
    match &look.origin {
        Origin::Live => now(),
        Origin::Left { taken, .. } => humantime::format_rfc3339_seconds(*taken).to_string(),
    }
}

fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}
