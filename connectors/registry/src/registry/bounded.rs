//! A map that never holds more than so many entries.

use std::collections::HashMap;
use std::hash::Hash;

/// So few entries are not looked at for what is over.
const SWEPT_MIN: usize = 64;

/// A map that starts afresh when it is full: what it holds can be asked for again.
pub(crate) struct Bounded<K, V> {
    max: usize,
    entries: HashMap<K, V>,
    /// With how many entries they are looked at for what is over.
    sweep_at: usize,
}

impl<K: Hash + Eq, V> Bounded<K, V> {
    /// A map of at most `max` entries, at least one.
    pub(crate) fn new(max: usize) -> Self {
        let max = max.max(1);
        Self { max, entries: HashMap::new(), sweep_at: max.min(SWEPT_MIN) }
    }

    pub(crate) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.entries.get(key)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.entries.len() >= self.max && !self.entries.contains_key(&key) {
            self.entries.clear();
        }
        self.entries.insert(key, value);
    }

    /// Lets go of what doesn't hold any more. To look at all entries for each new one would take long, so that it is done when they
    /// have become twice as many.
    pub(crate) fn sweep(&mut self, holds: impl Fn(&V) -> bool) {
        if self.entries.len() >= self.sweep_at {
            self.entries.retain(|_, value| holds(value));
            self.sweep_at = self.entries.len().saturating_mul(2).max(SWEPT_MIN).min(self.max);
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn remove(&mut self, key: &K) {
        self.entries.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_starts_afresh_when_it_is_full() {
        let mut map = Bounded::new(2);
        for key in 0..2 {
            map.insert(key, key);
        }
        map.insert(1, 5);
        assert_eq!((map.get(&0), map.get(&1)), (Some(&0), Some(&5)));
        map.insert(2, 2);
        assert_eq!((map.get(&0), map.get(&1), map.get(&2)), (None, None, Some(&2)));
        map.remove(&2);
        assert_eq!(map.get(&2), None);
    }
}
