//! The structs and fields that gostuck reads, each a byte offset from the struct's start.

use std::collections::BTreeMap;

use super::super::GoVersion;

/// Struct name → field name → offset; the struct's size is under `size`.
pub type StructOffsets = BTreeMap<String, BTreeMap<String, u64>>;

macro_rules! layouts {
    ($($(#[$doc:meta])* $name:ident = $go:literal { $($field:ident: $go_field:literal,)* } optional { $($option:ident: $go_option:literal,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Eq, Default)]
            #[expect(missing_docs, reason = "each field is the offset of the Go field of that name")]
            pub struct $name {
                pub size: u64,
                $(pub $field: u64,)*
                $(pub $option: Option<u64>,)*
            }

            impl $name {
                fn new(structs: &StructOffsets) -> Result<Self, String> {
                    let fields = structs.get($go).ok_or_else(|| format!("{} is unknown", $go))?;
                    Ok(Self {
                        size: required(fields, $go, "size")?,
                        $($field: required(fields, $go, $go_field)?,)*
                        $($option: fields.get($go_option).copied(),)*
                    })
                }
            }
        )*

        /// Every struct and field that a layout may use: what the generator of the table collects.
        pub(crate) const WANTED: &[(&str, &[&str])] = &[
            $(($go, &[$($go_field,)* $($go_option,)*]),)*
        ];
    };
}

fn required(fields: &BTreeMap<String, u64>, name: &str, field: &str) -> Result<u64, String> {
    fields
        .get(field)
        .copied()
        .ok_or_else(|| format!("{name}.{field} is unknown"))
}

layouts! {
    /// `runtime.g`.
    GLayout = "runtime.g" {
        stack: "stack", defer: "_defer", panic: "_panic", m: "m", sched: "sched", syscallsp: "syscallsp",
        syscallpc: "syscallpc", param: "param", atomicstatus: "atomicstatus", goid: "goid",
        schedlink: "schedlink", waitsince: "waitsince", waitreason: "waitreason", lockedm: "lockedm",
        gopc: "gopc", startpc: "startpc", waiting: "waiting", labels: "labels", timer: "timer",
        select_done: "selectDone", async_safe_point: "asyncSafePoint",
    } optional { parent_goid: "parentGoid", tracking_seq: "trackingSeq", coroarg: "coroarg", x_regs: "xRegs", }
    /// `runtime.gobuf`.
    GobufLayout = "runtime.gobuf" { sp: "sp", pc: "pc", g: "g", ctxt: "ctxt", lr: "lr", bp: "bp", } optional {}
    /// `runtime.m`.
    MLayout = "runtime.m" {
        g0: "g0", gsignal: "gsignal", procid: "procid", tls: "tls", mstartfn: "mstartfn", curg: "curg",
        p: "p", id: "id", incgo: "incgo", spinning: "spinning", blocked: "blocked", alllink: "alllink",
        schedlink: "schedlink", lockedg: "lockedg", locked_ext: "lockedExt",
    } optional { isextra: "isextra", }
    /// `runtime.p`.
    PLayout = "runtime.p" {
        id: "id", status: "status", m: "m", runqhead: "runqhead", runqtail: "runqtail", runq: "runq",
        runnext: "runnext", timers: "timers",
    } optional { x_regs: "xRegs", }
    /// `runtime.schedt`.
    SchedLayout = "runtime.schedt" {
        goidgen: "goidgen", lastpoll: "lastpoll", maxmcount: "maxmcount", midle: "midle",
        nmidle: "nmidle", nmidlelocked: "nmidlelocked", mnext: "mnext", nmfreed: "nmfreed",
        nmsys: "nmsys", ngsys: "ngsys", npidle: "npidle", nmspinning: "nmspinning", runq: "runq",
    } optional {}
    /// `runtime.sudog`. From Go 1.26, `elem` and `c` are pairs of pointer and uintptr; the offsets
    /// here are those of the uintptr, which leak detection leaves alone.
    SudogLayout = "runtime.sudog" {
        g: "g", next: "next", prev: "prev", elem: "elem", is_select: "isSelect", parent: "parent",
        waitlink: "waitlink", waittail: "waittail", c: "c",
    } optional {}
    /// `runtime.hchan`.
    HchanLayout = "runtime.hchan" {
        qcount: "qcount", dataqsiz: "dataqsiz", buf: "buf", elemsize: "elemsize", closed: "closed",
        elemtype: "elemtype", recvq: "recvq", sendq: "sendq",
    } optional { timer: "timer", }
    /// `runtime.semaRoot`.
    SemaRootLayout = "runtime.semaRoot" { treap: "treap", nwait: "nwait", } optional {}
    /// `runtime._defer`.
    DeferLayout = "runtime._defer" { heap: "heap", sp: "sp", pc: "pc", fn_: "fn", link: "link", }
    optional { rangefunc: "rangefunc", open_defer: "openDefer", head: "head", fd: "fd", varp: "varp", framepc: "framepc", }
    /// `runtime._panic`.
    PanicLayout = "runtime._panic" { arg: "arg", link: "link", }
    optional { argp: "argp", defer_bits: "deferBitsPtr", slots: "slotsPtr", sp: "sp", fp: "fp", pc: "pc", }
    /// `runtime.moduledata`.
    ModuleDataLayout = "runtime.moduledata" { next: "next", gofunc: "gofunc", gcdatamask: "gcdatamask", gcbssmask: "gcbssmask", } optional {}
    /// `runtime.mheap`.
    MheapLayout = "runtime.mheap" { arenas: "arenas", }
    optional { all_arenas_until_1_24: "allArenas", heap_arenas: "heapArenas", user_arena_arenas: "userArenaArenas", }
    /// `runtime.heapArena`.
    HeapArenaLayout = "runtime.heapArena" { spans: "spans", } optional {}
    /// `runtime.mspan`.
    MspanLayout = "runtime.mspan" {
        start_addr: "startAddr", npages: "npages", elemsize: "elemsize", nelems: "nelems",
        spanclass: "spanclass", state: "state", specials: "specials", freeindex: "freeindex",
        alloc_bits: "allocBits",
    } optional { large_type: "largeType", }
    /// `runtime.timer`.
    TimerLayout = "runtime.timer" { when: "when", period: "period", f: "f", arg: "arg", seq: "seq", } optional { is_chan: "isChan", }
    /// `runtime.pollDesc`.
    PollDescLayout = "runtime.pollDesc" { fd: "fd", rg: "rg", wg: "wg", } optional {}
}

/// `runtime.timers` (Go 1.23 and later).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimersLayout {
    /// Offset of `heap`, a slice.
    pub heap: u64,
    /// Offset of `len`, an atomic u32.
    pub len: u64,
}

/// `runtime.coro` (Go 1.22 and later).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoroLayout {
    /// Offset of `gp`.
    pub gp: u64,
    /// Offset of `f`.
    pub f: u64,
}

/// All struct layouts of one runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each field is the layout of the struct it is named after"
)]
pub struct Layout {
    pub g: GLayout,
    pub gobuf: GobufLayout,
    pub m: MLayout,
    pub p: PLayout,
    pub sched: SchedLayout,
    pub sudog: SudogLayout,
    pub hchan: HchanLayout,
    pub sema_root: SemaRootLayout,
    pub defer: DeferLayout,
    pub panic: PanicLayout,
    pub moduledata: ModuleDataLayout,
    pub mheap: MheapLayout,
    pub heap_arena: HeapArenaLayout,
    pub mspan: MspanLayout,
    pub timer: TimerLayout,
    pub timers: Option<TimersLayout>,
    pub coro: Option<CoroLayout>,
    pub poll_desc: PollDescLayout,
}

impl Layout {
    /// Picks the fields out of `structs`; `Err` names the first required one that is missing.
    pub(super) fn new(structs: &StructOffsets, version: &GoVersion) -> Result<Self, String> {
        let mut sudog = SudogLayout::new(structs)?;
        if version.at_least(26) {
            // `maybeTraceablePtr` and `maybeTraceableChan` (`runtime/runtime2.go`): vp, then vu.
            sudog.elem += 8;
            sudog.c += 8;
        }
        let pair = |name: &str, a: &str, b: &str| {
            let fields = structs.get(name)?;
            Some((*fields.get(a)?, *fields.get(b)?))
        };
        Ok(Self {
            g: GLayout::new(structs)?,
            gobuf: GobufLayout::new(structs)?,
            m: MLayout::new(structs)?,
            p: PLayout::new(structs)?,
            sched: SchedLayout::new(structs)?,
            sudog,
            hchan: HchanLayout::new(structs)?,
            sema_root: SemaRootLayout::new(structs)?,
            defer: DeferLayout::new(structs)?,
            panic: PanicLayout::new(structs)?,
            moduledata: ModuleDataLayout::new(structs)?,
            mheap: MheapLayout::new(structs)?,
            heap_arena: HeapArenaLayout::new(structs)?,
            mspan: MspanLayout::new(structs)?,
            timer: TimerLayout::new(structs)?,
            timers: pair("runtime.timers", "heap", "len")
                .map(|(heap, len)| TimersLayout { heap, len }),
            coro: pair("runtime.coro", "gp", "f").map(|(gp, f)| CoroLayout { gp, f }),
            poll_desc: PollDescLayout::new(structs)?,
        })
    }
}

/// Structs that a layout may use beside [`WANTED`].
pub(crate) const ALSO_WANTED: &[(&str, &[&str])] = &[
    ("runtime.timers", &["heap", "len"]),
    ("runtime.coro", &["gp", "f"]),
];
