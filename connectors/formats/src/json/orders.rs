//! The order of an object's members, known from objects that were read before.
//!
//! A schemaless object becomes a map in the order of a Java `HashMap`. Records of one topic have the same names in the same
//! order again and again: where they go is found out once, and which name comes next is
//! guessed.

use std::sync::{Arc, Mutex};

use connect_api::java::hash;
use connect_api::{ByteString, Value};

use super::names;

/// So many objects are known; the oldest goes when another one comes.
const KNOWN_MAX: usize = 16;
/// Objects with more members are ordered anew each time: to compare as many names is no gain, and to keep them is a loss.
const MEMBERS_MAX: usize = 128;

/// Objects whose order is known.
#[derive(Debug, Default)]
pub(crate) struct KnownOrders(Mutex<Vec<Arc<Known>>>);

/// An object that was read before.
#[derive(Debug)]
pub(crate) struct Known {
    /// As they come.
    names: Vec<ByteString>,
    /// Brings them into order, one exchange after the other.
    swaps: Vec<(usize, usize)>,
}

impl Known {
    /// The name at a place.
    pub(crate) fn name(&self, place: usize) -> Option<&ByteString> {
        self.names.get(place)
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// Does what [`hash::order`] does to members of these names.
    pub(crate) fn arrange(&self, entries: &mut [(Value, Value)]) {
        for (one, other) in &self.swaps {
            entries.swap(*one, *other);
        }
    }

    fn is_of(&self, entries: &[(Value, Value)]) -> bool {
        self.names.len() == entries.len()
            && self.names.iter().zip(entries).all(|(name, (key, _))| key.as_str() == Some(&**name))
    }
}

impl KnownOrders {
    /// The last object that was known to begin with a name.
    pub(crate) fn beginning_with(&self, is: impl Fn(&str) -> bool) -> Option<Arc<Known>> {
        let known = self.0.try_lock().ok()?;
        known.iter().rev().find(|known| known.names.first().is_some_and(|name| is(name))).cloned()
    }

    /// Does what [`hash::order`] does.
    pub(crate) fn order(&self, entries: &mut Vec<(Value, Value)>) {
        if entries.len() < 2 {
            return;
        }
        // A converter belongs to one task: another thread is never waited for.
        let Ok(mut known) = self.0.try_lock() else { return hash::order(entries) };
        if let Some(known) = known.iter().rev().find(|known| known.is_of(entries)) {
            return known.arrange(entries);
        }
        let names = names(entries);
        hash::order(entries);
        if let Some(names) = names
            && names.len() == entries.len()
            && let Some(swaps) = swaps(&names, entries)
        {
            if known.len() >= KNOWN_MAX {
                known.remove(0);
            }
            known.push(Arc::new(Known { names, swaps }));
        }
    }
}

/// The names, kept: they would hold the whole text otherwise. `None` where the object is not worth knowing.
fn names(entries: &[(Value, Value)]) -> Option<Vec<ByteString>> {
    if entries.len() > MEMBERS_MAX {
        return None;
    }
    entries.iter().map(|(key, _)| key.as_str().map(names::kept)).collect()
}

/// The exchanges that bring `names` into the order of `ordered`, which holds each of them once.
fn swaps(names: &[ByteString], ordered: &[(Value, Value)]) -> Option<Vec<(usize, usize)>> {
    let mut now: Vec<&str> = names.iter().map(|name| &**name).collect();
    let mut swaps = Vec::new();
    for (place, (key, _)) in ordered.iter().enumerate() {
        let wanted = key.as_str()?;
        let from = place + now.get(place..)?.iter().position(|name| *name == wanted)?;
        if from != place {
            now.swap(place, from);
            swaps.push((place, from));
        }
    }
    Some(swaps)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries(names: &[String]) -> Vec<(Value, Value)> {
        names.iter().enumerate().map(|(at, name)| (Value::string(name), Value::Int64(at as i64))).collect()
    }

    #[test]
    fn no_more_objects_are_known_than_are_of_use() {
        let orders = KnownOrders::default();
        for object in 0..3 * KNOWN_MAX {
            orders.order(&mut entries(&[format!("a{object}"), "b".to_owned()]));
        }
        orders.order(&mut entries(&vec!["same".to_owned(); 2]));
        let large: Vec<String> = (0..=MEMBERS_MAX).map(|name| name.to_string()).collect();
        orders.order(&mut entries(&large));
        assert_eq!(orders.0.lock().unwrap().len(), KNOWN_MAX);
    }

    proptest! {
        #[test]
        fn the_order_is_the_same_the_second_time(objects in prop::collection::vec(prop::collection::vec("[a-c]{1,3}|[a-zé]{1,12}", 0..20), 1..12)) {
            let orders = KnownOrders::default();
            for names in objects.iter().chain(&objects) {
                let (mut known, mut plain) = (entries(names), entries(names));
                orders.order(&mut known);
                hash::order(&mut plain);
                prop_assert_eq!(known, plain);
            }
        }
    }
}
