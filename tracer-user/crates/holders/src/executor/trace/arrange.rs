//! Arranges what was noted of one execution so that it is quickly asked for many goroutines.

use std::ops::Range;

use rustc_hash::FxHashMap;

use super::{
    apart::Apart,
    dependence::{Dependence, Input, Step},
    question::{Field, Question, Relation},
    term::{Origin, Term},
};

/// Words that lie together are read together if no more bytes than this lie between two of them.
const MAX_GAP: u64 = 128;

/// What was noted of an execution, with the numbers of its goroutine.
#[derive(Debug)]
pub(super) struct Noted {
    pub(super) sp: u64,
    /// The part of the stack that was looked at.
    pub(super) reach: Range<u64>,
    /// The inputs, each of which depends on earlier ones only, and whether anything depends on it.
    pub(super) inputs: Vec<(Input, u64, bool)>,
    /// What was concluded.
    pub(super) answers: FxHashMap<Question, u64>,
    /// The words of memory beyond the stack that were written, and how their addresses were
    /// computed.
    pub(super) written: FxHashMap<u64, Vec<Term>>,
    /// The same of the objects to which something is done.
    pub(super) objects: FxHashMap<u64, Vec<Term>>,
}

impl Noted {
    /// The same, arranged to be asked for many goroutines.
    pub(super) fn arranged(self) -> Dependence {
        let order = Order::of(&self.inputs);
        let relative = |term: Term| self.relative(term, &order.numbers);
        let places = |places: &FxHashMap<u64, Vec<Term>>| -> Vec<Vec<Term>> {
            let all = places.values().map(|terms| terms.iter());
            all.map(|terms| terms.map(|term| relative(*term)).collect())
                .collect()
        };
        let used = self.inputs.iter().filter(|(_, _, used)| *used);
        let reads = used.filter_map(|(input, _, _)| beyond_stack(input));
        // What is read where it was written is the same word.
        let reads = reads.filter(|at| !self.written.contains_key(&at.bits));
        let ends = [self.reach.start, self.reach.end.wrapping_sub(1)];
        let reach = ends.map(|end| end.wrapping_sub(self.sp));
        let objects = self.objects.iter();
        Dependence {
            sp: self.sp,
            reach: (!self.reach.is_empty()).then_some(reach),
            steps: self.steps(&order, relative),
            inputs: order.groups.iter().map(Vec::len).sum(),
            elsewhere: self.elsewhere(),
            written: Apart::new(places(&self.written).iter(), reads.map(relative)),
            apart: Apart::new(places(&self.objects).iter(), std::iter::empty()),
            objects: objects
                .filter_map(|(at, terms)| Some((*at, relative(*terms.first()?))))
                .collect(),
        }
    }

    /// The inputs in that order, each followed by what can be asked then.
    fn steps(&self, order: &Order, relative: impl Fn(Term) -> Term) -> Vec<Step> {
        let mut asked: Vec<Vec<Step>> = Vec::new();
        asked.resize_with(self.inputs.len() + 1, Vec::new);
        let pinned = self.pinned();
        for (question, answer) in &self.answers {
            if question.of_fixed_place().is_none() && !pinned.answer(question) {
                let question = question.map(&relative);
                let known_after = question.terms().map(Term::known_after).into_iter().max();
                asked[known_after.unwrap_or(0)].push(Step::Ask(question, *answer));
            }
        }
        let mut asked = asked.into_iter();
        let mut steps = asked.next().unwrap_or_default();
        for group in &order.groups {
            steps.push(self.step(group, &relative));
            steps.extend(asked.by_ref().take(group.len()).flatten());
        }
        steps
    }

    /// The inputs that must be the same for every goroutine.
    fn pinned(&self) -> Pinned {
        let mut pinned = Pinned::default();
        for question in self.answers.keys() {
            if let Question::Relation(Relation::Number(term)) = question
                && let Origin::Input(input) = term.origin
            {
                pinned.by.entry(input).or_insert(*question);
            }
        }
        pinned
    }

    fn step(&self, group: &[u32], relative: impl Fn(Term) -> Term) -> Step {
        let input = |number: u32| &self.inputs[number as usize].0;
        match input(group[0]) {
            Input::Word {
                at: lowest,
                on_stack: None,
                ..
            } => {
                let field = |number: &u32| match input(*number) {
                    Input::Word { at, loaded, .. } => Some(Field {
                        offset: at.bits.wrapping_sub(lowest.bits),
                        loaded: *loaded,
                    }),
                    _ => None,
                };
                Step::Fields(relative(*lowest), group.iter().filter_map(field).collect())
            }
            input => Step::Input(input.map(relative)),
        }
    }

    /// The addresses that are the same for all goroutines and were asked whether they are on the stack.
    /// Those that are cannot be noted.
    fn elsewhere(&self) -> Vec<u64> {
        let places = self
            .answers
            .keys()
            .filter_map(|question| question.of_fixed_place());
        let mut places: Vec<u64> = places.collect();
        places.sort_unstable();
        places
    }

    /// `term` as a displacement from its origin, of which `numbers` are the new numbers.
    fn relative(&self, term: Term, numbers: &[u32]) -> Term {
        let base = match term.origin {
            Origin::Fixed => 0,
            Origin::Stack => self.sp,
            Origin::Input(input) => self.inputs.get(input as usize).map_or(0, |input| input.1),
        };
        Term {
            bits: term.bits.wrapping_sub(base),
            origin: match term.origin {
                Origin::Input(input) => {
                    Origin::Input(numbers.get(input as usize).copied().unwrap_or(u32::MAX))
                }
                origin => origin,
            },
        }
    }
}

/// Inputs that must be the same for every goroutine, each with the question that says so.
#[derive(Default)]
struct Pinned {
    by: FxHashMap<u32, Question>,
}

impl Pinned {
    /// Whether what they are answers `question`, which need not be asked then.
    fn answer(&self, question: &Question) -> bool {
        let says_so = |input: &u32| self.by.get(input) == Some(question);
        let known = |term: Term| match term.origin {
            Origin::Fixed => true,
            Origin::Stack => false,
            Origin::Input(input) => self.by.contains_key(&input) && !says_so(&input),
        };
        !matches!(question, Question::OnStack(_)) && question.terms().into_iter().all(known)
    }
}

/// In which order inputs are read and computed.
struct Order {
    /// Those that are read together, or one alone.
    groups: Vec<Vec<u32>>,
    /// The place of each in that order.
    numbers: Vec<u32>,
}

impl Order {
    /// Of the `inputs` that are used: those first that the stack alone says.
    fn of(inputs: &[(Input, u64, bool)]) -> Self {
        let near = near(inputs);
        let used = |is_near: bool| {
            let all = (0..).zip(inputs).zip(&near);
            let used = all.filter(move |((_, input), near)| input.2 && **near == is_near);
            used.map(|((number, input), _)| (number, &input.0))
        };
        let mut words: FxHashMap<Origin, Vec<(u64, u32)>> = FxHashMap::default();
        for (number, at) in used(false).filter_map(|(n, input)| Some((n, beyond_stack(input)?))) {
            words.entry(at.origin).or_default().push((at.bits, number));
        }
        let mut groups: Vec<Vec<u32>> = Vec::new();
        for (number, input) in used(true).chain(used(false)) {
            match beyond_stack(input) {
                Some(at) => groups.extend(together(words.remove(&at.origin).unwrap_or_default())),
                None => groups.push(vec![number]),
            }
        }
        let mut numbers = vec![u32::MAX; inputs.len()];
        for (number, input) in (0..).zip(groups.iter().flatten()) {
            numbers[*input as usize] = number;
        }
        Self { groups, numbers }
    }
}

/// Of each input whether it can be known without reading memory beyond the stack.
fn near(inputs: &[(Input, u64, bool)]) -> Vec<bool> {
    let mut near: Vec<bool> = Vec::with_capacity(inputs.len());
    for (input, _, _) in inputs {
        let own = beyond_stack(input).is_none() && !matches!(input, Input::LookedUp(..));
        let is_near = |term: Term| match term.origin {
            Origin::Input(number) => near.get(number as usize) == Some(&true),
            Origin::Fixed | Origin::Stack => true,
        };
        near.push(own && input.terms().into_iter().all(is_near));
    }
    near
}

/// The words of one origin, by their addresses, as they are read together.
fn together(mut words: Vec<(u64, u32)>) -> Vec<Vec<u32>> {
    words.sort_unstable();
    let near = |one: &(u64, u32), next: &(u64, u32)| next.0 - one.0 <= MAX_GAP;
    let groups = words.chunk_by(near).flat_map(|group| {
        // No longer than what is read at once.
        let first = group[0].0;
        group.chunk_by(move |one, next| {
            (one.0 - first) / Field::REACH == (next.0 - first) / Field::REACH
        })
    });
    groups
        .map(|group| group.iter().map(|(_, number)| *number).collect())
        .collect()
}

fn beyond_stack(input: &Input) -> Option<Term> {
    match input {
        Input::Word {
            at, on_stack: None, ..
        } => Some(*at),
        _ => None,
    }
}
