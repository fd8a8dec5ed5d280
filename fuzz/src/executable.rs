//! Executables: everything that is parsed of one. An input that begins as an ELF file is one; any other is a list
//! of edits of the moment's own executable.

use std::{fs::File, hint::black_box};

use tracer_user::{
    ids::ImageAddr,
    image::{Image, is_go, layout::from_debug_information},
};

use crate::{edits, moment::base, temporary::Temporary};

/// What edits name a piece of.
const PIECE: usize = 4096;
/// Most functions of an executable that are asked about, evenly spread.
const ASKED: u32 = 64;
/// Bytes of a function that are asked about.
const EXTENT: u64 = 256;

/// Parses the executable that `input` is or makes.
pub(crate) fn run(input: &[u8]) {
    if input.starts_with(b"\x7fELF") {
        open(&[input]);
        return;
    }
    let pieces = base().executable.chunks(PIECE);
    let mut pieces: Vec<Vec<u8>> = pieces.map(<[u8]>::to_vec).collect();
    edits::apply(input, &mut pieces);
    // The file is cut where a piece is gone.
    let whole = pieces.iter().position(Vec::is_empty);
    pieces.truncate(whole.unwrap_or(pieces.len()));
    let parts: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
    open(&parts);
}

/// Edits of the parts that are parsed: headers, tables and a bit of everything.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let pieces = base().executable.len().div_ceil(PIECE);
    edits::seeds(u16::try_from(pieces).unwrap_or(u16::MAX))
}

fn open(parts: &[&[u8]]) {
    let Ok(file) = Temporary::new(parts) else {
        return;
    };
    let path = file.path();
    if let Ok(file) = File::open(&path) {
        black_box(is_go(file, &path));
    }
    black_box(from_debug_information(&path));
    if let Ok(image) = Image::open(&path) {
        ask(&image);
    }
}

/// Asks `image` what looks ask of one.
fn ask(image: &Image) {
    black_box((image.build_id(), image.is_pie(), image.is_stripped()));
    image.wait_reasons().for_each(drop);
    image.probe_sites().all().for_each(drop);
    let names = ["main.main", "runtime.gopark", "runtime.semacquire1"];
    let mut functions: Vec<_> = names
        .into_iter()
        .flat_map(|name| image.functions_named(name))
        .take(64)
        .collect();
    let text = image.module().text.clone();
    let step = ((text.end.0.saturating_sub(text.start.0)) / u64::from(ASKED)).max(1);
    let spread = (0..u64::from(ASKED)).map(|n| text.start.0.wrapping_add(n * step));
    functions.extend(spread.filter_map(|pc| image.function_at(ImageAddr(pc))));
    for function in functions {
        for offset in (0..EXTENT).step_by(7) {
            let pc = ImageAddr(function.entry.0.wrapping_add(offset));
            black_box(image.symbolize(pc, true));
            black_box(image.sp_delta(&function, pc));
            black_box(image.pcdata(&function, 0, pc));
        }
        for table in 0..4 {
            black_box(image.pcdata_runs(&function, table));
            black_box(image.funcdata(&function, table));
        }
        black_box(image.code(&function));
        black_box(image.type_name(function.entry));
    }
    ask_of_values(image);
}

/// Asks what an explanation asks: what parts of values are called, and refer to.
fn ask_of_values(image: &Image) {
    let types = image.module().types.clone();
    let step = (types.end.0.saturating_sub(types.start.0) / u64::from(ASKED)).max(8) & !7;
    for n in 0..u64::from(ASKED) {
        let at = ImageAddr(types.start.0.wrapping_add(n * step));
        black_box(image.dynamic_value(at));
        for offset in (0..EXTENT).step_by(8) {
            black_box(image.type_part(at, offset));
            black_box(image.element_part(at, offset));
        }
    }
    let globals = image.globals();
    let variables = [globals.allgs, globals.sched, globals.mheap, globals.allp];
    for at in variables.into_iter().flatten() {
        if let Some(variable) = image.variable(at) {
            black_box(image.part_of_variable(&variable, at));
        }
    }
}
