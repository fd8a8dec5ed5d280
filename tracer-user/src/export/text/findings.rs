//! Findings, each as a short story with the stacks it speaks of.

use std::io::{self, Write};

use super::{
    Options, Style, count, duration,
    stacks::{self, Printed},
    wrap,
};
use crate::{
    document::{Document, Finding, Precision},
    export::groups::group,
    finding::{FindingKind, Verdict},
    target_text::TargetText,
};
use ids::Goid;

/// Most stacks printed below one finding.
const STACK_LIMIT: usize = 6;

/// Prints all findings of a document, with stacks; a queue as a part of its cause.
///
/// # Errors
/// When `out` cannot be written.
pub fn write(out: &mut impl Write, document: &Document, options: Options) -> io::Result<()> {
    write_once(out, document, &mut Printed::default(), options)
}

/// Likewise, without the stacks that were `printed` already.
pub(super) fn write_once(
    out: &mut impl Write,
    document: &Document,
    printed: &mut Printed,
    options: Options,
) -> io::Result<()> {
    writeln!(out)?;
    if document.findings.is_empty() {
        let text = "Nothing found: no goroutine is stuck, as far as can be told.";
        writeln!(out, "{}", options.paint.style(Style::Good, text))?;
        return undated(out, document, options);
    }
    for (position, one) in document.told().enumerate() {
        if position > 0 {
            writeln!(out)?;
        }
        finding(out, one, options)?;
        members(out, document, one, printed, options)?;
    }
    Ok(())
}

/// Says of how many goroutines it is not known since when they wait for others: one inspection does not
/// tell, and nothing found is no proof of health.
fn undated(out: &mut impl Write, document: &Document, options: Options) -> io::Result<()> {
    let goroutines = document.goroutines.iter();
    let undated = goroutines
        .filter(|g| !g.system && g.wait_since == Precision::Unknown && !g.waits_on.is_empty());
    let undated = undated.count();
    if undated == 0 {
        return Ok(());
    }
    let verb = if undated == 1 { "waits" } else { "wait" };
    let text = format!(
        "Since when {} {verb} for others is not known, as nobody looked on: `gostuck watch {}` does.",
        count(undated, "goroutine"),
        document.process.pid
    );
    for line in wrap(&TargetText::from(text), options.width) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Prints one finding of a document with the stacks it speaks of.
///
/// # Errors
/// When `out` cannot be written.
pub fn with_stacks(
    out: &mut impl Write,
    document: &Document,
    one: &Finding,
    options: Options,
) -> io::Result<()> {
    finding(out, one, options)?;
    members(out, document, one, &mut Printed::default(), options)
}

/// Prints one finding without stacks.
///
/// # Errors
/// When `out` cannot be written.
pub fn finding(out: &mut impl Write, finding: &Finding, options: Options) -> io::Result<()> {
    let style = match finding.verdict {
        Verdict::Proven => Style::Proven,
        Verdict::Suspected => Style::Suspected,
    };
    let verdict = match finding.verdict {
        Verdict::Proven => "PROVEN",
        Verdict::Suspected => finding.verdict.as_str(),
    };
    let age = finding
        .age_seconds
        .filter(|age| *age >= 1.0)
        .map_or_else(String::new, |age| format!(", for {}", duration(age)));
    writeln!(
        out,
        "{}{age}  {}",
        options
            .paint
            .style(style, format_args!("{verdict}: {}", kind(finding.kind))),
        options.paint.style(Style::Faint, &finding.id),
    )?;
    paragraph(out, &finding.summary, "  ", options)?;
    for line in &finding.story {
        paragraph(out, line, "    ", options)?;
    }
    for doubt in &finding.doubts {
        paragraph(
            out,
            &format!("Not certain: {doubt}").into(),
            "    ",
            options,
        )?;
    }
    Ok(())
}

fn paragraph(
    out: &mut impl Write,
    text: &TargetText,
    indent: &str,
    options: Options,
) -> io::Result<()> {
    let width = options.width.saturating_sub(indent.len());
    for line in wrap(text, width) {
        writeln!(out, "{indent}{line}")?;
    }
    Ok(())
}

fn members(
    out: &mut impl Write,
    document: &Document,
    finding: &Finding,
    printed: &mut Printed,
    options: Options,
) -> io::Result<()> {
    let example = finding.group.as_ref().map(|group| group.example);
    if let Some(example) = example.filter(|_| !options.all) {
        if let Some(example) = document.goroutine(example) {
            writeln!(out)?;
            stacks::one(out, example, "    ", printed, options)?;
        }
        return Ok(());
    }
    let members = finding.goroutines.iter();
    let groups = group(members.filter_map(|&goid| document.goroutine(goid)));
    let limit = if options.all { usize::MAX } else { STACK_LIMIT };
    for group in groups.iter().take(limit) {
        writeln!(out)?;
        let Some(first) = group.first().filter(|_| !options.all) else {
            for goroutine in &group.members {
                stacks::one(out, goroutine, "    ", printed, options)?;
            }
            continue;
        };
        stacks::one(out, first, "    ", printed, options)?;
        let others: Vec<Goid> = group
            .members
            .iter()
            .skip(1)
            .map(|member| member.id)
            .collect();
        if !others.is_empty() {
            let line = format!("and {} there: {}", others.len(), listed(&others));
            paragraph(out, &line.into(), "      ", options)?;
        }
    }
    if groups.len() > limit {
        let more = count(groups.len() - limit, "other place");
        writeln!(out, "\n    and at {more} (--all prints them)")?;
    }
    Ok(())
}

/// Most goroutines named in a line.
const LISTED: usize = 10;

fn listed(goids: &[Goid]) -> String {
    let names: Vec<String> = goids.iter().take(LISTED).map(Goid::to_string).collect();
    let more = if goids.len() > LISTED { ", …" } else { "" };
    names.join(", ") + more
}

/// What was found, in words.
#[must_use]
pub const fn kind(kind: FindingKind) -> &'static str {
    match kind {
        FindingKind::LockCycle => "lock cycle",
        FindingKind::SelfDeadlock => "self-deadlock",
        FindingKind::WholeProcessDeadlock => "whole process deadlocked",
        FindingKind::Unreachable => "blocked on something nobody can reach",
        FindingKind::Queued => "queued behind goroutines that never move again",
        FindingKind::NilChannel => "nil channel",
        FindingKind::SelectForever => "select {} outside main",
        FindingKind::RootBlocker => "many wait behind one goroutine",
        FindingKind::AbandonedLock => "locked by nobody",
        FindingKind::StuckWait => "waiting for long",
        FindingKind::GoroutineGrowth => "goroutines grow",
        FindingKind::ThreadGrowth => "threads grow",
        FindingKind::GomaxprocsOverLimit => "GOMAXPROCS above the CPU limit",
        FindingKind::Starvation => "starvation",
    }
}
