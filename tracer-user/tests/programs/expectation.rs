//! The headers of `programs/*/main.go`:
//!
//! ```text
//! // expect: proven KIND goroutines=N [in=FUNCTION]   exactly N goroutines in proven findings of KIND,
//! //                                                  each with FUNCTION on its stack; KIND may be *
//! // expect: proven KIND goroutines=+ [in=FUNCTION]   at least one
//! // expect: suspected KIND goroutines=N [in=…]       the same for suspected findings, others allowed
//! // expect: growth in=FUNCTION                       growth is found where FUNCTION creates goroutines
//! // expect: threads pinned=N                         N threads are pinned
//! // expect: thread-growth in=FUNCTION                thread growth is found, held by FUNCTION
//! // expect: starvation in=FUNCTION                   goroutines in FUNCTION get no processor
//! // expect: healthy                                  nothing proven, look after look
//! // expect: quiet                                    healthy, and nothing suspected either, however
//! //                                                  long its goroutines have waited
//! // matrix: all                                      every Go version and flavour
//! // go: >=1.N
//! // build: cgo
//! // build: plain                                     with symbols, and as the compiler does it by itself
//! // env: NAME=VALUE                                  set when it is run
//! // cgroup: cpus=N                                   run in a cgroup that allows N CPUs
//! ```

use std::{collections::BTreeMap, fs};

use testing::paths;

/// One `expect:` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expectation {
    Finding {
        verdict: String,
        kind: String,
        /// `None` for `+`: at least one.
        goroutines: Option<usize>,
        function: Option<String>,
    },
    Growth {
        /// The kind of the finding.
        kind: &'static str,
        function: String,
    },
    PinnedThreads(u64),
    Healthy,
    Quiet,
}

/// On which toolchains a program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Matrix {
    Newest,
    All,
}

/// A program's whole header.
#[derive(Debug, Clone)]
pub(crate) struct Header {
    pub(crate) expectations: Vec<Expectation>,
    pub(crate) matrix: Matrix,
    pub(crate) oldest_go: u32,
    pub(crate) cgo: bool,
    /// Only as the compiler and the linker build it by themselves.
    pub(crate) plain: bool,
    pub(crate) environment: Vec<(String, String)>,
    /// CPUs that its cgroup is to allow.
    pub(crate) cpus: Option<f64>,
}

/// Every program with its header, by name relative to the folder.
pub(crate) fn all() -> Result<BTreeMap<String, Header>, String> {
    let mut programs = BTreeMap::new();
    let mut folders = vec![paths::programs()];
    while let Some(directory) = folders.pop() {
        let entries =
            fs::read_dir(&directory).map_err(|e| format!("{}: {e}", directory.display()))?;
        for entry in entries.filter_map(Result::ok) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|name| name == "main.go") {
                let source =
                    fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
                let name = directory
                    .strip_prefix(paths::programs())
                    .unwrap_or(&directory);
                // A program without expectations belongs to a test or bench of its own.
                if source.contains("// expect:") {
                    let header = parse(&source).map_err(|e| format!("{}: {e}", path.display()))?;
                    programs.insert(name.display().to_string(), header);
                }
            }
        }
    }
    Ok(programs)
}

fn parse(source: &str) -> Result<Header, String> {
    let mut header = Header {
        expectations: Vec::new(),
        matrix: Matrix::Newest,
        oldest_go: 0,
        cgo: false,
        plain: false,
        environment: Vec::new(),
        cpus: None,
    };
    for line in source.lines().map_while(|line| line.strip_prefix("//")) {
        let Some((key, value)) = line.trim().split_once(": ") else {
            continue;
        };
        match (key, value.trim()) {
            ("expect", text) => header
                .expectations
                .push(expectation(text).ok_or_else(|| format!("what is `{text}`?"))?),
            ("matrix", "all") => header.matrix = Matrix::All,
            ("build", "cgo") => header.cgo = true,
            ("build", "plain") => header.plain = true,
            ("env", setting) => {
                let (name, value) = setting.split_once('=').ok_or("what is set to what?")?;
                header.environment.push((name.to_owned(), value.to_owned()));
            }
            ("cgroup", limit) => {
                let cpus = limit.strip_prefix("cpus=").and_then(|n| n.parse().ok());
                header.cpus = Some(cpus.ok_or_else(|| format!("what limit is `{limit}`?"))?);
            }
            ("go", version) => {
                let minor = version
                    .strip_prefix(">=1.")
                    .and_then(|minor| minor.parse().ok());
                header.oldest_go = minor.ok_or_else(|| format!("what Go is `{version}`?"))?;
            }
            _ => {}
        }
    }
    Ok(header)
}

fn expectation(text: &str) -> Option<Expectation> {
    let words: Vec<_> = text.split_whitespace().collect();
    let value = |key: &str| {
        words
            .iter()
            .find_map(|w| w.strip_prefix(key)?.strip_prefix('='))
            .map(str::to_owned)
    };
    let grows = |kind| {
        Some(Expectation::Growth {
            kind,
            function: value("in")?,
        })
    };
    match *words.first()? {
        "healthy" => Some(Expectation::Healthy),
        "quiet" => Some(Expectation::Quiet),
        "growth" => grows("goroutine-growth"),
        "thread-growth" => grows("thread-growth"),
        "starvation" => grows("starvation"),
        "threads" => Some(Expectation::PinnedThreads(value("pinned")?.parse().ok()?)),
        verdict @ ("proven" | "suspected") => Some(Expectation::Finding {
            verdict: verdict.to_owned(),
            kind: (*words.get(1)?).to_owned(),
            goroutines: match value("goroutines")?.as_str() {
                "+" => None,
                number => Some(number.parse().ok()?),
            },
            function: value("in"),
        }),
        _ => None,
    }
}
