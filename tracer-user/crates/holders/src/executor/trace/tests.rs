//! Two goroutines with the same frames and other numbers.

use rustc_hash::FxHashMap;

use super::*;
use crate::{isa::Arithmetic, maps::Found};

const SUM: Compute = Compute::Arithmetic(Arithmetic::Add, 8);

/// A stack of 4 KiB from `sp` on, and words of memory.
struct Fake {
    sp: u64,
    words: FxHashMap<u64, u64>,
}

impl Fake {
    fn new(sp: u64, words: &[(u64, u64)]) -> Self {
        let words = words.iter().copied().collect();
        Self { sp, words }
    }
}

impl Ground for Fake {
    fn on_stack(&self, at: u64) -> Option<u64> {
        (self.sp..self.sp + 4096)
            .contains(&at)
            .then(|| at - self.sp)
    }

    fn stacks(&self) -> [std::ops::Range<u64>; 2] {
        [self.sp..self.sp + 4096, 0..0]
    }

    fn is_function(&self, _: u64) -> bool {
        false
    }

    fn look_up(&self, _: u64, map: u64, key: Key<u64>) -> Option<Found> {
        let Key::Word(word, _) = key else {
            return None;
        };
        Some(Found::At(map + word))
    }

    fn word(&self, at: u64) -> Option<(u64, bool)> {
        let word = *self.words.get(&at)?;
        Some((word, self.on_stack(at).is_none()))
    }
}

const ONE: u64 = 0x10000;
const OTHER: u64 = 0x20000;

/// The word at `at`, as the execution of the goroutine on `ground` finds it.
fn read(trace: &Trace, ground: &Fake, at: Term) -> Term {
    let (cell, _) = CellAddr::of(at);
    let (bits, loaded) = ground.word(cell.get()).expect("a word");
    trace.word(cell, !loaded, bits, loaded)
}

/// A slot of the frame that holds a pointer to `object`, whose second word is `field`.
fn frame(sp: u64, object: u64, field: u64) -> Fake {
    Fake::new(sp, &[(sp + 16, object), (object + 8, field)])
}

fn slot(trace: &Trace, ground: &Fake) -> Term {
    read(trace, ground, trace.on_own_stack(ground.sp + 16))
}

#[test]
fn an_object_that_a_frame_points_to_is_the_others_own() {
    let one = frame(ONE, 0x50000, 7);
    let trace = Trace::on(ONE);
    let pointer = slot(&trace, &one);
    assert!(trace.is_address(pointer));
    assert_eq!(trace.object(pointer.displaced(24)), 0x50018);
    let dependence = trace.finish().expect("all was noted");

    let other = frame(OTHER, 0x70000, 9);
    let translation = dependence.applies(OTHER, &[], &other).expect("the same");
    assert_eq!(translation.object(0x50018), Some(0x70018));
    assert_eq!(translation.object(0x60000), None);
    let nil = frame(OTHER, 0, 0);
    assert!(dependence.applies(OTHER, &[], &nil).is_none());
}

#[test]
fn what_was_concluded_must_hold_and_nothing_else() {
    let one = frame(ONE, 0x50000, 7);
    let trace = Trace::on(ONE);
    let field = read(&trace, &one, slot(&trace, &one).displaced(8));
    let sum = trace.compute(SUM, field, field);
    assert!(!trace.is_zero(sum, 8));
    let dependence = trace.finish().expect("all was noted");
    let holds = |field| {
        let other = frame(OTHER, 0x70000, field);
        dependence.applies(OTHER, &[], &other).is_some()
    };
    assert!(holds(7) && holds(9));
    assert!(!holds(0));
}

#[test]
fn a_number_that_is_used_up_must_be_the_same() {
    let one = frame(ONE, 0x50000, 7);
    let trace = Trace::on(ONE);
    let field = read(&trace, &one, slot(&trace, &one).displaced(8));
    assert_eq!(trace.number(field), 7);
    let dependence = trace.finish().expect("all was noted");
    let other = |field| frame(OTHER, 0x70000, field);
    assert!(dependence.applies(OTHER, &[], &other(7)).is_some());
    assert!(dependence.applies(OTHER, &[], &other(8)).is_none());
}

#[test]
fn objects_that_are_the_same_stay_the_same_and_others_others() {
    let two_slots =
        |sp: u64, first: u64, second: u64| Fake::new(sp, &[(sp + 16, first), (sp + 24, second)]);
    let note = |ground: &Fake| {
        let trace = Trace::on(ground.sp);
        for offset in [16, 24] {
            let pointer = read(&trace, ground, trace.on_own_stack(ground.sp + offset));
            let _ = trace.object(pointer);
        }
        trace.finish().expect("all was noted")
    };
    let same = note(&two_slots(ONE, 0x50000, 0x50000));
    let others = note(&two_slots(ONE, 0x50000, 0x60000));
    let [alike, unlike] = [0x70000, 0x80000].map(|second| two_slots(OTHER, 0x70000, second));
    assert!(same.applies(OTHER, &[], &alike).is_some());
    assert!(same.applies(OTHER, &[], &unlike).is_none());
    assert!(others.applies(OTHER, &[], &alike).is_none());
    assert!(others.applies(OTHER, &[], &unlike).is_some());
}

#[test]
fn a_word_that_is_read_must_not_be_one_that_only_the_other_writes() {
    let ground = |sp: u64, written: u64, read: u64| {
        let slots = [(sp + 16, written), (sp + 24, read)];
        Fake::new(sp, &[slots[0], slots[1], (written, 1), (read, 1)])
    };
    let one = ground(ONE, 0x50000, 0x60000);
    let trace = Trace::on(ONE);
    let [written, pointer] =
        [16, 24].map(|offset| read(&trace, &one, trace.on_own_stack(ONE + offset)));
    trace.written(CellAddr::of(written).0, &one);
    let word = read(&trace, &one, pointer);
    assert!(!trace.is_zero(word, 8));
    let dependence = trace.finish().expect("all was noted");
    let applies = |written, read| {
        let other = ground(OTHER, written, read);
        dependence.applies(OTHER, &[], &other).is_some()
    };
    assert!(applies(0x70000, 0x80000));
    assert!(!applies(0x70000, 0x70000));
    assert!(!applies(OTHER + 64, 0x80000), "it writes its own frame");
}

#[test]
fn where_paths_meet_it_matters_only_if_used() {
    let ground =
        |sp: u64, first: u64, second: u64| Fake::new(sp, &[(sp + 16, first), (sp + 24, second)]);
    let met = |used: bool| {
        let one = ground(ONE, 7, 7);
        let trace = Trace::on(ONE);
        let [first, second] =
            [16, 24].map(|offset| read(&trace, &one, trace.on_own_stack(ONE + offset)));
        let both = trace.meet(first, second).expect("they are equal");
        if used {
            assert!(!trace.is_zero(both, 8));
        }
        trace.finish().expect("all was noted")
    };
    let differs = ground(OTHER, 7, 8);
    assert!(met(false).applies(OTHER, &[], &differs).is_some());
    assert!(met(true).applies(OTHER, &[], &differs).is_none());
    assert!(
        met(true)
            .applies(OTHER, &[], &ground(OTHER, 9, 9))
            .is_some()
    );
}

#[test]
fn what_happens_to_be_equal_is_told_apart_where_that_is_asked_for() {
    let ground = Fake::new(ONE, &[(ONE + 16, 7), (ONE + 24, 7)]);
    let trace = Trace::telling_apart(ONE);
    let [first, second] =
        [16, 24].map(|offset| read(&trace, &ground, trace.on_own_stack(ONE + offset)));
    assert_eq!(trace.meet(first, second), None);
    assert_eq!(trace.meet(first, first), Some(first));
}

#[test]
fn what_was_noted_in_vain_matters_no_more() {
    let one = frame(ONE, 0x50000, 7);
    let trace = Trace::on(ONE);
    let pointer = slot(&trace, &one);
    assert!(trace.is_address(pointer));
    let mark = trace.mark();
    assert_eq!(trace.number(pointer), 0x50000);
    trace.back_to(mark);
    let dependence = trace.finish().expect("all was noted");
    let applies = |object| {
        let other = frame(OTHER, object, 7);
        dependence.applies(OTHER, &[], &other).is_some()
    };
    assert!(applies(0x70000) && !applies(0));
}

#[test]
fn an_object_is_read_once_for_all_that_point_to_it_and_lies_on_the_stack_of_none() {
    let one = frame(ONE, 0x50000, 7);
    let trace = Trace::on(ONE);
    let field = read(&trace, &one, slot(&trace, &one).displaced(8));
    assert!(!trace.is_zero(field, 8));
    let dependence = trace.finish().expect("all was noted");
    let mut known = dependence.unread();
    let mut serves = |sp, object, field| {
        let other = frame(sp, object, field);
        dependence.serves((sp, &[]), &other, &mut known).is_some()
    };
    assert!(!serves(OTHER, 0x70000, 0));
    assert!(!serves(OTHER, 0x70000, 9), "it has been read already");
    assert!(serves(OTHER, 0x80000, 9));
    assert!(
        serves(OTHER + 0x8000, 0x80000, 0),
        "it has been read already"
    );
    assert!(!serves(0x80000, 0x80000, 9), "it is on its own stack");
}

#[test]
fn what_a_known_number_answers_is_not_asked() {
    let one = frame(ONE, 0x50000, 7);
    let note = |pins: bool| {
        let trace = Trace::on(ONE);
        let field = read(&trace, &one, slot(&trace, &one).displaced(8));
        assert!(!trace.is_zero(field, 8) && !trace.is_address(field.displaced(1)));
        if pins {
            assert_eq!(trace.number(field), 7);
            assert_eq!(trace.number(field.displaced(8)), 15);
        }
        trace.finish().expect("all was noted")
    };
    assert_eq!(note(false).weight(), note(true).weight() + 1);
    let applies = |field| {
        let other = frame(OTHER, 0x70000, field);
        note(true).applies(OTHER, &[], &other).is_some()
    };
    assert!(applies(7) && !applies(9));
}

#[test]
fn what_is_looked_up_is_looked_up_again() {
    let trace = Trace::on(ONE);
    let one = frame(ONE, 0x50000, 7);
    let lookup = Lookup {
        type_at: 0x1000,
        map: slot(&trace, &one),
        key: Key::Word(trace.given(0, 0x30), 8),
    };
    let [element, is_there] = trace.look_up(&lookup, &one);
    assert_eq!(trace.object(element.expect("it is there")), 0x50030);
    assert!(!trace.is_zero(is_there.expect("known"), 8));
    let dependence = trace.finish().expect("all was noted");
    let other = frame(OTHER, 0x70000, 9);
    let translation = dependence.applies(OTHER, &[0x40], &other);
    assert_eq!(translation.and_then(|t| t.object(0x50030)), Some(0x70040));
}

#[test]
fn bytes_come_from_what_was_written_last() {
    let trace = Trace::on(ONE);
    let under = trace.given(0, 0x1122_3344_5566_7788);
    let byte = Term::fixed(0xab << 16);
    let over = trace.compute(Compute::Blend(0xff_0000), under, byte);
    let lane = |lane| trace.compute(Compute::Extract { lane, width: 1 }, over, Term::fixed(0));
    assert_eq!(lane(2), Term::fixed(0xab));
    assert_eq!(trace.number(lane(1)), 0x77);
    let (_, agreed) = trace.meet_bytes(under, over);
    assert_eq!(agreed, !0xff_0000);
}

#[test]
fn a_pointer_into_another_stack_cannot_be_noted() {
    let one = frame(ONE, 0x50000, 7);
    let trace = Trace::on(ONE);
    assert_eq!(
        trace.stack_address(Term::fixed(ONE + 8), &one),
        Some(ONE + 8)
    );
    assert!(trace.finish().is_none());
}
