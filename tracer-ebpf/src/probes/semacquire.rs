//! `func semacquire1(addr *uint32, lifo bool, …)` (`runtime/sema.go`): the current goroutine takes a
//! semaphore and perhaps parks on it. `gopark` is then given the address of the semaphore table's
//! lock, which says nothing; so the semaphore's own address is kept for the park that may follow.

use aya_ebpf::{macros::uprobe, programs::ProbeContext};
use tracer_common::{Park, flags, park_key};

use crate::{maps::PARKS, probes::park::insert, registers::Registers, target::Hit};

#[uprobe]
pub fn go_semacquire(context: ProbeContext) -> u32 {
    if let Some(hit) = Hit::current() {
        semacquire(hit, Registers::of(&context));
    }
    0
}

#[inline(always)]
fn semacquire(mut hit: Hit, registers: Registers<'_>) {
    hit.counters.semacquire_hits += 1;
    if hit.target.flags & flags::SEMACQUIRE_AT_JUMP != 0 && registers.stack_check_fails() {
        return;
    }
    let key = park_key(hit.target.slot, registers.g());
    if let Some(entry) = PARKS.get_ptr_mut(key) {
        // SAFETY: a map value; only the thread that runs this goroutine writes the entry now.
        let entry = unsafe { &mut *entry };
        entry.semaphore = registers.first();
        // It runs, whatever the table believed.
        entry.since_ns = 0;
    } else {
        let park = Park {
            semaphore: registers.first(),
            ..Park::default()
        };
        insert(&mut hit, key, &park);
    }
}
