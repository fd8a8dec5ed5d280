//! The state words of the objects that goroutines wait on.

use super::{ChannelElement, MutexState, ObjectId, ObjectKind, ObjectState, fields::Fields};
use image::Layout;

/// `rwmutexMaxReaders` (`sync/rwmutex.go`): what a pending writer subtracts from `readerCount`.
const RWMUTEX_MAX_READERS: i32 = 1 << 30;
/// Mask of `WaitGroup.state`'s waiter count from Go 1.25 on, whose top bit marks a synctest bubble;
/// no older program has as many waiters.
const WAITGROUP_WAITERS: u32 = 0x7fff_ffff;

/// How many bytes of an object are looked at.
pub(super) fn len(kind: ObjectKind, layout: &Layout) -> usize {
    match kind {
        ObjectKind::Channel => {
            let c = &layout.hchan;
            let last = [
                c.qcount,
                c.dataqsiz,
                c.elemsize,
                c.closed,
                c.recvq,
                c.sendq,
                c.timer.unwrap_or(0),
            ];
            usize::try_from(last.into_iter().max().unwrap_or(0))
                .unwrap_or(0)
                .min(1024)
                + 16
        }
        ObjectKind::Mutex => 8,
        ObjectKind::RwMutex => 24,
        ObjectKind::WaitGroup => 16,
        ObjectKind::Cond => 48,
        ObjectKind::Semaphore => 4,
    }
}

/// The state of the object whose bytes are `bytes`. The layouts of package sync's types are the
/// same from Go 1.18 to 1.27 (`sync/{mutex,rwmutex,waitgroup,cond}.go`, `internal/sync/mutex.go`).
pub(super) fn decode(id: ObjectId, bytes: &[u8], layout: &Layout) -> ObjectState {
    let f = Fields(bytes);
    match id.kind {
        ObjectKind::Channel => ObjectState::Channel {
            len: f.u64(layout.hchan.qcount),
            cap: f.u64(layout.hchan.dataqsiz),
            closed: f.u32(layout.hchan.closed) != 0,
            timer: layout.hchan.timer.is_some_and(|timer| f.u64(timer) != 0),
            stopped: false,
            element: ChannelElement {
                size: (f.u32(layout.hchan.elemsize) & 0xffff) as u16,
                type_name: None,
            },
        },
        ObjectKind::Mutex => ObjectState::Mutex(f.u32(0).into()),
        ObjectKind::RwMutex => rwmutex(f),
        ObjectKind::WaitGroup => {
            let state = f.u64(0);
            ObjectState::WaitGroup {
                counter: ((state >> 32) as u32).cast_signed(),
                waiters: (state & u64::from(WAITGROUP_WAITERS)) as u32,
            }
        }
        ObjectKind::Cond => ObjectState::Cond {
            waiters: f.u32(16).wrapping_sub(f.u32(20)),
            locker: f.addr(8),
        },
        ObjectKind::Semaphore => ObjectState::Semaphore(f.u32(0)),
    }
}

fn rwmutex(f: Fields<'_>) -> ObjectState {
    let count = f.i32(16);
    let writer_pending = count < 0;
    ObjectState::RwMutex {
        writer: MutexState::from(f.u32(0)),
        readers: if writer_pending {
            count.wrapping_add(RWMUTEX_MAX_READERS)
        } else {
            count
        },
        writer_pending,
        reader_wait: f.i32(20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn a_pending_writer_shows_in_the_reader_count() {
        let bytes = words(&[1, 0, 0, 0, (2 - RWMUTEX_MAX_READERS).cast_unsigned(), 1]);
        let state = rwmutex(Fields(&bytes));
        let expected = ObjectState::RwMutex {
            writer: MutexState {
                locked: true,
                woken: false,
                starving: false,
                waiters: 0,
            },
            readers: 2,
            writer_pending: true,
            reader_wait: 1,
        };
        assert_eq!(state, expected);
    }

    #[test]
    fn readers_without_a_writer_are_counted_as_they_are() {
        let bytes = words(&[0, 0, 0, 0, 3, 0]);
        assert!(matches!(
            rwmutex(Fields(&bytes)),
            ObjectState::RwMutex {
                readers: 3,
                writer_pending: false,
                ..
            }
        ));
    }

    #[test]
    fn a_mutex_state_word_is_taken_apart() {
        let state = MutexState::from(0b10_101);
        assert!(state.locked && state.starving && !state.woken);
        assert_eq!(state.waiters, 2);
    }
}
