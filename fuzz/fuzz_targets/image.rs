//! Everything that is parsed of an executable: ELF, build information, pclntab, DWARF, layouts.
//! Seed the corpus with small stripped and unstripped Go binaries.
#![no_main]

use std::{io::Write as _, os::fd::AsRawFd as _, path::PathBuf};

use libfuzzer_sys::fuzz_target;
use nix::sys::memfd::{MFdFlags, memfd_create};
use tracer_user::{ids::ImageAddr, image::Image};

fuzz_target!(|data: &[u8]| {
    let Ok(memory) = memfd_create(c"image", MFdFlags::MFD_CLOEXEC) else { return };
    let path = PathBuf::from(format!("/proc/self/fd/{}", memory.as_raw_fd()));
    let mut file = std::fs::File::from(memory);
    if file.write_all(data).is_err() {
        return;
    }
    let Ok(image) = Image::open(&path) else { return };
    for name in ["main.main", "runtime.gopark", "runtime.semacquire1"] {
        for function in image.functions_named(name) {
            for offset in (0..256).step_by(7) {
                let pc = ImageAddr(function.entry.0.wrapping_add(offset));
                let _ = image.symbolize(pc, true);
                let _ = image.sp_delta(&function, pc);
                let _ = image.pcdata(&function, 0, pc);
            }
            let _ = image.code(&function);
        }
    }
});
