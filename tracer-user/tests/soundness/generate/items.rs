//! Positions in the global order of locks, and how each is taken and given back.

use std::fmt::Write as _;

use super::{Writer, holds::Shape, places::Place, words::Mode};

/// A position in the order.
#[derive(Debug, Clone)]
pub(super) enum Item {
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

impl Writer {
    /// Declares a position, with all that it needs.
    pub(super) fn item(&mut self) -> Item {
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

    /// Takes `item`, runs `body`, and gives it back.
    pub(super) fn hold_item(&mut self, item: &Item, body: &mut dyn FnMut(&mut Self)) {
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
