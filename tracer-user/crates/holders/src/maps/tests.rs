//! Maps of each form, laid out by hand.

use super::*;
use memory::FakeMemory;

const TYPE: u64 = 0x1000;
const KEY_TYPE: u64 = 0x2000;
const MAP: u64 = 0x3000;
const ENTRIES: u64 = 0x4000;

/// A memory with a map's type, whose words from the 80th byte on are `tail`, for keys of 8 bytes.
fn memory(tail: &[u64]) -> FakeMemory {
    let mut memory = FakeMemory::new();
    let mut of_map = vec![0; 10];
    of_map[6] = KEY_TYPE;
    of_map.extend(tail);
    memory.map_words(TargetAddr(TYPE), &of_map);
    let flags = u64::from(REGULAR_MEMORY) << 32;
    memory.map_words(TargetAddr(KEY_TYPE), &[8, 0, flags, 0]);
    memory
}

fn find(memory: &FakeMemory, form: Form, key: u64) -> Option<Found> {
    let map = Map::open(memory, form, TYPE, MAP)?;
    assert_eq!(map.key, KeyType::Bytes(8));
    map.find(&key.to_le_bytes())
}

#[test]
fn buckets_and_their_overflow() {
    // Keys and elements of 8 bytes, buckets of 144.
    let mut memory = memory(&[8 | 8 << 8 | 144 << 16]);
    memory.map_words(TargetAddr(MAP), &[2, 0, ENTRIES, 0]);
    let mut buckets = [0; 36];
    // In use: the third of the first bucket, the first of the second, which follows it.
    buckets[0] = 9 << 16;
    buckets[3] = 77;
    buckets[17] = ENTRIES + 144;
    buckets[18] = 200;
    buckets[19] = 78;
    memory.map_words(TargetAddr(ENTRIES), &buckets);
    let find = |key| find(&memory, Form::Buckets, key);
    assert_eq!(find(77), Some(Found::At(ENTRIES + 8 + 64 + 16)));
    assert_eq!(find(78), Some(Found::At(ENTRIES + 144 + 8 + 64)));
    assert_eq!(find(0), Some(Found::Nowhere));
}

#[test]
fn a_circle_of_buckets_ends() {
    let mut memory = memory(&[8 | 8 << 8 | 144 << 16]);
    memory.map_words(TargetAddr(MAP), &[2, 0, ENTRIES, 0]);
    let mut bucket = [0; 18];
    bucket[17] = ENTRIES;
    memory.map_words(TargetAddr(ENTRIES), &bucket);
    assert_eq!(find(&memory, Form::Buckets, 1), None);
}

#[test]
fn one_group_of_slots() {
    let mut memory = memory(&[136, 16, 8, 0]);
    memory.map_words(TargetAddr(MAP), &[1, 0, ENTRIES, 0]);
    let mut group = [0; 17];
    group[0] = 0x8080_8080_8080_1280;
    group[3] = 5;
    memory.map_words(TargetAddr(ENTRIES), &group);
    let find = |key| find(&memory, Form::Slots, key);
    assert_eq!(find(5), Some(Found::At(ENTRIES + 8 + 16 + 8)));
    assert_eq!(find(6), Some(Found::Nowhere));
}

#[test]
fn tables_with_elements_elsewhere() {
    let (table, groups) = (0x5000, 0x6000);
    let mut memory = memory(&[136, 8, 16, 16, 16, 0, 8]);
    memory.map_words(TargetAddr(MAP), &[1, 0, ENTRIES, 2]);
    memory.map_words(TargetAddr(ENTRIES), &[table, table]);
    memory.map_words(TargetAddr(table), &[0, 0, groups, 1]);
    let mut two = [0; 34];
    two[0] = 0x8080_8080_8080_8080;
    two[17] = 0x8080_8080_8080_8012;
    two[18] = 5;
    two[19] = 0xc000;
    memory.map_words(TargetAddr(groups), &two);
    assert_eq!(find(&memory, Form::Strides, 5), Some(Found::At(0xc000)));
    assert_eq!(find(&memory, Form::Strides, 6), Some(Found::Nowhere));
}

#[test]
fn unsound_types_are_refused() {
    for tail in [[0, 0, 0, 0], [136, 160, 8, 0], [u64::MAX, 16, 8, 0]] {
        let mut memory = memory(&tail);
        memory.map_words(TargetAddr(MAP), &[1, 0, ENTRIES, 0]);
        assert!(Map::open(&memory, Form::Slots, TYPE, MAP).is_none());
    }
}
