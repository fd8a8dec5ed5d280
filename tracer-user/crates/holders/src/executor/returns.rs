//! The calls that a path is following, shared with the paths that branched off.

use std::{rc::Rc, sync::Arc};

use super::{super::code::Routine, hash::hash_of, value::Value};

/// How a function that is followed was entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Entered {
    /// By a call.
    Called,
    /// By a deferred call.
    Deferred,
    /// As a goroutine of its own.
    Started,
}

/// Where a followed call returns to.
#[derive(Debug, Clone)]
pub struct Return {
    /// Whether the function was found in memory that others can write: another one may be called.
    pub through_memory: bool,
    /// The caller; `None` ends the path (a closure that another goroutine will run).
    pub to: Option<(Arc<Routine>, u32)>,
    /// The stack pointer after the return.
    pub sp: Value,
    /// The frame pointer after the return.
    pub fp: Value,
    /// The caller's frame address.
    pub frame: Value,
    /// How the function was entered.
    pub entered: Entered,
}

/// The calls being followed: a list that grows at its inner end, of which paths share the rest.
#[derive(Debug, Clone, Default)]
pub struct Returns {
    innermost: Option<Rc<Link>>,
}

#[derive(Debug)]
struct Link {
    back: Return,
    outer: Returns,
    depth: usize,
    digest: u64,
}

impl Returns {
    /// How many calls are being followed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.innermost.as_ref().map_or(0, |link| link.depth)
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.innermost.is_none()
    }

    /// Identifies from where the calls were made.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.innermost.as_ref().map_or(0, |link| link.digest)
    }

    /// Follows one more call.
    pub fn push(&mut self, back: Return) {
        let to = back.to.as_ref().map(|(r, at)| (r.function.entry, *at));
        let digest = hash_of(&(self.digest(), to, back.sp, back.entered));
        let outer = std::mem::take(self);
        self.innermost = Some(Rc::new(Link {
            depth: outer.len() + 1,
            back,
            outer,
            digest,
        }));
    }

    /// Leaves the innermost call.
    pub fn pop(&mut self) -> Option<Return> {
        let link = self.innermost.take()?;
        let (back, outer) = match Rc::try_unwrap(link) {
            Ok(link) => (link.back, link.outer),
            Err(shared) => (shared.back.clone(), shared.outer.clone()),
        };
        *self = outer;
        Some(back)
    }

    /// The function called last was found in memory that others can write.
    pub fn found_in_memory(&mut self) {
        if let Some(back) = self.pop() {
            self.push(Return {
                through_memory: true,
                ..back
            });
        }
    }

    /// Whether any of the functions was entered like that.
    #[must_use]
    pub fn any(&self, entered: Entered) -> bool {
        self.iter().any(|back| back.entered == entered)
    }

    /// Leaves all of them.
    pub fn clear(&mut self) {
        self.innermost = None;
    }

    /// The call that the goroutine's own frame makes.
    #[must_use]
    pub fn outermost(&self) -> Option<&Return> {
        self.iter().last()
    }

    /// The calls, the innermost first.
    pub fn iter(&self) -> impl Iterator<Item = &Return> {
        let mut next = self.innermost.as_deref();
        std::iter::from_fn(move || {
            let link = next?;
            next = link.outer.innermost.as_deref();
            Some(&link.back)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(sp: u64) -> Return {
        Return {
            through_memory: false,
            to: None,
            sp: Value::exact(sp),
            fp: Value::Unknown,
            frame: Value::Unknown,
            entered: Entered::Called,
        }
    }

    #[test]
    fn paths_share_what_they_have_in_common() {
        let mut one = Returns::default();
        one.push(back(8));
        let outer = one.digest();
        let mut other = one.clone();
        one.push(back(16));
        other.push(back(24));
        assert_eq!((one.len(), other.len()), (2, 2));
        assert_ne!(one.digest(), other.digest());
        assert_eq!(other.pop().map(|r| r.sp), Some(Value::exact(24)));
        assert_eq!(other.digest(), outer);
        let all: Vec<Value> = one.iter().map(|r| r.sp).collect();
        assert_eq!(all, [Value::exact(16), Value::exact(8)]);
    }
}
