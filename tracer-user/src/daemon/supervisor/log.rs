//! What the log says of findings: that they appear, clear, or end with their process. Whoever reads
//! of a finding has to learn of its end, too: all of it is logged where the log is not turned up.

use crate::{
    document::{Identity, command, seconds, words::duration},
    finding::{Change, Finding, Verdict},
    target_text::{TargetText, clean},
};
use ids::Pid;
use process::Process;

/// Most characters of a story.
const MAX_STORY: usize = 4_000;

/// How the log names a process.
#[derive(Debug, Clone)]
pub struct Name {
    pid: Pid,
    command: TargetText,
    container: Option<Identity>,
}

impl Name {
    /// The name of `process`.
    pub fn of(process: &Process) -> Self {
        Self {
            pid: process.pid(),
            command: command(process),
            container: process.container.as_ref().map(Identity::from),
        }
    }

    /// Says what has changed; `counted` says whether the metrics count it, which they do once.
    pub fn log(&self, change: &Change, counted: bool) {
        match change {
            // Its cause tells of it.
            Change::Appeared(finding)
            | Change::Changed { finding, .. }
            | Change::Cleared { finding, .. }
                if finding.cause.is_some() =>
            {
                tracing::debug!(pid = %self.pid, id = %finding.id, "{}", clean(&finding.summary));
            }
            Change::Appeared(finding) => self.warn(finding, "found"),
            Change::Changed { finding, .. } if counted => {
                let what = match finding.verdict {
                    Verdict::Proven => "risen to proven",
                    Verdict::Suspected => "found, in place of another",
                };
                self.warn(finding, what);
            }
            Change::Changed { finding, .. } => {
                tracing::info!(pid = %self.pid, id = %finding.id, "{}", clean(&finding.summary));
            }
            Change::Cleared {
                finding,
                seen_for_ns,
            } => {
                let seen_for = duration(seconds(*seen_for_ns));
                self.warn(finding, &format!("cleared after {seen_for}"));
            }
        }
    }

    /// Says that the process has ended while these findings stood.
    pub fn log_end<'a>(&self, standing: impl Iterator<Item = &'a Finding>) {
        for finding in standing.filter(|finding| finding.cause.is_none()) {
            self.warn(finding, "ended with its process");
        }
    }

    fn warn(&self, finding: &Finding, what: &str) {
        let container = self.container.as_ref();
        // As many digits of its id as `docker ps` shows.
        let id = container.and_then(|c| c.container_id.as_ref()?.raw().get(..12));
        let text = |text: Option<&TargetText>| text.map(|text| text.clean().into_owned());
        let story = finding.story.join(" ");
        let story: String = clean(&story).chars().take(MAX_STORY).collect();
        tracing::warn!(
            command = ?self.command,
            pid = %self.pid,
            namespace = text(container.and_then(|c| c.namespace.as_ref())),
            pod = text(container.and_then(|c| c.pod.as_ref())),
            container = text(container.and_then(|c| c.container.as_ref())).as_deref().or(id),
            verdict = %finding.verdict,
            kind = %finding.kind,
            id = %finding.id,
            story,
            "{what}: {}",
            clean(&finding.summary)
        );
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use super::*;
    use crate::{
        daemon::supervisor::fixture, document::example, finding::FindingId,
        log_fields::clean_fields,
    };

    /// What is written to it.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What the log shows, where it is not turned up, of what `told` says.
    fn logged(told: impl FnOnce(&Name)) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::WARN)
            .with_ansi(false)
            .fmt_fields(clean_fields())
            .with_writer(move || writer.clone())
            .finish();
        let name = Name {
            container: Some(Identity {
                namespace: Some("shop".into()),
                pod: Some("ledger-7d9f".into()),
                container_id: Some("0123456789abcdef".into()),
                ..Identity::default()
            }),
            ..Name::of(&fixture::process(7, 1, 100))
        };
        tracing::subscriber::with_default(subscriber, || told(&name));
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_line_says_where_what_how_sure_and_the_story() {
        let appeared = Change::Appeared(Finding {
            summary: "deadlock\x1b[2J".to_owned(),
            ..example::cycle()
        });
        let said = logged(|name| name.log(&appeared, true));
        assert_eq!(said.lines().count(), 1, "{said}");
        for part in [
            "found: deadlock\u{fffd}[2J",
            "command=",
            "pid=7",
            "namespace=\"shop\"",
            "pod=\"ledger-7d9f\"",
            "container=\"0123456789ab\"",
            "verdict=proven",
            "kind=lock-cycle",
            "id=0000000000001234",
            "story=\"Goroutine 18 waits for the mutex that goroutine 19 holds.\"",
        ] {
            assert!(said.contains(part), "{part} in {said}");
        }
    }

    #[test]
    fn the_end_of_what_was_told_is_told_too() {
        let cleared = Change::Cleared {
            finding: example::cycle(),
            seen_for_ns: 4_000_000_000,
        };
        let said = logged(|name| name.log(&cleared, false));
        assert!(said.contains("cleared after 4.0 s: 2 goroutines"), "{said}");
        let said = logged(|name| name.log_end([example::cycle()].iter()));
        assert!(
            said.contains("ended with its process: 2 goroutines"),
            "{said}"
        );
    }

    #[test]
    fn neither_numbers_that_change_nor_queues_fill_the_log() {
        let queue = || Finding {
            cause: Some(FindingId(1)),
            ..example::cycle()
        };
        let said = logged(|name| {
            name.log(
                &Change::Changed {
                    finding: example::cycle(),
                    replaces: Vec::new(),
                },
                false,
            );
            name.log(&Change::Appeared(queue()), false);
            name.log_end([queue()].iter());
        });
        assert_eq!(said, "");
        let said = logged(|name| {
            name.log(
                &Change::Changed {
                    finding: example::cycle(),
                    replaces: Vec::new(),
                },
                true,
            )
        });
        assert!(said.contains("risen to proven"), "{said}");
    }
}
