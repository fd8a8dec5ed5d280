//! The code of arm64, which nothing here can run: after each call of a program's functions at which
//! a goroutine can wait, the same must be released as after the same line of the amd64 build. The
//! frame is invented, its contents are not known. Needs a Go toolchain.

mod calls;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use libtest_mimic::Arguments;
use testing::{
    go::{self, Flavour, NEWEST, Toolchain},
    trials::{Need, trial},
};
use tracer_user::{
    holders::{Analyzer, Certainty, ReleaseKind},
    ids::{Goid, ImageAddr, LoadBias, Pid, TargetAddr},
    image::{Arch, Function, Image},
    memory::{Memory, ReadError},
    snapshot::{Goroutine, InnermostPc, Motion, Stack, StackFrame, Status, Target, WaitSince},
};

/// The programs, below `programs/`.
const PROGRAMS: [&str; 5] = [
    "cycles/mixed",
    "cycles/once",
    "cycles/places",
    "cycles/readers",
    "cycles/releases",
];
/// An invented stack.
const STACK: (TargetAddr, TargetAddr) = (TargetAddr(0xc0_0010_0000), TargetAddr(0xc0_0010_8000));
/// The invented frame's stack pointer.
const SP: TargetAddr = TargetAddr(0xc0_0010_4000);

/// A line of a function, and what is called there.
type Place = (String, u32, String);
/// How something is released, what, and on which line of which function.
type Release = (ReleaseKind, String, String, u32);
/// What is released after each place, and how surely.
type Found = BTreeMap<Place, BTreeMap<Release, Certainty>>;

fn main() {
    let all = std::env::var_os("GOSTUCK_HOLDERS_ALL").is_some();
    // The newest: the others are tried on request.
    let toolchains = go::toolchains().filter(|of| all || of.version == NEWEST);
    let trials = toolchains.map(|toolchain| {
        let name = format!("the same is released as on amd64, Go {}", toolchain.version);
        trial(&name, &[Need::Go(toolchain.version)], move || {
            the_same_is_released_as_on_amd64(toolchain);
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit();
}

fn the_same_is_released_as_on_amd64(toolchain: Toolchain) {
    let version = toolchain.version;
    let (mut releasing, mut less_sure) = (0, Vec::new());
    for program in PROGRAMS {
        let [amd64, arm64] = [Flavour::Plain, Flavour::Arm64].map(|flavour| {
            let file = go::program(toolchain, program, flavour).expect("a program");
            releases(&file)
        });
        for (place, expected) in &amd64 {
            let found = arm64.get(place);
            let same = found.is_some_and(|found| found.keys().eq(expected.keys()));
            let told = format!("{program}, Go {version}: {place:?}: {expected:?}, {found:?}");
            assert!(same, "{told}");
            if found != Some(expected) {
                less_sure.push(told);
            }
        }
        releasing += amd64.values().filter(|found| !found.is_empty()).count();
    }
    println!("Go {version}: {releasing} places before a release");
    assert!(releasing > 50, "Go {version}: only {releasing} places");
    // Where a loop is entered can differ, and with it which rounds are told apart.
    assert!(
        less_sure.len() * 50 <= releasing,
        "{}",
        less_sure.join("\n")
    );
}

/// What is released after each place of the program's own functions.
fn releases(program: &Path) -> Found {
    let image = Arc::new(Image::open(program).expect("an image"));
    let analyzer = Analyzer::new(Arc::clone(&image));
    let names = calls::Names::of(program);
    let target = Target {
        pid: Pid(1),
        image: Arc::clone(&image),
        bias: LoadBias(0),
        memory: Arc::new(FromFile(Arc::clone(&image))),
        motion: Motion::Stopped {
            threads: Arc::new([]),
            at_ns: None,
        },
        max_goroutines: u64::MAX,
    };
    let mut found = Found::new();
    for (function, call) in calls::of_program(&image) {
        let Some((of, line)) = own_line(&image, call.returns_to) else {
            continue;
        };
        let goroutine = waiting_at(&image, &function, call.returns_to);
        let pending = analyzer.pending(&target, [&goroutine]);
        let releases = pending.into_values().flatten().map(|release| {
            let object = match release.object {
                TargetAddr(0) => "unknown".to_owned(),
                at if (STACK.0..STACK.1).contains(&at) => "in the frame".to_owned(),
                at => names.of_data(at),
            };
            // The address of the instruction itself: the one after it may be of the next line.
            let site = ImageAddr(release.evidence.site.0 + 1);
            let (function, line) = own_line(&image, site).unwrap_or_default();
            let certainty = release.certainty;
            ((release.kind, object, function, line), certainty)
        });
        let place = (of, line, call.callee);
        found.entry(place).or_default().extend(releases);
    }
    found
}

/// The line of the innermost function of the program itself, inlined or not.
fn own_line(image: &Image, returns_to: ImageAddr) -> Option<(String, u32)> {
    let frames = image.symbolize(returns_to, true);
    let own = frames.iter().find(|f| f.function.starts_with("main."))?;
    Some((own.function.to_string(), own.line))
}

/// A goroutine whose only frame waits in a call that returns to `pc`.
fn waiting_at(image: &Image, function: &Function, pc: ImageAddr) -> Goroutine {
    let delta = image.sp_delta(function, pc).unwrap_or(0);
    // amd64 pushes the return address on top.
    let pushed = match image.arch() {
        Arch::Amd64 => 8,
        Arch::Arm64 => 0,
    };
    Goroutine {
        goid: Goid(1),
        g: TargetAddr(0xc0_0000_0000),
        status: Status::Waiting,
        wait_reason: None,
        since: WaitSince::Unknown,
        waits_on: Vec::new(),
        parent: None,
        created_at: None,
        start: function.entry,
        system: false,
        thread: None,
        locked_to_thread: false,
        parks: None,
        stack_bounds: STACK,
        sp: SP,
        stack: Arc::new(Stack {
            frames: vec![StackFrame {
                pc,
                sp_offset: 0,
                fp_offset: delta + pushed,
            }],
            truncated: false,
            innermost: InnermostPc::ReturnAddress,
        }),
        sampled: None,
    }
}

/// What the file has of the image. The heap, zeroed data and stacks are not mapped.
struct FromFile(Arc<Image>);

impl Memory for FromFile {
    fn read(&self, at: TargetAddr, into: &mut [u8]) -> Result<(), ReadError> {
        let len = into.len();
        let bytes = self.0.bytes(ImageAddr(at.0), len);
        let bytes = bytes.ok_or(ReadError::Unmapped { at, len })?;
        into.copy_from_slice(&bytes);
        Ok(())
    }
}
