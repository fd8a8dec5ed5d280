//! Notes, while one goroutine is followed, where numbers come from and what was concluded from
//! them.

use std::ops::Range;

use rustc_hash::FxHashMap;

use super::{
    arrange::Noted,
    dependence::{Dependence, Input},
    operation::Compute,
    question::{Question, Relation},
    term::{Origin, Term},
};
use crate::isa::Arithmetic;

/// Inputs, and answers, that are noted at most: about 10 MB.
const MAX_NOTES: usize = 100_000;

/// The notes.
#[derive(Debug, Clone)]
pub(super) struct Recorder {
    sp: u64,
    inputs: Vec<(Input, u64)>,
    known: FxHashMap<Input, u32>,
    answers: FxHashMap<Question, u64>,
    /// Pairs that were taken for one number, where paths met, under the input that stands for both.
    met: FxHashMap<u32, Vec<(Term, Term)>>,
    written: FxHashMap<u64, Vec<Term>>,
    objects: FxHashMap<u64, Vec<Term>>,
    /// How far the part of the stack reaches that was looked at.
    reach: Range<u64>,
    /// Whether something depends on what cannot be noted.
    failed: bool,
    /// Whether numbers of different origins are not taken for one where paths meet.
    tells_apart: bool,
}

impl Recorder {
    /// For a goroutine with the stack pointer `sp`.
    pub(super) fn new(sp: u64) -> Self {
        Self {
            sp,
            inputs: Vec::new(),
            known: FxHashMap::default(),
            answers: FxHashMap::default(),
            met: FxHashMap::default(),
            written: FxHashMap::default(),
            objects: FxHashMap::default(),
            reach: sp..sp,
            failed: false,
            tells_apart: false,
        }
    }

    /// From now on numbers of different origins are not taken for one where paths meet, even if they are
    /// equal.
    pub(super) fn tell_apart(&mut self) {
        self.tells_apart = true;
    }

    /// The number `bits` that `input` is for this goroutine.
    pub(super) fn input(&mut self, input: Input, bits: u64) -> Term {
        let next = u32::try_from(self.inputs.len()).unwrap_or(u32::MAX);
        let number = *self.known.entry(input.clone()).or_insert(next);
        if number == next {
            self.inputs.push((input, bits));
            self.failed |= self.inputs.len() > MAX_NOTES;
        }
        Term {
            bits,
            origin: Origin::Input(number),
        }
    }

    /// What `compute` makes of `left` and `right`, one of which at least may be another number for
    /// another goroutine.
    pub(super) fn compute(&mut self, compute: Compute, left: Term, right: Term) -> Term {
        let bits = compute.of(left.bits, right.bits);
        let displaced = |origin| Term { bits, origin };
        match compute {
            Compute::Arithmetic(Arithmetic::Add, 8) if right.is_fixed() => displaced(left.origin),
            Compute::Arithmetic(Arithmetic::Add, 8) if left.is_fixed() => displaced(right.origin),
            Compute::Arithmetic(Arithmetic::Subtract, 8) if right.is_fixed() => {
                displaced(left.origin)
            }
            Compute::Arithmetic(Arithmetic::Subtract, 8) if left.origin == right.origin => {
                Term::fixed(bits)
            }
            Compute::Blend(u64::MAX) => right,
            Compute::Truncate(8..)
            | Compute::Blend(0)
            | Compute::Place { skip: 0, lane: 0 }
            | Compute::Extract {
                lane: 0,
                width: 8..,
            } => left,
            Compute::Extract { lane, width } => self.extract(left, lane, width),
            Compute::Blend(mask) => {
                let under = self.under(left, mask);
                self.input(Input::Computed(compute, under, right), bits)
            }
            _ => self.input(Input::Computed(compute, left, right), bits),
        }
    }

    /// Bytes of `of`, from that part of a blend that they lie in.
    fn extract(&mut self, of: Term, lane: u8, width: u8) -> Term {
        let mut from = of;
        let mask = bytes_mask(lane, width);
        while let Some((blended, under, over)) = self.blend(from) {
            if mask & !blended == 0 {
                from = over;
            } else if mask & blended == 0 {
                from = under;
            } else {
                break;
            }
        }
        let extract = Compute::Extract { lane, width };
        let bits = extract.of(from.bits, 0);
        if from.is_fixed() {
            return Term::fixed(bits);
        }
        self.input(Input::Computed(extract, from, Term::fixed(0)), bits)
    }

    /// What lies below blends that `mask` covers.
    fn under(&self, mut term: Term, mask: u64) -> Term {
        while let Some((blended, under, _)) = self.blend(term)
            && blended & !mask == 0
        {
            term = under;
        }
        term
    }

    /// If `term` is a blend: its mask, and what was blended.
    fn blend(&self, term: Term) -> Option<(u64, Term, Term)> {
        let Origin::Input(number) = term.origin else {
            return None;
        };
        match self.inputs.get(number as usize)? {
            (Input::Computed(Compute::Blend(mask), under, over), bits) if *bits == term.bits => {
                Some((*mask, *under, *over))
            }
            _ => None,
        }
    }

    /// The bytes in which two words agree for every goroutine, as a mask: those of the same word
    /// below what has been written over it.
    pub(super) fn agreement(&self, left: Term, right: Term) -> u64 {
        let base = |mut term: Term| {
            let mut written = 0;
            while let Some((mask, under, _)) = self.blend(term) {
                written |= mask;
                term = under;
            }
            (term, written)
        };
        let ((left, over_left), (right, over_right)) = (base(left), base(right));
        if left == right {
            !(over_left | over_right)
        } else {
            0
        }
    }

    /// That `question` was answered so.
    pub(super) fn answered(&mut self, question: Question, answer: u64) {
        let is_fixed = question.terms().iter().all(|term| term.is_fixed());
        // Stacks lie elsewhere for others.
        if is_fixed && !matches!(question, Question::OnStack(_)) {
            return;
        }
        self.answers.insert(question, answer);
        self.failed |= self.answers.len() > MAX_NOTES;
    }

    /// What stands for two numbers that are equal for this goroutine, where two paths meet. That
    /// they are matters only if it is used. `None`: they are told apart.
    pub(super) fn meet(&mut self, left: Term, right: Term) -> Option<Term> {
        if self.tells_apart {
            return None;
        }
        let (kept, input) = match (left.origin, right.origin) {
            (Origin::Input(input), _) => (left, input),
            (_, Origin::Input(input)) => (right, input),
            _ => {
                self.answered(equal(left, right), 1);
                return Some(left);
            }
        };
        let pairs = self.met.entry(input).or_default();
        if !pairs.contains(&(left, right)) {
            pairs.push((left, right));
        }
        Some(kept)
    }

    /// That the word at `at` is written, or read after it was. `on_stack`: it is the goroutine's own
    /// stack's.
    pub(super) fn written(&mut self, at: Term, on_stack: bool) {
        self.reached(at, on_stack);
        match (at.origin, on_stack) {
            (Origin::Input(_), true) => {
                let offset = at.bits.wrapping_sub(self.sp);
                self.answered(Question::OnStack(at), offset);
            }
            (_, true) => {}
            (_, false) => note(&mut self.written, at),
        }
    }

    /// The word that lies at `at`.
    pub(super) fn word(&mut self, at: Term, on_stack: bool, bits: u64, loaded: bool) -> Term {
        self.reached(at, on_stack);
        if at.is_fixed() && !loaded {
            return Term::fixed(bits);
        }
        let input = Input::Word {
            at,
            on_stack: on_stack.then(|| at.bits.wrapping_sub(self.sp)),
            loaded,
        };
        self.input(input, bits)
    }

    fn reached(&mut self, at: Term, on_stack: bool) {
        match (at.origin, on_stack) {
            (Origin::Stack, true) => {
                self.reach.start = self.reach.start.min(at.bits);
                self.reach.end = self.reach.end.max(at.bits.saturating_add(8));
            }
            (Origin::Stack, false) | (Origin::Fixed, true) => self.failed = true,
            (Origin::Fixed, false) | (Origin::Input(_), _) => {}
        }
    }

    /// That something is done to the object at `at`.
    pub(super) fn object(&mut self, at: Term) {
        note(&mut self.objects, at);
    }

    /// That the result depends on what cannot be noted.
    pub(super) fn fail(&mut self) {
        self.failed = true;
    }

    /// What it comes to; `None` if that is more than could be noted.
    pub(super) fn finish(mut self) -> Option<Dependence> {
        if self.failed {
            return None;
        }
        let used = self.used();
        let inputs = self.inputs.into_iter().zip(used);
        let noted = Noted {
            sp: self.sp,
            reach: self.reach,
            inputs: inputs
                .map(|((input, bits), used)| (input, bits, used))
                .collect(),
            answers: self.answers,
            written: self.written,
            objects: self.objects,
        };
        Some(noted.arranged())
    }

    /// Which inputs anything depends on. What these were taken for becomes an answer.
    fn used(&mut self) -> Vec<bool> {
        let mut used = vec![false; self.inputs.len()];
        let answers = self.answers.keys().flat_map(|question| question.terms());
        let places = self.written.values().chain(self.objects.values());
        let mut open: Vec<Term> = answers.chain(places.flatten().copied()).collect();
        while let Some(term) = open.pop() {
            let Origin::Input(number) = term.origin else {
                continue;
            };
            let Some(new) = used.get_mut(number as usize).filter(|used| !**used) else {
                continue;
            };
            *new = true;
            let input = self.inputs.get(number as usize);
            open.extend(input.into_iter().flat_map(|(input, _)| input.terms()));
            for (left, right) in self.met.remove(&number).unwrap_or_default() {
                self.answers.insert(equal(left, right), 1);
                open.extend([left, right]);
            }
        }
        used
    }
}

const fn equal(left: Term, right: Term) -> Question {
    Question::Relation(Relation::Equal(left, right))
}

/// Adds `at` to the ways in which this address was computed.
fn note(places: &mut FxHashMap<u64, Vec<Term>>, at: Term) {
    let terms = places.entry(at.bits).or_default();
    if !terms.contains(&at) {
        terms.push(at);
    }
}

/// All bits of `width` bytes from byte `lane` on.
pub(super) fn bytes_mask(lane: u8, width: u8) -> u64 {
    super::super::value::truncate(u64::MAX, width) << (8 * u32::from(lane & 7))
}
