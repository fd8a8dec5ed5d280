//! Many programs, for as long as one likes.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use clap::Parser;

use testing::{
    Result,
    go::{self, Toolchain},
    paths,
};

use crate::{
    build::Flavour,
    tally::{self, Tally},
    watch::{Job, watch},
};

/// Looks at random programs and compares every look with what is so.
#[derive(Debug, Clone, Parser)]
#[command(name = "soundness campaign")]
pub(crate) struct Campaign {
    /// Ends after so many looks
    #[arg(long)]
    looks: Option<u64>,
    /// The seeds, the last one excluded; without an end by looks or time, each is used once
    #[arg(long, value_name = "A..B", value_parser = seeds, default_value = "1..301")]
    seeds: (u64, u64),
    /// Ends after so long, for example 10m; the seeds go on beyond the last one
    #[arg(long = "for", value_parser = humantime::parse_duration)]
    time: Option<Duration>,
    /// Go versions, for example 1.21,1.27; by default all that are installed, in turn
    #[arg(long, value_delimiter = ',')]
    go: Vec<String>,
    /// Programs without symbols; without any of these three, they take turns
    #[arg(long)]
    strip: bool,
    /// Programs without optimisation and inlining
    #[arg(long, value_name = "-N-l", num_args = 0..=1, default_missing_value = "-N-l", allow_hyphen_values = true)]
    opt: Option<String>,
    /// Programs that call C
    #[arg(long)]
    cgo: bool,
    /// Looks at each program
    #[arg(long, default_value_t = 350)]
    each: u64,
    /// Time for each program
    #[arg(long, value_parser = humantime::parse_duration, default_value = "25s")]
    each_for: Duration,
    /// Programs at a time
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Where programs that show a fault are kept
    #[arg(long, value_name = "DIR")]
    failures: Option<PathBuf>,
}

fn seeds(text: &str) -> Result<(u64, u64)> {
    let parse = |text: &str| text.parse().map_err(|error| format!("{text:?}: {error}"));
    match text.split_once("..") {
        Some((first, end)) => Ok((parse(first)?, parse(end)?)),
        None => parse(text).map(|seed: u64| (seed, seed + 1)),
    }
}

/// What all threads of a campaign share.
struct Progress {
    begun: Instant,
    next: AtomicU64,
    looks: AtomicU64,
    by_version: Mutex<BTreeMap<u32, (&'static str, Tally)>>,
}

impl Campaign {
    /// Runs it, prints its tables, and returns whether nothing was wrong.
    pub(crate) fn run(&self) -> Result<bool> {
        let toolchains: Vec<Toolchain> = go::toolchains()
            .filter(|toolchain| toolchain.is_installed() && self.wants(*toolchain))
            .collect();
        if toolchains.is_empty() {
            return Err("no such Go toolchain: run `cargo xtask setup --all-go`".to_owned());
        }
        let progress = Progress {
            begun: Instant::now(),
            next: AtomicU64::new(self.seeds.0),
            looks: AtomicU64::new(0),
            by_version: Mutex::default(),
        };
        thread::scope(|scope| {
            for number in 0..self.jobs.max(1) {
                let (progress, toolchains) = (&progress, &toolchains);
                scope.spawn(move || self.work(number, progress, toolchains));
            }
        });
        let by_version = progress.by_version;
        let by_version = by_version
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(report(&by_version, progress.begun.elapsed()))
    }

    fn wants(&self, toolchain: Toolchain) -> bool {
        match self.go.as_slice() {
            [] => toolchain.minor >= 21,
            wanted => wanted.iter().any(|version| {
                toolchain.version == *version
                    || toolchain.version.starts_with(&format!("{version}."))
            }),
        }
    }

    fn over(&self, seed: u64, progress: &Progress) -> bool {
        let looks = progress.looks.load(Ordering::Relaxed);
        if self.looks.is_some_and(|most| looks >= most)
            || self
                .time
                .is_some_and(|most| progress.begun.elapsed() >= most)
        {
            return true;
        }
        self.looks.is_none() && self.time.is_none() && seed >= self.seeds.1
    }

    fn work(&self, number: usize, progress: &Progress, toolchains: &[Toolchain]) {
        let folder = paths::scratch().join(format!("soundness/{number}"));
        loop {
            let seed = progress.next.fetch_add(1, Ordering::Relaxed);
            if self.over(seed, progress) {
                return;
            }
            let toolchain = toolchains[at_random(seed, toolchains.len())];
            let left = self
                .time
                .map(|most| most.saturating_sub(progress.begun.elapsed()));
            let job = Job {
                seed,
                toolchain,
                flavour: self.flavour(seed),
                looks: self.each,
                time: left.map_or(self.each_for, |left| left.min(self.each_for)),
                failures: self.failures(),
            };
            let tally = watch(&job, &folder).unwrap_or_else(|why| Tally {
                broken: vec![why],
                ..Tally::default()
            });
            progress.looks.fetch_add(tally.looks, Ordering::Relaxed);
            progress.count(toolchain, &tally);
        }
    }

    fn flavour(&self, seed: u64) -> Flavour {
        if self.strip || self.opt.is_some() || self.cgo {
            return Flavour {
                strip: self.strip,
                unoptimised: self.opt.is_some(),
                cgo: self.cgo,
            };
        }
        Flavour::of(seed)
    }

    fn failures(&self) -> PathBuf {
        self.failures.clone().unwrap_or_else(failures)
    }
}

/// Returns a number below `count` that has nothing to do with the remainders of `seed`, by which
/// family and build are chosen.
fn at_random(seed: u64, count: usize) -> usize {
    (seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33) as usize % count
}

/// Where programs that show a fault are kept by default.
pub(crate) fn failures() -> PathBuf {
    paths::scratch().join("soundness/failures")
}

impl Progress {
    fn count(&self, toolchain: Toolchain, tally: &Tally) {
        for text in tally.kept.iter().chain(&tally.broken) {
            println!("{text}");
        }
        let mut by_version = self
            .by_version
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        by_version
            .entry(toolchain.minor)
            .or_insert_with(|| (toolchain.version, Tally::default()))
            .1
            .add(tally);
        let all = total(&by_version);
        println!(
            "{:.0?}: {} programs, {} looks, {} false proofs, {} wrong holders",
            self.begun.elapsed(),
            all.programs,
            all.looks,
            all.false_proofs,
            all.wrong_holders
        );
    }
}

fn total(by_version: &BTreeMap<u32, (&str, Tally)>) -> Tally {
    let mut all = Tally::default();
    for (_, tally) in by_version.values() {
        all.add(tally);
    }
    all
}

fn report(by_version: &BTreeMap<u32, (&str, Tally)>, elapsed: Duration) -> bool {
    let all = total(by_version);
    println!("\nIn {elapsed:.0?}:\n\n{}", tally::HEAD);
    for (version, tally) in by_version.values() {
        println!("{}", tally.row(version));
    }
    println!("{}\n\n{}", all.row("all"), tally::kinds(&all));
    if !all.false_kinds.is_empty() {
        println!("False proofs by kind: {:?}", all.false_kinds);
    }
    if !all.broken.is_empty() {
        println!("{} programs were not as they should be", all.broken.len());
    }
    all.false_proofs == 0 && all.wrong_holders == 0 && all.broken.is_empty()
}
