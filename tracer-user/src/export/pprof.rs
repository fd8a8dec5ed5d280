//! Goroutines as a pprof profile (gzip-compressed `profile.proto`), which `go tool pprof` and
//! flame-graph viewers open. Labels tell reason, status and finding.

use std::io::{self, Write};

use flate2::{Compression, write::GzEncoder};
use prost::Message as _;
use rustc_hash::FxHashMap;

use super::groups::{Group, groups};
use crate::document::{Document, Frame, Goroutine};
use ids::Goid;

/// The messages of `github.com/google/pprof/proto/profile.proto`, as far as they are written.
mod proto {
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Profile {
        #[prost(message, repeated, tag = "1")]
        pub sample_type: Vec<ValueType>,
        #[prost(message, repeated, tag = "2")]
        pub sample: Vec<Sample>,
        #[prost(message, repeated, tag = "4")]
        pub location: Vec<Location>,
        #[prost(message, repeated, tag = "5")]
        pub function: Vec<Function>,
        #[prost(string, repeated, tag = "6")]
        pub string_table: Vec<String>,
        #[prost(int64, tag = "9")]
        pub time_nanos: i64,
        #[prost(int64, repeated, tag = "13")]
        pub comment: Vec<i64>,
        #[prost(int64, tag = "14")]
        pub default_sample_type: i64,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub struct ValueType {
        #[prost(int64, tag = "1")]
        pub r#type: i64,
        #[prost(int64, tag = "2")]
        pub unit: i64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Sample {
        #[prost(uint64, repeated, tag = "1")]
        pub location_id: Vec<u64>,
        #[prost(int64, repeated, tag = "2")]
        pub value: Vec<i64>,
        #[prost(message, repeated, tag = "3")]
        pub label: Vec<Label>,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub struct Label {
        #[prost(int64, tag = "1")]
        pub key: i64,
        #[prost(int64, tag = "2")]
        pub str: i64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Location {
        #[prost(uint64, tag = "1")]
        pub id: u64,
        #[prost(uint64, tag = "3")]
        pub address: u64,
        #[prost(message, repeated, tag = "4")]
        pub line: Vec<Line>,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub struct Line {
        #[prost(uint64, tag = "1")]
        pub function_id: u64,
        #[prost(int64, tag = "2")]
        pub line: i64,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub struct Function {
        #[prost(uint64, tag = "1")]
        pub id: u64,
        #[prost(int64, tag = "2")]
        pub name: i64,
        #[prost(int64, tag = "3")]
        pub system_name: i64,
        #[prost(int64, tag = "4")]
        pub filename: i64,
    }
}

/// Prints `document` as a compressed profile.
///
/// # Errors
/// When `out` cannot be written.
pub fn write(out: &mut impl Write, document: &Document) -> io::Result<()> {
    let mut gzip = GzEncoder::new(out, Compression::default());
    gzip.write_all(&profile(document).encode_to_vec())?;
    gzip.finish()?;
    Ok(())
}

fn profile(document: &Document) -> proto::Profile {
    let mut builder = Builder::new();
    let goroutine = builder.value_type("goroutine", "count");
    let wait = builder.value_type("wait", "nanoseconds");
    let mut findings: FxHashMap<Goid, usize> = FxHashMap::default();
    for (number, finding) in document.findings.iter().enumerate() {
        for &goid in finding.concerned() {
            findings.entry(goid).or_insert(number);
        }
    }
    for group in groups(document) {
        builder.group(document, &group, &findings);
    }
    let comment = builder.text(&format!(
        "gostuck: {} (pid {}), {}",
        document.process.command, document.process.pid, document.taken
    ));
    builder.profile.comment.push(comment);
    builder.profile.sample_type = vec![goroutine, wait];
    builder.profile.default_sample_type = goroutine.r#type;
    builder.profile.time_nanos = humantime::parse_rfc3339(&document.taken)
        .ok()
        .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
        .and_then(|time| i64::try_from(time.as_nanos()).ok())
        .unwrap_or(0);
    builder.profile
}

/// Fills a profile; strings, functions and locations are entered once.
struct Builder {
    profile: proto::Profile,
    strings: FxHashMap<String, i64>,
    functions: FxHashMap<(i64, i64), u64>,
    locations: FxHashMap<u64, u64>,
}

impl Builder {
    fn new() -> Self {
        let mut builder = Self {
            profile: proto::Profile::default(),
            strings: FxHashMap::default(),
            functions: FxHashMap::default(),
            locations: FxHashMap::default(),
        };
        // The format wants the empty string first.
        builder.text("");
        builder
    }

    fn text(&mut self, text: &str) -> i64 {
        if let Some(&known) = self.strings.get(text) {
            return known;
        }
        let index = i64::try_from(self.profile.string_table.len()).unwrap_or(0);
        self.profile.string_table.push(text.to_owned());
        self.strings.insert(text.to_owned(), index);
        index
    }

    fn value_type(&mut self, kind: &str, unit: &str) -> proto::ValueType {
        proto::ValueType {
            r#type: self.text(kind),
            unit: self.text(unit),
        }
    }

    fn group(&mut self, document: &Document, group: &Group<'_>, findings: &FxHashMap<Goid, usize>) {
        let location_id = self.stack(group.stack());
        let mut by_finding: FxHashMap<Option<usize>, Vec<&Goroutine>> = FxHashMap::default();
        for &member in &group.members {
            let finding = findings.get(&member.id).copied();
            by_finding.entry(finding).or_default().push(member);
        }
        let mut by_finding: Vec<_> = by_finding.into_iter().collect();
        by_finding.sort_by_key(|(finding, _)| *finding);
        for (finding, members) in by_finding {
            let mut labels = vec![self.label("status", group.first().map_or("", |g| g.status))];
            if let Some(reason) = group.first().and_then(|g| g.wait_reason) {
                labels.push(self.label("reason", reason));
            }
            if let Some(finding) = finding.and_then(|number| document.findings.get(number)) {
                labels.push(self.label("finding", &finding.id));
                labels.push(self.label("kind", super::text::kind(finding.kind)));
                labels.push(self.label("verdict", finding.verdict.as_str()));
            }
            self.profile.sample.push(proto::Sample {
                location_id: location_id.clone(),
                value: vec![
                    i64::try_from(members.len()).unwrap_or(i64::MAX),
                    wait_ns(&members),
                ],
                label: labels,
            });
        }
    }

    fn label(&mut self, key: &str, value: &str) -> proto::Label {
        proto::Label {
            key: self.text(key),
            str: self.text(value),
        }
    }

    /// The locations of a stack: one a physical frame, its inlined calls as further lines.
    fn stack(&mut self, stack: &[Frame]) -> Vec<u64> {
        stack
            .chunk_by(|inner, outer| inner.inlined && inner.pc == outer.pc)
            .filter_map(|frames| Some(self.location(frames.first()?.pc.0, frames)))
            .collect()
    }

    fn location(&mut self, address: u64, frames: &[Frame]) -> u64 {
        if let Some(&known) = self.locations.get(&address) {
            return known;
        }
        let line = frames.iter().map(|frame| self.line(frame)).collect();
        let id = self.profile.location.len() as u64 + 1;
        self.profile
            .location
            .push(proto::Location { id, address, line });
        self.locations.insert(address, id);
        id
    }

    fn line(&mut self, frame: &Frame) -> proto::Line {
        let (name, filename) = (
            self.text(&frame.function.clean()),
            self.text(&frame.file.clean()),
        );
        let next = self.profile.function.len() as u64 + 1;
        let function_id = *self.functions.entry((name, filename)).or_insert(next);
        if function_id == next {
            self.profile.function.push(proto::Function {
                id: next,
                name,
                system_name: name,
                filename,
            });
        }
        proto::Line {
            function_id,
            line: i64::from(frame.line),
        }
    }
}

fn wait_ns(members: &[&Goroutine]) -> i64 {
    let seconds: f64 = members
        .iter()
        .filter_map(|member| member.wait_seconds)
        .sum();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float to integer cast saturates"
    )]
    let ns = (seconds * 1e9) as i64;
    ns
}

#[cfg(test)]
mod tests {
    use super::{profile, proto};
    use crate::document::example;

    fn text(profile: &proto::Profile, index: i64) -> &str {
        &profile.string_table[usize::try_from(index).unwrap()]
    }

    #[test]
    fn every_goroutine_is_counted_once() {
        let profile = profile(&example::document());
        let counts: Vec<i64> = profile
            .sample
            .iter()
            .map(|sample| sample.value[0])
            .collect();
        assert_eq!(counts, [3, 2]);
        assert_eq!(profile.sample[0].value[1], 3 * 192_000_000_000);
        assert_eq!(profile.string_table[0], "");
    }

    #[test]
    fn members_of_a_finding_are_labelled() {
        let profile = profile(&example::document());
        let labels: Vec<(&str, &str)> = profile.sample[1]
            .label
            .iter()
            .map(|label| (text(&profile, label.key), text(&profile, label.str)))
            .collect();
        assert!(
            labels.contains(&("reason", "sync.Mutex.Lock")),
            "{labels:?}"
        );
        assert!(labels.contains(&("verdict", "proven")), "{labels:?}");
        assert!(
            !profile.sample[0]
                .label
                .iter()
                .any(|l| text(&profile, l.key) == "finding")
        );
    }

    #[test]
    fn an_inlined_call_shares_its_frames_location() {
        let profile = profile(&example::document());
        assert_eq!(profile.sample[1].location_id.len(), 3);
        let lock =
            &profile.location[usize::try_from(profile.sample[1].location_id[1]).unwrap() - 1];
        assert_eq!(lock.line.len(), 2);
    }
}
