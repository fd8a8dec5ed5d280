//! The threads' own stacks, on which the runtime runs timers and moves goroutines about: of
//! interest only while the target is held still, when what is in transit there has no other place.

use super::{allm::AllMs, mark::Range};
use ids::{LoadBias, TargetAddr};
use image::Image;
use memory::{Memory, MemoryExt as _, ReadError};

/// C's frames on a stack that the runtime knows nothing of are looked at up to here.
const FOREIGN_BYTES: u64 = 64 << 10;

/// The bounds of all `g0` and signal stacks, by `runtime.allm`.
#[derive(Debug, Default)]
pub struct SystemStacks(Vec<StacksOfM>);

type Bounds = (TargetAddr, TargetAddr);

/// The two stacks of one M.
#[derive(Debug, Clone, Copy, Default)]
struct StacksOfM {
    /// The thread's own.
    g0: Option<Bounds>,
    /// The one that signal handlers run on.
    signal: Option<Bounds>,
}

impl SystemStacks {
    /// Reads them.
    ///
    /// # Errors
    /// When the list of Ms cannot be read, or does not end.
    pub fn read(memory: &dyn Memory, image: &Image, bias: LoadBias) -> Result<Self, ReadError> {
        let offset = image.layout().g.stack;
        let Some(ms) = AllMs::of(image, bias) else {
            return Ok(Self::default());
        };
        let bounds = |g: TargetAddr| -> Result<Option<Bounds>, ReadError> {
            if g.is_nil() {
                return Ok(None);
            }
            let lo = memory.read_addr(g.offset(offset))?;
            let hi = memory.read_addr(g.offset(offset + 8))?;
            Ok(Some((lo, hi)))
        };
        let stacks = ms.own_gs(memory)?.into_iter().map(|own| {
            Ok(StacksOfM {
                g0: bounds(own.g0)?,
                signal: bounds(own.signal)?,
            })
        });
        Ok(Self(stacks.collect::<Result<_, _>>()?))
    }

    /// What is in use of the stacks of a thread whose stack pointer is `sp`. Go's own stacks end
    /// where the runtime says; C's are looked at for a while. A signal handler stands above what
    /// it interrupted, which may be code on the thread's own stack: of that, all may be in use.
    #[must_use]
    pub fn in_use(&self, sp: TargetAddr) -> Vec<Range> {
        let holds = |bounds: Option<Bounds>| bounds.filter(|(lo, hi)| *lo <= sp && sp < *hi);
        for m in &self.0 {
            if let Some((_, end)) = holds(m.g0) {
                return vec![Range::between(sp, end)];
            }
            if let Some((_, end)) = holds(m.signal) {
                let mut ranges = vec![Range::between(sp, end)];
                if let Some((lo, hi)) = m.g0 {
                    let lo = lo.max(TargetAddr(hi.0.saturating_sub(FOREIGN_BYTES)));
                    ranges.push(Range::between(lo, hi));
                }
                return ranges;
            }
        }
        vec![Range::between(sp, sp.offset(FOREIGN_BYTES))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_stack_ends_where_it_ends() {
        let bounds = |lo, hi| Some((TargetAddr(lo), TargetAddr(hi)));
        let stacks = SystemStacks(vec![StacksOfM {
            g0: bounds(0x1000, 0x2000),
            signal: bounds(0x5000, 0x6000),
        }]);
        let in_use = |sp| -> Vec<(u64, u64)> {
            let ranges = stacks.in_use(TargetAddr(sp));
            ranges.iter().map(|r| (r.at.0, r.len)).collect()
        };
        assert_eq!(in_use(0x1800), [(0x1800, 0x800)]);
        assert_eq!(in_use(0x9000), [(0x9000, FOREIGN_BYTES)]);
        // The handler's own frames, and all of what it may have interrupted.
        assert_eq!(in_use(0x5f00), [(0x5f00, 0x100), (0x1000, 0x1000)]);
    }
}
