//! What a Go executable says of itself: build info, functions, lines, inlined calls, the layout of
//! the runtime's structs, where the runtime's globals are, and where to place probes.

mod build_info;
mod build_version;
mod elf;
mod error;
mod file;
pub mod globals;
mod go_marker;
mod headers;
pub mod layout;
mod moduledata;
mod pc_value;
mod pclntab;
mod probe_site;
mod references;
mod relocations;
mod symbolize;
mod type_name;
mod type_part;
mod variable;
mod version;
mod wait_reason;

use std::{borrow::Cow, ops::Range, path::Path};

pub use build_info::BuildInfo;
pub use elf::Arch;
pub use error::ImageError;
pub use file::{ImageBounds, SharedMemory};
pub use globals::{Globals, SEMTABLE_ENTRIES, semtable_stride};
pub use go_marker::is_go;
pub use layout::{Layout, LayoutSource};
pub use moduledata::ModuleData;
pub use pclntab::Function;
pub use probe_site::{ProbeSite, ProbeSites, SiteKind};
pub use references::References;
pub use symbolize::SourceFrame;
pub use type_part::{Refers, TypePart};
pub use variable::Variable;
pub use version::GoVersion;
pub use wait_reason::{WaitKind, WaitReason};

use ids::{FileOffset, ImageAddr};

/// Longest piece of the file that one call hands out.
const MAX_BYTES: usize = 16 << 20;

/// One Go executable file, parsed once and shared by the processes that run it.
#[derive(Debug)]
pub struct Image {
    elf: elf::Elf,
    version: GoVersion,
    build_info: BuildInfo,
    table: pclntab::PcLineTable,
    module: ModuleData,
    layout: Layout,
    layout_source: LayoutSource,
    globals: Globals,
    wait_reasons: wait_reason::WaitReasonTable,
}

impl Image {
    /// Opens and parses an executable within the bounds for a command; `path` may be
    /// `/proc/PID/exe`.
    ///
    /// # Errors
    /// [`ImageError`] says what was wrong: not readable, not ELF, not Go, too old, or broken.
    pub fn open(path: &Path) -> Result<Self, ImageError> {
        Self::open_within(path, &ImageBounds::COMMAND, &SharedMemory::default())
    }

    /// Likewise within `bounds`, and as one of those that keep what they keep in `shared`. Ends early
    /// when the work that the calling thread is at is cut short.
    ///
    /// # Errors
    /// [`ImageError`].
    pub fn open_within(
        path: &Path,
        bounds: &ImageBounds,
        shared: &SharedMemory,
    ) -> Result<Self, ImageError> {
        let mut elf = elf::Elf::open(path, bounds, shared)?;
        let build_info = match BuildInfo::read(&elf) {
            Some(info) => Some(info),
            None => BuildInfo::of_runtime(&elf).map_err(|why| ImageError::of(path, why))?,
        };
        let build_info = build_info.ok_or_else(|| ImageError::NotGo {
            path: path.to_owned(),
        })?;
        let unsupported = || ImageError::UnsupportedVersion {
            path: path.to_owned(),
            version: build_info.go_version.clone(),
        };
        let version = GoVersion::parse(&build_info.go_version).ok_or_else(unsupported)?;
        if !version.at_least(19) {
            return Err(unsupported());
        }
        let broken = |table: &'static str| move |why| ImageError::in_table(path, table, why);
        let (layout, layout_source) =
            layout::load(&elf, &version).map_err(broken("runtime layout"))?;
        let (table, module) = pclntab::PcLineTable::find(&elf, layout.moduledata.gofunc)
            .map_err(broken("pclntab"))?;
        let globals = Globals::find(&elf, &table, &module, &layout)
            .map_err(|why| ImageError::of(path, why))?;
        let wait_reasons =
            wait_reason::WaitReasonTable::find(&elf, &module).map_err(broken("wait reasons"))?;
        elf.parsed();
        Ok(Self {
            elf,
            version,
            build_info,
            table,
            module,
            layout,
            layout_source,
            globals,
            wait_reasons,
        })
    }

    /// Where the file is found from now on: another process runs it, too.
    pub fn found_at(&self, path: &Path) {
        self.elf.file().found_at(path);
    }

    /// The Go version that built it.
    #[must_use]
    pub fn go_version(&self) -> &GoVersion {
        &self.version
    }

    /// Build settings and main package.
    #[must_use]
    pub fn build_info(&self) -> &BuildInfo {
        &self.build_info
    }

    /// Whether the symbol table was stripped (`-ldflags=-s`).
    #[must_use]
    pub fn is_stripped(&self) -> bool {
        !self.elf.has_symbols
    }

    /// Whether the kernel may load it anywhere.
    #[must_use]
    pub fn is_pie(&self) -> bool {
        self.elf.pie
    }

    /// The machine it runs on.
    #[must_use]
    pub fn arch(&self) -> Arch {
        self.elf.arch
    }

    /// The linker's own identity of the build (`.note.gnu.build-id`), if present.
    #[must_use]
    pub fn build_id(&self) -> Option<&[u8]> {
        self.elf.build_id.as_deref()
    }

    /// Where the fields of the runtime's structs are.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Where the layout comes from.
    #[must_use]
    pub fn layout_source(&self) -> &LayoutSource {
        &self.layout_source
    }

    /// The variable that the word at `at` belongs to, as the symbol table says; `None` without one. Goes
    /// through the whole table.
    #[must_use]
    pub fn variable_at(&self, at: ImageAddr) -> Option<Range<ImageAddr>> {
        references::variable_at(&self.elf, at)
    }

    /// Where amd64 code and all data refer to `variable`; `None` where that cannot be told. Goes through
    /// the whole file.
    #[must_use]
    pub fn references(&self, variable: &Range<ImageAddr>) -> Option<References> {
        references::of(&self.elf, variable)
    }

    /// Where the runtime's global variables are.
    #[must_use]
    pub fn globals(&self) -> &Globals {
        &self.globals
    }

    /// What wait reason `number` of this Go version means.
    #[must_use]
    pub fn wait_reason(&self, number: u8) -> WaitReason {
        self.wait_reasons.get(number)
    }

    /// Every wait reason of this Go version with its number.
    pub fn wait_reasons(&self) -> impl Iterator<Item = (u8, WaitReason)> {
        self.wait_reasons.iter()
    }

    /// The module's ranges.
    #[must_use]
    pub fn module(&self) -> &ModuleData {
        &self.module
    }

    /// How many functions the image has.
    #[must_use]
    pub fn function_count(&self) -> u32 {
        self.table.function_count()
    }

    /// The function that covers `pc`.
    #[must_use]
    pub fn function_at(&self, pc: ImageAddr) -> Option<Function> {
        self.table.at(&self.elf, pc)
    }

    /// The functions called `name`: two where assembly has both ABIs.
    #[must_use]
    pub fn functions_named(&self, name: &str) -> Vec<Function> {
        self.table.named(&self.elf, name)
    }

    /// Bytes between the stack pointer and the return address at `pc`.
    #[must_use]
    pub fn sp_delta(&self, f: &Function, pc: ImageAddr) -> Option<u64> {
        self.table.sp_delta(&self.elf, f, pc)
    }

    /// The value of pcdata table `table` at `pc` (`internal/abi/funcdata.go`).
    #[must_use]
    pub fn pcdata(&self, f: &Function, table: usize, pc: ImageAddr) -> Option<i32> {
        self.table.pcdata(&self.elf, f, table, pc)
    }

    /// All ranges of pcdata table `table` with their values.
    #[must_use]
    pub fn pcdata_runs(&self, f: &Function, table: usize) -> Vec<(Range<ImageAddr>, i32)> {
        self.table.pcdata_runs(&self.elf, f, table)
    }

    /// Where funcdata `index` of `f` lies.
    #[must_use]
    pub fn funcdata(&self, f: &Function, index: usize) -> Option<ImageAddr> {
        self.table.funcdata(f, index)
    }

    /// `len` bytes of the file's contents at `at`.
    #[must_use]
    pub fn bytes(&self, at: ImageAddr, len: usize) -> Option<Cow<'_, [u8]>> {
        if len > MAX_BYTES {
            return None;
        }
        self.elf.get(at, len)
    }

    /// How many bytes the file has from `at` on, in the segment that holds it.
    #[must_use]
    pub fn room(&self, at: ImageAddr) -> u64 {
        self.elf.room(at)
    }

    /// The pointer that lies at `at` once the image is loaded, before the bias.
    #[must_use]
    pub fn pointer(&self, at: ImageAddr) -> Option<ImageAddr> {
        self.elf.pointer(at)
    }

    /// The machine code of `f`.
    #[must_use]
    pub fn code(&self, f: &Function) -> Option<Cow<'_, [u8]>> {
        let len = usize::try_from(f.end.0.checked_sub(f.entry.0)?).ok()?;
        self.bytes(f.entry, len)
    }

    /// Where in the file the byte at `at` is: what a uprobe is placed at.
    #[must_use]
    pub fn file_offset(&self, at: ImageAddr) -> Option<FileOffset> {
        self.elf.file_offset(at)
    }
}
