//! Goroutines and their stacks: by groups, or all of them.

use std::{
    collections::hash_map::Entry,
    io::{self, Write},
    sync::Arc,
};

use rustc_hash::FxHashMap;

use super::{Options, Style, count, duration, place, short_function};
use crate::{
    document::{Document, Frame, Goroutine, Precision},
    export::groups::{Group, groups},
    finding::is_plumbing,
    target_text::TargetText,
};
use ids::Goid;

/// Most groups printed without `--all`.
const GROUP_LIMIT: usize = 25;
/// Most frames of a stack printed without `--all`.
const FRAME_LIMIT: usize = 6;

/// Prints the goroutines in groups of identical stacks.
pub fn write_groups(
    out: &mut impl Write,
    document: &Document,
    printed: &mut Printed,
    options: Options,
) -> io::Result<()> {
    let groups = groups(document);
    let (system, user): (Vec<&Group<'_>>, Vec<_>) = groups
        .iter()
        .partition(|group| group.first().is_some_and(|first| first.system));
    let size = |groups: &[&Group<'_>]| groups.iter().map(|group| group.members.len()).sum();
    heading(out, size(&user), user.len(), options)?;
    for group in user.iter().take(GROUP_LIMIT) {
        write_group(out, group, printed, options)?;
    }
    if let Some(rest) = user.get(GROUP_LIMIT..).filter(|rest| !rest.is_empty()) {
        writeln!(
            out,
            "  and {} at {} more (--all prints every stack)",
            count(size(rest), "goroutine"),
            count(rest.len(), "place"),
        )?;
    }
    if !system.is_empty() {
        let text = format!("  and {} of the runtime itself", size(&system));
        writeln!(out, "{}", options.paint.style(Style::Faint, text))?;
    }
    Ok(())
}

fn heading(
    out: &mut impl Write,
    goroutines: usize,
    places: usize,
    options: Options,
) -> io::Result<()> {
    let text = format!(
        "{} at {}",
        count(goroutines, "goroutine"),
        count(places, "place")
    );
    writeln!(out, "\n{}", options.paint.style(Style::Heading, text))
}

fn write_group(
    out: &mut impl Write,
    group: &Group<'_>,
    printed: &mut Printed,
    options: Options,
) -> io::Result<()> {
    let Some(first) = group.first() else {
        return Ok(());
    };
    let wait = group.oldest_wait.map_or_else(String::new, |wait| {
        let oldest = if group.members.len() > 1 {
            "oldest "
        } else {
            ""
        };
        format!(", {oldest}{}", age(first.wait_since, wait))
    });
    let ids = if let [only] = group.members.as_slice() {
        format!("  goroutine {}", only.id)
    } else {
        String::new()
    };
    writeln!(
        out,
        "{:>7} {}{wait}{}",
        group.members.len(),
        options.paint.style(Style::Heading, group.state()),
        options.paint.style(Style::Faint, ids),
    )?;
    frames_once(out, first, "          ", printed, options)
}

/// Prints the stack of `goroutine`, or which one it is where it has been printed already.
fn frames_once(
    out: &mut impl Write,
    goroutine: &Goroutine,
    indent: &str,
    printed: &mut Printed,
    options: Options,
) -> io::Result<()> {
    if let Some(goid) = printed.before(goroutine).filter(|_| !options.all) {
        let text = if goid == goroutine.id {
            format!("{indent}its stack is above")
        } else {
            format!("{indent}its stack is that of goroutine {goid}, above")
        };
        return writeln!(out, "{}", options.paint.style(Style::Faint, text));
    }
    frames(out, goroutine, indent, options)
}

/// Prints every goroutine with its whole stack, the runtime's own last.
pub fn write_all(out: &mut impl Write, document: &Document, options: Options) -> io::Result<()> {
    let text = count(document.goroutines.len(), "goroutine");
    writeln!(out, "\n{}", options.paint.style(Style::Heading, text))?;
    for system in [false, true] {
        for goroutine in document.goroutines.iter().filter(|g| g.system == system) {
            one_at_margin(out, goroutine, options)?;
            writeln!(out)?;
        }
    }
    Ok(())
}

/// Prints one goroutine with its stack, at the left margin.
///
/// # Errors
/// When `out` cannot be written.
pub fn one_at_margin(
    out: &mut impl Write,
    goroutine: &Goroutine,
    options: Options,
) -> io::Result<()> {
    one(out, goroutine, "", &mut Printed::default(), options)
}

/// Prints one goroutine with its stack.
pub fn one(
    out: &mut impl Write,
    goroutine: &Goroutine,
    indent: &str,
    printed: &mut Printed,
    options: Options,
) -> io::Result<()> {
    let mut state = goroutine.wait_reason.unwrap_or(goroutine.status).to_owned();
    if let Some(wait) = goroutine.wait_seconds {
        state.push_str(", ");
        state.push_str(&age(goroutine.wait_since, wait));
    }
    if goroutine.sampled {
        state.push_str(", sampled");
    }
    if goroutine.locked_to_thread {
        state.push_str(", locked to thread");
    }
    let objects = goroutine
        .waits_on
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" or ");
    let operation = goroutine.operation.unwrap_or("on");
    let objects = if objects.is_empty() {
        String::new()
    } else {
        format!("  {operation} {objects}")
    };
    writeln!(
        out,
        "{indent}{}{}",
        options.paint.style(
            Style::Heading,
            format_args!("goroutine {} [{state}]", goroutine.id)
        ),
        options.paint.style(Style::Faint, objects),
    )?;
    frames_once(out, goroutine, &format!("{indent}  "), printed, options)
}

/// A wait's length, with a word where only a lower bound is known.
fn age(precision: Precision, seconds: f64) -> String {
    match precision {
        Precision::AtLeast => format!("at least {}", duration(seconds)),
        Precision::Exact | Precision::Unknown => duration(seconds),
    }
}

fn frames(
    out: &mut impl Write,
    goroutine: &Goroutine,
    indent: &str,
    options: Options,
) -> io::Result<()> {
    let visible = visible(&goroutine.stack, options.all);
    let limit = if options.all {
        visible.len()
    } else {
        FRAME_LIMIT
    };
    for frame in visible.iter().take(limit) {
        line(out, indent, frame, options)?;
    }
    if visible.len() > limit {
        let text = format!("{indent}… {} more", visible.len() - limit);
        writeln!(out, "{}", options.paint.style(Style::Faint, text))?;
    }
    if goroutine.stack.is_empty() {
        let text = format!("{indent}(stack not readable while it runs)");
        writeln!(out, "{}", options.paint.style(Style::Faint, text))?;
    }
    if let Some(site) = &goroutine.created_by {
        let file = if options.all {
            site.file.clone()
        } else {
            super::short_path(&site.file)
        };
        let text = format!(
            "{indent}created by {} {}:{}",
            function(&site.function, options),
            file,
            site.line
        );
        writeln!(out, "{}", options.paint.style(Style::Faint, text))?;
    }
    Ok(())
}

/// The frames a reader wants: from where the program's own code called something that blocks, with
/// one line of what that was.
fn visible(stack: &[Frame], all: bool) -> &[Frame] {
    if all {
        return stack;
    }
    let own = stack
        .iter()
        .position(|frame| !is_plumbing(frame.function.raw()));
    let Some(own) = own else {
        return stack;
    };
    // `sync.(*Mutex).Lock` says more than the wait reason; `runtime.chanrecv1` does not.
    let called = own.saturating_sub(1);
    let named = stack
        .get(called)
        .is_some_and(|frame| !frame.function.raw().starts_with("runtime."));
    stack
        .get(if named { called } else { own }..)
        .unwrap_or(stack)
}

fn line(out: &mut impl Write, indent: &str, frame: &Frame, options: Options) -> io::Result<()> {
    writeln!(
        out,
        "{indent}{}  {}",
        function(&frame.function, options),
        options.paint.style(Style::Faint, place(frame, options.all)),
    )
}

fn function(name: &TargetText, options: Options) -> TargetText {
    if options.all {
        name.clone()
    } else {
        short_function(name)
    }
}

/// The stacks that have been printed, each with the goroutine that it was printed for. Equal stacks
/// are one allocation in a document.
#[derive(Debug, Default)]
pub struct Printed(FxHashMap<*const Frame, Goid>);

impl Printed {
    /// Whose stack was printed already that is the one of `goroutine`; notes that this one is now.
    fn before(&mut self, goroutine: &Goroutine) -> Option<Goid> {
        if goroutine.stack.is_empty() {
            return None;
        }
        match self.0.entry(Arc::as_ptr(&goroutine.stack).cast()) {
            Entry::Occupied(known) => Some(*known.get()),
            Entry::Vacant(new) => {
                new.insert(goroutine.id);
                None
            }
        }
    }
}
