//! The ways in which code takes a lock and releases it again.

use super::{LOCKS, Writer};

/// A lock that is taken, and what goes on until it is released.
#[derive(Clone, Copy)]
pub(super) struct Hold<'a> {
    /// How the code names the lock.
    pub way: &'a str,
    /// Its number.
    pub lock: usize,
    /// How it is taken: `mutex`, `read` or `write`.
    pub kind: &'static str,
    /// The locks that may be taken meanwhile.
    pub rest: &'a [usize],
    /// How deep in statements this is.
    pub depth: usize,
}

impl Hold<'_> {
    /// How a lock is taken of which all that is said is its number: not for reading.
    pub(super) const fn kind_of(lock: usize) -> &'static str {
        if lock < LOCKS / 2 { "mutex" } else { "write" }
    }

    /// The methods that take it and release it.
    fn verbs(&self) -> (&'static str, &'static str) {
        match self.kind {
            "read" => ("RLock", "RUnlock"),
            _ => ("Lock", "Unlock"),
        }
    }

    fn locks(&self) -> String {
        format!("{}.{}()", self.way, self.verbs().0)
    }

    fn unlocks(&self) -> String {
        format!("{}.{}()", self.way, self.verbs().1)
    }
}

impl Writer {
    fn took(&mut self, hold: Hold<'_>) {
        self.line(&format!("t.took({}, {:?})", hold.lock, hold.kind));
    }

    fn gave(&mut self, lock: usize) {
        self.line(&format!("t.gave({lock})"));
    }

    fn take(&mut self, hold: Hold<'_>) {
        self.line(&hold.locks());
        self.took(hold);
    }

    fn give(&mut self, hold: Hold<'_>) {
        self.gave(hold.lock);
        self.line(&hold.unlocks());
    }

    pub(super) fn plain(&mut self, hold: Hold<'_>) {
        self.take(hold);
        self.block(hold.rest, hold.depth + 1);
        self.give(hold);
    }

    pub(super) fn deferred(&mut self, hold: Hold<'_>) {
        self.open("func() {");
        self.line(&hold.locks());
        self.line(&format!("defer {}", hold.unlocks()));
        self.took(hold);
        self.block(hold.rest, hold.depth + 1);
        self.close("}()");
        self.gave(hold.lock);
    }

    pub(super) fn deferred_closure(&mut self, hold: Hold<'_>) {
        self.open("func() {");
        self.open("defer func() {");
        self.noise(hold.rest, hold.depth + 3);
        self.point();
        self.give(hold);
        self.close("}()");
        self.take(hold);
        self.block(hold.rest, hold.depth + 1);
        self.close("}()");
    }

    pub(super) fn flagged(&mut self, hold: Hold<'_>, local: bool) {
        let flag = self.random.below(8);
        let condition = if local {
            let name = self.name("held");
            self.line(&format!("{name} := t.flags[{flag}]"));
            name
        } else {
            format!("t.flags[{flag}]")
        };
        self.open(&format!("if {condition} {{"));
        self.take(hold);
        self.close("}");
        self.block(hold.rest, hold.depth + 1);
        self.open(&format!("if {condition} {{"));
        self.give(hold);
        self.close("}");
    }

    pub(super) fn in_loop(&mut self, hold: Hold<'_>) {
        let count = 1 + self.random.below(4);
        let i = self.name("i");
        let limit = if self.random.chance(5) {
            count.to_string()
        } else {
            format!("t.counts[{count}]")
        };
        self.open(&format!("for {i} := 0; {i} < {limit}; {i}++ {{"));
        self.take(hold);
        self.block(hold.rest, hold.depth + 2);
        self.give(hold);
        self.close("}");
    }

    pub(super) fn by_helper(&mut self, lock: usize, rest: &[usize], depth: usize) {
        let is_mutex = Hold::kind_of(lock) == "mutex";
        let function = match (is_mutex, self.random.below(2)) {
            (true, 0) => "t.with",
            (true, _) => "t.withPlain",
            (false, 0) => "t.writing",
            (false, _) => "t.writingPlain",
        };
        if self.random.chance(5) {
            self.open(&format!("{function}({lock}, func() {{"));
            self.block(rest, depth + 1);
            self.close("})");
            return;
        }
        if is_mutex {
            self.line(&format!("t.acquire({lock})"));
            self.block(rest, depth + 1);
            self.line(&format!("t.release({lock})"));
        } else {
            let name = self.name("unlock");
            self.line(&format!("{name} := t.writeLock({lock})"));
            self.block(rest, depth + 1);
            self.gave(lock);
            self.line(&format!("{name}()"));
        }
    }

    pub(super) fn method_value(&mut self, hold: Hold<'_>) {
        let name = self.name("unlock");
        self.take(hold);
        self.line(&format!("{name} := {}.{}", hold.way, hold.verbs().1));
        self.block(hold.rest, hold.depth + 1);
        self.gave(hold.lock);
        self.line(&format!("{name}()"));
    }

    pub(super) fn tried(&mut self, hold: Hold<'_>) {
        self.open(&format!("if {}.Try{}() {{", hold.way, hold.verbs().0));
        self.took(hold);
        self.block(hold.rest, hold.depth + 1);
        self.give(hold);
        self.close("}");
    }

    pub(super) fn early_return(&mut self, hold: Hold<'_>) {
        let flag = self.random.below(8);
        self.open("func() {");
        self.take(hold);
        self.block(hold.rest, hold.depth + 1);
        self.open(&format!("if t.flags[{flag}] {{"));
        self.give(hold);
        self.point();
        self.line("return");
        self.close("}");
        self.block(hold.rest, hold.depth + 2);
        self.give(hold);
        self.close("}()");
    }

    pub(super) fn by_locker(&mut self, lock: usize, rest: &[usize], depth: usize) {
        let name = self.name("l");
        self.line(&format!("{name} := t.lockers[{lock}]"));
        self.plain(Hold {
            way: &name,
            lock,
            kind: Hold::kind_of(lock),
            rest,
            depth,
        });
    }
}
