//! Random Go programs with control flow whose truth is known while they run.
//!
//! Each writes a *shadow table* beside its locks, in a file that the test reads while the program
//! runs (`shadow.go.txt`, `shadow.rs`): who took which lock, how far each goroutine has come, and
//! which groups of goroutines are dead.
//!
//! Two families:
//! - **Healthy** by construction. Ordinary locks are taken in one global order ([`workers`]), those
//!   that wait under a lock wait for what needs no lock; locks used as tokens, signals and leases
//!   are apart from that order and come back for certain ([`tokens`]). Whatever is proven there is
//!   false.
//! - **Deadlocked** from a moment on ([`deadlocks`]): units of goroutines that do the same things
//!   first, beside healthy workers that go on. Before its last wait, each member says so; a unit is
//!   dead once all have.
//!
//! Half of the programs are *bare*: they have the counters of progress only, so that the code
//! between `Lock` and `Unlock` is as in any other program.
//!
//! What is generated:
//! - *where locks are* ([`places`]): field, global variable, field behind a pointer, element of a
//!   slice, value of a map, embedded, behind a global pointer, in a `sync.Map`, a shard picked by
//!   hash; mutexes, read-write mutexes, `Once`, channels as semaphores, Cond;
//! - *how they are held* ([`holds`]): see the list at [`holds::Shape`];
//!   also `Once`, a semaphore, Cond, a shard, and a lock handed over ([`items`]);
//! - *what is done meanwhile* ([`bodies`]): computing with and without calls, sleep, a system call,
//!   a socket, a pipe, a request to another goroutine, a select with a timer, cgo; loops, branches
//!   that are never taken, switches, labels;
//! - *how rounds are repeated* ([`workers`]): `for {}`, conditions, a ticker, select, goto, a callback,
//!   recursion, a goroutine that starts its successor, a worker that retries upon errors;
//! - *hand-over* ([`tokens`]): see the list at [`ways::Way`];
//! - *deadlocks* ([`deadlocks`]): see the list at [`deadlocks::KINDS`].
//!
//! Not generated: several packages, vendored code, plugins, HTTP servers, `errgroup` and other
//! libraries, `iter.Pull`, signals, `LockOSThread`, deadlocks of channels only.

mod bodies;
mod deadlocks;
mod emit;
mod flows;
mod holds;
mod items;
mod places;
mod random;
mod tokens;
mod ways;
mod words;
mod workers;

use std::fmt::Write as _;

use places::Lock;
use random::Random;

/// What a program is made for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    /// Go 1.`minor`.
    pub(crate) minor: u32,
    /// Whether it may call C.
    pub(crate) cgo: bool,
}

/// A generated program, and what the test has to know of it.
#[derive(Debug)]
pub(crate) struct Program {
    /// The whole of `main.go`.
    pub(crate) source: String,
    /// Names of the locks in the table, by number.
    pub(crate) locks: Vec<String>,
    /// What the goroutines with a row of their own do, by number.
    pub(crate) goroutines: Vec<String>,
    /// All rows, those for short-lived goroutines included.
    pub(crate) rows: usize,
    /// The kind of each group of goroutines that die together.
    pub(crate) units: Vec<&'static str>,
    /// Whether the table says who has which lock.
    pub(crate) shadowed: bool,
}

/// Rows for goroutines that come and go.
const POOL: usize = 96;

/// How much a program tells of its locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shadow {
    Full,
    Bare,
}

/// A program being written.
struct Writer {
    random: Random,
    target: Target,
    shadow: Shadow,
    /// The function being written.
    text: String,
    indent: usize,
    names: usize,
    /// Functions that are finished.
    functions: String,
    /// Fields of the type World.
    fields: String,
    /// Package-level variables.
    variables: String,
    /// Statements that make a World.
    making: String,
    /// Statements that start the goroutines.
    starting: String,
    locks: Vec<Lock>,
    rows: Vec<String>,
    units: Vec<(&'static str, usize)>,
    /// Few locks, which are fought for, and little else: what is wrong shows more often.
    small: bool,
    /// No branch may keep the goroutine from its end.
    certain: bool,
    /// A lock that may be taken and given back before the next one.
    prior: Option<usize>,
    answers: bool,
    reaps: bool,
}

/// Returns the program that `seed` names.
pub(crate) fn program(seed: u64, target: Target) -> Program {
    let mut random = Random::new(seed);
    let shadow = if random.chance(2) {
        Shadow::Bare
    } else {
        Shadow::Full
    };
    let mut writer = Writer {
        random,
        target,
        shadow,
        text: String::new(),
        indent: 0,
        names: 0,
        functions: String::new(),
        fields: String::new(),
        variables: String::new(),
        making: String::new(),
        starting: String::new(),
        locks: Vec::new(),
        rows: vec!["main".to_owned()],
        units: Vec::new(),
        small: false,
        certain: false,
        prior: None,
        answers: false,
        reaps: false,
    };
    if seed.is_multiple_of(3) {
        writer.deadlocked();
    } else {
        writer.healthy();
    }
    writer.finish(seed)
}

impl Writer {
    fn healthy(&mut self) {
        match self.random.below(8) {
            0 | 1 => {
                self.token_units(2);
                if self.random.chance(2) {
                    self.read_latch();
                }
            }
            2 => {
                self.workers(5);
                self.token_units(1);
            }
            3 => self.workers(7),
            _ => {
                self.small = true;
                self.workers(4);
            }
        }
    }

    fn deadlocked(&mut self) {
        for _ in 0..self.random.between(1, 3) {
            self.deadlock();
        }
        match self.random.below(4) {
            0 => {}
            1 => self.token_units(1),
            _ => self.workers(3),
        }
    }

    /// Reserves a row, and starts `function` as a goroutine with it.
    fn goroutine(&mut self, function: &str, role: &str) {
        let slot = self.rows.len();
        self.rows.push(role.to_owned());
        let _ = writeln!(self.starting, "\tgo {function}({slot}, w)");
    }

    fn finish(mut self, seed: u64) -> Program {
        if self.answers {
            let slot = self.rows.len();
            self.rows.push("answers requests".to_owned());
            let _ = writeln!(self.starting, "\tgo answer({slot})");
        }
        if self.reaps {
            let slot = self.rows.len();
            self.rows.push("gives back for others".to_owned());
            let _ = writeln!(self.starting, "\tgo reap({slot})");
        }
        let rows = self.rows.len() + POOL;
        let mut source = self.preamble();
        let _ = writeln!(
            source,
            "const (\n\tseed = uint64({seed})\n\tlocks = {}\n\tunits = {}\n\trows = {rows}\n\
             \tfixedRows = {}\n\tprocessors = {}\n)\n",
            self.locks.len().max(1),
            self.units.len().max(1),
            self.rows.len(),
            self.random.of(&[1, 2, 2, 4]),
        );
        let _ = writeln!(
            source,
            "// World is what the goroutines share.\ntype World struct {{\n\tn int\n\tcells []cell\n\
             \tnamed map[string]*cell\n\tinner *inner\n{}}}\n",
            self.fields
        );
        let mut inner = String::new();
        let mut registering = String::new();
        for (id, lock) in self.locks.iter().enumerate() {
            if lock.place == places::Place::Inner {
                let _ = writeln!(inner, "\tl{id} {}", lock.type_name());
            }
            let _ = writeln!(
                registering,
                "\tregister({id}, unsafe.Pointer({}))",
                lock.pointer
            );
        }
        let cells = self.locks.len() + 1;
        let _ = writeln!(
            source,
            "type inner struct {{\n\tn int\n{inner}}}\n\n{}\n\
             func newWorld() *World {{\n\tw := &World{{cells: make([]cell, {cells}), named: map[string]*cell{{}}, \
             inner: &inner{{}}}}\n{}\treturn w\n}}\n\n\
             func registerAll(w *World) {{\n{registering}}}\n",
            self.variables, self.making
        );
        let mut members = String::new();
        for (unit, (_, count)) in self.units.iter().enumerate() {
            let _ = writeln!(members, "\ttab.units[{unit}].members = {count}");
        }
        let _ = writeln!(
            source,
            "func start(w *World) {{\n{members}{}}}\n\n{}",
            self.starting, self.functions
        );
        Program {
            source,
            locks: self.locks.iter().map(|l| l.expression.clone()).collect(),
            goroutines: self.rows,
            rows,
            units: self.units.iter().map(|(kind, _)| *kind).collect(),
            shadowed: self.shadow == Shadow::Full,
        }
    }

    /// The prelude, with or without C.
    fn preamble(&self) -> String {
        let (import, native) = if self.target.cgo {
            (
                "package main\n\n// #include <unistd.h>\nimport \"C\"\n",
                "func (g *G) native(d time.Duration) { C.usleep(C.useconds_t(d / time.Microsecond)) }\n",
            )
        } else {
            (
                "package main\n",
                "func (g *G) native(d time.Duration) { g.nap(d) }\n",
            )
        };
        let prelude = PRELUDE.replacen("package main\n", import, 1);
        format!("{prelude}\n{native}\n")
    }
}

/// The shadow table, and what goroutines do besides.
const PRELUDE: &str = concat!(
    include_str!("../shadow.go.txt"),
    "\n",
    include_str!("../doings.go.txt")
);
