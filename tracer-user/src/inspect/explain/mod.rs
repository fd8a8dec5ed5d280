//! Why a goroutine waits, and why that is not proven to be for ever: how what it waits for is reached,
//! and who was seen that could act on it.

mod way;

use std::sync::Arc;

use serde::Serialize;

use self::way::Namer;
use super::{
    inspector::Inspector,
    inspector::{InspectError, Inspection},
};
use crate::{
    finding::{
        Diagnosis, Finding, Verdict,
        coroutine::resumers,
        index::{SnapshotIndex, capitalised},
        phrase,
    },
    target_text::TargetText,
};
use holders::PendingRelease;
use ids::{Goid, Pid, TargetAddr};
use reach::{self, Path, Prover};
use snapshot::{Goroutine, Target};

/// Goroutines that could act that are told one by one.
const MAX_ACTORS: usize = 10;
/// Objects of one select that are explained.
const MAX_OBJECTS: usize = 16;

/// Why one goroutine waits.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The process.
    pub pid: Pid,
    /// The goroutine.
    pub goroutine: Goid,
    /// What it does.
    pub doing: TargetText,
    /// What that comes to.
    pub verdict: TargetText,
    /// The findings that concern it, each with its evidence.
    pub findings: Vec<ExplainedFinding>,
    /// What it waits for.
    pub objects: Vec<ExplainedObject>,
}

/// A finding, in words.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedFinding {
    /// Its id.
    pub id: String,
    /// How certain it is.
    pub verdict: Verdict,
    /// What it says.
    pub summary: TargetText,
    /// What follows from what.
    pub story: Vec<TargetText>,
    /// What is missing for proof.
    pub doubts: Vec<TargetText>,
}

/// How one object that the goroutine waits for is reached.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedObject {
    /// The object.
    pub object: TargetText,
    /// The shortest ways to it: of each, the steps.
    pub ways: Vec<Vec<TargetText>>,
    /// What is to be said where no way was found, or not all were looked for.
    pub note: Option<TargetText>,
    /// Who was seen that could act on it, and how.
    pub actors: Vec<TargetText>,
}

impl Inspector {
    /// Explains what goroutine `goid` of the process `pid` waits for.
    ///
    /// # Errors
    /// [`InspectError`]. `None` when it has no such goroutine.
    pub fn explain(&self, pid: Pid, goid: Goid) -> Result<Option<Explanation>, InspectError> {
        let look = self.look(pid)?;
        self.whole(Some(pid), |_| self.explain_look(&look, goid))
    }

    fn explain_look(
        &self,
        look: &Inspection,
        goid: Goid,
    ) -> Result<Option<Explanation>, InspectError> {
        let diagnosis = &look.diagnosis;
        let resumers = resumers(&diagnosis.snapshot, &*look.image);
        let scene = SnapshotIndex::new(
            diagnosis.process,
            &diagnosis.snapshot,
            &diagnosis.holders,
            &diagnosis.pending,
            false,
            (&*look.image, &resumers),
        );
        let Some(g) = scene.goroutine(goid) else {
            return Ok(None);
        };
        let target = Target::live(&look.process, Arc::clone(&look.image))?;
        let options = self.options().reach.unwrap_or_default();
        let mut prover = Prover::new(&target, Arc::clone(&diagnosis.snapshot), options);
        let walked = prover.glance(&diagnosis.nodes).is_ok();
        let mut objects: Vec<TargetAddr> = g.waits_on.iter().map(|w| w.object.addr).collect();
        objects.dedup();
        let namer = Namer::new(&target, &scene);
        let reached = objects.iter().take(MAX_OBJECTS).map(|object| {
            let paths = walked.then(|| prover.paths_to(*object, &waiters(&scene, *object)));
            reached(&scene, g, *object, (paths, &namer))
        });
        Ok(Some(Explanation {
            pid: look.process.pid(),
            goroutine: goid,
            doing: scene.sentence(goid).as_str().into(),
            objects: reached.collect(),
            verdict: verdict(diagnosis, g).into(),
            findings: told(diagnosis, goid).collect(),
        }))
    }
}

/// Who waits for `object`: that these refer to it says nothing.
fn waiters(scene: &SnapshotIndex<'_>, object: TargetAddr) -> Vec<Goid> {
    let waits = |g: &&Goroutine| g.waits_on.iter().any(|wait| wait.object.addr == object);
    let goroutines = scene.snapshot.goroutines.iter().filter(waits);
    goroutines.map(|g| g.goid).collect()
}

/// What is known of the wait of `g`, in a sentence.
fn verdict(diagnosis: &Diagnosis, g: &Goroutine) -> &'static str {
    let is_of_it = |finding: &&Finding| finding.concerned().contains(&g.goid);
    let proven = |finding: &Finding| finding.verdict == Verdict::Proven;
    if diagnosis.findings.iter().filter(is_of_it).any(proven) {
        "It is proven to wait for ever."
    } else if diagnosis.verdicts.fate(g.goid).is_some() {
        "By this look it can never run again; a proof takes more."
    } else if g.waits_on.is_empty() {
        "It waits for no object of the program: it runs on by itself, by a timer or by the network."
    } else {
        "It is not proven to wait for ever: somebody who can still run may end its wait."
    }
}

fn told(diagnosis: &Diagnosis, goid: Goid) -> impl Iterator<Item = ExplainedFinding> + '_ {
    let all = diagnosis.findings.iter();
    let of_it = all.filter(move |finding| finding.concerned().contains(&goid));
    of_it.map(|finding| ExplainedFinding {
        id: finding.id.to_string(),
        verdict: finding.verdict,
        summary: finding.summary.as_str().into(),
        story: finding
            .story
            .iter()
            .map(|line| line.as_str().into())
            .collect(),
        doubts: finding
            .doubts
            .iter()
            .map(|doubt| doubt.as_str().into())
            .collect(),
    })
}

type Ways = Option<Result<reach::Paths, reach::ReachError>>;

fn reached(
    scene: &SnapshotIndex<'_>,
    g: &Goroutine,
    object: TargetAddr,
    (paths, namer): (Ways, &Namer<'_>),
) -> ExplainedObject {
    let (ways, note) = match paths {
        None => (Vec::new(), Some("The heap could not be walked.".to_owned())),
        Some(Err(error)) => (
            Vec::new(),
            Some(format!("{}.", capitalised(&error.to_string()))),
        ),
        Some(Ok(paths)) => {
            let ways: Vec<&Path> = paths.found.iter().collect();
            let note = match (ways.is_empty(), paths.gave_up) {
                (true, false) => Some(
                    "Nobody who can still run, and no variable, was found to refer to it."
                        .to_owned(),
                ),
                (true, true) => {
                    Some("No way to it was found within the bounds of a search.".to_owned())
                }
                (false, _) => None,
            };
            (
                ways.into_iter()
                    .map(|path| namer.steps(path, object))
                    .collect(),
                note,
            )
        }
    };
    ExplainedObject {
        object: scene.object(object).as_str().into(),
        ways,
        note: note.map(|note| note.as_str().into()),
        actors: actors(scene, g, object),
    }
}

/// Who was seen that would do to `object` what `g` waits for, and what they do now.
fn actors(scene: &SnapshotIndex<'_>, g: &Goroutine, object: TargetAddr) -> Vec<TargetText> {
    let mut seen: Vec<(Goid, &PendingRelease)> = Vec::new();
    for (goid, _, kind) in scene.partners(g).filter(|(_, of, _)| *of == object) {
        let mut releases = scene.pending(goid).iter();
        let release = releases.find(|r| r.object == object && r.kind == kind);
        seen.extend(release.map(|release| (goid, release)));
    }
    seen.sort_by_key(|(goid, _)| *goid);
    seen.dedup_by_key(|(goid, _)| *goid);
    let mut lines: Vec<TargetText> = seen
        .iter()
        .take(MAX_ACTORS)
        .map(|(goid, release)| actor(scene, *goid, release).as_str().into())
        .collect();
    if let Some(more) = seen.len().checked_sub(MAX_ACTORS).filter(|more| *more > 0) {
        lines.push(
            format!("{} more would.", phrase::count(more as u64, "goroutine"))
                .as_str()
                .into(),
        );
    }
    lines
}

fn actor(scene: &SnapshotIndex<'_>, goid: Goid, release: &PendingRelease) -> String {
    let site = scene.site(release.evidence.site, true);
    let at = site.map_or_else(String::new, |site| format!(" at {site}"));
    let doing = scene
        .goroutine(goid)
        .map(|g| scene.doing(g))
        .unwrap_or_default();
    let name = capitalised(&SnapshotIndex::name(goid));
    format!(
        "{name} would {} it{at}; it {doing}.",
        phrase::would(release.kind)
    )
}
