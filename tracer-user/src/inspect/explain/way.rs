//! Ways to an object in words: variables, fields, types, frames.

use crate::{
    finding::{
        index::{SnapshotIndex, capitalised},
        phrase,
        site::is_plumbing,
    },
    target_text::TargetText,
};
use ids::{Goid, ImageAddr, TargetAddr};
use image::{Image, Refers, TypePart};
use memory::MemoryExt as _;
use reach::{Path, Reference, Root};
use snapshot::{StackFrame, Target};

/// Objects with pointers that are larger begin with their type, from Go 1.22 on
/// (`heapBitsInSpan`, runtime/mbitmap.go).
const LARGEST_WITHOUT_HEADER: u64 = 512;
/// The length of that.
const HEADER: u64 = 8;

/// What is known of the memory that a reference leads to.
#[derive(Debug, Clone, Copy)]
struct Typed {
    refers: Refers,
    begins: TargetAddr,
}

/// Names what lies on the way to an object.
pub(super) struct Namer<'a> {
    target: &'a Target,
    image: &'a Image,
    scene: &'a SnapshotIndex<'a>,
}

impl<'a> Namer<'a> {
    pub(super) fn new(target: &'a Target, scene: &'a SnapshotIndex<'a>) -> Self {
        Self {
            target,
            image: &target.image,
            scene,
        }
    }

    /// The way in steps: where it begins, and what each reference leads to.
    pub(super) fn steps(&self, path: &Path, object: TargetAddr) -> Vec<TargetText> {
        let mut steps = Vec::new();
        let first = path.references.first();
        let (root, mut part) = match path.root {
            Root::Variable => {
                let at = first.map_or(Some(object), |first| first.at);
                self.variable(at, path.laid_down.as_ref())
            }
            Root::Goroutine(goid) => (self.stack(goid, &path.on_stack), None),
            Root::Timer => ("a timer that is pending".to_owned(), None),
        };
        let mut here = capitalised(&root);
        if first.is_none() {
            here.push_str(": it lies there");
        }
        let mut before: Option<(Option<Typed>, (TargetAddr, u64))> = None;
        for reference in &path.references {
            if let Some((typed, held)) = before {
                (here, part) = self.field(typed, held, reference);
            }
            let typed = self.follow(part.as_ref(), reference);
            let is_last = object.0.wrapping_sub(reference.object.0.0) < reference.object.1;
            let what = match is_last {
                true => "refers to it".to_owned(),
                false => format!("refers to {}", self.what(typed, reference)),
            };
            steps.push(format!("{here} {what}").as_str().into());
            before = Some((typed, reference.object));
        }
        if steps.is_empty() {
            steps.push(here.as_str().into());
        }
        steps
    }

    /// The variable that the word at `at` belongs to, and which part of it that is. Of a value that the
    /// linker has laid down without a name, the one that refers to it, by `laid_down`.
    fn variable(
        &self,
        at: Option<TargetAddr>,
        laid_down: Option<&Reference>,
    ) -> (String, Option<TypePart>) {
        let Some(at) = at else {
            return ("a variable".to_owned(), None);
        };
        if let Some(named) = self.named(at) {
            return named;
        }
        let through = laid_down.and_then(|reference| {
            let (name, part) = self.named(reference.at?)?;
            let typed = self.follow(Some(&part?), reference)?;
            let part = self.part(typed, at)?;
            Some((format!("{name}{}", part.path), Some(part)))
        });
        through.unwrap_or_else(|| (format!("the variable at {at}"), None))
    }

    /// The variable with a name that the word at `at` belongs to, and which part of it that is.
    fn named(&self, at: TargetAddr) -> Option<(String, Option<TypePart>)> {
        let linked = at.in_image(self.target.bias);
        let variable = self.image.variable(linked)?;
        let part = self.image.part_of_variable(&variable, linked);
        let path = match (&part, linked.0 - variable.begins.0) {
            (Some(part), _) => part.path.clone(),
            (None, 0) => String::new(),
            (None, offset) => format!("+{offset:#x}"),
        };
        Some((format!("variable {}{path}", variable.name), part))
    }

    /// A reference on the stack of `goid`, at one of `places`: by the innermost frame of the program's own
    /// code that has it.
    fn stack(&self, goid: Goid, places: &[TargetAddr]) -> String {
        let name = SnapshotIndex::name(goid);
        let sites = self.scene.goroutine(goid).map(|g| {
            let site = |depth: usize| {
                let frame = g.stack.frames.get(depth)?;
                self.scene.site(frame.pc, depth > 0)
            };
            let holds = |frame: &StackFrame| {
                let mut offsets = places.iter().filter_map(|at| at.0.checked_sub(g.sp.0));
                offsets.any(|offset| (frame.sp_offset..frame.fp_offset).contains(&offset))
            };
            let frames = g.stack.frames.iter().enumerate();
            let frames = frames.filter(|(_, frame)| holds(frame));
            let sites = frames.filter_map(|(depth, _)| match site(depth)? {
                of if starts_another(&of.function) => site(depth.checked_sub(1)?),
                of => Some(of),
            });
            sites.collect::<Vec<_>>()
        });
        let sites = sites.unwrap_or_default();
        let own = sites.iter().find(|site| !is_plumbing(&site.function));
        match own.or(sites.last()) {
            Some(site) => format!("the frame of {site} in {name}"),
            None => format!("the stack of {name}"),
        }
    }

    /// The part of an object, `held`, that a reference lies in.
    fn field(
        &self,
        typed: Option<Typed>,
        held: (TargetAddr, u64),
        reference: &Reference,
    ) -> (String, Option<TypePart>) {
        let Some(at) = reference.at else {
            return ("that".to_owned(), None);
        };
        let part = typed.and_then(|typed| self.part(typed, at));
        let place = match &part {
            Some(part) if part.path.is_empty() => "that".to_owned(),
            Some(part) => format!("its {}", part.path.trim_start_matches('.')),
            None => format!("that, at +{:#x},", at.0 - held.0.0),
        };
        (place, part)
    }

    fn part(&self, typed: Typed, at: TargetAddr) -> Option<TypePart> {
        let offset = at.0.checked_sub(typed.begins.0)?;
        match typed.refers {
            Refers::To(of) => self.image.type_part(of, offset),
            Refers::ToElements(of) => self.image.element_part(of, offset),
            Refers::ToDynamic { .. } | Refers::ToInsides(_) => None,
        }
    }

    /// What `reference`, from a part of a value, leads to.
    fn follow(&self, part: Option<&TypePart>, reference: &Reference) -> Option<Typed> {
        let refers = match part.map(|part| part.refers) {
            Some(Refers::ToDynamic { empty }) => {
                reference.at.and_then(|at| self.dynamic(empty, at))
            }
            known => known,
        };
        let known = refers.map(|refers| Typed {
            refers,
            begins: reference.to,
        });
        let tells = |typed: &Typed| !matches!(typed.refers, Refers::ToInsides(_));
        let by_type = known.filter(tells);
        by_type.or_else(|| self.by_header(reference)).or(known)
    }

    /// What the interface refers to whose second word lies at `at`.
    fn dynamic(&self, empty: bool, at: TargetAddr) -> Option<Refers> {
        let memory = &*self.target.memory;
        let mut of = memory.read_addr(TargetAddr(at.0.checked_sub(8)?)).ok()?;
        if !empty {
            // `abi.ITab.Type`.
            of = memory.read_addr(of.offset(8)).ok()?;
        }
        self.image.dynamic_value(of.in_image(self.target.bias))
    }

    /// What the object that `reference` leads to says itself of its type.
    fn by_header(&self, reference: &Reference) -> Option<Typed> {
        let (at, size) = reference.object;
        if size <= LARGEST_WITHOUT_HEADER || !self.image.go_version().at_least(22) {
            return None;
        }
        let of: ImageAddr = self
            .target
            .memory
            .read_addr(at)
            .ok()?
            .in_image(self.target.bias);
        self.image.type_name(of)?;
        Some(Typed {
            refers: Refers::To(of),
            begins: at.offset(HEADER),
        })
    }

    /// An object in words.
    fn what(&self, typed: Option<Typed>, reference: &Reference) -> String {
        let (at, size) = reference.object;
        let named = typed.and_then(|typed| match typed.refers {
            Refers::To(of) => self.image.type_name(of).map(|name| format!("the {name}")),
            Refers::ToElements(of) => self
                .image
                .type_name(of)
                .map(|name| format!("the elements of a []{name}")),
            Refers::ToInsides(what) => Some(format!("the insides of {what}")),
            Refers::ToDynamic { .. } => None,
        });
        match named {
            Some(name) => format!("{name} at {}", reference.to),
            None => format!("an object of {} at {at}", phrase::bytes(size)),
        }
    }
}

/// Whether `function` is what the compiler made of a `go` statement (Go 1.22 and later): it keeps the
/// arguments of the function that it calls.
fn starts_another(function: &str) -> bool {
    let (_, wrapper) = function.rsplit_once('.').unwrap_or_default();
    wrapper.starts_with("gowrap")
}
