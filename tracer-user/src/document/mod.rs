//! The document of schema `gostuck/1`: what `inspect --format json` prints and the API serves, and
//! what text, web page and terminal view are made from. docs/json.md describes it, and
//! docs/gostuck-1.schema.json checks it.

mod address;
mod clock;
mod detector;
#[cfg(test)]
pub mod example;
mod finding;
mod frame;
mod goroutine;
mod object;
mod overview;
mod process;
mod threads;
pub mod words;

use serde::Serialize;

use crate::{
    finding::Diagnosis,
    inspect::{Inspection, Origin},
    target_text::TargetText,
};
use ids::Goid;

pub use address::Address;
pub use clock::Clock;
pub use detector::{DeadlockDetector, Terms};
pub use finding::{Edge, Finding, Group};
pub use frame::{Frame, Site, Symbolizer, Symbols};
pub use goroutine::{Goroutine, Precision, seconds, status_text};
pub use object::{Holder, Mutex, Object, Release, State, kind_text};
pub use overview::{Member, Members, Overview, StackGroup};
pub use process::{Identity, ImageFacts, Process, command, key_text};
pub use threads::{SiteCount, States, Thread, Threads, state_text};

/// The name of the schema, with the version that changes when a reader would break.
pub const SCHEMA: &str = "gostuck/1";

/// One inspection of one process.
#[derive(Debug, Clone, Serialize)]
pub struct Document {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// When the process was read (RFC 3339).
    pub taken: String,
    /// The process.
    pub process: Process,
    /// Its goroutines, by ascending id.
    pub goroutines: Vec<Goroutine>,
    /// The objects they wait on, by ascending address.
    pub objects: Vec<Object>,
    /// What was found, worst first.
    pub findings: Vec<Finding>,
    /// Its threads.
    pub threads: Threads,
    /// Whether Go's own detector could fire; `null` when the scheduler could not be read.
    pub deadlock_detector: Option<DeadlockDetector>,
    /// What could not be read.
    pub incomplete: Vec<Incomplete>,
}

/// One thing that the document lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Incomplete {
    /// What is missing.
    pub what: TargetText,
    /// Why.
    pub why: TargetText,
}

impl Document {
    /// What was seen in `look`.
    #[must_use]
    pub fn new(look: &Inspection) -> Self {
        let clock = Clock::of(look);
        let process = process_of(look, &clock);
        Self::with(process, &look.diagnosis, &*look.image, &clock)
    }

    /// The document of a process that is already described, symbolised by `symbols`.
    fn with(process: Process, diagnosis: &Diagnosis, symbols: &dyn Symbols, clock: &Clock) -> Self {
        let snapshot = &diagnosis.snapshot;
        let mut symbolizer = Symbolizer::new(symbols);
        let goroutines: Vec<Goroutine> = snapshot
            .goroutines
            .iter()
            .map(|goroutine| Goroutine::new(goroutine, snapshot.taken_ns, &mut symbolizer))
            .collect();
        Self {
            schema: SCHEMA,
            taken: clock.text(),
            process,
            objects: Self::objects(diagnosis, &mut symbolizer, |_| true),
            findings: diagnosis
                .findings
                .iter()
                .map(|finding| Finding::new(finding, clock))
                .collect(),
            threads: Threads::new(&snapshot.threads, &goroutines),
            goroutines,
            deadlock_detector: diagnosis.detector.as_ref().map(DeadlockDetector::from),
            incomplete: Self::incomplete(diagnosis).collect(),
        }
    }

    /// What could not be read.
    fn incomplete(diagnosis: &Diagnosis) -> impl Iterator<Item = Incomplete> + '_ {
        let incomplete = diagnosis.incomplete.iter();
        incomplete.map(|missing| Incomplete {
            what: missing.what.as_str().into(),
            why: missing.why.as_str().into(),
        })
    }

    /// The objects that are `wanted`, by ascending address.
    fn objects(
        diagnosis: &Diagnosis,
        symbolizer: &mut Symbolizer<'_>,
        wanted: impl Fn(&snapshot::SyncObject) -> bool,
    ) -> Vec<Object> {
        let goroutine = |goid: Goid| diagnosis.snapshot.goroutine(goid);
        let objects = diagnosis.snapshot.objects.values();
        let mut objects: Vec<&snapshot::SyncObject> = objects.filter(|o| wanted(o)).collect();
        objects.sort_unstable_by_key(|object| object.id);
        let objects = objects.into_iter().map(|object| {
            let holders = diagnosis.holders.get(&object.id.addr);
            Object::new(object, holders, goroutine, symbolizer)
        });
        objects.collect()
    }

    /// The findings that are told one by one: all but queues whose cause is told.
    pub fn told(&self) -> impl Iterator<Item = &Finding> + Clone {
        let is_here = |id: &String| self.findings.iter().any(|finding| finding.id == *id);
        let findings = self.findings.iter();
        findings.filter(move |finding| !finding.cause.as_ref().is_some_and(is_here))
    }

    /// The goroutine `goid`, if it is there.
    #[must_use]
    pub fn goroutine(&self, goid: Goid) -> Option<&Goroutine> {
        let at = self.goroutines.binary_search_by_key(&goid, |g| g.id);
        self.goroutines.get(at.ok()?)
    }
}

/// The process that was looked at.
fn process_of(look: &Inspection, clock: &Clock) -> Process {
    let snapshot = &look.diagnosis.snapshot;
    let facts = ImageFacts::new(&look.image, snapshot);
    let process = Process::new(&look.process, facts, look.cpu_limit, snapshot, clock);
    match &look.origin {
        Origin::Left { file, .. } => process.left_in(file),
        Origin::Live => process,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use testing::schema::violations;

    use super::example;

    fn document() -> Value {
        serde_json::to_value(example::document()).unwrap()
    }

    #[test]
    fn documents_follow_the_schema() {
        assert_eq!(violations("", &document()), [""; 0]);
    }

    #[test]
    fn holders_say_where_they_took_what_they_hold() {
        let acquired = &document()["objects"][0]["holders"][0]["acquired"];
        assert!(acquired["line"].is_u64(), "{acquired}");
    }

    #[test]
    fn what_breaks_the_schema_is_noticed() {
        let breaks = |pointer: &str, value: Value| {
            let mut document = document();
            *document.pointer_mut(pointer).unwrap() = value;
            !violations("", &document).is_empty()
        };
        assert!(breaks("/schema", json!("gostuck/2")));
        assert!(breaks("/process/pid", json!("4711")));
        assert!(breaks("/goroutines/0/status", json!("asleep")));
        assert!(breaks("/objects/0/holders/0/release/how", json!("magic")));
        assert!(breaks("/objects/0/holders/0/acquired", json!("here")));
        assert!(breaks("/findings/0/edges/0", json!({"from": 1, "to": 2})));
        assert!(breaks("/findings/0/objects/0", json!(824633802752_u64)));
        let mut surplus = document();
        surplus["goroutines"][0]["mood"] = json!("fine");
        assert!(!violations("", &surplus).is_empty());
    }
}
