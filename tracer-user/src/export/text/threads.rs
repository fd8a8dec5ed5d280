//! Threads, CPU limits and Go's own detector.

use std::io::{self, Write};

use super::{Options, Style, count, short_function, short_path, wrap};
use crate::document::{Document, SiteCount};

/// Most sites listed.
const SITE_LIMIT: usize = 5;

/// Prints the threads and the detector sentence.
///
/// # Errors
/// When `out` cannot be written.
pub fn write(out: &mut impl Write, document: &Document, options: Options) -> io::Result<()> {
    let threads = &document.threads;
    let heading = count(threads.count, "thread");
    let doing = threads
        .states
        .named()
        .into_iter()
        .filter(|(_, number)| *number > 0)
        .map(|(state, number)| format!("{number} {state}"))
        .collect::<Vec<_>>()
        .join(", ");
    writeln!(
        out,
        "\n{}: {doing}",
        options.paint.style(Style::Heading, heading)
    )?;
    if threads.pinned > 0 {
        writeln!(
            out,
            "  {} pinned by LockOSThread, by where their goroutine was made:",
            threads.pinned
        )?;
        sites(out, &threads.pinned_by_site, options)?;
    }
    if !threads.outside_go_by_site.is_empty() {
        writeln!(out, "  in system calls or C:")?;
        sites(out, &threads.outside_go_by_site, options)?;
    }
    if let Some(gomaxprocs) = document.process.gomaxprocs {
        let limit = document.process.cpu_limit.map_or_else(
            || "no CPU limit on its cgroup".to_owned(),
            |limit| format!("its cgroup allows {limit} CPUs"),
        );
        writeln!(out, "  GOMAXPROCS {gomaxprocs}, {limit}")?;
    }
    let Some(detector) = &document.deadlock_detector else {
        return Ok(());
    };
    let state = match (detector.fires, detector.armed) {
        (true, _) => "fires now",
        (false, true) => "could fire, but does not now",
        (false, false) => "cannot fire in this process",
    };
    let heading = options.paint.style(Style::Heading, "Go's own detector");
    writeln!(out, "{heading}: {state}")?;
    for line in wrap(&detector.reason, options.width.saturating_sub(2)) {
        writeln!(out, "  {line}")?;
    }
    Ok(())
}

fn sites(out: &mut impl Write, sites: &[SiteCount], options: Options) -> io::Result<()> {
    let limit = if options.all { sites.len() } else { SITE_LIMIT };
    for SiteCount { site, count } in sites.iter().take(limit) {
        writeln!(
            out,
            "{count:>7} {}  {}",
            short_function(&site.function),
            options.paint.style(
                Style::Faint,
                format_args!("{}:{}", short_path(&site.file), site.line)
            ),
        )?;
    }
    if sites.len() > limit {
        writeln!(
            out,
            "        and {} more",
            count(sites.len() - limit, "place")
        )?;
    }
    Ok(())
}
