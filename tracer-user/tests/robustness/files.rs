//! Executables that vanish, change, or are broken.

use std::{fs, path::Path};

use testing::{Result, go::Flavour};
use tracer_user::{ids::ImageAddr, image::Image};

use crate::{
    gostuck::{self, copy},
    target::{build, fickle, ready},
};

/// Files of other lengths than the whole.
const CUTS: usize = 150;
/// Files with some bytes changed.
const CHANGES: usize = 150;

pub(crate) fn deleted() -> Result {
    vanishing(|program| fs::remove_file(program))
}

pub(crate) fn replaced() -> Result {
    vanishing(|program| {
        let other = program.with_extension("new");
        fs::write(&other, b"\x7fELF is what it says it is")?;
        fs::rename(&other, program)
    })
}

/// A program is what it was when it started, whatever became of its file.
fn vanishing(change: impl Fn(&Path) -> std::io::Result<()>) -> Result {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let program = copy(&fickle()?, directory.path(), "program")?;
    let target = ready(&program, &["crowd", "10"])?;
    change(&program).map_err(|error| error.to_string())?;
    let document = gostuck::inspect(target.pid())?.document()?;
    let stacks = document["goroutines"].to_string();
    if stacks.contains("main.crowd") {
        Ok(())
    } else {
        Err(format!("no goroutine of it was read: {stacks}"))
    }
}

/// Whatever is wrong with a file, opening it ends, and ends without a panic.
pub(crate) fn truncated() -> Result {
    let program = build("robustness/fickle", Flavour::Stripped)?;
    let whole = fs::read(program).map_err(|error| error.to_string())?;
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = directory.path().join("broken");
    let cuts = (0..CUTS).map(|i| whole[..whole.len() * i / CUTS].to_vec());
    // A generator of our own: the same files every time.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 1).unwrap_or(0)
    };
    let changes = (0..CHANGES).map(|_| {
        let mut bytes = whole.clone();
        for _ in 0..8 {
            let at = random() % bytes.len();
            bytes[at] = random() as u8;
        }
        // The headers are a small part, and matter most.
        let at = random() % 4096;
        bytes[at] = random() as u8;
        bytes
    });
    for bytes in cuts.chain(changes) {
        fs::write(&path, bytes).map_err(|error| error.to_string())?;
        if let Ok(image) = Image::open(&path) {
            ask(&image);
        }
    }
    Ok(())
}

fn ask(image: &Image) {
    for name in ["main.main", "main.crowd", "runtime.gopark"] {
        for function in image.functions_named(name) {
            for offset in (0..512).step_by(5) {
                let pc = ImageAddr(function.entry.0.wrapping_add(offset));
                let _ = image.symbolize(pc, true);
                let _ = image.sp_delta(&function, pc);
            }
        }
    }
}
