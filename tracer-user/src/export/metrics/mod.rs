//! Metrics by prometheus-client. docs/metrics.md lists them.

mod exposition;
mod processes;

use std::sync::Arc;

use prometheus_client::{encoding::text, registry::Registry};

pub use exposition::Format;

use crate::daemon::{process_table::ProcessTable, self_metrics::SelfMetrics};

/// All metrics of the daemon.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// The metrics of the processes on `board` and of gostuck itself.
    #[must_use]
    pub fn new(board: Arc<ProcessTable>, own: &SelfMetrics) -> Self {
        let mut registry = Registry::default();
        own.register(&mut registry);
        registry.register_collector(Box::new(processes::Processes(board)));
        Self { registry }
    }

    /// The metrics as they stand now.
    ///
    /// # Errors
    /// When a collector cannot be encoded.
    pub fn encode(&self, format: Format) -> Result<String, std::fmt::Error> {
        let mut encoded = String::new();
        text::encode(&mut encoded, &self.registry)?;
        Ok(match format {
            Format::OpenMetrics => encoded,
            Format::Prometheus => exposition::to_prometheus(&encoded),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Format, Metrics};
    use crate::{
        daemon::{
            process_table::{ProcessTable, example},
            self_metrics::{Outcome, SelfMetrics},
        },
        document,
    };
    use probes::Irregularities;

    fn encode(format: Format) -> String {
        let board = Arc::new(ProcessTable::default());
        let (key, mut entry) = example::entry();
        entry.listed.process.command = "a\"b\\c".into();
        board.count(&entry.listed.process, &document::example::cycle());
        board.show(key, entry);
        let own = SelfMetrics::default();
        own.count_look(Outcome::Whole, 0.002);
        own.count_events("park", 3);
        // Totals: what was told before is not counted again.
        for failed_reads in [2, 2, 5] {
            own.set_irregularities(&Irregularities {
                failed_reads,
                ..Irregularities::default()
            });
        }
        Metrics::new(board, &own).encode(format).unwrap()
    }

    #[test]
    fn processes_are_told_by_identity_and_never_by_goroutine() {
        let text = encode(Format::OpenMetrics);
        let identity = r#"command="a\"b\\c",namespace="",pod="",container="",pid="4711""#;
        for line in [
            format!("gostuck_deadlocked_goroutines{{{identity}}} 2\n"),
            format!("gostuck_waiting_goroutines{{{identity},reason=\"chan receive\"}} 3\n"),
            format!("gostuck_findings{{{identity},kind=\"lock-cycle\",verdict=\"proven\"}} 1\n"),
            format!(
                "gostuck_findings_total{{{identity},kind=\"lock-cycle\",verdict=\"proven\"}} 1\n"
            ),
            format!("gostuck_target_mode{{{identity},mode=\"events\"}} 1\n"),
            "gostuck_events_total{type=\"park\"} 3\n".to_owned(),
            "gostuck_probe_irregularities_total{kind=\"failed-read\"} 5\n".to_owned(),
            "gostuck_probe_irregularities_total{kind=\"unseen-wake\"} 0\n".to_owned(),
        ] {
            assert!(text.contains(&line), "{line} in {text}");
        }
        assert!(!text.contains("goid") && !text.contains("0xc0"), "{text}");
    }

    #[test]
    fn a_process_that_left_leaves_the_metrics_and_its_findings_stay_counted() {
        let board = Arc::new(ProcessTable::default());
        let (key, entry) = example::entry();
        let process = entry.listed.process.clone();
        board.show(key, entry);
        let metrics = Metrics::new(Arc::clone(&board), &SelfMetrics::default());
        let told = || {
            let text = metrics.encode(Format::OpenMetrics).unwrap();
            let lines = text.lines().filter(|line| line.contains("4711"));
            let names = lines.filter_map(|line| Some(line.split_once('{')?.0.to_owned()));
            names.collect::<Vec<_>>()
        };
        assert!(told().len() > 10);
        board.count(&process, &document::example::cycle());
        board.remove(key);
        let counts = [
            "gostuck_findings_total",
            "gostuck_last_finding_timestamp_seconds",
        ];
        assert_eq!(told(), counts);
    }
}
