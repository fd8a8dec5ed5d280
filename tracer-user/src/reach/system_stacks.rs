//! The threads' own stacks, on which the runtime runs timers and moves goroutines about: of
//! interest only while the target is held still, when what is in transit there has no other place.

use super::mark::Range;
use crate::{
    ids::{LoadBias, TargetAddr},
    image::Image,
    memory::{Memory, MemoryExt as _, ReadError},
};

/// More threads than Go allows by default, many times over (`sched.maxmcount` is 10,000).
const MAX_MS: usize = 1 << 17;
/// C's frames on a stack that the runtime knows nothing of are looked at up to here.
const FOREIGN_BYTES: u64 = 64 << 10;

/// The bounds of all `g0` and signal stacks, by `runtime.allm`.
#[derive(Debug, Default)]
pub struct SystemStacks(Vec<(TargetAddr, TargetAddr)>);

impl SystemStacks {
    /// Reads them.
    ///
    /// # Errors
    /// When the list of Ms cannot be read.
    pub fn read(memory: &dyn Memory, image: &Image, bias: LoadBias) -> Result<Self, ReadError> {
        let layout = image.layout();
        let mut stacks = Self::default();
        let Some(head) = image.globals().allm else {
            return Ok(stacks);
        };
        let mut m = memory.read_addr(head.in_target(bias))?;
        for _ in 0..MAX_MS {
            if m.is_nil() {
                break;
            }
            for field in [layout.m.g0, layout.m.gsignal] {
                let g = memory.read_addr(m.offset(field))?;
                if !g.is_nil() {
                    let lo = memory.read_addr(g.offset(layout.g.stack))?;
                    let hi = memory.read_addr(g.offset(layout.g.stack + 8))?;
                    stacks.0.push((lo, hi));
                }
            }
            m = memory.read_addr(m.offset(layout.m.alllink))?;
        }
        Ok(stacks)
    }

    /// What of the stack at `sp` is in use. Go's own stacks end where the runtime says; C's are
    /// looked at for a while.
    #[must_use]
    pub fn in_use(&self, sp: TargetAddr) -> Range {
        let known = self.0.iter().find(|(lo, hi)| *lo <= sp && sp < *hi);
        let end = known.map_or(sp.offset(FOREIGN_BYTES), |(_, hi)| *hi);
        Range::between(sp, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_stack_ends_where_it_ends() {
        let stacks = SystemStacks(vec![(TargetAddr(0x1000), TargetAddr(0x2000))]);
        assert_eq!(stacks.in_use(TargetAddr(0x1800)).len, 0x800);
        assert_eq!(stacks.in_use(TargetAddr(0x9000)).len, FOREIGN_BYTES);
    }
}
