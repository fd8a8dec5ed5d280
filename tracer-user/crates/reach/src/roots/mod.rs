//! Where marking starts besides the stacks: globals, and what the runtime itself will run.

mod finalizer_queue;
mod globals;
mod specials;
mod vector_registers;

pub use finalizer_queue::{CleanupQueue, FinalizerQueue};
pub use globals::{Module, ModuleLayout, global_words};
pub use specials::{SpecialLayout, SpecialRoots, read_specials};
pub use vector_registers::VectorRegisters;
