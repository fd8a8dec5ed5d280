//! Images, each parsed once and shared by all the processes that run it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use rustc_hash::FxHashMap;

use super::{FileIdentity, Process, Untraceable};
use crate::image::{Image, ImageError};

/// Most images kept; the oldest goes first. Processes that run it keep it as long as they need.
const IMAGES_LIMIT: usize = 256;

/// What became of one file.
type Parsed = Arc<OnceLock<Result<Arc<Image>, Arc<ImageError>>>>;

/// Images by the file they were parsed from. Failures are remembered too, so that a daemon does
/// not parse a broken file again and again.
#[derive(Debug, Default)]
pub struct ImageCache {
    images: Mutex<Images>,
}

#[derive(Debug, Default)]
struct Images {
    by_file: FxHashMap<FileIdentity, Parsed>,
    /// By age, oldest first.
    order: VecDeque<FileIdentity>,
}

impl ImageCache {
    /// An empty cache.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The image that `process` executes. Callers that ask for the same file at the same time wait
    /// for one parse; other files are not held up by it.
    ///
    /// # Errors
    /// [`Untraceable`] says why it cannot be used.
    pub fn image_of(&self, process: &Process) -> Result<Arc<Image>, Untraceable> {
        let parsed = self.entry(process.exe.file);
        let result = parsed.get_or_init(|| {
            Image::open(&process.exe_for_us())
                .map(Arc::new)
                .map_err(Arc::new)
        });
        match result {
            Ok(image) => Ok(Arc::clone(image)),
            Err(error) => {
                // The file may be sound and the process just gone.
                if matches!(**error, ImageError::Io { .. }) {
                    self.forget(process.exe.file);
                    process.check_same()?;
                }
                Err(Untraceable::from_image(process, error))
            }
        }
    }

    fn entry(&self, file: FileIdentity) -> Parsed {
        let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(parsed) = images.by_file.get(&file) {
            return Arc::clone(parsed);
        }
        if images.order.len() >= IMAGES_LIMIT
            && let Some(oldest) = images.order.pop_front()
        {
            images.by_file.remove(&oldest);
        }
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
    use crate::ids::Pid;

    fn own() -> Process {
        Process::open(Pid(std::process::id())).unwrap()
    }

    #[test]
    fn a_failure_is_remembered_and_explained() {
        let cache = ImageCache::new();
        for _ in 0..2 {
            let error = cache.image_of(&own()).unwrap_err();
            assert!(matches!(error, Untraceable::NotGo { .. }), "{error}");
            assert!(error.next_step().contains("gostuck ps"));
        }
        assert_eq!(cache.images.lock().unwrap().order.len(), 1);
    }

    #[test]
    fn a_process_that_is_gone_is_no_broken_image() {
        let cache = ImageCache::new();
        let mut process = own();
        process.key.pid = Pid(u32::MAX);
        let error = cache.image_of(&process).unwrap_err();
        assert!(matches!(error, Untraceable::Process(_)), "{error}");
        assert!(cache.images.lock().unwrap().order.is_empty());
    }

    #[test]
    fn the_oldest_image_goes_when_the_cache_is_full() {
        let cache = ImageCache::new();
        let file = |inode| FileIdentity {
            inode,
            ..own().exe.file
        };
        for inode in 0..=IMAGES_LIMIT as u64 {
            cache.entry(file(inode));
        }
        let images = cache.images.lock().unwrap();
        assert_eq!(images.by_file.len(), IMAGES_LIMIT);
        assert!(!images.by_file.contains_key(&file(0)));
    }
}
