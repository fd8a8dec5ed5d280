//! The moment of a small program that targets change: `moment/waits.gostuck`, recorded of `moment/main.go`.
//! `GOSTUCK_FUZZ_MOMENT` names another recording.

use std::{
    env,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use anyhow::{Context as _, Result, ensure};
use tracer_user::{
    ids::LoadBias,
    inspect::{Inspection, StoppedProcess},
    memory::Pages,
    recording::{Header, read, replay},
};

use crate::{export::looker, temporary::Temporary};

/// The environment variable that names another recording.
const VARIABLE: &str = "GOSTUCK_FUZZ_MOMENT";

/// A recording, read once.
pub(crate) struct BaseMoment {
    /// What it says of the process.
    pub(crate) header: Header,
    /// Its pages by address.
    pub(crate) pages: Vec<(u64, Vec<u8>)>,
    /// Its executable.
    pub(crate) executable: Vec<u8>,
    /// What is seen of it as it is.
    pub(crate) look: Inspection,
    file: Temporary,
}

impl BaseMoment {
    fn open(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path)?;
        let mut executable = Vec::new();
        let (header, embedded, pages) = read(&bytes[..], &mut executable)?;
        ensure!(embedded, "it lacks the executable");
        let file = Temporary::new(&[&executable])?;
        let look = replay(&looker(), path, Some(&file.path()))?;
        let pages = pages.iter().map(|(base, page)| (base, page.to_vec()));
        Ok(Self {
            header,
            pages: pages.collect(),
            executable,
            look,
            file,
        })
    }

    /// A path that opens the executable.
    pub(crate) fn executable_path(&self) -> PathBuf {
        self.file.path()
    }

    /// The process as it stood according to `header`, with that memory.
    pub(crate) fn still_with(&self, header: Header, pages: Pages) -> StoppedProcess {
        let Header { subject, moment } = header;
        let loaded = (Arc::clone(&self.look.image), LoadBias(subject.load_bias));
        let process = subject.process(self.look.process.exe.file);
        moment.still(Path::new("input"), process, loaded, Arc::new(pages))
    }
}

/// The moment. It comes with the source, so that there is nothing to do without it.
pub(crate) fn base() -> &'static BaseMoment {
    static BASE: LazyLock<BaseMoment> = LazyLock::new(|| {
        let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("moment/waits.gostuck");
        let path = env::var_os(VARIABLE).map_or_else(own, PathBuf::from);
        let opened = BaseMoment::open(&path).with_context(|| path.display().to_string());
        opened.unwrap_or_else(|error| panic!("{error:#}"))
    });
    &BASE
}
