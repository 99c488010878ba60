//! The order of an object's members, known from objects that were read before.
//!
//! A schemaless object becomes a map in the order of a Java `HashMap`. Records of one topic have the same names in the same
//! order again and again: where they go is found out once, and which name comes next is guessed.

use std::sync::{Mutex, MutexGuard};

use connect_api::java::hash;
use connect_api::{BytesMut, Text, Value};

use super::escape::write_string;

/// So many objects are known; the oldest goes when another one comes.
const KNOWN_MAX: usize = 16;
/// Objects with more members are ordered anew each time: to compare as many names is no gain, and to keep them is a loss.
const MEMBERS_MAX: usize = 128;

/// The objects that a converter knows.
#[derive(Debug, Default)]
pub(crate) struct KnownOrders(Mutex<Orders>);

impl KnownOrders {
    /// For one record. A converter belongs to one task: another thread is never waited for.
    pub(crate) fn lock(&self) -> Option<MutexGuard<'_, Orders>> {
        self.0.try_lock().ok()
    }
}

/// Objects whose order is known. One without members is in use.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    known: Vec<Known>,
    /// The oldest, once there is no room for another.
    oldest: usize,
}

/// An object that was read before.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// As they come.
    pub(crate) members: Vec<Member>,
}

/// A member of such an object.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: Text,
    /// The name with its quotes and colon, as it stands in a text mostly.
    pub(crate) written: Box<[u8]>,
    /// Where it goes.
    pub(crate) place: usize,
}

impl Known {
    /// Brings members of these names, as they come, into order.
    fn arrange(&self, entries: &mut Vec<(Value, Value)>) {
        let mut arranged = vec![(Value::Null, Value::Null); entries.len()];
        for (entry, member) in entries.drain(..).zip(&self.members) {
            if let Some(place) = arranged.get_mut(member.place) {
                *place = entry;
            }
        }
        *entries = arranged;
    }

    fn is_of(&self, entries: &[(Value, Value)]) -> bool {
        self.members.len() == entries.len()
            && self.members.iter().zip(entries).all(|(member, (key, _))| key.as_str() == Some(&*member.name))
    }
}

impl Orders {
    /// Takes an object that is known to begin with a name, until it is given back: objects within this one are of another kind.
    pub(crate) fn take(&mut self, is: impl Fn(&str) -> bool) -> Option<(usize, Known)> {
        let begins = |known: &Known| known.members.first().is_some_and(|member| is(&member.name));
        let place = self.known.iter().rposition(begins)?;
        Some((place, std::mem::take(self.known.get_mut(place)?)))
    }

    /// Gives back what was taken, unless something else has come there.
    pub(crate) fn give_back(&mut self, place: usize, known: Known) {
        if let Some(taken) = self.known.get_mut(place).filter(|taken| taken.members.is_empty()) {
            *taken = known;
        }
    }

    /// Does what [`hash::order`] does.
    pub(crate) fn order(&mut self, entries: &mut Vec<(Value, Value)>) {
        if entries.len() < 2 {
            return;
        }
        if let Some(known) = self.known.iter().rev().find(|known| known.is_of(entries)) {
            return known.arrange(entries);
        }
        let names = names(entries);
        hash::order(entries);
        if let Some(names) = names
            && names.len() == entries.len()
            && let Some(members) = members(names, entries)
        {
            self.learn(Known { members });
        }
    }

    fn learn(&mut self, known: Known) {
        if self.known.len() < KNOWN_MAX {
            self.known.push(known);
        } else if let Some(oldest) = self.known.get_mut(self.oldest) {
            *oldest = known;
            self.oldest = (self.oldest + 1) % KNOWN_MAX;
        }
    }
}

/// The names, copied: they would hold the whole text otherwise. `None` where the object is not worth knowing.
fn names(entries: &[(Value, Value)]) -> Option<Vec<Text>> {
    if entries.len() > MEMBERS_MAX {
        return None;
    }
    entries.iter().map(|(key, _)| key.as_str().map(Text::from)).collect()
}

/// Where the names go in `ordered`, which holds each of them once.
fn members(names: Vec<Text>, ordered: &[(Value, Value)]) -> Option<Vec<Member>> {
    let member = |name: Text| {
        let place = ordered.iter().position(|(key, _)| key.as_str() == Some(&*name))?;
        let mut written = BytesMut::new();
        write_string(&name, &mut written);
        written.extend_from_slice(b":");
        Some(Member { written: written[..].into(), name, place })
    };
    names.into_iter().map(member).collect()
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
        let mut orders = Orders::default();
        for object in 0..3 * KNOWN_MAX {
            orders.order(&mut entries(&[format!("a{object}"), "b".to_owned()]));
        }
        orders.order(&mut entries(&vec!["same".to_owned(); 2]));
        let large: Vec<String> = (0..=MEMBERS_MAX).map(|name| name.to_string()).collect();
        orders.order(&mut entries(&large));
        assert_eq!(orders.known.len(), KNOWN_MAX);
    }

    #[test]
    fn an_object_that_is_not_the_one_it_began_as_is_read_as_it_is() {
        let props = [("schemas.enable".to_owned(), Some("false".to_owned()))].into_iter().collect();
        let converter = crate::JsonConverter::new(&props, "value").expect("a converter");
        let read = |text: &str| {
            let payload = Some(connect_api::Bytes::copy_from_slice(text.as_bytes()));
            connect_api::Converter::deserialize(&converter, "t", payload).expect("a value").value
        };
        let known = r#"{"zeta":1,"alpha":"x","b\"c":{"zeta":2,"alpha":null,"b\"c":3}}"#;
        let first = read(known);
        assert_eq!(read(known), first);
        assert_eq!(read(&known.replace(':', " : ").replace(',', " , ")), first);
        for (text, names) in [
            (r#"{"zeta":1}"#, vec!["zeta"]),
            (r#"{"zeta":1,"alpha":2}"#, vec!["alpha", "zeta"]),
            (r#"{"zeta":1,"alpha":2,"other":3}"#, vec!["other", "alpha", "zeta"]),
            (r#"{"zeta":1,"alpha":"x","b\"c":3,"d":4}"#, vec!["alpha", "d", "zeta", "b\"c"]),
            (r#"{"zeta":1,"zeta":2}"#, vec!["zeta"]),
        ] {
            let fresh = crate::JsonConverter::new(&props, "value").expect("a converter");
            let payload = Some(connect_api::Bytes::copy_from_slice(text.as_bytes()));
            let expected = connect_api::Converter::deserialize(&fresh, "t", payload).expect("a value").value;
            assert_eq!(read(text), expected, "{text}");
            let Value::Map(entries) = expected else { panic!("{expected:?}") };
            let mut found: Vec<_> = entries.iter().filter_map(|(name, _)| name.as_str()).collect();
            let mut names = names;
            found.sort_unstable();
            names.sort_unstable();
            assert_eq!(found, names, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_order_is_the_same_the_second_time(objects in prop::collection::vec(prop::collection::vec("[a-c]{1,3}|[a-zé]{1,12}", 0..20), 1..12)) {
            let mut orders = Orders::default();
            for names in objects.iter().chain(&objects) {
                let (mut known, mut plain) = (entries(names), entries(names));
                orders.order(&mut known);
                hash::order(&mut plain);
                prop_assert_eq!(known, plain);
            }
        }
    }
}
