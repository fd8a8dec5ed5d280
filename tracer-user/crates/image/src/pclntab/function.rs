//! One function's record in the table.

use std::sync::Arc;

use ids::ImageAddr;

/// One function of the image. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function(pub(super) Arc<Record>);

/// `runtime._func`, decoded.
#[derive(Debug, PartialEq, Eq)]
pub struct Record {
    /// Position in the function table: a dense id.
    pub index: u32,
    /// First instruction.
    pub entry: ImageAddr,
    /// First address of the next function.
    pub end: ImageAddr,
    /// Full name, for example `net/http.(*conn).serve`.
    pub name: Arc<str>,
    /// `_func.args`: bytes of arguments on the stack.
    pub args: i32,
    /// Offset of the `deferreturn` call from the entry; 0 when there is none.
    pub defer_return: u32,
    /// `_func.funcID` (`internal/abi/symtab.go`).
    pub func_id: u8,
    /// `_func.flag` (`internal/abi/symtab.go`).
    pub flag: u8,
    /// Line of the `func` keyword; 0 before Go 1.20.
    pub start_line: u32,
    pub(super) pcsp: u32,
    pub(super) pcfile: u32,
    pub(super) pcln: u32,
    pub(super) cu_offset: u32,
    pub(super) pcdata: Vec<u32>,
    pub(super) funcdata: Vec<u32>,
}

impl std::ops::Deref for Function {
    type Target = Record;

    fn deref(&self) -> &Record {
        &self.0
    }
}
