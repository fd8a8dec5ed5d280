//! A document in which each stack stands once: its goroutines refer to their groups. Like the overview
//! that the page shows, but whole: of a large process a small part of what the document takes.

use std::io::{self, Write};

use serde::Serialize;

use super::{
    groups::{Group, groups},
    json,
};
use crate::document::{
    DeadlockDetector, Document, Finding, Incomplete, Member, Object, Process, StackGroup, Threads,
};

/// What is written; the schema is that of an overview.
#[derive(Serialize)]
struct Grouped<'a> {
    schema: &'static str,
    taken: &'a str,
    process: &'a Process,
    groups_total: usize,
    groups: Vec<StackGroup>,
    goroutines: Vec<Member>,
    objects: &'a [Object],
    findings: &'a [Finding],
    threads: &'a Threads,
    deadlock_detector: &'a Option<DeadlockDetector>,
    incomplete: &'a [Incomplete],
}

/// Writes `document` with each stack once, in one line.
///
/// # Errors
/// When `out` cannot be written.
pub fn write(out: &mut impl Write, document: &Document) -> io::Result<()> {
    json::write(out, &of(document))
}

fn of(document: &Document) -> Grouped<'_> {
    let all = groups(document);
    let members = all.iter().enumerate().flat_map(|(id, group)| {
        let members = group.members.iter();
        members.map(move |goroutine| Member {
            id: goroutine.id,
            group: id,
            wait_seconds: goroutine.wait_seconds,
            wait_since: goroutine.wait_since,
            thread: goroutine.thread,
        })
    });
    let mut goroutines: Vec<Member> = members.collect();
    goroutines.sort_unstable_by_key(|member| member.id);
    let described = all.iter().enumerate();
    let described = described.filter_map(|(id, group)| describe(id, group));
    Grouped {
        schema: document.schema,
        taken: &document.taken,
        process: &document.process,
        groups_total: all.len(),
        groups: described.collect(),
        goroutines,
        objects: &document.objects,
        findings: &document.findings,
        threads: &document.threads,
        deadlock_detector: &document.deadlock_detector,
        incomplete: &document.incomplete,
    }
}

fn describe(id: usize, group: &Group<'_>) -> Option<StackGroup> {
    let examples = group.members.iter().take(StackGroup::MAX_EXAMPLES);
    Some(StackGroup {
        id,
        count: group.members.len(),
        oldest_seconds: group.oldest_wait,
        examples: examples.map(|goroutine| goroutine.id).collect(),
        ..StackGroup::like(group.first()?)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use testing::schema::violations;

    use crate::document::example;

    #[test]
    fn it_follows_the_schema_and_refers_each_goroutine_to_its_stack() {
        let document = example::document();
        let value: Value = serde_json::to_value(super::of(&document)).unwrap();
        assert_eq!(violations("/$defs/overview", &value), [""; 0]);
        let goroutines = value["goroutines"].as_array().unwrap();
        assert_eq!(goroutines.len(), document.goroutines.len());
        for (member, goroutine) in goroutines.iter().zip(&document.goroutines) {
            let group = usize::try_from(member["group"].as_u64().unwrap()).unwrap();
            let stack = serde_json::to_value(&*goroutine.stack).unwrap();
            assert_eq!(value["groups"][group]["stack"], stack);
            assert_eq!(member["id"], serde_json::to_value(goroutine.id).unwrap());
        }
    }
}
