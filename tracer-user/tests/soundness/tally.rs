//! What was counted.

use std::{collections::BTreeMap, fmt::Write as _};

/// Goroutines that were dead for long enough, and those of them that were proven stuck.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Recall {
    pub(crate) dead: u64,
    pub(crate) proven: u64,
}

/// What came of looks.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tally {
    pub(crate) programs: u64,
    pub(crate) looks: u64,
    /// Looks that proved goroutines stuck that went on. The program is not looked at any more.
    pub(crate) false_proofs: u64,
    /// The same by the kind of the finding.
    pub(crate) false_kinds: BTreeMap<String, u64>,
    /// Holders named for certain that did not hold the lock.
    pub(crate) wrong_holders: u64,
    /// Holders named for certain that did.
    pub(crate) holders: u64,
    /// By kind of deadlock, in fresh looks.
    pub(crate) recall: BTreeMap<&'static str, Recall>,
    /// One text for each program that was kept.
    pub(crate) kept: Vec<String>,
    /// What was wrong with programs themselves.
    pub(crate) broken: Vec<String>,
}

impl Tally {
    /// Adds what another counted.
    pub(crate) fn add(&mut self, other: &Self) {
        self.programs += other.programs;
        self.looks += other.looks;
        self.false_proofs += other.false_proofs;
        self.wrong_holders += other.wrong_holders;
        self.holders += other.holders;
        for (kind, count) in &other.false_kinds {
            *self.false_kinds.entry(kind.clone()).or_default() += count;
        }
        for (kind, recall) in &other.recall {
            let own = self.recall.entry(kind).or_default();
            own.dead += recall.dead;
            own.proven += recall.proven;
        }
        self.kept.extend(other.kept.iter().cloned());
        self.broken.extend(other.broken.iter().cloned());
    }

    fn recall(&self) -> Recall {
        let mut all = Recall::default();
        for recall in self.recall.values() {
            all.dead += recall.dead;
            all.proven += recall.proven;
        }
        all
    }

    /// Returns a row of the table of results, in Markdown.
    pub(crate) fn row(&self, name: &str) -> String {
        format!(
            "| {name} | {} | {} | {} | {} | {} | {} |",
            self.programs,
            self.looks,
            self.false_proofs,
            self.wrong_holders,
            self.holders,
            share(self.recall())
        )
    }
}

/// The head of the table that [`Tally::row`]s make.
pub(crate) const HEAD: &str = "| Go | programs | looks | false proofs | wrong holders | right holders | dead goroutines proven |\n\
| --- | --- | --- | --- | --- | --- | --- |";

/// Returns the table of the kinds of deadlocks.
pub(crate) fn kinds(tally: &Tally) -> String {
    let mut text = "| deadlock | dead goroutines proven |\n| --- | --- |\n".to_owned();
    for (kind, recall) in &tally.recall {
        let _ = writeln!(text, "| {kind} | {} |", share(*recall));
    }
    text
}

fn share(recall: Recall) -> String {
    if recall.dead == 0 {
        return "–".to_owned();
    }
    let percent = recall.proven as f64 / recall.dead as f64 * 100.0;
    format!("{percent:.1} % of {}", recall.dead)
}
