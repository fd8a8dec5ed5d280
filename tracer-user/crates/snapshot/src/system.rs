//! Which goroutines the runtime itself owns.

use rustc_hash::FxHashMap;

use super::Stack;
use ids::ImageAddr;
use image::{Image, WaitReason};

/// Most first functions remembered.
const REMEMBERED_LIMIT: usize = 1 << 16;

/// `runtime.isSystemGoroutine` (`runtime/traceback.go`), with its answers remembered by first
/// function.
#[derive(Debug, Default)]
pub(super) struct SystemGoroutines {
    known: FxHashMap<ImageAddr, Owner>,
}

/// Whose a goroutine is, by its first function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Program,
    Runtime,
    /// The runtime's while idle, the program's while it runs finalizers or cleanups.
    Either,
}

impl SystemGoroutines {
    pub(super) fn is_system(
        &mut self,
        image: &Image,
        start: ImageAddr,
        wait_reason: Option<WaitReason>,
        stack: &Stack,
    ) -> bool {
        if self.known.len() >= REMEMBERED_LIMIT {
            self.known.clear();
        }
        let owner = *self.known.entry(start).or_insert_with(|| {
            let function = image.function_at(start);
            function.map_or(Owner::Program, |function| owner(&function.name))
        });
        match owner {
            Owner::Program => false,
            Owner::Runtime => true,
            Owner::Either => {
                wait_reason == Some(WaitReason::FinalizerWait) || !runs_program(image, stack)
            }
        }
    }
}

fn owner(name: &str) -> Owner {
    match name {
        // corostart from Go 1.22 on.
        "runtime.main" | "runtime.corostart" | "runtime.handleAsyncEvent" => Owner::Program,
        // runfinq until Go 1.24.
        "runtime.runfinq" | "runtime.runFinalizers" | "runtime.runCleanups" => Owner::Either,
        _ if name.starts_with("runtime.") => Owner::Runtime,
        _ => Owner::Program,
    }
}

/// Whether a function of the program is on the stack. The runtime itself asks a flag
/// (`fingRunningFinalizer`) that stripped images do not name.
fn runs_program(image: &Image, stack: &Stack) -> bool {
    stack.frames.iter().any(|frame| {
        let function = image.function_at(frame.pc);
        function.is_some_and(|function| {
            !function.name.starts_with("runtime.") && &*function.name != "reflectcall"
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_function_names_the_owner() {
        assert_eq!(owner("runtime.main"), Owner::Program);
        assert_eq!(owner("runtime.gcBgMarkWorker"), Owner::Runtime);
        assert_eq!(owner("runtime.runfinq"), Owner::Either);
        assert_eq!(owner("main.main.func1"), Owner::Program);
        assert_eq!(owner("runtime/pprof.profileWriter"), Owner::Program);
    }
}
