//! The ways in which code takes a lock and releases it again.

use super::{LOCKS, Writer};

/// The methods that take a lock and release it.
type Verbs = (&'static str, &'static str);

impl Writer {
    fn took(&mut self, lock: usize, kind: &str) {
        self.line(&format!("t.took({lock}, {kind:?})"));
    }

    fn gave(&mut self, lock: usize) {
        self.line(&format!("t.gave({lock})"));
    }

    pub(super) fn plain(
        &mut self,
        way: &str,
        v: Verbs,
        lock: usize,
        kind: &str,
        rest: &[usize],
        d: usize,
    ) {
        self.line(&format!("{way}.{}()", v.0));
        self.took(lock, kind);
        self.block(rest, d + 1);
        self.gave(lock);
        self.line(&format!("{way}.{}()", v.1));
    }

    pub(super) fn deferred(
        &mut self,
        way: &str,
        v: Verbs,
        lock: usize,
        kind: &str,
        rest: &[usize],
        d: usize,
    ) {
        self.open("func() {");
        self.line(&format!("{way}.{}()", v.0));
        self.line(&format!("defer {way}.{}()", v.1));
        self.took(lock, kind);
        self.block(rest, d + 1);
        self.close("}()");
        self.gave(lock);
    }

    pub(super) fn deferred_closure(
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
    pub(super) fn flagged(
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

    pub(super) fn in_loop(
        &mut self,
        way: &str,
        v: Verbs,
        lock: usize,
        kind: &str,
        rest: &[usize],
        d: usize,
    ) {
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

    pub(super) fn by_helper(&mut self, lock: usize, kind: &str, rest: &[usize], d: usize) {
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

    pub(super) fn method_value(
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

    pub(super) fn tried(
        &mut self,
        way: &str,
        v: Verbs,
        lock: usize,
        kind: &str,
        rest: &[usize],
        d: usize,
    ) {
        self.open(&format!("if {way}.Try{}() {{", v.0));
        self.took(lock, kind);
        self.block(rest, d + 1);
        self.gave(lock);
        self.line(&format!("{way}.{}()", v.1));
        self.close("}");
    }

    pub(super) fn early_return(
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

    pub(super) fn by_locker(&mut self, lock: usize, rest: &[usize], d: usize) {
        let kind = if lock < LOCKS / 2 { "mutex" } else { "write" };
        let name = self.name("l");
        self.line(&format!("{name} := t.lockers[{lock}]"));
        self.line(&format!("{name}.Lock()"));
        self.took(lock, kind);
        self.block(rest, d + 1);
        self.gave(lock);
        self.line(&format!("{name}.Unlock()"));
    }
}
