//! Where locks are, and how code names them.

use std::fmt::Write as _;

use super::Writer;

/// Where a lock is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Field,
    Global,
    Inner,
    Cell,
    Named,
    Embedded,
    Pointer,
    Kept,
    Shard,
    /// Not a lock of `sync`'s at that place, but a WaitGroup.
    Group,
}

/// A lock of the table.
#[derive(Debug, Clone)]
pub(super) struct Lock {
    pub(super) place: Place,
    pub(super) rw: bool,
    /// What its methods are called on.
    pub(super) expression: String,
    /// An expression of its address.
    pub(super) pointer: String,
}

impl Lock {
    /// Returns its type, as it is declared.
    pub(super) fn type_name(&self) -> &'static str {
        match self.rw {
            true => "sync.RWMutex",
            false => "sync.Mutex",
        }
    }
}

const PLACES: [Place; 8] = [
    Place::Field,
    Place::Global,
    Place::Inner,
    Place::Cell,
    Place::Named,
    Place::Embedded,
    Place::Pointer,
    Place::Kept,
];

impl Writer {
    /// Declares a lock somewhere and returns its number.
    pub(super) fn lock(&mut self, rw: bool) -> usize {
        let place = self.random.of(&PLACES);
        self.lock_at(place, rw)
    }

    /// Declares a lock that has the same address expression for everybody at any time.
    pub(super) fn lock_at(&mut self, place: Place, rw: bool) -> usize {
        let id = self.locks.len();
        let kind = if rw { "sync.RWMutex" } else { "sync.Mutex" };
        let short = if rw { "rw" } else { "mu" };
        let (expression, pointer) = match place {
            Place::Field => {
                let _ = writeln!(self.fields, "\tl{id} {kind}");
                (format!("w.l{id}"), format!("&w.l{id}"))
            }
            Place::Global => {
                let _ = writeln!(self.variables, "var global{id} {kind}");
                (format!("global{id}"), format!("&global{id}"))
            }
            Place::Inner => (format!("w.inner.l{id}"), format!("&w.inner.l{id}")),
            Place::Cell | Place::Shard | Place::Group => (
                format!("w.cells[{id}].{short}"),
                format!("&w.cells[{id}].{short}"),
            ),
            Place::Named => {
                let _ = writeln!(self.making, "\tw.named[\"k{id}\"] = &cell{{}}");
                (
                    format!("w.named[\"k{id}\"].{short}"),
                    format!("&w.named[\"k{id}\"].{short}"),
                )
            }
            Place::Embedded => {
                let (outer, inner) = if rw {
                    ("embeddedRW", "RWMutex")
                } else {
                    ("embedded", "Mutex")
                };
                let _ = writeln!(self.fields, "\te{id} {outer}");
                (format!("w.e{id}"), format!("&w.e{id}.{inner}"))
            }
            Place::Pointer => {
                let _ = writeln!(self.variables, "var pointer{id} = new({kind})");
                (format!("pointer{id}"), format!("pointer{id}"))
            }
            Place::Kept => {
                let _ = writeln!(self.making, "\tkept.Store({id}, new({kind}))");
                let _ = writeln!(
                    self.variables,
                    "func at{id}() *{kind} {{\n\tv, _ := kept.Load({id})\n\treturn v.(*{kind})\n}}\n"
                );
                (format!("at{id}()"), format!("at{id}()"))
            }
        };
        self.locks.push(Lock {
            place,
            rw,
            expression,
            pointer,
        });
        id
    }

    /// Declares `count` mutexes, elements of the slice `w.NAME`, and returns the first one's number.
    pub(super) fn shards(&mut self, name: &str, count: usize) -> usize {
        let first = self.locks.len();
        let _ = writeln!(self.fields, "\t{name} []*shard");
        let _ = writeln!(
            self.making,
            "\tfor i := 0; i < {count}; i++ {{\n\t\tw.{name} = append(w.{name}, &shard{{}})\n\t}}"
        );
        for i in 0..count {
            self.locks.push(Lock {
                place: Place::Shard,
                rw: false,
                expression: format!("w.{name}[{i}].mu"),
                pointer: format!("&w.{name}[{i}].mu"),
            });
        }
        first
    }

    /// Declares a WaitGroup and returns its number.
    pub(super) fn group(&mut self) -> usize {
        let id = self.locks.len();
        let _ = writeln!(self.fields, "\tg{id} sync.WaitGroup");
        self.locks.push(Lock {
            place: Place::Group,
            rw: false,
            expression: format!("w.g{id}"),
            pointer: format!("&w.g{id}"),
        });
        id
    }
}
