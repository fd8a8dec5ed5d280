//! wrk, and what it tells of the answers it got.

use std::{collections::BTreeMap, process::Command};

use anyhow::{Context as _, Result, bail};

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

    /// Whether there is wrk.
    pub(super) fn is_possible() -> bool {
        paths::on_path("wrk").is_some()
    }

    /// What asks the server at `address` for so many seconds.
    pub(super) fn command(self, address: &str, seconds: usize) -> Command {
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
        command
    }

    /// Asks the server at `address` for so many seconds.
    pub(super) fn run(self, address: &str, seconds: usize) -> Result<Answers> {
        let said = output(&mut self.command(address, seconds)).context("wrk failed")?;
        Answers::read(&said, seconds).with_context(|| format!("wrk said: {said}"))
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
    /// What wrk `said` after so many seconds. Its latencies are also of answers that are no page, and it
    /// leaves out what was never answered; either makes them worthless.
    fn read(said: &str, seconds: usize) -> Result<Self> {
        let lines = || said.lines().map(str::trim);
        let complaint =
            |line: &&str| line.starts_with("Non-2xx") || line.starts_with("Socket errors");
        if let Some(complaint) = lines().find(complaint) {
            bail!("the server did not answer as it should: {complaint}");
        }
        let latencies = lines().find_map(|line| line.strip_prefix("latencies"));
        latencies
            .and_then(|latencies| Self::parse(latencies, seconds))
            .context("no latencies")
    }

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

    pub(super) fn count(&self) -> u64 {
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
        let fast = Answers::read("Running 1s test\nlatencies 100:97 200:2\n", 1).unwrap();
        let slow = Answers::read("latencies 900:1", 1).unwrap();
        let all = Answers::all([&fast, &slow]);
        assert!((all.per_second() - 50.0).abs() < 1e-9);
        for (of, us) in [(0.5, 100.0), (0.97, 100.0), (0.99, 200.0), (1.0, 900.0)] {
            assert!((all.quantile_us(of) - us).abs() < 1e-9, "{of}");
        }
    }

    #[test]
    fn what_is_no_latency_is_refused() {
        for said in ["latencies 100:x", "latencies 100", "Requests/sec: 10"] {
            assert!(Answers::read(said, 1).is_err(), "{said}");
        }
    }

    #[test]
    fn what_is_no_page_is_no_answer() {
        for complaint in [
            "  Non-2xx or 3xx responses: 12",
            "  Socket errors: connect 0, read 3, write 0, timeout 0",
        ] {
            let said = format!("  30 requests in 1.00s\n{complaint}\nlatencies 100:30\n");
            let error = Answers::read(&said, 1).unwrap_err();
            assert!(error.to_string().contains(complaint.trim()), "{error}");
        }
    }
}
