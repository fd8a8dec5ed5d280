//! Images, each parsed once and shared by all the processes that run it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use rustc_hash::FxHashMap;

use super::{FileIdentity, Process, Untraceable};
use image::{Image, ImageBounds, ImageError, SharedMemory};
use resources::cancellation::is_cut;

/// Most images kept that nobody uses; the oldest goes first.
const IMAGES_LIMIT: usize = 256;
/// Most images kept at all. Processes that run one keep it as long as they need.
const MAX_IMAGES: usize = 4096;

/// Most bytes that a daemon keeps of all executables together.
const MAX_TOGETHER: u64 = 128 << 20;

/// What became of one file.
type Parsed = Arc<OnceLock<Result<Arc<Image>, Arc<ImageError>>>>;

/// How much of executables is read and kept.
#[derive(Debug, Clone, Default)]
pub struct ImageLimits {
    /// Of one.
    pub bounds: ImageBounds,
    /// Of all together; what was read of a file and finds no room is read again each time.
    pub together: SharedMemory,
}

impl ImageLimits {
    /// For a daemon that may use `memory` bytes, if it was told.
    #[must_use]
    pub fn of_daemon(memory: Option<u64>) -> Self {
        let quarter = memory.map_or(u64::MAX, |memory| memory / 4);
        Self {
            bounds: ImageBounds::DAEMON,
            together: SharedMemory::of(quarter.min(MAX_TOGETHER)),
        }
    }
}

/// Images by the file they were parsed from. Failures are remembered too, so that a daemon does
/// not parse a broken file again and again.
#[derive(Debug, Default)]
pub struct ImageCache {
    limits: ImageLimits,
    images: Mutex<Images>,
}

#[derive(Debug, Default)]
struct Images {
    by_file: FxHashMap<FileIdentity, Parsed>,
    /// By age, oldest first.
    order: VecDeque<FileIdentity>,
}

impl Images {
    /// Makes room for another one where there are enough: the oldest that nobody uses goes.
    fn make_room(&mut self) {
        if self.order.len() < IMAGES_LIMIT {
            return;
        }
        let unused = |file: &FileIdentity| self.by_file.get(file).is_none_or(is_unused);
        let goes = self.order.iter().position(unused);
        let goes = goes.or((self.order.len() >= MAX_IMAGES).then_some(0));
        if let Some(file) = goes.and_then(|index| self.order.remove(index)) {
            self.by_file.remove(&file);
        }
    }
}

/// Whether the cache alone has it.
fn is_unused(parsed: &Parsed) -> bool {
    Arc::strong_count(parsed) == 1
        && match parsed.get() {
            Some(Ok(image)) => Arc::strong_count(image) == 1,
            Some(Err(_)) | None => true,
        }
}

impl ImageCache {
    /// An empty cache of images that are read within `limits`.
    #[must_use]
    pub fn new(limits: ImageLimits) -> Self {
        Self {
            limits,
            images: Mutex::default(),
        }
    }

    /// The image that `process` executes. Callers that ask for the same file at the same time wait
    /// for one parse; other files are not held up by it.
    ///
    /// # Errors
    /// [`Untraceable`] says why it cannot be used.
    pub fn image_of(&self, process: &Process) -> Result<Arc<Image>, Untraceable> {
        let path = process.exe_for_us();
        loop {
            let parsed = self.entry(process.exe.file);
            let result = parsed.get_or_init(|| {
                let ImageLimits { bounds, together } = &self.limits;
                let image = Image::open_within(&path, bounds, together);
                image.map(Arc::new).map_err(Arc::new)
            });
            let error = match result {
                Ok(image) => {
                    image.found_at(&path);
                    return Ok(Arc::clone(image));
                }
                Err(error) => error,
            };
            // The file may be sound, and the process just gone.
            if error.may_pass() {
                self.forget(process.exe.file);
                process.check_same()?;
            }
            // Others' work was cut short, not ours.
            if !matches!(**error, ImageError::Cut { .. }) || is_cut() {
                return Err(Untraceable::from_image(process, error));
            }
        }
    }

    fn entry(&self, file: FileIdentity) -> Parsed {
        let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(parsed) = images.by_file.get(&file) {
            return Arc::clone(parsed);
        }
        images.make_room();
        images.order.push_back(file);
        Arc::clone(images.by_file.entry(file).or_default())
    }

    fn forget(&self, file: FileIdentity) {
        let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        images.by_file.remove(&file);
        images.order.retain(|kept| *kept != file);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::Pid;

    fn own() -> Process {
        Process::open(Pid(std::process::id())).unwrap()
    }

    #[test]
    fn a_failure_is_remembered_and_explained() {
        let cache = ImageCache::default();
        for _ in 0..2 {
            let error = cache.image_of(&own()).unwrap_err();
            assert!(matches!(error, Untraceable::NotGo { .. }), "{error}");
            assert!(error.next_step().contains("gostuck ps"));
        }
        assert_eq!(cache.images.lock().unwrap().order.len(), 1);
    }

    #[test]
    fn a_process_that_is_gone_is_no_broken_image() {
        let cache = ImageCache::default();
        let mut process = own();
        process.key.pid = Pid(u32::MAX);
        let error = cache.image_of(&process).unwrap_err();
        assert!(matches!(error, Untraceable::Process(_)), "{error}");
        assert!(cache.images.lock().unwrap().order.is_empty());
    }

    #[test]
    fn the_oldest_image_goes_when_the_cache_is_full() {
        let cache = ImageCache::default();
        let file = |inode| FileIdentity {
            inode,
            ..own().exe.file
        };
        let used = cache.entry(file(0));
        for inode in 1..=IMAGES_LIMIT as u64 {
            cache.entry(file(inode));
        }
        let images = cache.images.lock().unwrap();
        assert_eq!(images.by_file.len(), IMAGES_LIMIT);
        assert!(images.by_file.contains_key(&file(0)) && !images.by_file.contains_key(&file(1)));
        drop(used);
    }
}
