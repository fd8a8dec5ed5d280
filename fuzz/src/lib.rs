//! Fuzz targets: what is read of others (executables, memory, core files, recordings, requests, texts), changed
//! at random.
//!
//! Nothing is expected of what comes out. Whatever the input, there is no panic, and what is allocated and the
//! time that is spent stay within bounds: [`Target::run`] watches over memory, libFuzzer over time. Without
//! libFuzzer, `cargo test` replays the inputs that are kept in `seeds/` and `regressions/`.

mod core_file;
mod edits;
mod elf;
mod executable;
mod export;
mod heap;
mod http;
mod memory;
mod moment;
mod recording;
mod screen;
mod temporary;
mod text;

/// The environment variable that names the target to the program that libFuzzer drives.
pub const TARGET_VARIABLE: &str = "GOSTUCK_FUZZ_TARGET";

/// The environment variable that names the folder where it puts inputs to begin with.
pub const SEEDS_VARIABLE: &str = "GOSTUCK_FUZZ_SEEDS";

/// Something that takes input of others.
#[derive(Debug)]
pub struct Target {
    /// Its name, and that of the folders with its inputs.
    pub name: &'static str,
    /// Most bytes that may be allocated at once for one input.
    pub max_heap: usize,
    run: fn(&[u8]),
    /// Inputs to begin with that are made, not kept.
    seeds: fn() -> Vec<Vec<u8>>,
}

const MIB: usize = 1 << 20;

/// All targets.
pub static TARGETS: [Target; 6] = [
    Target {
        name: "memory",
        max_heap: 128 * MIB,
        run: memory::run,
        seeds: memory::seeds,
    },
    Target {
        name: "image",
        max_heap: 128 * MIB,
        run: executable::run,
        seeds: executable::seeds,
    },
    Target {
        name: "core",
        max_heap: 128 * MIB,
        run: core_file::run,
        seeds: core_file::seeds,
    },
    Target {
        name: "recording",
        max_heap: 128 * MIB,
        run: recording::run,
        seeds: recording::seeds,
    },
    Target {
        name: "http",
        max_heap: 32 * MIB,
        run: http::run,
        seeds: http::seeds,
    },
    Target {
        name: "text",
        max_heap: 8 * MIB,
        run: text::run,
        seeds: text::seeds,
    },
];

/// The target called `name`.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

impl Target {
    /// Runs it on `input`.
    ///
    /// # Panics
    /// When it does. The program ends where more is allocated than may be.
    pub fn run(&self, input: &[u8]) {
        heap::peak_of(self.max_heap, || (self.run)(input));
    }

    /// Does what is done once for all inputs, so that none is charged for it.
    pub fn prepare(&self) {
        (self.run)(&[]);
    }

    /// Inputs to begin with, besides those that are kept in files.
    #[must_use]
    pub fn seeds(&self) -> Vec<Vec<u8>> {
        (self.seeds)()
    }
}
