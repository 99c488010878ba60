//! What a converter has prepared, by schema and topic. A converter belongs to one task, so the lock is free.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Instant;

use connect_api::Result;
use parking_lot::Mutex;

/// What was prepared for a schema and a topic, and until when it holds.
struct Entry<T> {
    topic: String,
    until: Option<Instant>,
    of: Arc<T>,
}

impl<T> Entry<T> {
    fn fits(&self, topic: &str) -> bool {
        self.topic == topic && self.until.is_none_or(|until| Instant::now() < until)
    }
}

struct State<K, T> {
    /// Records mostly come many of a kind.
    last: Option<(K, Arc<Entry<T>>)>,
    all: HashMap<K, Vec<Arc<Entry<T>>>>,
    count: usize,
}

/// At most so many prepared schemas; when it is full it starts afresh.
pub(crate) struct Kept<K, T> {
    max: usize,
    state: Mutex<State<K, T>>,
}

impl<K: Hash + Eq + Clone, T> Kept<K, T> {
    pub(crate) fn new(max: usize) -> Self {
        Self { max: max.max(1), state: Mutex::new(State { last: None, all: HashMap::new(), count: 0 }) }
    }

    /// What was prepared, or what `prepare` makes now, with the time until which it holds. Nothing is locked meanwhile.
    pub(crate) fn get_or(
        &self,
        key: K,
        topic: &str,
        prepare: impl FnOnce(&K) -> Result<(T, Option<Instant>)>,
    ) -> Result<Arc<T>> {
        if let Some(known) = self.get(key.clone(), topic) {
            return Ok(known);
        }
        let (made, until) = prepare(&key)?;
        Ok(self.put(key, topic, until, made))
    }

    /// Uses what was prepared. What was used last is locked meanwhile: to count its holders takes as long as to read a small field.
    pub(crate) fn with<R>(
        &self,
        key: K,
        topic: &str,
        prepare: impl FnOnce(&K) -> Result<(T, Option<Instant>)>,
        work: impl FnOnce(&T) -> Result<R>,
    ) -> Result<R> {
        {
            let state = self.state.lock();
            if let Some((_, entry)) = state.last.as_ref().filter(|(known, entry)| *known == key && entry.fits(topic)) {
                return work(&entry.of);
            }
        }
        work(&*self.get_or(key, topic, prepare)?)
    }

    /// What was prepared, unless its time is over.
    fn get(&self, key: K, topic: &str) -> Option<Arc<T>> {
        let mut state = self.state.lock();
        if let Some((_, entry)) = state.last.as_ref().filter(|(known, entry)| *known == key && entry.fits(topic)) {
            return Some(Arc::clone(&entry.of));
        }
        let entry = Arc::clone(state.all.get(&key)?.iter().find(|entry| entry.fits(topic))?);
        let of = Arc::clone(&entry.of);
        state.last = Some((key, entry));
        Some(of)
    }

    /// Keeps what was prepared.
    fn put(&self, key: K, topic: &str, until: Option<Instant>, of: T) -> Arc<T> {
        let of = Arc::new(of);
        let entry = Arc::new(Entry { topic: topic.to_owned(), until, of: Arc::clone(&of) });
        let mut state = self.state.lock();
        let known = state.all.get(&key).is_some_and(|entries| entries.iter().any(|entry| entry.topic == topic));
        if state.count >= self.max && !known {
            state.all.clear();
            state.count = 0;
        }
        let entries = state.all.entry(key.clone()).or_default();
        let before = entries.len();
        entries.retain(|entry| entry.topic != topic);
        entries.push(Arc::clone(&entry));
        let (gone, there) = (before, entries.len());
        state.count = state.count + there - gone;
        state.last = Some((key, entry));
        of
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_by_key_and_topic_until_their_time_is_over() {
        let kept = Kept::new(3);
        kept.put(1, "a", None, "1a");
        kept.put(1, "b", None, "1b");
        kept.put(2, "a", Some(Instant::now()), "2a");
        let get = |key, topic| kept.get(key, topic).map(|of| *of);
        assert_eq!((get(1, "a"), get(1, "b"), get(2, "a"), get(2, "b")), (Some("1a"), Some("1b"), None, None));
        // The one that is over is replaced, and nothing has to go for it.
        kept.put(2, "a", None, "2a again");
        assert_eq!((get(2, "a"), get(1, "a")), (Some("2a again"), Some("1a")));
        kept.put(3, "a", None, "3a");
        assert_eq!((get(3, "a"), get(2, "a")), (Some("3a"), None));
    }
}
