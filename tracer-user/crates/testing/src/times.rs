//! How long tests take, which they tell whoever runs them.

use std::{env, fs::OpenOptions, io::Write as _, time::Instant};

/// Names the file to which each test adds a line with its time: seconds, a tab, and its name.
pub const TIMES: &str = "GOSTUCK_TEST_TIMES";

/// Tells how long a test took when it is dropped, also by a panic.
#[derive(Debug)]
pub struct Clock {
    name: String,
    started: Instant,
}

impl Clock {
    /// Starts for the test `name`.
    pub fn start(name: String) -> Self {
        Self {
            name,
            started: Instant::now(),
        }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        let Some(file) = env::var_os(TIMES) else {
            return;
        };
        let seconds = self.started.elapsed().as_secs_f64();
        let line = format!("{seconds:.1}\t{}: {}\n", suite(), self.name);
        let file = OpenOptions::new().append(true).create(true).open(file);
        // Nobody is served by a test that fails for its time.
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}

/// Returns what the test program is called, without the hash that cargo adds.
fn suite() -> String {
    let this = env::current_exe().unwrap_or_default();
    let name = this.file_name().unwrap_or_default().to_string_lossy();
    let name = name.rsplit_once('-').map(|(name, _)| name.to_owned());
    name.unwrap_or_default()
}
