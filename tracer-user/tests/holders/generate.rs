//! Random Go programs that take and release locks in every way the grammar below allows. Each
//! function counts the points that it passes; a goroutine that runs it parks at one of them, and
//! says which locks it holds there. What it does not hold, another goroutine takes afterwards. So
//! the holder of every lock is known, whatever the program looks like.

use std::fmt::Write as _;

/// A small generator of random numbers (xorshift), so that a seed names a program.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % limit.max(1) as u64).unwrap_or(0)
    }

    fn chance(&mut self, of_ten: usize) -> bool {
        self.below(10) < of_ten
    }
}

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
            let kind = if lock < LOCKS / 2 { "mutex" } else { "write" };
            return self.by_helper(lock, kind, &rest, depth);
        }
        if shape == 12 {
            return self.by_locker(lock, &rest, depth);
        }
        let (way, kind) = self.way(lock);
        let verbs = if kind == "read" {
            ("RLock", "RUnlock")
        } else {
            ("Lock", "Unlock")
        };
        match shape {
            0 | 1 => self.plain(&way, verbs, lock, kind, &rest, depth),
            2 | 3 => self.deferred(&way, verbs, lock, kind, &rest, depth),
            4 => self.deferred_closure(&way, verbs, lock, kind, &rest, depth),
            5 => self.flagged(&way, verbs, lock, kind, &rest, depth, false),
            6 => self.flagged(&way, verbs, lock, kind, &rest, depth, true),
            7 => self.in_loop(&way, verbs, lock, kind, &rest, depth),
            9 => self.method_value(&way, verbs, lock, kind, &rest, depth),
            10 => self.tried(&way, verbs, lock, kind, &rest, depth),
            _ => self.early_return(&way, verbs, lock, kind, &rest, depth),
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

    fn took(&mut self, lock: usize, kind: &str) {
        self.line(&format!("t.took({lock}, {kind:?})"));
    }

    fn gave(&mut self, lock: usize) {
        self.line(&format!("t.gave({lock})"));
    }

    fn plain(&mut self, way: &str, v: Verbs, lock: usize, kind: &str, rest: &[usize], d: usize) {
        self.line(&format!("{way}.{}()", v.0));
        self.took(lock, kind);
        self.block(rest, d + 1);
        self.gave(lock);
        self.line(&format!("{way}.{}()", v.1));
    }

    fn deferred(&mut self, way: &str, v: Verbs, lock: usize, kind: &str, rest: &[usize], d: usize) {
        self.open("func() {");
        self.line(&format!("{way}.{}()", v.0));
        self.line(&format!("defer {way}.{}()", v.1));
        self.took(lock, kind);
        self.block(rest, d + 1);
        self.close("}()");
        self.gave(lock);
    }

    fn deferred_closure(
        &mut self,
        way: &str,
        v: Verbs,
        lock: usize,
        kind: &str,
        rest: &[usize],
        d: usize,
    ) {
        self.open("func() {");
        self.open("defer func() {");
        self.noise(rest, d + 3);
        self.point();
        self.gave(lock);
        self.line(&format!("{way}.{}()", v.1));
        self.close("}()");
        self.line(&format!("{way}.{}()", v.0));
        self.took(lock, kind);
        self.block(rest, d + 1);
        self.close("}()");
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one statement")]
    fn flagged(
        &mut self,
        way: &str,
        v: Verbs,
        lock: usize,
        kind: &str,
        rest: &[usize],
        d: usize,
        local: bool,
    ) {
        let flag = self.random.below(8);
        let condition = if local {
            let name = self.name("held");
            self.line(&format!("{name} := t.flags[{flag}]"));
            name
        } else {
            format!("t.flags[{flag}]")
        };
        self.open(&format!("if {condition} {{"));
        self.line(&format!("{way}.{}()", v.0));
        self.took(lock, kind);
        self.close("}");
        self.block(rest, d + 1);
        self.open(&format!("if {condition} {{"));
        self.gave(lock);
        self.line(&format!("{way}.{}()", v.1));
        self.close("}");
    }

    fn in_loop(&mut self, way: &str, v: Verbs, lock: usize, kind: &str, rest: &[usize], d: usize) {
        let count = 1 + self.random.below(4);
        let i = self.name("i");
        let limit = if self.random.chance(5) {
            count.to_string()
        } else {
            format!("t.counts[{count}]")
        };
        self.open(&format!("for {i} := 0; {i} < {limit}; {i}++ {{"));
        self.line(&format!("{way}.{}()", v.0));
        self.took(lock, kind);
        self.block(rest, d + 2);
        self.gave(lock);
        self.line(&format!("{way}.{}()", v.1));
        self.close("}");
    }

    fn by_helper(&mut self, lock: usize, kind: &str, rest: &[usize], d: usize) {
        let function = match (kind, self.random.below(2)) {
            ("mutex", 0) => "t.with",
            ("mutex", _) => "t.withPlain",
            (_, 0) => "t.writing",
            _ => "t.writingPlain",
        };
        if self.random.chance(5) {
            self.open(&format!("{function}({lock}, func() {{"));
            self.block(rest, d + 1);
            self.close("})");
            return;
        }
        if kind == "mutex" {
            self.line(&format!("t.acquire({lock})"));
            self.block(rest, d + 1);
            self.line(&format!("t.release({lock})"));
        } else {
            let name = self.name("unlock");
            self.line(&format!("{name} := t.writeLock({lock})"));
            self.block(rest, d + 1);
            self.gave(lock);
            self.line(&format!("{name}()"));
        }
    }

    fn method_value(
        &mut self,
        way: &str,
        v: Verbs,
        lock: usize,
        kind: &str,
        rest: &[usize],
        d: usize,
    ) {
        let name = self.name("unlock");
        self.line(&format!("{way}.{}()", v.0));
        self.took(lock, kind);
        self.line(&format!("{name} := {way}.{}", v.1));
        self.block(rest, d + 1);
        self.gave(lock);
        self.line(&format!("{name}()"));
    }

    fn tried(&mut self, way: &str, v: Verbs, lock: usize, kind: &str, rest: &[usize], d: usize) {
        self.open(&format!("if {way}.Try{}() {{", v.0));
        self.took(lock, kind);
        self.block(rest, d + 1);
        self.gave(lock);
        self.line(&format!("{way}.{}()", v.1));
        self.close("}");
    }

    fn early_return(
        &mut self,
        way: &str,
        v: Verbs,
        lock: usize,
        kind: &str,
        rest: &[usize],
        d: usize,
    ) {
        let flag = self.random.below(8);
        self.open("func() {");
        self.line(&format!("{way}.{}()", v.0));
        self.took(lock, kind);
        self.block(rest, d + 1);
        self.open(&format!("if t.flags[{flag}] {{"));
        self.gave(lock);
        self.line(&format!("{way}.{}()", v.1));
        self.point();
        self.line("return");
        self.close("}");
        self.block(rest, d + 2);
        self.gave(lock);
        self.line(&format!("{way}.{}()", v.1));
        self.close("}()");
    }

    fn by_locker(&mut self, lock: usize, rest: &[usize], d: usize) {
        let kind = if lock < LOCKS / 2 { "mutex" } else { "write" };
        let name = self.name("l");
        self.line(&format!("{name} := t.lockers[{lock}]"));
        self.line(&format!("{name}.Lock()"));
        self.took(lock, kind);
        self.block(rest, d + 1);
        self.gave(lock);
        self.line(&format!("{name}.Unlock()"));
    }

    /// Code that changes no lock for good.
    fn noise(&mut self, free: &[usize], depth: usize) {
        let flag = self.random.below(8);
        let count = self.random.below(5);
        match self.random.below(9) {
            0 => self.line("t.sum += n * 3"),
            1 => self.line("t.text = fmt.Sprint(t.sum, n)"),
            2 => self.line("t.names[t.text] = n"),
            3 => self.line(&format!("t.ring[{count}] <- n; <-t.ring[{count}]")),
            4 if depth < 5 => {
                self.open(&format!("if t.flags[{flag}] {{"));
                self.block(free, depth + 2);
                self.close("} else {");
                self.indent += 1;
                self.block(free, depth + 2);
                self.close("}");
            }
            5 if depth < 5 => {
                self.open(&format!("switch t.counts[{count}] {{"));
                for case in 0..6 {
                    self.line(&format!("case {case}:"));
                    self.line(&format!("\tt.sum ^= {}", case + 3));
                }
                self.line("default:");
                self.line("\tt.text += \"x\"");
                self.close("}");
            }
            6 if depth < 3 && self.function > 0 && free.len() == LOCKS => {
                let callee = self.random.below(self.function);
                self.line(&format!("f{callee}(t, n+1)"));
            }
            7 => {
                self.open(&format!("if n == {} {{", 1000 + count));
                self.line("panic(\"never\")");
                self.close("}");
            }
            _ => self.line("n++"),
        }
    }
}

type Verbs = (&'static str, &'static str);

const PRELUDE: &str = include_str!("prelude.go.txt");
