//! Random Go programs that take and release locks in every way the grammar below allows. Each
//! function counts the points that it passes; a goroutine that runs it parks at one of them, and
//! says which locks it holds there. What it does not hold, another goroutine takes afterwards. So
//! the holder of every lock is known, whatever the program looks like.

mod noise;
mod random;
mod shapes;

use std::fmt::Write as _;

use random::Random;
use shapes::Hold;

/// Mutexes and RWMutexes that each goroutine has for itself.
const LOCKS: usize = 6;
/// Functions of one program.
const FUNCTIONS: usize = 40;
/// Goroutines that run each function.
const RUNS: usize = 6;

/// The source of the program that `seed` names.
pub(crate) fn program(seed: u64) -> String {
    let mut writer = Writer {
        random: Random::new(seed),
        source: String::new(),
        indent: 1,
        names: 0,
        function: 0,
    };
    for function in 0..FUNCTIONS {
        writer.function = function;
        writer.function();
    }
    let mut source = PRELUDE.to_owned();
    source.push_str(&writer.source);
    let list: Vec<String> = (0..FUNCTIONS).map(|n| format!("f{n}")).collect();
    let _ = writeln!(
        source,
        "var functions = []func(*T, int){{{}}}\nconst seed = {seed}\nconst runs = {RUNS}",
        list.join(", ")
    );
    source
}

struct Writer {
    random: Random,
    source: String,
    indent: usize,
    names: usize,
    function: usize,
}

impl Writer {
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.source, "{}{text}", "\t".repeat(self.indent));
    }

    fn open(&mut self, text: &str) {
        self.line(text);
        self.indent += 1;
    }

    fn close(&mut self, text: &str) {
        self.indent -= 1;
        self.line(text);
    }

    fn name(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }

    fn function(&mut self) {
        self.indent = 0;
        if self.random.chance(3) {
            self.line("//go:noinline");
        }
        let number = self.function;
        self.open(&format!("func f{number}(t *T, n int) {{"));
        if self.random.chance(2) {
            self.line("defer t.point()");
        }
        let free: Vec<usize> = (0..LOCKS).collect();
        self.block(&free, 0);
        self.close("}\n");
    }

    /// Statements that may take any of the locks `free`, and release them again.
    fn block(&mut self, free: &[usize], depth: usize) {
        let statements = 1 + self.random.below(if depth == 0 { 4 } else { 3 });
        for _ in 0..statements {
            self.statement(free, depth);
        }
    }

    fn statement(&mut self, free: &[usize], depth: usize) {
        self.point();
        if depth >= 4 || free.is_empty() || self.random.chance(3) {
            return self.noise(free, depth);
        }
        let lock = free[self.random.below(free.len())];
        let rest: Vec<usize> = free.iter().copied().filter(|l| *l != lock).collect();
        let shape = self.random.below(13);
        if shape == 8 {
            return self.by_helper(lock, &rest, depth);
        }
        if shape == 12 {
            return self.by_locker(lock, &rest, depth);
        }
        let (way, kind) = self.way(lock);
        let hold = Hold {
            way: &way,
            lock,
            kind,
            rest: &rest,
            depth,
        };
        match shape {
            0 | 1 => self.plain(hold),
            2 | 3 => self.deferred(hold),
            4 => self.deferred_closure(hold),
            5 => self.flagged(hold, false),
            6 => self.flagged(hold, true),
            7 => self.in_loop(hold),
            9 => self.method_value(hold),
            10 => self.tried(hold),
            _ => self.early_return(hold),
        }
    }

    fn point(&mut self) {
        if self.random.chance(7) {
            self.line("t.point()");
        }
    }

    /// How the code names lock number `lock`, and how it is to be taken.
    fn way(&mut self, lock: usize) -> (String, &'static str) {
        if lock >= LOCKS / 2 {
            let kind = if self.random.chance(5) {
                "read"
            } else {
                "write"
            };
            let way = match self.random.below(3) {
                0 => format!("t.rw[{lock}]"),
                1 => {
                    let name = self.name("rw");
                    self.line(&format!("{name} := &t.rw[{lock}]"));
                    name
                }
                _ => format!("t.inner.rw[{lock}]"),
            };
            return (way, kind);
        }
        let way = match self.random.below(6) {
            0 => format!("t.mu[{lock}]"),
            1 => {
                let name = self.name("mu");
                self.line(&format!("{name} := &t.mu[{lock}]"));
                name
            }
            2 => format!("t.inner.mu[{lock}]"),
            3 => format!("t.pointers[{lock}]"),
            4 => format!("t.embedded[{lock}]"),
            _ => format!("world[t.index].mu[{lock}]"),
        };
        (way, "mutex")
    }
}

const PRELUDE: &str = include_str!("../prelude.go.txt");
