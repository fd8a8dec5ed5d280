//! What a snapshot lacks, counted by kind so that a hostile target cannot make the list long.

use std::collections::BTreeMap;

use super::Incomplete;

/// Kinds of things that could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gap {
    /// The list of goroutines is longer than is ever looked at.
    TooManyGoroutines,
    /// A `g` in unreadable memory.
    UnreadableGoroutine,
    /// A `g` that breaks the runtime's rules.
    BrokenGoroutine,
    /// A goroutine that ran each time it was looked at.
    Restless,
    /// A stack in unreadable memory.
    UnreadableStack,
    /// A stack that does not lead to its first function.
    TruncatedStack,
    /// A goroutine whose object was not found.
    UnknownObject,
    /// An object in unreadable memory.
    UnreadableObject,
    /// The runtime's list of threads.
    Threads,
    /// The kernel's list of threads.
    Tasks,
    /// The scheduler's counters.
    Scheduler,
    /// The table of semaphores.
    Semaphores,
}

impl Gap {
    const fn what(self) -> &'static str {
        match self {
            Self::TooManyGoroutines | Self::UnreadableGoroutine | Self::BrokenGoroutine => {
                "goroutines"
            }
            Self::Restless | Self::UnreadableStack | Self::TruncatedStack => "stacks",
            Self::UnknownObject => "waits",
            Self::UnreadableObject => "objects",
            Self::Threads => "threads of the runtime",
            Self::Tasks => "threads of the kernel",
            Self::Scheduler => "scheduler",
            Self::Semaphores => "semaphore table",
        }
    }

    const fn why(self) -> &'static str {
        match self {
            Self::TooManyGoroutines => "too many to look at",
            Self::UnreadableGoroutine | Self::UnreadableStack | Self::UnreadableObject => {
                "their memory is not readable"
            }
            Self::BrokenGoroutine => "they break the runtime's own rules",
            Self::Restless => "the goroutines ran each time they were looked at",
            Self::TruncatedStack => "the stack tables do not lead to their first function",
            Self::UnknownObject => "the object waited on was not found",
            Self::Threads | Self::Tasks | Self::Scheduler | Self::Semaphores => {
                "not readable, or not what it should be"
            }
        }
    }
}

/// What is missing so far.
#[derive(Debug, Default)]
pub(super) struct Gaps(BTreeMap<Gap, Count>);

#[derive(Debug)]
struct Count {
    number: u64,
    first: String,
}

impl Gaps {
    /// Notes one more; `example` names it, for example `goroutine 17`.
    pub(super) fn note(&mut self, gap: Gap, example: impl FnOnce() -> String) {
        self.add(gap, 1, example);
    }

    /// Notes `number` more.
    pub(super) fn add(&mut self, gap: Gap, number: u64, example: impl FnOnce() -> String) {
        if number == 0 {
            return;
        }
        let count = self.0.entry(gap).or_insert_with(|| Count {
            number: 0,
            first: example(),
        });
        count.number += number;
    }

    /// How many of one kind, and the first of them.
    pub(super) fn of(&self, gap: Gap) -> (u64, &str) {
        let count = self.0.get(&gap);
        count.map_or((0, ""), |count| (count.number, &count.first))
    }

    /// One entry for each kind.
    pub(super) fn into_incomplete(self) -> Vec<Incomplete> {
        self.0
            .into_iter()
            .map(|(gap, count)| Incomplete {
                what: if count.number == 1 {
                    format!("{}: {}", gap.what(), count.first)
                } else {
                    format!(
                        "{} {}, the first is {}",
                        count.number,
                        gap.what(),
                        count.first
                    )
                },
                why: gap.why().to_owned(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_of_a_kind_make_one_entry() {
        let mut gaps = Gaps::default();
        for goid in [17, 18] {
            gaps.note(Gap::Restless, || format!("goroutine {goid}"));
        }
        gaps.add(Gap::UnreadableStack, 0, || unreachable!());
        gaps.note(Gap::Scheduler, || "sched".to_owned());
        assert_eq!(gaps.of(Gap::Restless), (2, "goroutine 17"));
        let entries = gaps.into_incomplete();
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].what, "2 stacks, the first is goroutine 17");
        assert_eq!(entries[1].what, "scheduler: sched");
    }
}
