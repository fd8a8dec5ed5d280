//! The marker against a plain search, on made-up heaps.

use proptest::prelude::*;

use super::Marker;
use crate::{
    heap::{
        PAGE_BYTES, SpanTable,
        fake::{FakeSpan, HEAP, map_tables, refresh},
    },
    mark::Range,
    progress::ProgressReporter,
};
use ids::TargetAddr;
use memory::{FakeMemory, Memory, MemoryExt as _, ReadError};

/// Sizes of objects, and how many pages their spans have (`runtime/sizeclasses.go`; the last two
/// are large objects).
const SIZES: [(u64, u64); 9] = [
    (8, 1),
    (16, 1),
    (48, 1),
    (112, 1),
    (512, 1),
    (6528, 4),
    (18432, 9),
    (40960, 5),
    (20 * PAGE_BYTES, 20),
];

/// A heap and what it holds.
#[derive(Debug, Clone)]
struct Heap {
    spans: Vec<FakeSpan>,
    memory: FakeMemory,
}

impl Heap {
    /// Spans one after another, with gaps; `words` are put into objects at random places.
    fn new(shape: &[(usize, bool, u64)], words: &[(u64, u64)]) -> Self {
        let mut spans = Vec::new();
        let mut page = 0;
        for &(size, holds_pointers, gap) in shape {
            let (element_size, pages) = SIZES[size % SIZES.len()];
            page += gap;
            spans.push(FakeSpan {
                page,
                pages,
                element_size,
                holds_pointers,
                state: 1,
            });
            page += pages;
        }
        let mut memory = FakeMemory::new();
        map_tables(&mut memory, 1, &spans);
        let mut heap = Self { spans, memory };
        heap.write(words);
        heap
    }

    fn len(&self) -> u64 {
        let end = self.spans.last().map_or(0, |span| span.page + span.pages);
        end * PAGE_BYTES
    }

    /// Writes at some place each (a fraction of the heap) a pointer to some other.
    fn write(&mut self, words: &[(u64, u64)]) {
        let len = self.len();
        let mut bytes = vec![0; usize::try_from(len).unwrap()];
        let _ = self.memory.read(HEAP, &mut bytes);
        for (at, to) in words {
            let at = usize::try_from(at % (len / 8) * 8).unwrap();
            let word = HEAP.0 + to % len;
            bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
        self.memory.map(HEAP, bytes);
    }

    /// The object that `word` points into, and whether it holds pointers.
    fn object(&self, word: u64) -> Option<(Range, bool)> {
        let offset = word.checked_sub(HEAP.0)?;
        let page = offset / PAGE_BYTES;
        let mut spans = self.spans.iter();
        let span = spans.find(|span| (span.page..span.page + span.pages).contains(&page))?;
        let index = (offset - span.page * PAGE_BYTES) / span.element_size;
        let at = span.page * PAGE_BYTES + index * span.element_size;
        let fits = (index + 1) * span.element_size <= span.pages * PAGE_BYTES;
        let len = span.element_size;
        let at = HEAP.offset(at);
        fits.then_some((Range { at, len }, span.holds_pointers))
    }

    /// All objects that can be reached from `roots`, ascending.
    fn closure(&self, roots: impl IntoIterator<Item = u64>) -> Vec<Range> {
        let mut reached = std::collections::BTreeSet::new();
        let mut todo: Vec<u64> = roots.into_iter().collect();
        while let Some(word) = todo.pop() {
            if let Some((object, holds_pointers)) = self.object(word)
                && reached.insert(object)
                && holds_pointers
            {
                let words = (0..object.len / 8).map(|n| object.at.offset(8 * n));
                todo.extend(words.map(|at| self.memory.read_u64(at).unwrap()));
            }
        }
        reached.into_iter().collect()
    }

    /// All objects that `marker` holds to be reached, ascending.
    fn marked(&self, marker: &Marker) -> Vec<Range> {
        let all = self.spans.iter().flat_map(|span| {
            let start = HEAP.offset(span.page * PAGE_BYTES);
            let objects = 0..span.pages * PAGE_BYTES / span.element_size;
            objects.map(move |n| Range {
                at: start.offset(n * span.element_size),
                len: span.element_size,
            })
        });
        all.filter(|object| marker.is_reached(object.at) == Some(true))
            .collect()
    }

    fn marker(&self, threads: usize) -> Marker {
        let mut marker = Marker::new(threads, ProgressReporter::default());
        let read = |table: &mut SpanTable| -> Result<_, ReadError> {
            let refreshed = refresh(table, &self.memory);
            assert!(refreshed.recut.is_empty() && refreshed.torn == 0);
            Ok(refreshed)
        };
        marker.with_table(read).unwrap();
        marker
    }
}

fn shape() -> impl Strategy<Value = Vec<(usize, bool, u64)>> {
    let gap = prop_oneof![4 => Just(0_u64), 1 => 0..80_u64];
    prop::collection::vec((0..SIZES.len(), prop::bool::weighted(0.8), gap), 1..40)
}

fn words() -> impl Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec((any::<u64>(), any::<u64>()), 0..3000)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_is_reached_is_marked_and_nothing_else(
        (shape, words) in (shape(), words()),
        roots in prop::collection::vec(any::<u64>(), 1..4),
        (threads, strictly) in (1..4_usize, any::<bool>()),
    ) {
        let heap = Heap::new(&shape, &words);
        let roots = roots.iter().map(|root| HEAP.0 + root % heap.len());
        let mut marker = heap.marker(threads);
        marker.read_what_is_found(strictly);
        roots.clone().for_each(|root| marker.word(root));
        marker.drain(&heap.memory).unwrap();
        let expected = heap.closure(roots);
        prop_assert_eq!(marker.reached_objects(), expected.len() as u64);
        let bytes: u64 = expected.iter().map(|object| object.len).sum();
        prop_assert_eq!(marker.reached_bytes(), bytes);
        prop_assert_eq!(heap.marked(&marker), expected);
        prop_assert_eq!(marker.unreadable(), 0);
    }

    #[test]
    fn what_is_written_later_is_followed_too(
        (shape, words) in (shape(), words()),
        later in prop::collection::vec((any::<u64>(), any::<u64>()), 0..30),
        root in any::<u64>(),
        (threads, downwards) in (1..4_usize, any::<bool>()),
    ) {
        let mut heap = Heap::new(&shape, &words);
        let root = HEAP.0 + root % heap.len();
        let mut marker = heap.marker(threads);
        marker.word(root);
        marker.drain(&heap.memory).unwrap();
        let before = heap.closure([root]);
        marker.compare_all(&heap.memory, downwards).unwrap();
        prop_assert_eq!(marker.changing_pages(), 0);
        heap.write(&later);
        marker.compare_all(&heap.memory, downwards).unwrap();
        let expected = heap.closure(before.iter().map(|object| object.at.0));
        // On one reading: by another, it may be elsewhere.
        prop_assert_eq!(heap.marked(&marker), expected.clone());
        marker.reread_changing(&heap.memory, downwards).unwrap();
        prop_assert_eq!(heap.marked(&marker), expected);
    }

    #[test]
    fn what_is_opaque_is_not_read_through_until_it_is_cleared(
        (shape, words) in (shape(), words()),
        (root, opaque) in (any::<u64>(), any::<u64>()),
    ) {
        let heap = Heap::new(&shape, &words);
        let place = |word: u64| HEAP.0 + word % heap.len();
        let (root, opaque) = (place(root), place(opaque));
        let mut marker = heap.marker(1);
        marker.set_opaque(TargetAddr(opaque));
        marker.word(root);
        marker.drain(&heap.memory).unwrap();
        marker.compare_all(&heap.memory, false).unwrap();
        prop_assert_eq!(marker.changing_pages(), 0);
        let without: Vec<Range> = heap.closure([root]);
        let marked = heap.marked(&marker);
        let itself = heap.object(opaque).map(|(object, _)| object);
        for object in &marked {
            prop_assert!(without.contains(object) || Some(*object) == itself);
        }
        marker.clear_opaque(TargetAddr(opaque));
        marker.drain(&heap.memory).unwrap();
        prop_assert_eq!(heap.marked(&marker), heap.closure([root, opaque]));
    }
}

#[test]
fn a_long_list_within_one_window_is_followed_to_its_end() {
    // From the last object to the first: each is found only when the one before has been followed.
    let shape = [(1, true, 0); 8];
    let mut heap = Heap::new(&shape, &[]);
    let count = heap.len() / 16;
    let links: Vec<(u64, u64)> = (1..count).map(|n| (2 * n, 16 * (n - 1))).collect();
    heap.write(&links);
    let mut marker = heap.marker(1);
    marker.word(HEAP.0 + 16 * (count - 1));
    marker.drain(&heap.memory).unwrap();
    assert_eq!(marker.reached_objects(), count);
    // Everything was read once.
    assert_eq!(marker.bytes_read(), heap.len());
}

/// A heap that is written while it is read.
struct Written<'h> {
    heap: &'h FakeMemory,
    /// What is read of the heap from the third time on.
    later: &'h FakeMemory,
    reads: std::sync::atomic::AtomicUsize,
}

impl Memory for Written<'_> {
    fn read(&self, at: TargetAddr, into: &mut [u8]) -> Result<(), ReadError> {
        let before = self.reads.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        match before {
            0 | 1 => self.heap.read(at, into),
            _ => self.later.read(at, into),
        }
    }
}

#[test]
fn an_object_written_after_its_span_was_read_is_followed() {
    // The first object of the first span leads to the second span, that to the last object of the
    // first span, which is not written until both have been read, and leads to the third span.
    let shape = [(2, true, 0), (2, true, 0), (2, true, 0)];
    let first = [(0, PAGE_BYTES), (PAGE_BYTES / 8, 48 * 9)];
    let heap = Heap::new(&shape, &first);
    let mut later = heap.clone();
    later.write(&[(48 * 9 / 8, 2 * PAGE_BYTES)]);
    let target = HEAP.0 + 2 * PAGE_BYTES;
    for strictly in [false, true] {
        let memory = Written {
            heap: &heap.memory,
            later: &later.memory,
            reads: std::sync::atomic::AtomicUsize::new(0),
        };
        let mut marker = heap.marker(1);
        marker.read_what_is_found(strictly);
        marker.word(HEAP.0);
        marker.drain(&memory).unwrap();
        assert_eq!(marker.is_reached(TargetAddr(target)), Some(strictly));
        // Otherwise the page looks different from when it was followed.
        marker.compare_all(&memory, false).unwrap();
        assert_eq!(marker.changing_pages(), u64::from(!strictly));
        marker.reread_changing(&memory, false).unwrap();
        assert_eq!(marker.is_reached(TargetAddr(target)), Some(true));
    }
}

#[test]
fn a_pointer_to_a_stack_is_noted_if_it_is_watched() {
    let mut heap = Heap::new(&[(2, true, 0)], &[(0, 0)]);
    let mut stack = heap.spans[0];
    (stack.page, stack.state) = (1, 2);
    heap.spans.push(stack);
    map_tables(&mut heap.memory, 1, &heap.spans);
    heap.write(&[(3, PAGE_BYTES + 64)]);
    for watched in [0, 64] {
        let start = HEAP.offset(PAGE_BYTES + watched);
        let mut marker = heap.marker(1);
        marker.watch(Range { at: start, len: 64 });
        (0..PAGE_BYTES / 48).for_each(|n| marker.word(HEAP.0 + 48 * n));
        marker.drain(&heap.memory).unwrap();
        assert_eq!(marker.is_pointed_at(start), watched == 64);
    }
}

#[test]
fn memory_that_cannot_be_read_is_counted() {
    let mut heap = Heap::new(&[(2, true, 0), (2, true, 0)], &[]);
    heap.memory.map(HEAP, vec![0; 4096]);
    let mut marker = heap.marker(1);
    marker.word(HEAP.0);
    marker.drain(&heap.memory).unwrap();
    assert_eq!(marker.unreadable(), 0);
    marker.word(HEAP.0 + 4080);
    marker.word(HEAP.0 + PAGE_BYTES);
    marker.drain(&heap.memory).unwrap();
    assert!(marker.unreadable() >= 2);
}
