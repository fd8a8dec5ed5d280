//! Units of goroutines that are dead from a moment on, for certain.
//!
//! Each member reaches its last wait whatever branches its code has (`Writer::certain`), waits there
//! until all hold what they are to hold (`meet`, which sleeps), says that it is at its end (`fatal`),
//! and waits. What follows would end the program with a message.

use super::{Writer, holds::Shape, words::Mode};

/// The kinds, as the table of results names them.
pub(crate) const KINDS: [&str; 17] = [
    "AB-BA",
    "cycle of n",
    "self",
    "RLock, then Lock",
    "two upgrades",
    "RLock twice",
    "WaitGroup",
    "channel",
    "semaphore",
    "error path",
    "Lock for Unlock",
    "defer in loop",
    "Cond",
    "Once",
    "owner ended",
    "owner goes on",
    "queued",
];

impl Writer {
    /// Adds a unit of a random kind, and perhaps goroutines that queue behind it.
    pub(super) fn deadlock(&mut self) {
        let kind = KINDS[self.random.below(KINDS.len() - 1)];
        let unit = self.units.len();
        self.units.push((kind, 0));
        let first = self.members(kind, unit);
        let Some(lock) = first.filter(|_| self.random.chance(2)) else {
            return;
        };
        for _ in 0..self.random.between(1, 3) {
            let behind = self.units.len();
            self.units.push(("queued", 0));
            self.member(behind, &mut |w| {
                w.line(&format!("g.gone({unit})"));
                w.fatal(behind);
                w.end(lock, Mode::Write);
            });
        }
    }

    /// Adds the members, and returns a lock that is never given back.
    fn members(&mut self, kind: &'static str, unit: usize) -> Option<usize> {
        match kind {
            "AB-BA" => Some(self.cycle(unit, 2)),
            "cycle of n" => {
                let count = self.random.between(3, 5);
                Some(self.cycle(unit, count))
            }
            "self" => Some(self.itself(unit, Mode::Write)),
            "RLock, then Lock" => Some(self.itself(unit, Mode::Read)),
            "two upgrades" => Some(self.upgrades(unit)),
            "RLock twice" => Some(self.reads_twice(unit)),
            "WaitGroup" => Some(self.under_group(unit)),
            "channel" => Some(self.under_channel(unit)),
            "semaphore" => Some(self.under_semaphore(unit)),
            "error path" | "Lock for Unlock" | "defer in loop" => Some(self.forgotten(kind, unit)),
            "Cond" => Some(self.under_condition(unit)),
            "Once" => {
                self.once(unit);
                None
            }
            "owner ended" => Some(self.left(unit, true)),
            _ => Some(self.left(unit, false)),
        }
    }

    /// A goroutine that belongs to `unit`.
    fn member(&mut self, unit: usize, body: &mut dyn FnMut(&mut Self)) {
        let name = self.name("member");
        let certain = std::mem::replace(&mut self.certain, true);
        self.function(&format!("{name}(slot int, w *World)"), &mut |w| {
            w.line("g := enter(slot)");
            let wait = w.random.of(&[0, 0, 100, 700, 2000]);
            w.line(&format!("g.nap({wait} * time.Millisecond)"));
            body(w);
        });
        self.certain = certain;
        self.units[unit].1 += 1;
        let kind = self.units[unit].0;
        self.goroutine(&name, kind);
    }

    fn meet(&mut self, unit: usize, phase: usize) {
        self.line(&format!("g.meet({unit}, {phase})"));
    }

    fn fatal(&mut self, unit: usize) {
        self.line(&format!("g.fatal({unit})"));
    }

    /// Waits for a lock that never comes.
    fn end(&mut self, lock: usize, mode: Mode) {
        self.hold_as(lock, mode, &mut |w| w.line("g.risen()"));
    }

    fn cycle(&mut self, unit: usize, count: usize) -> usize {
        let locks: Vec<usize> = (0..count)
            .map(|_| {
                let rw = self.random.chance(3);
                self.lock(rw)
            })
            .collect();
        let modes: Vec<Mode> = locks.iter().map(|lock| self.mode(*lock)).collect();
        for at in 0..count {
            let (own, next) = (locks[at], (at + 1) % count);
            let wanted = match modes[next] {
                Mode::Read => Mode::Write,
                Mode::Write => self.mode(locks[next]),
            };
            let rounds = self.random.of(&[0, 3, 300]);
            self.member(unit, &mut |w| {
                w.in_order(own, locks[next], rounds);
                w.meet(unit, 0);
                w.hold_as(own, modes[at], &mut |w| {
                    w.meet(unit, 1);
                    w.fatal(unit);
                    w.end(locks[next], wanted);
                });
            });
        }
        locks[0]
    }

    /// Takes two locks in the order of their numbers for some rounds.
    fn in_order(&mut self, a: usize, b: usize, rounds: usize) {
        if rounds == 0 {
            return;
        }
        let (low, high) = (a.min(b), a.max(b));
        self.open(&format!("for i := 0; i < {rounds}; i++ {{"));
        let certain = std::mem::replace(&mut self.certain, false);
        self.hold(low, &mut |w| {
            w.noise();
            w.hold(high, &mut |w| w.noise());
        });
        self.certain = certain;
        self.line("g.step()");
        self.line("time.Sleep(2 * time.Millisecond)");
        self.close("}");
    }

    fn itself(&mut self, unit: usize, held: Mode) -> usize {
        let rw = held == Mode::Read || self.random.chance(3);
        let lock = self.lock(rw);
        self.member(unit, &mut |w| {
            w.hold_as(lock, held, &mut |w| {
                w.noise();
                w.fatal(unit);
                w.end(lock, Mode::Write);
            });
        });
        lock
    }

    fn upgrades(&mut self, unit: usize) -> usize {
        let lock = self.lock(true);
        for _ in 0..2 {
            self.member(unit, &mut |w| {
                w.hold_as(lock, Mode::Read, &mut |w| {
                    w.meet(unit, 0);
                    w.fatal(unit);
                    w.end(lock, Mode::Write);
                });
            });
        }
        lock
    }

    fn reads_twice(&mut self, unit: usize) -> usize {
        let lock = self.lock(true);
        self.member(unit, &mut |w| {
            w.meet(unit, 0);
            w.fatal(unit);
            w.end(lock, Mode::Write);
        });
        let on = self.locks[lock].expression.clone();
        self.member(unit, &mut |w| {
            w.hold_as(lock, Mode::Read, &mut |w| {
                w.meet(unit, 0);
                // No reader is let in once the writer waits.
                w.open(&format!("for {on}.TryRLock() {{"));
                w.line(&format!("{on}.RUnlock()"));
                w.line("g.step()");
                w.line("time.Sleep(time.Millisecond)");
                w.close("}");
                w.fatal(unit);
                w.end(lock, Mode::Read);
            });
        });
        lock
    }

    fn under_group(&mut self, unit: usize) -> usize {
        let lock = self.lock(false);
        let group = self.group();
        let on = self.locks[group].expression.clone();
        let workers = self.random.between(1, 3);
        self.making.push_str(&format!("\t{on}.Add({workers})\n"));
        self.member(unit, &mut |w| {
            w.hold_as(lock, Mode::Write, &mut |w| {
                w.meet(unit, 0);
                w.fatal(unit);
                w.line(&format!("{on}.Wait()"));
                w.line("g.risen()");
            });
        });
        for _ in 0..workers {
            self.member(unit, &mut |w| {
                w.shadow(&format!("g.shares({group})"));
                w.line(&format!("defer {on}.Done()"));
                w.meet(unit, 0);
                w.fatal(unit);
                w.end(lock, Mode::Write);
            });
        }
        lock
    }

    fn under_channel(&mut self, unit: usize) -> usize {
        let lock = self.lock(false);
        let channel = self.name("results");
        self.fields.push_str(&format!("\t{channel} chan int\n"));
        self.making
            .push_str(&format!("\tw.{channel} = make(chan int)\n"));
        let sends = self.random.chance(2);
        let (first, second) = if sends {
            (format!("w.{channel} <- 1"), format!("<-w.{channel}"))
        } else {
            (format!("<-w.{channel}"), format!("w.{channel} <- 1"))
        };
        self.member(unit, &mut |w| {
            w.hold_as(lock, Mode::Write, &mut |w| {
                w.meet(unit, 0);
                w.fatal(unit);
                w.line(&first);
                w.line("g.risen()");
            });
        });
        self.member(unit, &mut |w| {
            w.meet(unit, 0);
            w.fatal(unit);
            w.end(lock, Mode::Write);
            w.line(&second);
        });
        lock
    }

    fn under_semaphore(&mut self, unit: usize) -> usize {
        let lock = self.lock(false);
        let slots = self.name("slots");
        self.variables
            .push_str(&format!("var {slots} = make(chan struct{{}}, 1)\n"));
        self.member(unit, &mut |w| {
            w.hold_as(lock, Mode::Write, &mut |w| {
                w.meet(unit, 0);
                w.fatal(unit);
                w.line(&format!("{slots} <- struct{{}}{{}}"));
                w.line("g.risen()");
            });
        });
        self.member(unit, &mut |w| {
            w.line(&format!("{slots} <- struct{{}}{{}}"));
            w.meet(unit, 0);
            w.fatal(unit);
            w.end(lock, Mode::Write);
            w.line(&format!("<-{slots}"));
        });
        lock
    }

    /// A lock that its goroutine forgets to give back, and asks for again.
    fn forgotten(&mut self, kind: &'static str, unit: usize) -> usize {
        let lock = self.lock(false);
        let on = self.locks[lock].expression.clone();
        match kind {
            "error path" => {
                let fails = self.name("fails");
                self.function(&format!("{fails}(g *G, w *World) error"), &mut |w| {
                    w.only_take(lock, Mode::Write);
                    w.line("if !never() {");
                    w.line("\treturn errClosed");
                    w.line("}");
                    w.only_give(lock, Mode::Write);
                    w.line("return nil");
                });
                self.member(unit, &mut |w| {
                    w.line(&format!("if err := {fails}(g, w); err == nil {{ return }}"));
                    w.fatal(unit);
                    w.end(lock, Mode::Write);
                });
            }
            "Lock for Unlock" => self.member(unit, &mut |w| {
                w.only_take(lock, Mode::Write);
                w.noise();
                w.fatal(unit);
                w.line(&format!("{on}.Lock()"));
                w.line("g.risen()");
            }),
            _ => self.member(unit, &mut |w| {
                w.open("for i := 0; i < 3; i++ {");
                w.line(&format!("if i == 1 {{ g.fatal({unit}) }}"));
                w.only_take(lock, Mode::Write);
                w.line(&format!("defer {on}.Unlock()"));
                w.shadow(&format!("defer g.gave({lock})"));
                w.noise();
                w.close("}");
            }),
        }
        lock
    }

    fn under_condition(&mut self, unit: usize) -> usize {
        let (outer, own) = (self.lock(false), self.lock(false));
        let condition = self.name("cond");
        let pointer = self.locks[own].pointer.clone();
        self.fields.push_str(&format!("\t{condition} *sync.Cond\n"));
        self.making
            .push_str(&format!("\tw.{condition} = sync.NewCond({pointer})\n"));
        self.member(unit, &mut |w| {
            w.hold_as(outer, Mode::Write, &mut |w| {
                w.hold_in(Shape::Deferred, own, Mode::Write, &mut |w| {
                    w.meet(unit, 0);
                    w.shadow(&format!("g.gave({own})"));
                    w.fatal(unit);
                    w.line(&format!("w.{condition}.Wait()"));
                    w.line("g.risen()");
                });
            });
        });
        self.member(unit, &mut |w| {
            w.meet(unit, 0);
            w.fatal(unit);
            w.end(outer, Mode::Write);
            w.line(&format!("w.{condition}.Broadcast()"));
        });
        outer
    }

    fn once(&mut self, unit: usize) {
        let once = self.name("once");
        self.fields.push_str(&format!("\t{once} sync.Once\n"));
        self.member(unit, &mut |w| {
            w.open(&format!("w.{once}.Do(func() {{"));
            w.fatal(unit);
            w.line(&format!("w.{once}.Do(use)"));
            w.line("g.risen()");
            w.close("})");
        });
    }

    /// A lock whose owner forgot it and ended, or goes on without it.
    fn left(&mut self, unit: usize, ends: bool) -> usize {
        let lock = self.lock(false);
        let owner = self.name("owner");
        self.function(&format!("{owner}(slot int, w *World)"), &mut |w| {
            w.line("g := enter(slot)");
            w.only_take(lock, Mode::Write);
            w.line(&format!("atomic.AddInt32(&meets[{unit}][0], 1)"));
            if ends {
                w.shadow(&format!("disown({lock})"));
                w.line("g.leave()");
                w.line("return");
            } else {
                w.open("for {");
                w.line("g.step()");
                w.line("time.Sleep(5 * time.Millisecond)");
                w.close("}");
            }
        });
        self.goroutine(&owner, "forgets a lock");
        self.member(unit, &mut |w| {
            // Two have to be there: the owner and this one.
            w.open(&format!("for atomic.LoadInt32(&meets[{unit}][0]) < 1 {{"));
            w.line("g.step()");
            w.line("time.Sleep(time.Millisecond)");
            w.close("}");
            w.fatal(unit);
            w.end(lock, Mode::Write);
        });
        lock
    }
}
