//! The ways to hold a lock that need several statements or functions.

use super::{Writer, holds::Body, places::Place, words::Words};

impl Writer {
    pub(super) fn deferred_or_not(&mut self, words: &Words, body: Body<'_>) {
        let deferred = self.name("deferred");
        self.open("func() {");
        self.take(words);
        let odds = self.odds(2);
        self.line(&format!("{deferred} := {odds}"));
        self.open(&format!("if {deferred} {{"));
        self.defer_give(words);
        self.close("}");
        body(self);
        self.open(&format!("if !{deferred} {{"));
        self.give(words);
        self.close("}");
        self.close("}()");
    }

    pub(super) fn flagged(&mut self, words: &Words, body: Body<'_>) {
        let flag = self.name("held");
        self.open("func() {");
        self.line(&format!("{flag} := false"));
        self.open("defer func() {");
        self.open(&format!("if {flag} {{"));
        self.give(words);
        self.close("}");
        self.close("}()");
        self.take(words);
        self.line(&format!("{flag} = true"));
        body(self);
        if self.random.chance(2) {
            self.give(words);
            self.line(&format!("{flag} = false"));
        }
        self.close("}()");
    }

    /// Writes a function that locks or returns a package-level error, and returns its name.
    fn acquirer(&mut self, words: &Words) -> String {
        let acquire = self.name("acquire");
        let why = self.random.of(&["errClosed", "errBusy"]);
        let closed = if self.random.chance(2) {
            self.unlikely()
        } else {
            self.odds(5)
        };
        let prior = self.prior.take().filter(|prior| *prior != words.id);
        self.function(&format!("{acquire}(g *G, w *World) error"), &mut |w| {
            if let Some(prior) = prior {
                w.touch(prior);
            }
            w.open(&format!("if {closed} {{"));
            w.line(&format!("return {why}"));
            w.close("}");
            w.take(words);
            w.line("return nil");
        });
        acquire
    }

    /// Asks for a lock by a function that may return an error, and goes on with the loop around then.
    fn acquired(&mut self, words: &Words) {
        let (acquire, error) = (self.acquirer(words), self.name("err"));
        self.open(&format!("if {error} := {acquire}(g, w); {error} != nil {{"));
        self.line("g.step()");
        self.line("time.Sleep(time.Millisecond)");
        self.line("continue");
        self.close("}");
    }

    pub(super) fn by_error(&mut self, words: &Words, body: Body<'_>) {
        self.open("for {");
        self.acquired(words);
        body(self);
        self.give(words);
        self.line("break");
        self.close("}");
    }

    /// Holds a lock in a round of an endless loop, which goes on when it is not got.
    pub(super) fn hold_in_loop(&mut self, id: usize, prior: Option<usize>, body: Body<'_>) {
        let mode = self.mode(id);
        let words = &self.words(id, mode);
        self.prior = prior;
        self.acquired(words);
        body(self);
        self.give(words);
    }

    pub(super) fn method_value(&mut self, words: &Words, body: Body<'_>) {
        let give = self.name("give");
        let deferred = self.random.chance(2);
        if deferred {
            self.open("func() {");
        }
        self.line(&format!("{give} := {}.{}", words.on, words.unlock));
        self.take(words);
        if deferred {
            self.line(&format!("defer {give}()"));
            self.shadow(&format!("defer g.{}({})", words.gave, words.id));
            body(self);
            self.close("}()");
        } else {
            body(self);
            self.given(words, &format!("{give}()"));
        }
    }

    pub(super) fn labels(&mut self, words: &Words, body: Body<'_>) {
        let (label, i) = (self.name("outer"), self.name("i"));
        self.text.push_str(&format!("{label}:\n"));
        self.open(&format!("for {i} := 0; {i} < 2; {i}++ {{"));
        self.take(words);
        self.open("for range w.cells {");
        let odds = self.odds(4);
        self.open(&format!("if {odds} {{"));
        self.give(words);
        self.line(&format!("continue {label}"));
        self.close("}");
        self.close("}");
        body(self);
        self.give(words);
        let odds = self.odds(2);
        self.open(&format!("if {odds} {{"));
        self.line(&format!("break {label}"));
        self.close("}");
        self.close("}");
    }

    pub(super) fn returned(&mut self, words: &Words, body: Body<'_>) {
        let locked = self.name("locked");
        self.function(&format!("{locked}(g *G, w *World) func()"), &mut |w| {
            w.take(words);
            if w.locks[words.id].place != Place::Kept && w.random.chance(3) {
                w.shadow(&format!("give := {}.{}", words.on, words.unlock));
                w.shadow(&format!(
                    "return func() {{ g.{}({}); give() }}",
                    words.gave, words.id
                ));
                if w.shadow == super::Shadow::Bare {
                    w.line(&format!("return {}.{}", words.on, words.unlock));
                }
            } else {
                w.open("return func() {");
                w.give(words);
                w.close("}");
            }
        });
        if self.random.chance(2) {
            self.open("func() {");
            self.line(&format!("defer {locked}(g, w)()"));
            body(self);
            self.close("}()");
        } else {
            let give = self.name("give");
            self.line(&format!("{give} := {locked}(g, w)"));
            body(self);
            self.line(&format!("{give}()"));
        }
    }
}
