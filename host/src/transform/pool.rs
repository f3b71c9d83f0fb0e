//! Instances kept warm between calls.
//!
//! A transform calls nothing, so a thread has at most one call to it at a time, and needs one instance of it. Each
//! thread takes its own out of its own place and puts it back: no thread waits for another. Only when the engine is
//! out of instances does a thread reach into the others' places, for instances that lie idle.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use thread_local::ThreadLocal;

use super::instance::Instance;

/// The warm instances of one transform, one a thread.
#[derive(Default)]
pub(super) struct Warm(ThreadLocal<Mutex<Place>>);

#[derive(Default)]
struct Place {
    instance: Option<Instance>,
    /// Whether it was put back since the last eviction passed by.
    recent: bool,
}

/// The warm instances of all transforms of an engine.
#[derive(Default)]
pub(super) struct Pool(Mutex<Vec<Weak<Warm>>>);

impl Warm {
    /// This thread's instance, if it has one.
    pub(super) fn take(&self) -> Option<Instance> {
        self.0.get()?.lock().instance.take()
    }

    pub(super) fn put(&self, instance: Instance) {
        let mut place = self.0.get_or_default().lock();
        place.instance = Some(instance);
        place.recent = true;
    }

    /// Instances that lie idle.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0
            .iter()
            .filter(|place| place.lock().instance.is_some())
            .count()
    }

    /// Drops idle instances, at most `wanted`; of those used since the last time, only if `any`.
    fn evict(&self, wanted: usize, any: bool) -> usize {
        let mut evicted = 0;
        for place in self.0.iter() {
            if evicted == wanted {
                break;
            }
            // A place that is locked is in use.
            let Some(mut place) = place.try_lock() else {
                continue;
            };
            let recent = std::mem::take(&mut place.recent);
            if (any || !recent) && place.instance.take().is_some() {
                evicted += 1;
            }
        }
        evicted
    }
}

impl Pool {
    pub(super) fn add(&self) -> Arc<Warm> {
        let warm = Arc::new(Warm::default());
        let mut all = self.0.lock();
        all.retain(|weak| weak.strong_count() > 0);
        all.push(Arc::downgrade(&warm));
        warm
    }

    /// Drops about `wanted` idle instances, those unused for longest first, and says how many.
    pub(super) fn evict(&self, wanted: usize) -> usize {
        let all: Vec<Arc<Warm>> = self.0.lock().iter().filter_map(Weak::upgrade).collect();
        let mut evicted = 0;
        for any in [false, true] {
            for warm in &all {
                if evicted < wanted {
                    evicted += warm.evict(wanted - evicted, any);
                }
            }
        }
        if evicted > 0 {
            tracing::debug!(evicted, "out of instances: idle ones were dropped");
        }
        evicted
    }
}
