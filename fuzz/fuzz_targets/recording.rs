//! Reading a recording never panics, hangs or allocates by a length it was told.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = tracer_user::recording::read(bytes, &mut std::io::sink());
});
