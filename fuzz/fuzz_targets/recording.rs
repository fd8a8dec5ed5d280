//! Reading a recording, of one moment or a series, never panics, hangs or allocates by a length it was
//! told.
#![no_main]

use tracer_user::recording::{Reader, read};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = read(bytes, &mut std::io::sink());
    if let Ok((mut series, ..)) = Reader::begin(bytes, &mut std::io::sink()) {
        while let Ok(Some(_)) = series.next_entry() {}
    }
});
