//! Waiting, where nothing else tells when it is so far: always with an end, and a word for what did not come.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Long on any machine: who waits so long waits for nothing.
const PATIENCE: Duration = Duration::from_secs(120);

/// Between two looks. A waiting test leaves the processor to those it waits for.
const PAUSE: Duration = Duration::from_millis(5);

/// What `look` finds, as soon as it finds something. `what` says what was waited for, where it never comes.
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not in {PATIENCE:?}");
        std::thread::sleep(PAUSE);
    }
}

/// Sets a flag when it is dropped, by a panic too. Threads of a scope that go on until somebody says so would else go on
/// for ever after a failed assertion, and the scope would wait for them.
pub struct Over<'a>(pub &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
