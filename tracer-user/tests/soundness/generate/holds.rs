//! Ways to take a lock, do something, and give it back.

use super::{Writer, words::Mode};

/// What runs while the lock is held.
pub(super) type Body<'b> = &'b mut dyn FnMut(&mut Writer);

/// How the code is written that holds a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Lock, body, unlock.
    Plain,
    /// `defer mu.Unlock()` in a function literal.
    Deferred,
    /// A deferred unlock on one branch, a plain one on the other.
    DeferredOrNot,
    /// A deferred closure that unlocks if a flag is set.
    Flagged,
    /// An early return that unlocks, too.
    EarlyReturn,
    /// Two functions that lock and unlock for their caller.
    Helpers,
    /// A function that locks or returns a package-level error, in a loop that retries.
    Error,
    /// A callback of a function that holds the lock meanwhile.
    Callback,
    /// Through `sync.Locker`.
    Locker,
    /// Through a method value, called or deferred.
    MethodValue,
    /// Through an interface of the program's, one of whose implementations locks nothing.
    Keeper,
    /// `TryLock` until it succeeds.
    Tries,
    /// `TryLock`, else `Lock`.
    TryElse,
    /// A deferred unlock in a loop over locks.
    DeferLoop,
    /// A generic function with a callback.
    Generic,
    /// In a loop that is left and continued by labels.
    Labels,
    /// Beside a branch that is never taken and would unlock, or lock.
    Infeasible,
    /// A deferred unlock, a panic and a recover.
    Panics,
    /// Unlocked in each of several cases.
    Cases,
    /// By a function that returns the one that unlocks.
    Returned,
    /// By a function that calls itself first.
    Recursive,
    /// Read-locked, given back, then write-locked.
    Relocked,
}

impl Shape {
    /// Whether all is written where the lock is held, so that a local variable may stand for it.
    fn is_in_one_function(self) -> bool {
        matches!(
            self,
            Self::Plain
                | Self::Deferred
                | Self::DeferredOrNot
                | Self::Flagged
                | Self::EarlyReturn
                | Self::TryElse
                | Self::Labels
                | Self::Infeasible
                | Self::Panics
                | Self::Cases
        )
    }
}

/// What is usual comes more often.
const SHAPES: [Shape; 33] = [
    Shape::Plain,
    Shape::Plain,
    Shape::Plain,
    Shape::Deferred,
    Shape::Deferred,
    Shape::Deferred,
    Shape::Deferred,
    Shape::DeferredOrNot,
    Shape::DeferredOrNot,
    Shape::Flagged,
    Shape::EarlyReturn,
    Shape::Helpers,
    Shape::Helpers,
    Shape::Error,
    Shape::Error,
    Shape::Error,
    Shape::Callback,
    Shape::Callback,
    Shape::Callback,
    Shape::Locker,
    Shape::MethodValue,
    Shape::Keeper,
    Shape::Tries,
    Shape::TryElse,
    Shape::DeferLoop,
    Shape::Generic,
    Shape::Labels,
    Shape::Infeasible,
    Shape::Panics,
    Shape::Cases,
    Shape::Returned,
    Shape::Recursive,
    Shape::Relocked,
];

impl Writer {
    /// Takes a lock, with a random mode, in a random shape.
    pub(super) fn hold(&mut self, id: usize, body: Body<'_>) {
        let mode = self.mode(id);
        self.hold_as(id, mode, body);
    }

    /// Takes a lock in a random shape.
    pub(super) fn hold_as(&mut self, id: usize, mode: Mode, body: Body<'_>) {
        let mut shape = self.random.of(&SHAPES);
        // A lock that is tried for is not waited for; the ends of deadlocks wait.
        if self.certain && shape == Shape::Tries {
            shape = Shape::Plain;
        }
        if shape == Shape::Relocked && (!self.locks[id].rw || mode == Mode::Read || self.certain) {
            shape = Shape::Deferred;
        }
        self.hold_in(shape, id, mode, body);
    }

    /// Takes a lock in the given shape.
    pub(super) fn hold_in(&mut self, shape: Shape, id: usize, mode: Mode, body: Body<'_>) {
        let mut words = self.words(id, mode);
        if shape.is_in_one_function() && self.random.chance(4) {
            let alias = self.name("l");
            self.line(&format!("{alias} := {}", self.locks[id].pointer));
            words.on = alias;
        }
        let words = &words;
        match shape {
            Shape::Plain => {
                self.take(words);
                body(self);
                self.give(words);
            }
            Shape::Deferred => {
                self.open("func() {");
                self.take(words);
                self.defer_give(words);
                if self.random.chance(2) {
                    self.line("use()");
                }
                body(self);
                self.close("}()");
            }
            Shape::DeferredOrNot => self.deferred_or_not(words, body),
            Shape::Flagged => self.flagged(words, body),
            Shape::EarlyReturn => {
                self.open("func() {");
                self.take(words);
                let odds = self.odds(4);
                self.open(&format!("if {odds} {{"));
                self.give(words);
                self.line("return");
                self.close("}");
                body(self);
                self.give(words);
                self.close("}()");
            }
            Shape::Helpers => {
                let (taker, giver) = (self.name("take"), self.name("give"));
                if self.random.chance(2) {
                    let methods = [&taker, &giver].map(|name| format!("(w *World) {name}(g *G)"));
                    self.function(&methods[0], &mut |w| w.take(words));
                    self.function(&methods[1], &mut |w| w.give(words));
                    self.line(&format!("w.{taker}(g)"));
                    body(self);
                    self.line(&format!("w.{giver}(g)"));
                    return;
                }
                self.function(&format!("{taker}(g *G, w *World)"), &mut |w| w.take(words));
                self.function(&format!("{giver}(g *G, w *World)"), &mut |w| w.give(words));
                self.line(&format!("{taker}(g, w)"));
                body(self);
                self.line(&format!("{giver}(g, w)"));
            }
            Shape::Error => self.by_error(words, body),
            Shape::Callback => {
                let with = self.name("with");
                self.function(&format!("{with}(g *G, w *World, f func())"), &mut |w| {
                    w.take(words);
                    if w.random.chance(2) {
                        w.defer_give(words);
                        w.line("f()");
                    } else {
                        w.line("f()");
                        w.give(words);
                    }
                });
                self.open(&format!("{with}(g, w, func() {{"));
                body(self);
                self.close("})");
            }
            Shape::Locker => {
                let locker = self.name("locker");
                self.line(&format!("var {locker} sync.Locker = {}", words.locker));
                self.asked(words, &format!("{locker}.Lock()"));
                body(self);
                self.given(words, &format!("{locker}.Unlock()"));
            }
            Shape::MethodValue => self.method_value(words, body),
            Shape::Keeper => {
                let keeper = self.name("keeper");
                self.line(&format!("{keeper} := keeperOf({})", words.locker));
                self.asked(words, &format!("{keeper}.enter(g)"));
                body(self);
                self.given(words, &format!("{keeper}.exit(g)"));
            }
            Shape::Tries => {
                self.open(&format!("for !{}.Try{}() {{", words.on, words.lock));
                self.line("time.Sleep(200 * time.Microsecond)");
                self.close("}");
                self.taken(words);
                body(self);
                self.give(words);
            }
            Shape::TryElse => {
                self.shadow(&format!("g.want({})", words.id));
                self.open(&format!("if !{}.Try{}() {{", words.on, words.lock));
                self.line(&format!("{}.{}()", words.on, words.lock));
                self.close("}");
                self.taken(words);
                body(self);
                self.give(words);
            }
            Shape::DeferLoop => {
                let l = self.name("l");
                self.open("func() {");
                self.open(&format!(
                    "for _, {l} := range []sync.Locker{{{}}} {{",
                    words.locker
                ));
                self.asked(words, &format!("{l}.Lock()"));
                self.line(&format!("defer {l}.Unlock()"));
                self.shadow(&format!("defer g.{}({})", words.gave, words.id));
                self.close("}");
                body(self);
                self.close("}()");
            }
            Shape::Generic => {
                let with = self.random.of(&["withGeneric", "withPlain"]);
                self.shadow(&format!("g.want({})", words.id));
                self.open(&format!("{with}({}, func() {{", words.locker));
                self.taken(words);
                body(self);
                self.shadow(&format!("g.{}({})", words.gave, words.id));
                self.close("})");
            }
            Shape::Labels => self.labels(words, body),
            Shape::Infeasible => {
                self.take(words);
                let unlikely = self.unlikely();
                self.open(&format!("if {unlikely} {{"));
                let what = self.random.of(&[words.unlock, words.unlock, words.lock]);
                self.line(&format!("{}.{what}()", words.on));
                self.close("}");
                body(self);
                self.give(words);
            }
            Shape::Panics => {
                self.open("func() {");
                self.line("defer func() { _ = recover() }()");
                self.take(words);
                self.defer_give(words);
                body(self);
                let odds = self.odds(3);
                self.line(&format!("if {odds} {{ panic(errBusy) }}"));
                self.close("}()");
            }
            Shape::Cases => {
                self.take(words);
                body(self);
                let odds = self.odds(2);
                self.open("switch {");
                self.line(&format!("case {odds}:"));
                self.give(words);
                self.line("default:");
                self.line("use()");
                self.give(words);
                self.close("}");
            }
            Shape::Returned => self.returned(words, body),
            Shape::Recursive => {
                let recurse = self.name("recurse");
                let header = format!("{recurse}(g *G, w *World, n int, f func())");
                self.function(&header, &mut |w| {
                    w.open("if n > 0 {");
                    w.line(&format!("{recurse}(g, w, n-1, f)"));
                    w.line("return");
                    w.close("}");
                    w.take(words);
                    w.line("f()");
                    w.give(words);
                });
                self.open(&format!("{recurse}(g, w, 2, func() {{"));
                body(self);
                self.close("})");
            }
            Shape::Relocked => {
                let read = self.words(id, Mode::Read);
                self.take(&read);
                self.line("use()");
                self.give(&read);
                self.take(words);
                body(self);
                self.give(words);
            }
        }
    }
}
