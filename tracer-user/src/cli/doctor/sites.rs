//! `gostuck doctor --image FILE`: where the probes go in a Go program.

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use serde::Serialize;

use super::Format;
use crate::{
    cli::{
        Failure,
        answering::{PATIENCE, answer},
        failure::from_look,
    },
    export::json,
    target_text::clean,
};
use image::{Image, ProbeSite, SiteKind};

/// Why a site is a good one.
const PASSED_ONCE: &str =
    "after the stack check: the kernel emulates it, and every call passes it once";

/// The choice for one function.
#[derive(Debug, Serialize)]
struct Choice {
    function: &'static str,
    /// Offset in the file; `None` when the image has no such function.
    offset: Option<String>,
    instruction: Option<&'static str>,
    why: &'static str,
}

impl Choice {
    fn new(function: &'static str, site: Option<ProbeSite>, without: &'static str) -> Self {
        let (instruction, why) = match site.map(|site| site.kind) {
            Some(SiteKind::Push) => (Some("push"), PASSED_ONCE),
            Some(SiteKind::Nop) => (Some("nop"), PASSED_ONCE),
            Some(SiteKind::Branch) => (Some("jump or call"), PASSED_ONCE),
            Some(SiteKind::Jump) => (
                Some("jbe"),
                "of the stack check, as nothing better follows it (Go 1.20 and earlier); emulated, and a \
                 jump taken is not counted as a call",
            ),
            Some(SiteKind::Entry) => (
                Some("the first"),
                "nothing better: the kernel may have to single-step it, about ten times as dear",
            ),
            None => (None, without),
        };
        Self {
            function,
            offset: site.map(|site| site.offset.to_string()),
            instruction,
            why,
        }
    }
}

/// Prints the choices.
pub fn run(path: &Path, format: Format) -> Result<ExitCode, Failure> {
    let file = path.to_owned();
    let image = answer(PATIENCE, move || Image::open(&file)).map_err(from_look)?;
    let image = image.map_err(|error| {
        Failure::with_next_step(
            anyhow::anyhow!("{error}"),
            "name an executable that Go's standard toolchain built",
        )
    })?;
    let sites = image.probe_sites();
    let needed = "not found: this image cannot be probed";
    let choices = [
        Choice::new("runtime.gopark", sites.park, needed),
        Choice::new("runtime.ready", sites.ready, needed),
        Choice::new(
            "runtime.semacquire1",
            sites.semacquire,
            "not found: nothing in it waits for a lock",
        ),
        Choice::new(
            "runtime.newm",
            sites.newm,
            "not found: new threads are seen at the next look",
        ),
    ];
    let mut out = io::stdout().lock();
    if format == Format::Json {
        json::write_pretty(&mut out, &choices)?;
        writeln!(out)?;
    } else {
        let (path, version) = (path.to_string_lossy(), image.go_version().to_string());
        writeln!(out, "{}: {}", clean(&path), clean(&version))?;
        for choice in &choices {
            let offset = choice.offset.as_deref().unwrap_or("-");
            let instruction = choice.instruction.unwrap_or("-");
            writeln!(out, "{:<20} {offset:>10}  {instruction}", choice.function)?;
            writeln!(out, "{:33}{}", "", choice.why)?;
        }
    }
    let usable = sites.park.is_some() && sites.ready.is_some();
    Ok(if usable {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
