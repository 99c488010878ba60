//! Who measures.

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use parking_lot::Mutex;

use crate::snapshot::Snapshot;

/// Something that measures.
pub trait Source: Send + Sync {
    /// Tells all values. Never waits for anything but an addition under way.
    fn read(&self, now_ms: i64, out: &mut Snapshot);

    /// Called every few seconds: lets what only counts take part in rates.
    fn tick(&self, _now_ms: i64) {}

    /// False when what it measures is gone: it is dropped then.
    fn alive(&self) -> bool {
        true
    }
}

/// All sources of a worker.
#[derive(Default)]
pub struct Registry {
    sources: Mutex<Vec<Arc<dyn Source>>>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("sources", &self.sources.lock().len()).finish()
    }
}

impl Registry {
    /// Adds a source; it stays while it is alive.
    pub fn add(&self, source: Arc<dyn Source>) {
        self.sources.lock().push(source);
    }

    fn living(&self) -> Vec<Arc<dyn Source>> {
        let mut sources = self.sources.lock();
        sources.retain(|source| source.alive());
        sources.clone()
    }

    /// What all sources measure now.
    pub fn read(&self, now_ms: i64) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for source in self.living() {
            source.read(now_ms, &mut snapshot);
        }
        snapshot
    }

    /// To be called every few seconds.
    pub fn tick(&self, now_ms: i64) {
        for source in self.living() {
            source.tick(now_ms);
        }
    }
}

/// Milliseconds on a clock that never goes back: since the first call in this process, plus a day, so that no difference of
/// times comes near zero by itself.
pub fn now_ms() -> i64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    const DAY_MS: i64 = 86_400_000;
    DAY_MS + i64::try_from(START.elapsed().as_millis()).unwrap_or(i64::MAX - DAY_MS)
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;

    use super::*;
    use crate::snapshot::Group;

    struct Alive(Weak<()>);

    impl Source for Alive {
        fn read(&self, _now_ms: i64, out: &mut Snapshot) {
            out.group(Group::connect("g"), &[]).count("a", 1);
        }

        fn alive(&self) -> bool {
            self.0.strong_count() > 0
        }
    }

    #[test]
    fn sources_vanish_with_what_they_measure() {
        let (registry, measured) = (Registry::default(), Arc::new(()));
        registry.add(Arc::new(Alive(Arc::downgrade(&measured))));
        assert_eq!(registry.read(1).groups().len(), 1);
        drop(measured);
        assert_eq!(registry.read(1).groups().len(), 0);
        assert!(registry.sources.lock().is_empty());
    }
}
