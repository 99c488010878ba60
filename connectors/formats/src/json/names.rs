//! Names of members that are the same in record after record.
//!
//! A text that is a part of a record counts who holds the record, in each clone and when it goes; that is most of what reading a
//! small member costs. Names are few, so some of them are kept for good: then there is nothing to count.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

/// So many names are kept, and none that is longer: 256 kB at most in the whole process.
const KEPT_MAX: usize = 4096;
const LENGTH_MAX: usize = 64;

static KEPT: LazyLock<Mutex<HashSet<&'static str>>> = LazyLock::new(Mutex::default);

/// A name that is likely to come again, where there is room for it.
pub(crate) fn kept(name: &str) -> Option<&'static str> {
    // A panic leaves a set behind that is still true.
    kept_in(&mut KEPT.lock().unwrap_or_else(PoisonError::into_inner), name)
}

fn kept_in(kept: &mut HashSet<&'static str>, name: &str) -> Option<&'static str> {
    if let Some(name) = kept.get(name) {
        return Some(name);
    }
    if kept.len() >= KEPT_MAX || name.len() > LENGTH_MAX {
        return None;
    }
    let name: &'static str = Box::leak(name.into());
    kept.insert(name);
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_once_but_for_long_ones_and_too_many() {
        let mut kept = HashSet::new();
        let mut is_kept = |name: &str| {
            let (one, other) = (kept_in(&mut kept, name), kept_in(&mut kept, name));
            assert!(one.is_none_or(|one| one == name) && one.map(str::as_ptr) == other.map(str::as_ptr));
            one.is_some()
        };
        assert!(is_kept("id") && !is_kept(&"n".repeat(LENGTH_MAX + 1)));
        (1..KEPT_MAX).for_each(|name| assert!(is_kept(&name.to_string())));
        assert!(!is_kept("one too many") && is_kept("id"));
    }
}
