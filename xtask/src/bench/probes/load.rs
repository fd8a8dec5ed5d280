//! wrk, and what it tells of the answers it got.

use std::{collections::BTreeMap, process::Command};

use anyhow::{Context as _, Result};

use crate::{command::output, paths};

/// How a server is asked for its page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) connections: usize,
    /// How long a connection rests before each request, in milliseconds: at least, and at most.
    pub(super) pause_ms: Option<(u32, u32)>,
}

impl Load {
    /// As many requests as the server answers.
    pub(super) const FULL: Self = Self {
        connections: 16,
        pause_ms: None,
    };

    /// A good part of what the server can carry, and no more.
    pub(super) const PACED: Self = Self {
        connections: 64,
        pause_ms: Some((2, 10)),
    };

    /// Asks the server at `address` for so many seconds.
    pub(super) fn run(self, address: &str, seconds: usize) -> Result<Answers> {
        let script = paths::workspace().join("xtask/src/bench/probes/load.lua");
        let mut command = Command::new("wrk");
        command.args(["-t1", "-c", &self.connections.to_string()]);
        command
            .args(["-d", &format!("{seconds}s"), "-s"])
            .arg(script);
        command.arg(format!("http://{address}/page"));
        if let Some((least, longest)) = self.pause_ms {
            command.args(["--", &least.to_string(), &longest.to_string()]);
        }
        let said = output(&mut command).context("wrk failed")?;
        let latencies = said.lines().find_map(|line| line.strip_prefix("latencies"));
        let latencies = latencies.with_context(|| format!("wrk told no latencies: {said}"))?;
        Answers::parse(latencies, seconds).with_context(|| format!("reading wrk's {latencies}"))
    }
}

/// The answers of a server within some time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Answers {
    /// How many took so many microseconds.
    latencies_us: BTreeMap<u64, u64>,
    seconds: usize,
}

impl Answers {
    fn parse(latencies: &str, seconds: usize) -> Option<Self> {
        let mut latencies_us = BTreeMap::new();
        for pair in latencies.split_whitespace() {
            let (us, count) = pair.split_once(':')?;
            *latencies_us.entry(us.parse().ok()?).or_default() += count.parse::<u64>().ok()?;
        }
        Some(Self {
            latencies_us,
            seconds,
        })
    }

    /// All of `parts` together.
    pub(super) fn all<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        parts.into_iter().fold(Self::default(), |mut all, part| {
            for (us, count) in &part.latencies_us {
                *all.latencies_us.entry(*us).or_default() += count;
            }
            all.seconds += part.seconds;
            all
        })
    }

    fn count(&self) -> u64 {
        self.latencies_us.values().sum()
    }

    pub(super) fn per_second(&self) -> f64 {
        self.count() as f64 / self.seconds as f64
    }

    /// Microseconds within which the share `of` of the answers came.
    pub(super) fn quantile_us(&self, of: f64) -> f64 {
        let rank = (self.count() as f64 * of).ceil();
        let mut sooner = 0;
        for (us, count) in &self.latencies_us {
            sooner += count;
            if sooner as f64 >= rank {
                return *us as f64;
            }
        }
        f64::NAN
    }
}

#[cfg(test)]
mod tests {
    use super::Answers;

    #[test]
    fn quantiles_are_of_all_answers_together() {
        let fast = Answers::parse(" 100:97 200:2", 1).unwrap();
        let slow = Answers::parse(" 900:1", 1).unwrap();
        let all = Answers::all([&fast, &slow]);
        assert!((all.per_second() - 50.0).abs() < 1e-9);
        for (of, us) in [(0.5, 100.0), (0.97, 100.0), (0.99, 200.0), (1.0, 900.0)] {
            assert!((all.quantile_us(of) - us).abs() < 1e-9, "{of}");
        }
    }

    #[test]
    fn what_is_no_latency_is_refused() {
        assert_eq!(Answers::parse(" 100:x", 1), None);
        assert_eq!(Answers::parse(" 100", 1), None);
    }
}
