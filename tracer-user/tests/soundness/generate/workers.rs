//! Healthy goroutines: each takes locks in one global order, again and again.

use super::{Writer, items::Item};

/// What is done with the first lock of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dwell {
    Long,
    Short,
    /// The pause that others make between their rounds.
    Pause,
}

/// How a worker repeats its rounds.
#[derive(Debug, Clone, Copy)]
enum Loop {
    Endless,
    Alive,
    Ticker,
    Select,
    Callback,
    Goto,
    /// The round is a function, whose deferred calls run in each round.
    Function,
    /// The worker starts its successor and ends.
    Respawn,
    /// A function that returns errors, upon which the loop goes on.
    Errors,
    /// A lock is asked for by a function that may return an error instead, upon which the loop goes on.
    Acquire,
}

const LOOPS: [Loop; 14] = [
    Loop::Endless,
    Loop::Endless,
    Loop::Alive,
    Loop::Ticker,
    Loop::Select,
    Loop::Callback,
    Loop::Goto,
    Loop::Function,
    Loop::Function,
    Loop::Respawn,
    Loop::Errors,
    Loop::Acquire,
    Loop::Acquire,
    Loop::Acquire,
];

impl Writer {
    /// Adds workers, at most `most`, that share some locks.
    pub(super) fn workers(&mut self, most: usize) {
        let count = if self.small {
            self.random.between(1, 2)
        } else {
            self.random.between(2, 7)
        };
        let items: Vec<Item> = (0..count).map(|_| self.item()).collect();
        let heavy = self.small || self.random.chance(2);
        for n in 0..self.random.between(2, most) {
            let alike = self.random.chance(2);
            let name = self.name("worker");
            self.worker(&name, &items, heavy && n == 0);
            self.goroutine(&name, "worker");
            let copies = if alike { self.random.between(1, 2) } else { 0 };
            for _ in 0..copies {
                self.goroutine(&name, "worker");
            }
        }
    }

    fn worker(&mut self, name: &str, items: &[Item], heavy: bool) {
        let kind = self.random.of(&LOOPS);
        // Nothing between the rounds: it waits while it holds a lock.
        let tight = !heavy && self.random.chance(3);
        let dwell = match (heavy, tight) {
            (true, _) => Dwell::Long,
            (_, true) => Dwell::Pause,
            _ => Dwell::Short,
        };
        let round = self.name("round");
        let apart = matches!(kind, Loop::Function | Loop::Errors) || self.random.chance(6);
        if apart {
            let result = match kind {
                Loop::Errors => " error",
                _ => "",
            };
            self.function(&format!("{round}(g *G, w *World){result}"), &mut |w| {
                if !result.is_empty() {
                    let odds = w.odds(4);
                    w.line(&format!("if {odds} {{ return errBusy }}"));
                }
                w.block(items, 0, 0, dwell);
                if !result.is_empty() {
                    w.line("return nil");
                }
            });
        }
        self.function(&format!("{name}(slot int, w *World)"), &mut |w| {
            w.line("g := enter(slot)");
            if !matches!(kind, Loop::Respawn) && w.random.chance(2) {
                w.line("defer g.leave()");
            }
            w.rounds(kind, name, &mut |w| {
                match (kind, apart) {
                    (Loop::Errors, _) => {
                        w.open(&format!("if err := {round}(g, w); err != nil {{"));
                        w.line("g.step()");
                        w.line("time.Sleep(time.Millisecond)");
                        w.line("continue");
                        w.close("}");
                    }
                    (Loop::Acquire, false) => w.acquiring(items, dwell),
                    (_, true) => w.line(&format!("{round}(g, w)")),
                    (_, false) => w.block(items, 0, 0, dwell),
                }
                if !tight {
                    w.pause(heavy);
                }
            });
        });
    }

    /// Counts the round, and leaves the CPU to others.
    fn pause(&mut self, heavy: bool) {
        self.line("g.step()");
        let micros = if heavy {
            self.random.of(&[5000, 20_000, 100_000])
        } else {
            self.random.of(&[300, 1000, 3000, 10_000])
        };
        self.line(&format!("time.Sleep({micros} * time.Microsecond)"));
    }

    fn rounds(&mut self, kind: Loop, name: &str, round: &mut dyn FnMut(&mut Self)) {
        match kind {
            Loop::Endless | Loop::Function | Loop::Errors | Loop::Acquire => {
                self.open("for {");
                round(self);
                self.close("}");
            }
            Loop::Alive => {
                self.open("for g.alive() {");
                round(self);
                self.close("}");
            }
            Loop::Ticker => {
                self.line("ticker := time.NewTicker(2 * time.Millisecond)");
                self.line("defer ticker.Stop()");
                self.open("for range ticker.C {");
                round(self);
                self.close("}");
            }
            Loop::Select => {
                self.open("for {");
                self.open("select {");
                self.line("case <-nothing:");
                self.line("\treturn");
                self.line("case <-time.After(time.Millisecond):");
                self.close("}");
                round(self);
                self.close("}");
            }
            Loop::Callback => {
                self.open("forever(func() {");
                round(self);
                self.close("})");
            }
            Loop::Goto => {
                self.text.push_str("again:\n");
                self.open("{");
                round(self);
                self.close("}");
                self.line("goto again");
            }
            Loop::Respawn => {
                self.open("for i := 0; i < 5; i++ {");
                round(self);
                self.close("}");
                self.line("g.leave()");
                self.line(&format!("go {name}(slot, w)"));
            }
        }
    }

    /// Statements that take items of the order from position `from` on, and give them back.
    fn block(&mut self, items: &[Item], from: usize, depth: usize, dwell: Dwell) {
        let most = match (self.small, depth) {
            (true, _) => 1,
            (false, 0) => 3,
            _ => 2,
        };
        let statements = self.random.between(1, most);
        for n in 0..statements {
            if from >= items.len() || (n > 0 && self.random.chance(3)) {
                self.noise();
                continue;
            }
            let at = self.random.between(from, items.len() - 1);
            let dwell = if n == 0 && depth == 0 {
                dwell
            } else {
                Dwell::Short
            };
            let deeper = depth < 3 && self.random.chance(if self.small { 3 } else { 2 });
            self.prior = match &items[self.random.between(from, items.len() - 1)] {
                Item::Lock(id) if self.random.chance(2) => Some(*id),
                _ => None,
            };
            self.hold_item(&items[at], &mut |w| {
                w.dwell_as(dwell);
                if deeper {
                    if w.random.chance(8) {
                        w.child(items, at + 1, depth + 1);
                    } else {
                        w.block(items, at + 1, depth + 1, Dwell::Short);
                    }
                }
            });
        }
    }

    /// A round that begins with asking for a lock and goes on without it.
    fn acquiring(&mut self, items: &[Item], dwell: Dwell) {
        let locks = items
            .iter()
            .enumerate()
            .filter_map(|(at, item)| match item {
                Item::Lock(id) => Some((at, *id)),
                _ => None,
            });
        let locks: Vec<(usize, usize)> = locks.collect();
        if locks.is_empty() {
            return self.block(items, 0, 0, dwell);
        }
        let (at, id) = self.random.of(&locks);
        let (_, prior) = self.random.of(&locks);
        self.hold_in_loop(id, Some(prior), &mut |w| {
            w.dwell_as(dwell);
            if w.random.chance(2) {
                w.block(items, at + 1, 1, Dwell::Short);
            }
        });
    }

    fn dwell_as(&mut self, dwell: Dwell) {
        match dwell {
            Dwell::Long => self.dwell_long(),
            Dwell::Short if self.small && self.random.chance(2) => self.line("use()"),
            Dwell::Short => self.noise(),
            Dwell::Pause => {
                if self.random.chance(2) {
                    self.line("use()");
                }
                self.pause(false);
            }
        }
    }

    /// Waits for a goroutine that does the rest.
    fn child(&mut self, items: &[Item], from: usize, depth: usize) {
        let group = self.name("children");
        self.line(&format!("var {group} sync.WaitGroup"));
        self.line(&format!("{group}.Add(1)"));
        self.open("go func() {");
        self.line(&format!("defer {group}.Done()"));
        self.line("g := enterAny()");
        self.line("defer g.leave()");
        self.block(items, from, depth, Dwell::Short);
        self.close("}()");
        self.line(&format!("{group}.Wait()"));
    }
}
