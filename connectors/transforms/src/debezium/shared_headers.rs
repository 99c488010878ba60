//! Headers that a tombstone has in common with the delete before it.
//!
//! Debezium gives both one and the same list of headers, so that what a transform appends to those of the delete is there
//! when the tombstone comes. A transform that appends remembers it for the next record. Lists are in common only on the way
//! out of the connector, and no longer once a record was sent to another topic, which copies them.

use std::sync::{Arc, Mutex, PoisonError};

use connect_api::{Datum, Header, Origin, Record};

/// What the name of an envelope's schema has behind that of its topic.
const SUFFIX: &str = ".Envelope";

/// What was appended to the last delete.
#[derive(Default)]
pub(super) struct SharedHeaders {
    last: Mutex<Option<Appended>>,
}

struct Appended {
    topic: Arc<str>,
    key: Datum,
    headers: Vec<Header>,
}

impl SharedHeaders {
    /// Notes the headers of a delete from a place on; `schema` is the name of its envelope's.
    pub(super) fn deleted(&self, record: &Record, schema: Option<&str>, from: usize) {
        let routed = schema.and_then(|name| name.strip_suffix(SUFFIX)) != Some(&*record.topic);
        let headers = record.headers.get(from..).unwrap_or_default();
        let shared = record.origin == Origin::Source && !routed && !headers.is_empty();
        let appended = shared.then(|| Appended {
            topic: Arc::clone(&record.topic),
            key: record.key.clone(),
            headers: headers.to_vec(),
        });
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = appended;
    }

    /// Appends to a tombstone what its delete got.
    pub(super) fn extend(&self, tombstone: &mut Record) {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).take();
        let own = |last: &Appended| last.topic == tombstone.topic && last.key == tombstone.key;
        if let Some(last) = last.filter(own) {
            tombstone.headers.extend(last.headers);
        }
    }
}
