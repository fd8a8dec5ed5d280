//! Recordings, of one moment and of a series. What the input is of one is compressed and given its checksums
//! here: no fuzzer would hit those.

use std::io::Write as _;

use flate2::{Compression, Crc, write::GzEncoder};
use tracer_user::recording::{Replay, replay};

use crate::{
    export::{looker, show},
    moment::base,
    temporary::Temporary,
};

/// The first byte of an input says what the others are: a file as it is,
const RAW: u8 = 0;
/// the contents of a series,
const SERIES: u8 = 1;
/// or, as any other, the contents of a recording of one moment; of such, pages of the moment may follow.
const MOMENT: u8 = 2;
/// In the length of a piece of a series: pages of the moment follow it.
const PAGES: u16 = 1 << 15;
/// Most moments of a series that are looked at.
const MAX_LOOKS: usize = 8;

/// Replays the recording that `input` makes.
pub(crate) fn run(input: &[u8]) {
    let Some((kind, contents)) = input.split_first() else {
        return;
    };
    let file = match *kind {
        RAW => contents.to_vec(),
        SERIES => file(b"gostuck series 1\n", &series(contents)),
        _ => file(b"gostuck recording 1\n", &[contents, &pages()].concat()),
    };
    let Ok(file) = Temporary::new(&[&file]) else {
        return;
    };
    let (path, executable) = (file.path(), base().executable_path());
    for executable in [Some(&*executable), None] {
        if let Ok(look) = replay(&looker(), &path, executable) {
            show(&look);
        }
        if let Ok(mut replay) = Replay::open(&path, executable) {
            let looker = looker();
            for _ in 0..MAX_LOOKS {
                let Ok(Some(look)) = replay.look(&looker) else {
                    break;
                };
                show(&look);
            }
        }
    }
}

/// A file of that kind with these contents.
fn file(name: &[u8], contents: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(name.to_vec(), Compression::none());
    // Nothing fails that writes to memory.
    let _ = out.write_all(contents);
    out.finish().unwrap_or_default()
}

/// The moment's pages as a recording has them.
fn pages() -> Vec<u8> {
    let pages = base().pages.iter();
    let pages = pages.map(|(address, page)| [&address.to_le_bytes(), &page[..]].concat());
    pages.collect::<Vec<_>>().concat()
}

/// Pieces, each after its length in two bytes, with a checksum after each.
fn series(mut input: &[u8]) -> Vec<u8> {
    let (mut out, mut sum, mut summed) = (Vec::new(), Crc::new(), 0);
    while let Some((len, rest)) = input.split_first_chunk::<2>() {
        let len = u16::from_le_bytes(*len);
        let (piece, rest) = rest.split_at(usize::from(len & !PAGES).min(rest.len()));
        input = rest;
        out.extend(piece);
        if len & PAGES != 0 && out.len() < 4 << 20 {
            out.extend(pages());
        }
        sum.update(&out[summed..]);
        let checksum = u64::from(sum.sum()).to_le_bytes();
        out.extend(checksum);
        sum.update(&checksum);
        summed = out.len();
    }
    out
}

/// One moment, and series of none, one and two with something told between.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let header = &base().header;
    let json = |text: Result<Vec<u8>, _>| -> Vec<u8> {
        let text: Vec<u8> = text.unwrap_or_else(|_: serde_json::Error| Vec::new());
        [&(text.len() as u64).to_le_bytes()[..], &text].concat()
    };
    let word = |word: u64| word.to_le_bytes();
    let count = word(base().pages.len() as u64);
    let single = [
        &[MOMENT][..],
        &json(serde_json::to_vec(header)),
        &word(0),
        &count,
    ]
    .concat();
    let empty = [
        &[MOMENT][..],
        &json(serde_json::to_vec(header)),
        &word(0),
        &word(0),
    ]
    .concat();
    let piece = |bytes: &[u8], pages: u16| {
        let len = u16::try_from(bytes.len()).unwrap_or(0) | pages;
        [&len.to_le_bytes()[..], bytes].concat()
    };
    let begin = [&json(serde_json::to_vec(&header.subject))[..], &word(0)].concat();
    let begin = piece(&begin, 0);
    let moment = json(serde_json::to_vec(&header.moment));
    let moment = piece(&[&word(1)[..], &moment, &count].concat(), PAGES);
    let told = br#"{"events":[{"lost":{"count":1}}],"parked":[]}"#;
    let told = [&word(told.len() as u64)[..], told].concat();
    let told = piece(&[&word(2)[..], &told].concat(), 0);
    let end = piece(&word(0), 0);
    let of = |pieces: &[&[u8]]| [&[SERIES][..], &pieces.concat()].concat();
    vec![
        single,
        empty,
        of(&[&begin, &end]),
        of(&[&begin, &moment, &end]),
        of(&[&begin, &moment, &told, &moment, &end]),
        [&[RAW][..], &file(b"gostuck recording 1\n", b"")].concat(),
    ]
}
