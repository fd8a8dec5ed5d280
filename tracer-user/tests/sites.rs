//! Where probes go in real images: held against a disassembly of the probed functions, and as
//! `gostuck doctor --image` prints it.

#![allow(
    clippy::unwrap_used,
    reason = "a failed step of a test is a failed test"
)]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, OpAccess,
    Register,
};
use libtest_mimic::Arguments;
use testing::{
    go::{self, Flavour, Toolchain},
    trials::{Need, trial},
};
use tracer_user::{
    ids::ImageAddr,
    image::{Function, Image, ProbeSite, SiteKind},
};

/// What Go's ABI passes integer arguments in, and `g` (`cmd/compile/abi-internal.md`).
const NEEDED: [Register; 10] = [
    Register::RAX,
    Register::RBX,
    Register::RCX,
    Register::RDI,
    Register::RSI,
    Register::R8,
    Register::R9,
    Register::R10,
    Register::R11,
    Register::R14,
];

fn main() {
    let of = |toolchain: Toolchain, name: &str, test: fn(Toolchain)| {
        let version = toolchain.version;
        let title = format!("{name}, Go {version}");
        trial(&title, &[Need::Go(version)], move || test(toolchain))
    };
    let mut trials = Vec::new();
    for toolchain in go::toolchains() {
        trials.push(of(
            toolchain,
            "every call passes the site with its arguments",
            every_call_passes_the_site_with_its_arguments,
        ));
    }
    for toolchain in go::ends() {
        trials.push(of(
            toolchain,
            "doctor prints the sites that are probed",
            doctor_prints_the_sites_that_are_probed,
        ));
    }
    trials.push(trial(
        "doctor refuses what is no Go program",
        &[],
        doctor_refuses_what_is_no_go_program,
    ));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn build(toolchain: Toolchain, flavour: Flavour) -> PathBuf {
    go::program(toolchain, "abba", flavour).unwrap_or_else(|error| panic!("{error}"))
}

fn open(path: &Path) -> Image {
    Image::open(path).unwrap_or_else(|error| panic!("{error}"))
}

/// The probed functions, as `gostuck doctor` lists them, each with its site.
fn sites(image: &Image) -> [(&'static str, ProbeSite); 4] {
    let sites = image.probe_sites();
    [
        ("runtime.gopark", sites.park.unwrap()),
        ("runtime.ready", sites.ready.unwrap()),
        ("runtime.semacquire1", sites.semacquire.unwrap()),
        ("runtime.newm", sites.newm.unwrap()),
    ]
}

/// All instructions of `function`.
fn disassembled(image: &Image, function: &Function) -> Vec<Instruction> {
    let code = image.code(function).unwrap();
    let entry = function.entry.0;
    let decoder = Decoder::with_ip(64, &code, entry, DecoderOptions::NONE);
    decoder.into_iter().collect()
}

fn is_near_branch(instruction: &Instruction) -> bool {
    matches!(
        instruction.flow_control(),
        FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch
    )
}

/// The registers of `NEEDED` that `instruction` may change, in whole or in part.
fn changed(instruction: &Instruction) -> Vec<Register> {
    let mut factory = InstructionInfoFactory::new();
    let used = factory.info(instruction).used_registers().to_vec();
    used.iter()
        .filter(|used| !matches!(used.access(), OpAccess::Read | OpAccess::CondRead))
        .map(|used| used.register().full_register())
        .filter(|register| NEEDED.contains(register))
        .collect()
}

/// Whether the failed stack check that jumps to `target` calls `runtime.morestack` and starts the
/// function again.
fn grows_the_stack(image: &Image, function: &Function, code: &[Instruction], target: u64) -> bool {
    let failed = code.iter().skip_while(|i| i.ip() != target);
    let mut failed = failed.skip_while(|i| i.flow_control() == FlowControl::Next);
    let callee = failed
        .next()
        .filter(|i| i.flow_control() == FlowControl::Call)
        .and_then(|call| image.function_at(ImageAddr(call.near_branch_target())));
    let again = failed.find(|i| i.flow_control() != FlowControl::Next);
    callee.is_some_and(|callee| callee.name.starts_with("runtime.morestack"))
        && again.is_some_and(|jump| jump.near_branch_target() == function.entry.0)
}

/// Holds the site of one function against its code; `what` names both.
fn check(image: &Image, name: &str, site: ProbeSite, what: &str) {
    let [function] = &image.functions_named(name)[..] else {
        panic!("{what}: not one function")
    };
    let entry = image.file_offset(function.entry).unwrap();
    let site_at = function.entry.0 + (site.offset.0 - entry.0);
    let code = disassembled(image, function);
    let at = code.iter().position(|i| i.ip() == site_at);
    let at = at.unwrap_or_else(|| panic!("{what}: {site_at:#x} is inside an instruction"));
    let (before, probed) = (&code[..at], &code[at]);
    for instruction in before {
        let changed = changed(instruction);
        assert!(
            changed.is_empty(),
            "{what}: {instruction} changes {changed:?}"
        );
    }
    for jump in code.iter().filter(|i| is_near_branch(i)) {
        let lands = jump.near_branch_target();
        let between = function.entry.0 < lands && lands <= site_at;
        assert!(!between, "{what}: {jump} lands before the site");
    }
    let stack_check = match site.kind {
        SiteKind::Push | SiteKind::Nop | SiteKind::Branch => {
            let found = match probed.flow_control() {
                FlowControl::Next if probed.code() == Code::Push_r64 => SiteKind::Push,
                FlowControl::Next if probed.code() == Code::Nopd => SiteKind::Nop,
                FlowControl::ConditionalBranch
                | FlowControl::UnconditionalBranch
                | FlowControl::Call => SiteKind::Branch,
                _ => panic!("{what}: {probed}"),
            };
            assert_eq!(site.kind, found, "{what}: {probed}");
            let mut jumps = before
                .iter()
                .filter(|i| i.flow_control() != FlowControl::Next);
            let first = jumps.next().unwrap_or_else(|| panic!("{what}: no check"));
            assert!(jumps.next().is_none(), "{what}: more than a check");
            first
        }
        SiteKind::Jump => {
            let straight = before.iter().all(|i| i.flow_control() == FlowControl::Next);
            assert!(straight, "{what}: more than a check");
            probed
        }
        SiteKind::Entry => panic!("{what}: the entry"),
    };
    let is_jbe = matches!(stack_check.code(), Code::Jbe_rel8_64 | Code::Jbe_rel32_64);
    assert!(is_jbe, "{what}: {stack_check}");
    let grows = grows_the_stack(image, function, &code, stack_check.near_branch_target());
    assert!(grows, "{what}: {stack_check} does not grow the stack");
}

fn every_call_passes_the_site_with_its_arguments(toolchain: Toolchain) {
    for flavour in [Flavour::Stripped, Flavour::Pie] {
        let image = open(&build(toolchain, flavour));
        for (name, site) in sites(&image) {
            let what = format!("Go {} {flavour}, {name}", toolchain.version);
            // Go 1.21 was the first to save the frame pointer by a push (`obj6.go`).
            let has_push = toolchain.minor >= 21;
            assert_eq!(site.kind == SiteKind::Push, has_push, "{what}");
            check(&image, name, site, &what);
        }
    }
}

fn doctor(arguments: &[&str], image: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gostuck"));
    command.arg("doctor").args(arguments).arg("--image");
    command.arg(image).output().unwrap()
}

fn spelled(kind: SiteKind) -> &'static str {
    match kind {
        SiteKind::Push => "push",
        SiteKind::Nop => "nop",
        SiteKind::Branch => "jump or call",
        SiteKind::Jump => "jbe",
        SiteKind::Entry => "the first",
    }
}

fn doctor_prints_the_sites_that_are_probed(toolchain: Toolchain) {
    let path = build(toolchain, Flavour::Stripped);
    let expected = sites(&open(&path)).map(|(name, site)| {
        let offset = site.offset.to_string();
        [name.to_owned(), offset, spelled(site.kind).to_owned()]
    });

    let said = doctor(&[], &path);
    let text = String::from_utf8(said.stdout).unwrap();
    assert!(said.status.success(), "{text}");
    let lines = text.lines().filter(|line| line.starts_with("runtime."));
    let printed: Vec<Vec<String>> = lines
        .map(|line| {
            let columns = line.split("  ").map(str::trim);
            let filled = columns.filter(|column| !column.is_empty());
            filled.map(str::to_owned).collect()
        })
        .collect();
    assert_eq!(printed, expected, "{text}");
    assert!(text.starts_with(&format!("{}: go{}", path.display(), toolchain.version)));

    let said = doctor(&["--format", "json"], &path);
    let choices: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    for (at, [function, offset, instruction]) in expected.iter().enumerate() {
        let choice = &choices[at];
        assert_eq!(choice["function"], **function, "{choices:#}");
        assert_eq!(choice["offset"], **offset, "{choices:#}");
        assert_eq!(choice["instruction"], **instruction, "{choices:#}");
    }
}

fn doctor_refuses_what_is_no_go_program() {
    for file in ["/bin/sh", env!("CARGO_MANIFEST_PATH"), "/nonexistent"] {
        let said = doctor(&[], Path::new(file));
        let error = String::from_utf8(said.stderr).unwrap();
        assert_eq!(said.status.code(), Some(1), "{error}");
        assert!(said.stdout.is_empty(), "{file}");
        let lines: Vec<&str> = error.lines().collect();
        let [line, next] = lines[..] else {
            panic!("{file}: {error}")
        };
        assert!(
            line.starts_with("gostuck: ") && line.contains(file),
            "{error}"
        );
        assert!(next.starts_with("  next: "), "{error}");
    }
}
