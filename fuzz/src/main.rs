//! The program that libFuzzer drives: its arguments are libFuzzer's, and the environment names the target.
#![no_main]

use std::{fs, path::PathBuf, sync::LazyLock};

use gostuck_fuzz::{SEEDS_VARIABLE, TARGET_VARIABLE, Target, target};
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var(TARGET_VARIABLE).unwrap_or_default();
    target(&name).unwrap_or_else(|| panic!("{TARGET_VARIABLE} names no target: {name:?}"))
});

/// Writes the inputs that are made to the folder that the fuzzer reads next.
fn begin() {
    TARGET.prepare();
    let Some(folder) = std::env::var_os(SEEDS_VARIABLE).map(PathBuf::from) else {
        return;
    };
    for (number, seed) in TARGET.seeds().iter().enumerate() {
        let path = folder.join(format!("made-{number}"));
        fs::write(&path, seed).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

fuzz_target!(init: begin(), |input: &[u8]| TARGET.run(input));
