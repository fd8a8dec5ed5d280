//! Healthy goroutines: each takes locks in one global order, again and again.

use std::fmt::Write as _;

use super::{
    Writer,
    holds::{Mode, Shape},
    places::Place,
};

/// A position in the order.
#[derive(Debug, Clone)]
enum Item {
    /// A lock of its own.
    Lock(usize),
    /// A mutex that a condition variable belongs to, and the number of both.
    Cond(usize),
    /// Mutexes of which one is picked by a hash: the slice, the first one's number, how many.
    Shards(String, usize, usize),
    /// A `sync.Once` that is replaced now and then.
    Once(String),
    /// A channel that serves as a semaphore.
    Semaphore(String),
}

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
            if alike {
                self.goroutine(&name, "worker");
            }
        }
    }

    fn item(&mut self) -> Item {
        if self.small {
            let rw = self.random.chance(4);
            return Item::Lock(self.lock(rw));
        }
        match self.random.below(12) {
            0 => {
                let name = self.name("shards");
                let count = self.random.between(2, 4);
                let first = self.shards(&name, count);
                Item::Shards(name, first, count)
            }
            1 => {
                let name = self.name("once");
                let _ = writeln!(self.fields, "\t{name} atomic.Value");
                let _ = writeln!(self.making, "\tw.{name}.Store(new(sync.Once))");
                Item::Once(name)
            }
            2 => {
                let name = self.name("slots");
                let size = self.random.between(1, 2);
                let _ = writeln!(self.fields, "\t{name} chan struct{{}}");
                let _ = writeln!(self.making, "\tw.{name} = make(chan struct{{}}, {size})");
                Item::Semaphore(name)
            }
            3 => self.cond(),
            4..=6 => Item::Lock(self.lock(true)),
            _ => Item::Lock(self.lock(false)),
        }
    }

    /// A condition variable, and the goroutine that signals it.
    fn cond(&mut self) -> Item {
        let place = self
            .random
            .of(&[Place::Field, Place::Global, Place::Pointer]);
        let id = self.lock_at(place, false);
        let pointer = self.locks[id].pointer.clone();
        let _ = writeln!(self.fields, "\tcond{id} *sync.Cond\n\tturn{id} int");
        let _ = writeln!(self.making, "\tw.cond{id} = sync.NewCond({pointer})");
        let name = self.name("signal");
        let how = self.random.of(&["Broadcast", "Broadcast", "Signal"]);
        self.function(&format!("{name}(slot int, w *World)"), &mut |w| {
            w.line("g := enter(slot)");
            w.open("for {");
            w.line("g.step()");
            w.line("time.Sleep(3 * time.Millisecond)");
            w.only_take(id, Mode::Write);
            w.line(&format!("w.turn{id}++"));
            w.only_give(id, Mode::Write);
            w.line(&format!("w.cond{id}.{how}()"));
            w.close("}");
        });
        self.goroutine(&name, "signals a condition");
        Item::Cond(id)
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

    fn hold_item(&mut self, item: &Item, body: &mut dyn FnMut(&mut Self)) {
        match item {
            Item::Lock(id) if self.random.chance(10) => self.handed_over(*id, body),
            Item::Lock(id) => self.hold(*id, body),
            Item::Cond(id) => self.at_condition(*id, body),
            Item::Shards(name, first, count) => self.at_shard(name, *first, *count, body),
            Item::Once(name) => {
                self.open(&format!("w.{name}.Load().(*sync.Once).Do(func() {{"));
                body(self);
                self.close("})");
                let odds = self.odds(3);
                self.open(&format!("if {odds} {{"));
                self.line(&format!("w.{name}.Store(new(sync.Once))"));
                self.close("}");
            }
            Item::Semaphore(name) => {
                self.line(&format!("w.{name} <- struct{{}}{{}}"));
                body(self);
                self.line(&format!("<-w.{name}"));
            }
        }
    }

    fn at_condition(&mut self, id: usize, body: &mut dyn FnMut(&mut Self)) {
        let shape = self
            .random
            .of(&[Shape::Plain, Shape::Deferred, Shape::Helpers]);
        let turn = self.name("turn");
        self.hold_in(shape, id, Mode::Write, &mut |w| {
            w.line(&format!("{turn} := w.turn{id}"));
            w.open(&format!("for w.turn{id} == {turn} {{"));
            w.shadow(&format!("g.gave({id})"));
            w.line(&format!("w.cond{id}.Wait()"));
            w.shadow(&format!("g.took({id})"));
            w.close("}");
            body(w);
        });
    }

    fn at_shard(
        &mut self,
        name: &str,
        first: usize,
        count: usize,
        body: &mut dyn FnMut(&mut Self),
    ) {
        let (i, shard) = (self.name("i"), self.name("shard"));
        let deferred = self.random.chance(2);
        if deferred {
            self.open("func() {");
        }
        self.line(&format!("{i} := hashOf(g.rand()) % {count}"));
        self.line(&format!("{shard} := w.{name}[{i}]"));
        self.shadow(&format!("g.want({first} + {i})"));
        self.line(&format!("{shard}.mu.Lock()"));
        self.shadow(&format!("g.took({first} + {i})"));
        if deferred {
            self.line(&format!("defer {shard}.mu.Unlock()"));
            self.shadow(&format!("defer g.gave({first} + {i})"));
            body(self);
            self.close("}()");
        } else {
            body(self);
            self.shadow(&format!("g.gave({first} + {i})"));
            // Looked up once more, or not.
            if self.random.chance(2) {
                self.line(&format!("w.{name}[{i}].mu.Unlock()"));
            } else {
                self.line(&format!("{shard}.mu.Unlock()"));
            }
        }
    }

    /// Takes a lock that another goroutine gives back a little later.
    fn handed_over(&mut self, id: usize, body: &mut dyn FnMut(&mut Self)) {
        let mode = self.mode(id);
        self.only_take(id, mode);
        body(self);
        let unlock = match mode {
            Mode::Write => "Unlock",
            Mode::Read => "RUnlock",
        };
        let give = format!("{}.{unlock}", self.locks[id].expression);
        if self.random.chance(2) {
            self.reaps = true;
            match mode {
                Mode::Write => self.shadow(&format!("hands({id})")),
                Mode::Read => self.shadow(&format!("g.unshares({id})")),
            }
            self.open("reaper <- func(g *G) {");
            if mode == Mode::Write {
                self.shadow(&format!("g.receives({id})"));
            }
            self.dwell();
            if mode == Mode::Write {
                self.shadow(&format!("disown({id})"));
            }
            self.line(&format!("{give}()"));
            self.close("}");
            return;
        }
        match mode {
            Mode::Write => self.shadow(&format!("disown({id})")),
            Mode::Read => self.shadow(&format!("g.unshares({id})")),
        }
        match self.random.below(3) {
            0 => self.line(&format!("go {give}()")),
            1 => self.line(&format!("time.AfterFunc(2*time.Millisecond, {give})")),
            _ => {
                self.open("go func() {");
                self.line(&format!("defer {give}()"));
                self.line("time.Sleep(time.Millisecond)");
                self.close("}()");
            }
        }
    }
}
