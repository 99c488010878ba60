//! Headers that are the same in record after record, as those that say which connector and task a record is of: they are decoded
//! once.

use std::sync::Arc;

use bytes::Bytes;
use connect_api::Datum;
use parking_lot::{Mutex, MutexGuard};

/// So many headers of a record are looked at.
const PLACES_MAX: usize = 8;
/// Longer ones are not kept.
const BYTES_MAX: usize = 128;
/// A header that was another one so many times running is not the same again and again.
const MISSES_MAX: u8 = 16;

/// What the headers of the records before were, by their places.
#[derive(Default)]
pub(crate) struct KnownHeaders(Mutex<Places>);

/// The same, for one record.
#[derive(Default)]
pub(crate) struct Places(Vec<Place>);

#[derive(Default)]
struct Place {
    known: Option<Known>,
    misses: u8,
}

struct Known {
    topic: Arc<str>,
    name: Arc<str>,
    bytes: Box<[u8]>,
    datum: Datum,
}

impl KnownHeaders {
    /// For one record.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Places> {
        self.0.lock()
    }
}

impl Places {
    /// The header at a place as it was decoded before, or as it is decoded now.
    pub(crate) fn datum<E>(
        &mut self,
        place: usize,
        topic: &Arc<str>,
        name: &Arc<str>,
        bytes: &Option<Bytes>,
        decode: impl FnOnce() -> Result<Datum, E>,
    ) -> Result<Datum, E> {
        let Some(bytes) = bytes.as_ref().filter(|bytes| place < PLACES_MAX && bytes.len() <= BYTES_MAX) else {
            return decode();
        };
        if self.0.len() <= place {
            self.0.resize_with(place + 1, Place::default);
        }
        let Some(at) = self.0.get_mut(place).filter(|at| at.misses < MISSES_MAX) else { return decode() };
        // What a header becomes may depend on the topic: schemas are looked up for it.
        let is_known = |known: &&Known| *known.bytes == bytes[..] && known.name == *name && known.topic == *topic;
        if let Some(known) = at.known.as_ref().filter(is_known) {
            at.misses = 0;
            return Ok(known.datum.clone());
        }
        at.misses += 1;
        let datum = decode()?;
        let (topic, name, bytes) = (Arc::clone(topic), Arc::clone(name), bytes[..].into());
        at.known = Some(Known { topic, name, bytes, datum: datum.clone() });
        Ok(datum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it had to be decoded.
    fn decoded(places: &mut Places, topic: &str, name: &str, bytes: &str) -> bool {
        let mut decoded = false;
        let bytes = Some(Bytes::copy_from_slice(bytes.as_bytes()));
        let found = places.datum(0, &topic.into(), &name.into(), &bytes, || {
            decoded = true;
            Ok::<_, ()>(Datum::schemaless(format!("{topic} {name} {bytes:?}").into()))
        });
        assert_eq!(found, Ok(Datum::schemaless(format!("{topic} {name} {bytes:?}").into())));
        decoded
    }

    #[test]
    fn what_is_the_same_is_decoded_once() {
        let mut places = Places::default();
        assert!(decoded(&mut places, "t", "a", "1") && !decoded(&mut places, "t", "a", "1"));
        for (topic, name, bytes) in [("u", "a", "1"), ("u", "b", "1"), ("u", "b", "2")] {
            assert!(decoded(&mut places, topic, name, bytes) && !decoded(&mut places, topic, name, bytes));
        }
        let long = "x".repeat(BYTES_MAX + 1);
        assert!(decoded(&mut places, "u", "b", &long) && decoded(&mut places, "u", "b", &long));
    }

    #[test]
    fn a_header_that_is_another_one_each_time_is_not_kept() {
        let mut places = Places::default();
        (0..100).for_each(|number| assert!(decoded(&mut places, "t", "a", &number.to_string())));
        assert_eq!(places.0[0].misses, MISSES_MAX);
        assert!(decoded(&mut places, "t", "a", "1") && decoded(&mut places, "t", "a", "1"));
    }

    #[test]
    fn what_can_not_be_decoded_is_not_known() {
        let mut places = Places::default();
        let bytes = Some(Bytes::from_static(b"bad"));
        let failed = places.datum(0, &"t".into(), &"a".into(), &bytes, || Err("no"));
        assert_eq!(failed, Err("no"));
        assert!(decoded(&mut places, "t", "a", "bad"));
    }
}
