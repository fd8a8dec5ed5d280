//! The calls of a program's own functions at which a goroutine can wait, and the names of its data.

use std::{collections::BTreeMap, fs, path::Path};

use iced_x86::{Decoder, DecoderOptions, FlowControl};
use object::{Object as _, ObjectSymbol as _};
use tracer_user::{
    ids::{ImageAddr, TargetAddr},
    image::{Arch, Function, Image},
};

/// A call.
pub(crate) struct Call {
    pub(crate) returns_to: ImageAddr,
    /// The called function's name.
    pub(crate) callee: String,
}

/// Those of the functions of package main.
pub(crate) fn of_program(image: &Image) -> Vec<(Function, Call)> {
    let mut calls = Vec::new();
    let text = image.module().text.clone();
    let mut at = text.start;
    while at < text.end {
        let Some(function) = image.function_at(at) else {
            break;
        };
        at = function.end;
        if function.name.starts_with("main.") {
            let code = image.code(&function).expect("its code");
            let found = match image.arch() {
                Arch::Amd64 => amd64(&code, function.entry),
                Arch::Arm64 => arm64(&code, function.entry),
            };
            let named = found.into_iter().filter_map(|(returns_to, target)| {
                let callee = image.function_at(target)?.name.to_string();
                Some(Call { returns_to, callee })
            });
            let waits = named.filter(|call| can_wait(&call.callee));
            calls.extend(waits.map(|call| (function.clone(), call)));
        }
    }
    calls
}

fn can_wait(callee: &str) -> bool {
    let sync = callee.strip_prefix("internal/").unwrap_or(callee);
    callee.starts_with("main.")
        || matches!(
            callee,
            "time.Sleep" | "runtime.chanrecv1" | "runtime.chansend1" | "runtime.selectgo"
        )
        || matches!(
            sync,
            "sync.(*Mutex).lockSlow"
                | "sync.(*Mutex).Lock"
                | "sync.(*RWMutex).Lock"
                | "sync.(*RWMutex).RLock"
                | "sync.(*WaitGroup).Wait"
                | "sync.(*Cond).Wait"
                | "sync.(*Once).doSlow"
        )
}

/// Where each direct call returns to, and what it calls.
fn amd64(code: &[u8], entry: ImageAddr) -> Vec<(ImageAddr, ImageAddr)> {
    let decoder = Decoder::with_ip(64, code, entry.0, DecoderOptions::NONE);
    let calls = decoder
        .into_iter()
        .filter(|i| i.flow_control() == FlowControl::Call);
    calls
        .map(|i| (ImageAddr(i.next_ip()), ImageAddr(i.near_branch_target())))
        .collect()
}

/// The same by the encoding of `BL`: six bits, then 26 of the distance in words.
fn arm64(code: &[u8], entry: ImageAddr) -> Vec<(ImageAddr, ImageAddr)> {
    let words = code.chunks_exact(4).map(|word| {
        let bytes: [u8; 4] = word.try_into().expect("four bytes");
        u32::from_le_bytes(bytes)
    });
    let calls = words
        .zip(0u64..)
        .filter(|(word, _)| word >> 26 == 0b10_0101);
    calls
        .map(|(word, index)| {
            let at = entry.0 + 4 * index;
            let distance = i64::from((word << 6).cast_signed() >> 6) * 4;
            (
                ImageAddr(at + 4),
                ImageAddr(at.wrapping_add_signed(distance)),
            )
        })
        .collect()
}

/// Names of data by its symbols.
pub(crate) struct Names(BTreeMap<u64, (String, u64)>);

impl Names {
    pub(crate) fn of(program: &Path) -> Self {
        let bytes = fs::read(program).expect("the program");
        let file = object::File::parse(&*bytes).expect("an ELF file");
        let symbols = file.symbols().filter_map(|symbol| {
            let name = symbol.name().ok()?.to_owned();
            Some((symbol.address(), (name, symbol.size())))
        });
        Self(symbols.filter(|(_, (_, size))| *size > 0).collect())
    }

    /// The variable at `at` and the distance from its beginning.
    pub(crate) fn of_data(&self, at: TargetAddr) -> String {
        match self.0.range(..=at.0).next_back() {
            Some((start, (name, size))) if at.0 < start + size => {
                format!("{name}+{}", at.0 - start)
            }
            _ => "elsewhere".to_owned(),
        }
    }
}
