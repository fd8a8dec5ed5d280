//! Metrics as text: OpenMetrics where the scraper takes it, else the older Prometheus format.

use std::fmt::Write as _;

/// The two formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus text format 0.0.4.
    Prometheus,
}

impl Format {
    /// The format that a scraper with this `Accept` header wants.
    #[must_use]
    pub fn accepted(accept: Option<&str>) -> Self {
        match accept {
            Some(accept) if accept.contains("application/openmetrics-text") => Self::OpenMetrics,
            _ => Self::Prometheus,
        }
    }

    /// Its media type.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// OpenMetrics text in the older format: there, a counter's family is named like its samples,
/// so that one can be a counter whose family would be another's, `info` is a gauge, and units and the end mark are unknown.
pub fn to_prometheus(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help = "";
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            // Printed with the type, which decides the family's name.
            help = rest.split_once(' ').map_or("", |(_, help)| help);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or((rest, "untyped"));
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" if name.ends_with("_total") => ("", "counter"),
                "unknown" => ("", "untyped"),
                kind => ("", kind),
            };
            let help = help.trim_end_matches('.');
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}"
            );
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Format, to_prometheus};

    #[test]
    fn prometheus_itself_gets_openmetrics() {
        let accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2";
        assert_eq!(Format::accepted(Some(accept)), Format::OpenMetrics);
        assert_eq!(Format::accepted(Some("*/*")), Format::Prometheus);
        assert_eq!(Format::accepted(None), Format::Prometheus);
    }

    #[test]
    fn counters_keep_their_suffix_in_the_family_name() {
        let old = to_prometheus("# HELP a Things.\n# TYPE a counter\na_total 3\n# EOF\n");
        assert_eq!(
            old,
            "# HELP a_total Things\n# TYPE a_total counter\na_total 3\n"
        );
        let old = to_prometheus("# HELP a_total Things.\n# TYPE a_total unknown\na_total 3\n");
        assert!(old.contains("# TYPE a_total counter\n"), "{old}");
    }
}
