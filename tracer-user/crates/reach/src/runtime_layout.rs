//! Everything the walk must know of one target before it begins: offsets and addresses.

use super::{
    allm::AllMs,
    error::ReachError,
    goroutine::{AllGoroutines, GoroutineLayout},
    heap::{HeapArenas, HeapLayout, SpanLayout},
    mark::Range,
    roots::{CleanupQueue, FinalizerQueue, ModuleLayout, SpecialLayout, VectorRegisters},
    sudogs::SudogChain,
};
use ids::{ImageAddr, LoadBias, TargetAddr};
use image::{Arch, Globals, Image, Layout, SEMTABLE_ENTRIES, semtable_stride};
use snapshot::{TimerHeap, TimerLayout};

/// Offsets and addresses, resolved for one process.
#[derive(Debug, Clone)]
pub struct RuntimeLayout {
    /// The heap's own structs.
    pub heap: HeapLayout,
    /// `runtime.mheap_.arenas`.
    pub arenas: HeapArenas,
    /// `runtime.g`.
    pub goroutine: GoroutineLayout,
    /// How a goroutine waits on channels.
    pub sudogs: SudogChain,
    /// `runtime.allgs`.
    pub all_goroutines: AllGoroutines,
    /// `runtime.allm`.
    pub all_ms: Option<AllMs>,
    /// `runtime.moduledata`.
    pub module: ModuleLayout,
    /// `runtime.firstmoduledata`.
    pub first_module: TargetAddr,
    /// Globals that only the runtime owns and that know every waiter: `runtime.semtable`.
    pub not_roots: Vec<Range>,
    /// Specials.
    pub specials: SpecialLayout,
    /// `runtime.allp` and the timers of a P.
    pub timers: (TimerHeap, TimerLayout),
    /// `runtime.allfin`.
    pub finalizers: FinalizerQueue,
    /// `runtime.gcCleanups` (Go 1.25 and later).
    pub cleanups: Option<CleanupQueue>,
    /// Vector registers kept off the stack (Go 1.26 and later).
    pub vectors: Option<VectorRegisters>,
}

/// `moduledata.data`, `edata`, `bss`, `ebss`: words 26 to 29 (`runtime/symtab.go`, 1.19 to 1.27).
const DATA: (u64, u64) = (26 * 8, 27 * 8);
const BSS: (u64, u64) = (28 * 8, 29 * 8);

impl RuntimeLayout {
    /// Resolves everything for the process that loaded `image` with `bias`.
    ///
    /// # Errors
    /// [`ReachError::Unknown`] when something that the walk must not do without is not known.
    pub fn of(image: &Image, bias: LoadBias) -> Result<Self, ReachError> {
        let (layout, globals) = (image.layout(), image.globals());
        let minor = image.go_version().minor;
        let known = |at: Option<ImageAddr>, what| {
            at.map(|at| at.in_target(bias))
                .ok_or(ReachError::Unknown { what })
        };
        let amd64 = image.arch() == Arch::Amd64;
        let cleanups = if image.go_version().at_least(25) {
            Some(known(globals.gc_cleanups, "runtime.gcCleanups")?)
        } else {
            None
        };
        Ok(Self {
            heap: heap(layout)?,
            arenas: HeapArenas::new(known(globals.mheap, "runtime.mheap_")?, amd64),
            goroutine: goroutine(layout),
            sudogs: SudogChain::of(layout),
            all_goroutines: AllGoroutines {
                slice: known(globals.allgs, "runtime.allgs")?,
            },
            all_ms: AllMs::of(image, bias),
            module: ModuleLayout {
                data: DATA,
                bss: BSS,
                data_mask: layout.moduledata.gcdatamask,
                bss_mask: layout.moduledata.gcbssmask,
                next: layout.moduledata.next,
            },
            vectors: vectors(image)?,
            first_module: image.module().addr.in_target(bias),
            not_roots: semaphores(image, globals, bias),
            specials: SpecialLayout::of_go1(minor),
            timers: (
                TimerHeap {
                    all_ps: known(globals.allp, "runtime.allp")?,
                },
                TimerLayout::of(layout),
            ),
            finalizers: FinalizerQueue {
                head: known(globals.allfin, "runtime.allfin")?,
            },
            cleanups: cleanups.map(|at| CleanupQueue {
                // `cleanupQueue.all` begins the third cache line (runtime/mcleanup.go).
                head: at.offset(2 * if amd64 { 64 } else { 128 }),
            }),
        })
    }
}

fn heap(layout: &Layout) -> Result<HeapLayout, ReachError> {
    let (mheap, span) = (&layout.mheap, &layout.mspan);
    let list = mheap.heap_arenas.or(mheap.all_arenas_until_1_24);
    Ok(HeapLayout {
        arenas: mheap.arenas,
        arena_list: list.ok_or(ReachError::Unknown {
            what: "runtime.mheap.heapArenas",
        })?,
        user_arena_list: mheap.user_arena_arenas,
        spans: layout.heap_arena.spans,
        span: SpanLayout {
            size: span.size,
            start: span.start_addr,
            pages: span.npages,
            element_size: span.elemsize,
            class: span.spanclass,
            state: span.state,
            specials: span.specials,
        },
    })
}

fn goroutine(layout: &Layout) -> GoroutineLayout {
    let g = &layout.g;
    GoroutineLayout {
        size: g.size,
        stack: g.stack,
        sched_sp: g.sched + layout.gobuf.sp,
        sched_pc: g.sched + layout.gobuf.pc,
        syscall_sp: g.syscallsp,
        status: g.atomicstatus,
        goid: g.goid,
        wait_reason: g.waitreason,
        tracking_seq: g.tracking_seq,
        defers: g.defer,
        defer_size: layout.defer.size,
        defer_link: layout.defer.link,
    }
}

fn vectors(image: &Image) -> Result<Option<VectorRegisters>, ReachError> {
    let layout = image.layout();
    match (layout.g.x_regs, layout.p.x_regs) {
        (Some(of_g), Some(of_p)) => Ok(Some(VectorRegisters {
            of_g,
            of_p,
            bytes: VectorRegisters::bytes(image.arch()),
        })),
        _ if image.go_version().at_least(26) => Err(ReachError::Unknown {
            what: "runtime.g.xRegs",
        }),
        _ => Ok(None),
    }
}

/// Without the table, every semaphore that is waited for would look reachable.
fn semaphores(image: &Image, globals: &Globals, bias: LoadBias) -> Vec<Range> {
    let len = SEMTABLE_ENTRIES * semtable_stride(image.arch(), image.go_version());
    let table = globals.semtable.map(|at| Range {
        at: at.in_target(bias),
        len,
    });
    table.into_iter().collect()
}
