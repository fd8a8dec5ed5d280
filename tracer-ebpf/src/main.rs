//! gostuck's BPF programs: one uprobe each for `runtime.gopark`, `runtime.ready`,
//! `runtime.semacquire1` and `runtime.newm`, and two raw tracepoints for processes.
//!
//! `runtime.goready` gets none: where it exists it calls `runtime.ready`, and a second trap would
//! tell nothing that `m.curg` does not.
#![no_std]
#![no_main]

mod host;
mod maps;
mod probes;
mod registers;
mod send;
mod target;

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
