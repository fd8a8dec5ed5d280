//! What `image` reads out of real binaries, held against independent sources: the symbol table, the
//! debug information, and the same program built differently.

#![allow(
    clippy::unwrap_used,
    reason = "a panic is how these tests fail, which are no `#[test]` functions"
)]

use std::{path::Path, process::Command};

use libtest_mimic::Arguments;
use object::{Object as _, ObjectSymbol as _};
use testing::{
    go::{self, Flavour, NEWEST, Toolchain},
    trials::{Need, trial},
};
use tracer_user::{
    ids::ImageAddr,
    image::{Arch, Image, ImageError, LayoutSource, WaitReason},
};

/// A name, and what is checked with one toolchain.
type Check = (&'static str, fn(Toolchain));

/// What holds for the programs of each Go version.
const OF_EACH: [Check; 6] = [
    (
        "a stripped image says the same as one with symbols",
        a_stripped_image_says_the_same_as_one_with_symbols,
    ),
    (
        "every function has a name a range and lines",
        every_function_has_a_name_a_range_and_lines,
    ),
    (
        "inlined calls are expanded with their own lines",
        inlined_calls_are_expanded_with_their_own_lines,
    ),
    (
        "wait reasons follow the numbering of each version",
        wait_reasons_follow_the_numbering_of_each_version,
    ),
    (
        "build information names version and settings",
        build_information_names_version_and_settings,
    ),
    (
        "the runtime tells the version where no build information does",
        the_runtime_tells_the_version_where_no_build_information_does,
    ),
];

fn main() {
    let mut trials = Vec::new();
    for toolchain in go::toolchains() {
        let version = toolchain.version;
        let needs = [Need::Go(version), Need::Program("strip")];
        for (name, test) in OF_EACH {
            let title = format!("{name}, Go {version}");
            trials.push(trial(&title, &needs, move || test(toolchain)));
        }
    }
    trials.extend([
        trial(
            "all that refers to a variable is found",
            &[Need::Go(NEWEST), Need::Program("strip")],
            all_that_refers_to_a_variable_is_found,
        ),
        trial(
            "what is no Go program is refused with its name",
            &[],
            what_is_no_go_program_is_refused_with_its_name,
        ),
        trial(
            "broken binaries are errors",
            &[Need::Go(NEWEST)],
            broken_binaries_are_errors,
        ),
    ]);
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn build(toolchain: Toolchain, flavour: Flavour) -> std::path::PathBuf {
    go::program(toolchain, "abba", flavour).unwrap_or_else(|error| panic!("{error}"))
}

fn open(path: &Path) -> Image {
    Image::open(path).unwrap_or_else(|error| panic!("{error}"))
}

/// The same file without its symbols and debug information: every address stays.
fn strip(path: &Path) -> std::path::PathBuf {
    let stripped = path.with_extension("without-symbols");
    let status = Command::new("strip")
        .arg("-o")
        .arg(&stripped)
        .arg(path)
        .status();
    assert!(
        status.is_ok_and(|s| s.success()),
        "strip {}",
        path.display()
    );
    stripped
}

fn a_stripped_image_says_the_same_as_one_with_symbols(toolchain: Toolchain) {
    let path = build(toolchain, Flavour::Plain);
    let (whole, stripped) = (open(&path), open(&strip(&path)));
    assert_eq!((whole.is_stripped(), stripped.is_stripped()), (false, true));
    assert_eq!(
        whole.layout_source(),
        &LayoutSource::Dwarf,
        "{}",
        toolchain.version
    );
    assert_eq!(
        stripped.layout_source(),
        &LayoutSource::Table,
        "{}",
        toolchain.version
    );
    assert_eq!(whole.layout(), stripped.layout(), "{}", toolchain.version);
    assert_eq!(whole.globals(), stripped.globals(), "{}", toolchain.version);
}

fn every_function_has_a_name_a_range_and_lines(toolchain: Toolchain) {
    for flavour in [Flavour::Stripped, Flavour::Pie] {
        let image = open(&build(toolchain, flavour));
        assert_eq!(image.is_pie(), flavour == Flavour::Pie);
        let [lock_both] = &image.functions_named("main.lockBoth")[..] else {
            panic!("{}: main.lockBoth", toolchain.version)
        };
        assert_eq!(image.function_at(lock_both.entry).as_ref(), Some(lock_both));
        let frames = image.symbolize(lock_both.entry, false);
        assert!(frames[0].file.ends_with("abba/main.go"), "{frames:?}");
        assert_eq!(frames[0].line, 15, "{frames:?}");
        assert!(image.code(lock_both).is_some_and(|code| code.len() > 32));
    }
}

fn inlined_calls_are_expanded_with_their_own_lines(toolchain: Toolchain) {
    let image = open(&build(toolchain, Flavour::Stripped));
    let [lock_both] = &image.functions_named("main.lockBoth")[..] else {
        panic!("main.lockBoth")
    };
    let inlined_lock = (lock_both.entry.0..lock_both.end.0)
        .map(|pc| image.symbolize(ImageAddr(pc), false))
        .find(|frames| frames.len() > 1 && frames[0].function.ends_with("(*Mutex).Lock"))
        .unwrap_or_else(|| panic!("{}: no inlined Lock", toolchain.version));
    let outermost = inlined_lock
        .last()
        .map(|frame| (&*frame.function, frame.inlined));
    assert_eq!(outermost, Some(("main.lockBoth", false)));
    assert!(
        inlined_lock[0].file.ends_with("mutex.go"),
        "{inlined_lock:?}"
    );
}

fn all_that_refers_to_a_variable_is_found() {
    let path = go::newest("sentinel-rewritten", Flavour::Plain);
    let path = path.unwrap_or_else(|error| panic!("{error}"));
    let image = open(&path);
    assert_eq!(image.arch(), Arch::Amd64);
    let file = std::fs::read(&path).unwrap();
    let elf = object::File::parse(&*file).unwrap();
    let references = |name: &str| {
        let symbol = elf.symbols().find(|symbol| symbol.name() == Ok(name));
        let symbol = symbol.unwrap_or_else(|| panic!("no {name}"));
        let start = ImageAddr(symbol.address());
        let variable = start..start.offset(symbol.size());
        assert_eq!(image.variable_at(start), Some(variable.clone()), "{name}");
        let references = image.references(&variable);
        references.unwrap_or_else(|| panic!("{name}"))
    };
    // Read once, and by its address in the data.
    let pointed = references("main.errPointed");
    assert!(pointed.in_data && !pointed.in_code.is_empty());
    // Read and written, or its address taken.
    for name in ["main.errReflected", "main.errAssigned", "main.errHeld"] {
        let found = references(name);
        assert!(
            !found.in_data && found.in_code.len() >= 2,
            "{name}: {found:?}"
        );
    }
    assert_eq!(open(&strip(&path)).variable_at(ImageAddr(0x50_0000)), None);
}

fn wait_reasons_follow_the_numbering_of_each_version(toolchain: Toolchain) {
    let image = open(&build(toolchain, Flavour::Stripped));
    let number = |reason| {
        image
            .wait_reasons()
            .find(|(_, r)| *r == reason)
            .map(|(n, _)| n)
    };
    // runtime/runtime2.go: Go 1.25 and 1.26 renumbered.
    let (sleep, select) = match toolchain.minor {
        ..=24 => (19, 9),
        25 => (20, 9),
        _ => (14, 18),
    };
    assert_eq!(
        number(WaitReason::Sleep),
        Some(sleep),
        "{}",
        toolchain.version
    );
    assert_eq!(
        number(WaitReason::Select),
        Some(select),
        "{}",
        toolchain.version
    );
    assert_eq!(image.wait_reason(255), WaitReason::Unknown);
}

fn build_information_names_version_and_settings(toolchain: Toolchain) {
    let image = open(&build(toolchain, Flavour::Stripped));
    assert_eq!(image.go_version().raw, format!("go{}", toolchain.version));
    assert_eq!(image.build_info().setting("GOARCH"), Some("amd64"));
    assert_eq!(
        image.build_info().main_package,
        "gostuck.example/programs/abba"
    );
    assert_eq!(image.arch(), Arch::Amd64);
}

fn what_is_no_go_program_is_refused_with_its_name() {
    let error = Image::open(Path::new("/bin/sh")).unwrap_err();
    assert!(matches!(error, ImageError::NotGo { .. }), "{error}");
    assert!(error.to_string().contains("/bin/sh"));
    let error = Image::open(Path::new("/nonexistent")).unwrap_err();
    assert!(matches!(error, ImageError::Io { .. }), "{error}");
    let error = Image::open(Path::new(env!("CARGO_MANIFEST_PATH"))).unwrap_err();
    assert!(matches!(error, ImageError::Elf { .. }), "{error}");
}

/// Truncated and corrupted copies of a real binary: an error or an image, never a panic or a hang.
fn broken_binaries_are_errors() {
    let newest = build(Toolchain::newest(), Flavour::Stripped);
    let bytes = std::fs::read(newest).expect("built");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("broken");
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed >> 1).unwrap_or(0)
    };
    for round in 0..120 {
        let mut broken = bytes.clone();
        if round % 3 == 0 {
            broken.truncate(random() % bytes.len());
        }
        for _ in 0..1 + random() % 400 {
            // Half of the damage goes where the headers are.
            let within = if random() % 2 == 0 {
                4096
            } else {
                broken.len()
            };
            if let Some(byte) = broken.get_mut(random() % within.max(1)) {
                *byte = random() as u8;
            }
        }
        std::fs::write(&path, &broken).expect("written");
        if let Ok(image) = Image::open(&path) {
            for name in ["main.main", "runtime.gopark"] {
                for function in image.functions_named(name) {
                    let _ = image.symbolize(function.entry.offset(40), true);
                    let _ = image.sp_delta(&function, function.entry.offset(10));
                    let _ = image.code(&function);
                }
            }
        }
    }
}

/// The same file as if it had been linked without build information.
fn without_build_info(path: &Path) -> std::path::PathBuf {
    let mut bytes = std::fs::read(path).expect("the program that was built");
    for (gone, with) in [(&b"\xff Go buildinf:"[..], 0), (b".go.buildinfo\0", b'x')] {
        let at = bytes.windows(gone.len()).position(|text| text == gone);
        let at = at.unwrap_or_else(|| panic!("{}: no {gone:?}", path.display()));
        bytes[at..at + gone.len() - 1].fill(with);
    }
    let changed = path.with_extension("without-build-info");
    std::fs::write(&changed, bytes).expect("a copy beside it");
    changed
}

fn the_runtime_tells_the_version_where_no_build_information_does(toolchain: Toolchain) {
    for flavour in [Flavour::Plain, Flavour::Stripped, Flavour::Pie] {
        let path = build(toolchain, flavour);
        let (whole, changed) = (open(&path), open(&without_build_info(&path)));
        assert_eq!(whole.go_version(), changed.go_version());
        assert!(changed.build_info().settings.is_empty());
    }
}
