//! `runtime.sudog`: a goroutine in the queue of a channel, semaphore or condition variable.

use super::fields::Fields;
use ids::TargetAddr;
use image::Layout;

/// What is read of one `sudog`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sudog {
    /// Its own address.
    pub(super) at: TargetAddr,
    /// The waiting `g`.
    pub(super) g: TargetAddr,
    /// The next in a channel's or condition variable's queue; a treap child in a semaphore's.
    pub(super) next: TargetAddr,
    pub(super) prev: TargetAddr,
    /// Address of the semaphore, of the `notifyList` (Go 1.26 and later), or of the element.
    pub(super) elem: TargetAddr,
    /// The next case of the same select, or the next waiter for the same semaphore.
    pub(super) wait_link: TargetAddr,
    /// The channel; nil for semaphores and condition variables.
    pub(super) channel: TargetAddr,
    pub(super) is_select: bool,
}

impl Sudog {
    /// How many bytes of a `sudog` are looked at.
    pub(super) fn len(layout: &Layout) -> usize {
        let s = &layout.sudog;
        let fields = [s.g, s.next, s.prev, s.elem, s.waitlink, s.c, s.is_select];
        let last = fields.into_iter().max().unwrap_or(0);
        usize::try_from(last).unwrap_or(0).min(1024) + 8
    }

    pub(super) fn decode(at: TargetAddr, bytes: &[u8], layout: &Layout) -> Self {
        let f = Fields(bytes);
        let s = &layout.sudog;
        Self {
            at,
            g: f.addr(s.g),
            next: f.addr(s.next),
            prev: f.addr(s.prev),
            elem: f.addr(s.elem),
            wait_link: f.addr(s.waitlink),
            channel: f.addr(s.c),
            is_select: f.u8(s.is_select) != 0,
        }
    }
}
