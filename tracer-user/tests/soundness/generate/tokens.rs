//! Healthy units in which a lock is a token, a signal or a lease: another gives it back than took it.

use super::{Writer, holds::Shape, ways::Way, words::Mode};

impl Writer {
    /// Adds up to `most` units.
    pub(super) fn token_units(&mut self, most: usize) {
        for _ in 0..self.random.between(1, most) {
            match self.random.below(8) {
                0..=3 => self.ring(),
                4 => self.latch(),
                5 => self.lease(),
                6 => self.group_ring(),
                _ => self.expectant_ring(),
            }
        }
    }

    /// Goroutines that each wait for their seat and free the next one's; an outsider keeps one seat
    /// for a while and gives it back.
    fn ring(&mut self) {
        let count = self.random.between(1, 3);
        let rw = self.random.chance(4);
        let seats: Vec<usize> = (0..count).map(|_| self.lock(rw)).collect();
        // Of a ring under a second lock, each takes that one, too, while it gives on.
        let lap = self.variable("lap", "uint64");
        let second = self.random.chance(4).then(|| self.lock(false));
        for at in 0..count {
            let (seat, next) = (seats[at], seats[(at + 1) % count]);
            let name = self.name("seat");
            let quick = self.random.chance(2);
            self.function(&format!("{name}(slot int, w *World)"), &mut |w| {
                w.line("g := enter(slot)");
                w.open("for {");
                w.take_token(seat);
                if count == 1 {
                    w.line(&format!("atomic.AddUint64(&{lap}, 1)"));
                }
                w.line("g.step()");
                if !quick {
                    w.noise();
                }
                // Alone in its ring, it leaves the giving to the outsider.
                if count > 1 {
                    if let Some(second) = second {
                        w.hold(second, &mut |w| w.give_token(next, Way::Plain));
                    } else {
                        w.give_token(next, Way::Plain);
                    }
                }
                w.line("time.Sleep(300 * time.Microsecond)");
                w.close("}");
            });
            self.goroutine(&name, "seat of a ring");
        }
        // All seats are taken before anybody starts.
        for seat in &seats {
            let on = self.on(*seat);
            self.making.push_str(&format!("\t{on}.Lock()\n"));
        }
        let way = self.way();
        let first = seats[0];
        let name = self.name("outsider");
        self.function(&format!("{name}(slot int, w *World)"), &mut |w| {
            w.line("g := enter(slot)");
            if count == 1 {
                w.line("seen := uint64(0)");
            }
            w.open("for {");
            w.line("g.step()");
            w.dwell_long();
            w.line("time.Sleep(100 * time.Millisecond)");
            w.give_token(first, way);
            w.line("time.Sleep(2 * time.Millisecond)");
            if count > 1 {
                w.take_token(first);
            } else {
                w.line(&format!("seen = g.passed(&{lap}, seen)"));
            }
            w.close("}");
        });
        self.goroutine(&name, &format!("gives a token back by {way:?}"));
    }

    /// A goroutine that takes a lock twice; another unlocks it in between, as a signal.
    fn latch(&mut self) {
        let rw = self.random.chance(4);
        let latch = self.lock(rw);
        let lap = self.variable("lap", "uint64");
        let waiter = self.name("latched");
        let way = self.way();
        self.function(&format!("{waiter}(slot int, w *World)"), &mut |w| {
            w.line("g := enter(slot)");
            w.open("for {");
            w.take_token(latch);
            w.line(&format!("atomic.AddUint64(&{lap}, 1)"));
            w.take_token(latch);
            w.give_token(latch, Way::Plain);
            w.line("g.step()");
            w.line("time.Sleep(time.Millisecond)");
            w.close("}");
        });
        self.goroutine(&waiter, "waits at a latch");
        let opener = self.name("opener");
        self.function(&format!("{opener}(slot int, w *World)"), &mut |w| {
            w.line("g := enter(slot)");
            w.line("seen := uint64(0)");
            w.open("for {");
            // It was taken once: who waits now waits for this.
            w.line(&format!("seen = g.passed(&{lap}, seen)"));
            w.dwell_long();
            w.give_token(latch, way);
            w.close("}");
        });
        self.goroutine(&opener, &format!("opens a latch by {way:?}"));
    }

    /// A goroutine that has read-locked what it asks to write, and so waits for itself; another gives the
    /// read lock back for it, as a signal. Readers come and go meanwhile.
    pub(super) fn read_latch(&mut self) {
        let latch = self.lock(true);
        let lap = self.variable("lap", "uint64");
        let (on, pointer) = (self.on(latch), self.locks[latch].pointer.clone());
        let waiter = self.name("upgrades");
        self.function(&format!("{waiter}(slot int, w *World)"), &mut |w| {
            w.line("g := enter(slot)");
            w.open("for {");
            w.line(&format!("{on}.RLock()"));
            w.line(&format!("atomic.AddUint64(&{lap}, 1)"));
            w.hold_in(Shape::Plain, latch, Mode::Write, &mut |w| w.line("use()"));
            w.line("g.step()");
            w.line("time.Sleep(time.Millisecond)");
            w.close("}");
        });
        self.goroutine(&waiter, "waits for itself as a reader");
        let way = self.way();
        let opener = self.name("opener");
        self.function(&format!("{opener}(slot int, w *World)"), &mut |w| {
            w.line("g := enter(slot)");
            w.line("seen := uint64(0)");
            w.open("for {");
            w.line(&format!("seen = g.passed(&{lap}, seen)"));
            w.dwell_long();
            w.by_way(way, &format!("{on}.RUnlock"), "RUnlock", &pointer, 1);
            w.line("g.step()");
            w.close("}");
        });
        self.goroutine(&opener, &format!("gives a read lock back by {way:?}"));
        for _ in 0..self.random.between(1, 2) {
            let reader = self.name("reader");
            self.function(&format!("{reader}(slot int, w *World)"), &mut |w| {
                w.line("g := enter(slot)");
                w.open("for {");
                w.hold_as(latch, Mode::Read, &mut |w| w.noise());
                w.line("g.step()");
                w.line("time.Sleep(time.Millisecond)");
                w.close("}");
            });
            self.goroutine(&reader, "reads");
        }
    }

    /// A lock that whoever takes it leaves to a timer.
    fn lease(&mut self) {
        let lease = self.lock(false);
        let count = self.random.between(1, 3);
        let millis = self.random.of(&[5, 50, 300]);
        let way = self.random.of(&[Way::Timer, Way::Timer, Way::Reset]);
        for _ in 0..count {
            let name = self.name("tenant");
            self.function(&format!("{name}(slot int, w *World)"), &mut |w| {
                w.line("g := enter(slot)");
                w.open("for {");
                w.line("g.step()");
                w.take_token(lease);
                w.give_token_after(lease, way, millis);
                w.noise();
                w.line("time.Sleep(time.Millisecond)");
                w.close("}");
            });
            self.goroutine(&name, "takes a lease");
        }
    }

    /// A ring of WaitGroups: each goroutine waits for its own, and calls Done of the next one's.
    fn group_ring(&mut self) {
        let count = self.random.between(2, 3);
        let lap = self.variable("lap", "uint64");
        let groups: Vec<usize> = (0..count).map(|_| self.group()).collect();
        for at in 0..count {
            let after = groups[(at + 1) % count];
            let (own, next) = (self.on(groups[at]), self.on(after));
            let name = self.name("turn");
            let last = at + 1 == count;
            self.function(&format!("{name}(slot int, w *World)"), &mut |w| {
                w.line("g := enter(slot)");
                if !last {
                    // It owes that in every round.
                    w.shadow(&format!("g.shares({after})"));
                }
                w.open("for {");
                w.line(&format!("{own}.Wait()"));
                w.line(&format!("{own}.Add(1)"));
                w.line("g.step()");
                w.noise();
                if last {
                    // The round is over; the outsider begins the next.
                    w.line(&format!("atomic.AddUint64(&{lap}, 1)"));
                } else {
                    w.line(&format!("{next}.Done()"));
                }
                w.close("}");
            });
            self.goroutine(&name, "waits for a group");
            self.making.push_str(&format!("\t{own}.Add(1)\n"));
        }
        let way = self.way();
        let first = self.on(groups[0]);
        let name = self.name("beginner");
        self.function(&format!("{name}(slot int, w *World)"), &mut |w| {
            w.line("g := enter(slot)");
            w.shadow(&format!("g.shares({})", groups[0]));
            w.line("seen := uint64(0)");
            w.open("for {");
            w.line("g.step()");
            w.dwell_long();
            w.line("time.Sleep(100 * time.Millisecond)");
            w.by_way(
                way,
                &format!("{first}.Done"),
                "Done",
                &format!("&{first}"),
                1,
            );
            w.line(&format!("seen = g.passed(&{lap}, seen)"));
            w.close("}");
        });
        self.goroutine(&name, &format!("calls Done by {way:?}"));
    }

    /// As a ring of two, but who gives on waits for a message first.
    fn expectant_ring(&mut self) {
        let seat = self.lock(false);
        let messages = self.name("messages");
        self.variables
            .push_str(&format!("var {messages} = make(chan int)\n"));
        let lap = self.variable("lap", "uint64");
        let on = self.on(seat);
        let waiter = self.name("expects");
        self.function(&format!("{waiter}(slot int, w *World)"), &mut |w| {
            w.line("g := enter(slot)");
            w.open("for {");
            w.take_token(seat);
            w.line(&format!("atomic.AddUint64(&{lap}, 1)"));
            w.line("g.step()");
            w.line("time.Sleep(time.Millisecond)");
            w.close("}");
        });
        self.making.push_str(&format!("\t{on}.Lock()\n"));
        self.goroutine(&waiter, "waits for a token");
        let way = self.way();
        let giver = self.name("giver");
        self.function(&format!("{giver}(slot int, w *World)"), &mut |w| {
            w.line("g := enter(slot)");
            w.open(&format!("for n := range {messages} {{"));
            w.line("g.step()");
            w.line("if n < 0 { return }");
            w.give_token(seat, way);
            w.close("}");
        });
        self.goroutine(&giver, &format!("gives on by {way:?} upon a message"));
        let sender = self.name("sender");
        self.function(&format!("{sender}(slot int, w *World)"), &mut |w| {
            w.line("g := enter(slot)");
            w.line("seen := uint64(0)");
            w.open("for {");
            w.line("g.step()");
            w.dwell_long();
            w.line("time.Sleep(60 * time.Millisecond)");
            w.line(&format!("{messages} <- 1"));
            w.line(&format!("seen = g.passed(&{lap}, seen)"));
            w.close("}");
        });
        self.goroutine(&sender, "sends messages");
    }

    fn on(&self, id: usize) -> String {
        self.locks[id].expression.clone()
    }

    fn take_token(&mut self, id: usize) {
        self.shadow(&format!("g.want({id})"));
        self.line(&format!("{}.Lock()", self.on(id)));
        self.shadow(&format!("g.took({id})"));
    }

    fn give_token(&mut self, id: usize, way: Way) {
        self.give_token_after(id, way, 1);
    }

    fn give_token_after(&mut self, id: usize, way: Way, millis: usize) {
        let give = format!("{}.Unlock", self.on(id));
        let pointer = self.locks[id].pointer.clone();
        self.shadow(&format!("disown({id})"));
        self.by_way(way, &give, "Unlock", &pointer, millis);
    }

    pub(super) fn variable(&mut self, prefix: &str, kind: &str) -> String {
        let name = self.name(prefix);
        self.variables.push_str(&format!("var {name} {kind}\n"));
        name
    }
}
