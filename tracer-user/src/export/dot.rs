//! The wait graph in Graphviz's DOT language: goroutines point to what they wait for, objects to
//! who holds them. Goroutines that wait at the same place for the same object are one node with a
//! count, unless they hold something or a finding names them.

use std::{
    borrow::Cow,
    fmt,
    io::{self, Write},
};

use rustc_hash::{FxHashMap, FxHashSet};

use super::text::{duration, place, short_function};
use crate::{
    document::{Address, Document, Goroutine, Holder, Object},
    finding::Verdict,
};
use ids::Goid;

/// Most objects drawn: Graphviz lays out no more in bearable time.
const OBJECT_LIMIT: usize = 500;

/// Prints the wait graph of `document`.
///
/// # Errors
/// When `out` cannot be written.
pub fn write(out: &mut impl Write, document: &Document) -> io::Result<()> {
    let graph = Graph::new(document);
    writeln!(out, "digraph gostuck {{")?;
    writeln!(out, "  rankdir=LR;")?;
    writeln!(
        out,
        "  label={};",
        Quoted(&format!(
            "{} (pid {}), {}",
            document.process.command, document.process.pid, document.taken
        ))
    )?;
    writeln!(out, "  node [fontname=\"monospace\", fontsize=10];")?;
    for object in graph.objects() {
        graph.write_object(out, object)?;
    }
    for goroutine in graph
        .named
        .iter()
        .filter_map(|goid| graph.goroutines.get(goid))
    {
        graph.write_goroutine(out, goroutine)?;
    }
    writeln!(out, "}}")
}

struct Graph<'a> {
    document: &'a Document,
    goroutines: FxHashMap<Goid, &'a Goroutine>,
    /// Drawn as nodes of their own, in order.
    named: Vec<Goid>,
    is_named: FxHashSet<Goid>,
    proven: FxHashSet<Goid>,
    proven_objects: FxHashSet<Address>,
    named_holders: NamedHolders,
}

/// Of objects whose holders a finding names, those.
type NamedHolders = FxHashMap<Address, FxHashSet<Goid>>;

fn named_holders(document: &Document) -> NamedHolders {
    let mut named = NamedHolders::default();
    for edge in document.told().flat_map(|finding| &finding.edges) {
        named.entry(edge.object).or_default().insert(edge.to);
    }
    named
}

/// The holders of `object` that are worth drawing: those that findings name, else those that are
/// certain, else all.
fn likely<'a>(object: &'a Object, named: &NamedHolders) -> impl Iterator<Item = &'a Holder> {
    let named = named.get(&object.address).cloned();
    let certain = object.holders.iter().any(|holder| holder.certain);
    object.holders.iter().filter(move |holder| match &named {
        Some(named) => named.contains(&holder.goroutine),
        None => holder.certain || !certain,
    })
}

impl<'a> Graph<'a> {
    fn new(document: &'a Document) -> Self {
        let in_findings = document.told().flat_map(|f| &f.goroutines);
        let named_holders = named_holders(document);
        let objects = document.objects.iter();
        let holders = objects.flat_map(|object| likely(object, &named_holders));
        let mut named: Vec<Goid> = holders
            .map(|holder| holder.goroutine)
            .chain(in_findings.copied())
            .collect();
        named.sort_unstable();
        named.dedup();
        let proven = document
            .told()
            .filter(|finding| finding.verdict == Verdict::Proven);
        Self {
            document,
            goroutines: document.goroutines.iter().map(|g| (g.id, g)).collect(),
            is_named: named.iter().copied().collect(),
            named,
            proven: proven
                .clone()
                .flat_map(|f| &f.goroutines)
                .copied()
                .collect(),
            proven_objects: proven.flat_map(|f| &f.objects).copied().collect(),
            named_holders,
        }
    }

    /// The objects that somebody waits on, those of proven findings first, then by waiters.
    fn objects(&self) -> Vec<&'a Object> {
        let mut objects: Vec<&Object> = self
            .document
            .objects
            .iter()
            .filter(|object| !object.waiters.is_empty())
            .collect();
        objects.sort_by_key(|object| {
            let proven = self.proven_objects.contains(&object.address);
            (
                !proven,
                std::cmp::Reverse(object.waiters.len()),
                object.address,
            )
        });
        objects.truncate(OBJECT_LIMIT);
        objects
    }

    fn write_object(&self, out: &mut impl Write, object: &Object) -> io::Result<()> {
        let label = format!("{}\n{}", object.kind, object.address);
        let colour = colour(self.proven_objects.contains(&object.address));
        let node = format!("o{}", object.address);
        writeln!(
            out,
            "  {} [shape=box, label={}{colour}];",
            Quoted(&node),
            Quoted(&label)
        )?;
        for holder in likely(object, &self.named_holders) {
            let style = if holder.certain { "" } else { ", style=dashed" };
            writeln!(
                out,
                "  {} -> {} [label=\"held by\"{style}];",
                Quoted(&node),
                Quoted(&format!("g{}", holder.goroutine)),
            )?;
        }
        let mut folded: FxHashMap<String, usize> = FxHashMap::default();
        for waiter in object.waiters.iter().filter(|w| !self.is_named.contains(w)) {
            if let Some(goroutine) = self.goroutines.get(waiter) {
                *folded.entry(standing(goroutine)).or_default() += 1;
            }
        }
        let mut folded: Vec<(String, usize)> = folded.into_iter().collect();
        folded.sort();
        for (number, (standing, count)) in folded.into_iter().enumerate() {
            let name = format!("w{}-{number}", object.address);
            let label = format!("{count} goroutines\n{standing}");
            writeln!(out, "  {} [label={}];", Quoted(&name), Quoted(&label))?;
            writeln!(out, "  {} -> {};", Quoted(&name), Quoted(&node))?;
        }
        Ok(())
    }

    fn write_goroutine(&self, out: &mut impl Write, goroutine: &Goroutine) -> io::Result<()> {
        let name = format!("g{}", goroutine.id);
        let wait = goroutine
            .wait_seconds
            .map_or_else(String::new, |wait| format!(", {}", duration(wait)));
        let label = format!("goroutine {}{wait}\n{}", goroutine.id, standing(goroutine));
        let colour = colour(self.proven.contains(&goroutine.id));
        writeln!(
            out,
            "  {} [label={}{colour}];",
            Quoted(&name),
            Quoted(&label)
        )?;
        for object in &goroutine.waits_on {
            writeln!(
                out,
                "  {} -> {} [label={}];",
                Quoted(&name),
                Quoted(&format!("o{object}")),
                Quoted(goroutine.operation.unwrap_or_default()),
            )?;
        }
        Ok(())
    }
}

const fn colour(proven: bool) -> &'static str {
    if proven {
        ", color=red, penwidth=2"
    } else {
        ""
    }
}

/// Where and why a goroutine stands.
fn standing(goroutine: &Goroutine) -> String {
    let state = goroutine.wait_reason.unwrap_or(goroutine.status);
    goroutine.place().map_or_else(
        || state.to_owned(),
        |frame| {
            format!(
                "{state}\n{} {}",
                short_function(&frame.function),
                place(frame, false)
            )
        },
    )
}

/// A string in DOT's quotes.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escaped: Cow<'_, str> = if self.0.contains(['\\', '"', '\n']) {
            let escaped = self.0.replace('\\', "\\\\").replace('"', "\\\"");
            Cow::Owned(escaped.replace('\n', "\\n"))
        } else {
            Cow::Borrowed(self.0)
        };
        write!(f, "\"{escaped}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::{Quoted, write};
    use crate::document::example;

    #[test]
    fn a_cycle_is_drawn_both_ways_and_red() {
        let mut out = Vec::new();
        write(&mut out, &example::document()).unwrap();
        let text = String::from_utf8(out).unwrap();
        for line in [
            r#""g18" -> "o0xc000014008" [label="lock"];"#,
            r#""o0xc000014008" -> "g19" [label="held by"];"#,
            r#""g19" -> "o0xc000014000" [label="lock"];"#,
            r#""o0xc000014000" -> "g18" [label="held by"];"#,
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert_eq!(text.matches("color=red").count(), 4, "{text}");
    }

    #[test]
    fn names_cannot_leave_their_quotes() {
        assert_eq!(Quoted("a\"b\\c\n").to_string(), r#""a\"b\\c\n""#);
    }
}
