//! How far an incremental snapshot is, and its form in offsets: the reference's, so that either implementation goes on with
//! the other's.

use std::collections::VecDeque;

use connect_api::{Error, OffsetMap};
use serde_json::{Map, Value, json};

use crate::signals::java;
use crate::signals::key::Key;

const PRIMARY_KEY: &str = "incremental_snapshot_primary_key";
const MAXIMUM_KEY: &str = "incremental_snapshot_maximum_key";
const COLLECTIONS: &str = "incremental_snapshot_collections";
const COLLECTION_ID: &str = "incremental_snapshot_collections_id";
const COLLECTION_CONDITION: &str = "incremental_snapshot_collections_additional_condition";
const COLLECTION_SURROGATE: &str = "incremental_snapshot_collections_surrogate_key";
const CORRELATION_ID: &str = "incremental_snapshot_correlation_id";

/// A table to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collection {
    /// `schema.table`.
    pub id: String,
    pub filter: Option<String>,
    pub surrogate_key: Option<String>,
}

/// An incremental snapshot. Only what is stored survives a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The first one is being read.
    pub tables: VecDeque<Collection>,
    /// The id of the signal that asked for it last.
    pub correlation: Option<String>,
    /// The key of the last row that was handed over: stored.
    pub sent: Option<Key>,
    /// The key of the last row that was read: where the next chunk begins.
    pub chunk_end: Option<Key>,
    /// The highest key when the table's turn came: where it ends.
    pub maximum: Option<Key>,
    /// The chunk that is being read, which its window is told by.
    pub chunk: Option<String>,
    pub paused: bool,
    /// Expressions for the tables that are to be left out from the next chunk on.
    pub to_stop: Vec<String>,
    /// Rows of this table that were read in this run.
    pub rows: u64,
}

impl State {
    /// True while there are tables to read.
    pub fn running(&self) -> bool {
        !self.tables.is_empty()
    }

    /// The names of the tables that are left.
    pub fn names(&self) -> String {
        self.tables.iter().map(|table| table.id.as_str()).collect::<Vec<_>>().join(",")
    }

    /// The next table's turn.
    pub fn next_table(&mut self) {
        self.tables.pop_front();
        (self.sent, self.chunk_end, self.maximum) = (None, None, None);
    }

    /// No table is left, and nothing of what was read or asked for meanwhile counts any more.
    pub fn give_up(&mut self) {
        *self = Self::default();
    }

    /// What offsets hold of it; nothing when it does not run.
    pub fn to_offset(&self) -> Option<OffsetMap> {
        if !self.running() {
            return None;
        }
        let collections: Vec<Value> = self
            .tables
            .iter()
            .map(|table| {
                json!({
                    COLLECTION_ID: table.id,
                    COLLECTION_CONDITION: table.filter.as_ref().map(|filter| format!("({filter})")),
                    COLLECTION_SURROGATE: table.surrogate_key,
                })
            })
            .collect();
        let mut map = OffsetMap::new();
        map.insert(PRIMARY_KEY.to_owned(), java::write(self.sent.as_deref()).into());
        map.insert(MAXIMUM_KEY.to_owned(), java::write(self.maximum.as_deref()).into());
        map.insert(COLLECTIONS.to_owned(), Value::Array(collections).to_string().into());
        map.insert(CORRELATION_ID.to_owned(), self.correlation.clone().into());
        Some(map)
    }

    /// Reads what an offset holds of it.
    pub fn from_offset(offset: &OffsetMap) -> Result<Self, Error> {
        let Some(collections) = offset.get(COLLECTIONS).and_then(Value::as_str) else { return Ok(Self::default()) };
        let list: Vec<Map<String, Value>> = serde_json::from_str(collections).map_err(|error| {
            Error::data(format!("the stored offset has {collections} as '{COLLECTIONS}', which is no list of tables: {error}"))
                .hint("correct it with PATCH /connectors/{name}/offsets, or take the key out to give up the incremental snapshot")
        })?;
        let tables: VecDeque<Collection> = list
            .iter()
            .filter_map(|map| {
                let text = |key: &str| map.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
                Some(Collection {
                    id: text(COLLECTION_ID)?.to_owned(),
                    filter: text(COLLECTION_CONDITION).map(unwrapped),
                    surrogate_key: text(COLLECTION_SURROGATE).map(str::to_owned),
                })
            })
            .collect();
        let key = |name: &str| match offset.get(name).and_then(Value::as_str) {
            None => Some(None),
            Some(text) => java::read(text),
        };
        let (Some(sent), Some(maximum)) = (key(PRIMARY_KEY), key(MAXIMUM_KEY)) else {
            // Better twice than never.
            tracing::warn!(
                "the stored key of an incremental snapshot can't be read: its table is read from the beginning"
            );
            return Ok(Self { tables, correlation: correlation(offset), ..Self::default() });
        };
        Ok(Self { tables, correlation: correlation(offset), chunk_end: sent.clone(), sent, maximum, ..Self::default() })
    }
}

fn correlation(offset: &OffsetMap) -> Option<String> {
    offset.get(CORRELATION_ID).and_then(Value::as_str).map(str::to_owned)
}

/// The condition without the parentheses that it is stored with, as long as they are a pair.
fn unwrapped(text: &str) -> String {
    let inner = text.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
    let balanced = |text: &str| {
        let mut depth = 0_i32;
        text.chars().all(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth >= 0
        }) && depth == 0
    };
    inner.filter(|inner| balanced(inner) && !inner.contains(['\'', '"'])).unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals::key::{Class, Part};

    fn state() -> State {
        let key = |text: &str| Some(vec![Part { class: Class::Integer, text: Some(text.to_owned()) }]);
        let table = |id: &str, filter: Option<&str>, surrogate_key: Option<&str>| Collection {
            id: id.to_owned(),
            filter: filter.map(str::to_owned),
            surrogate_key: surrogate_key.map(str::to_owned),
        };
        State {
            tables: [table("public.a", Some("id > 4 AND (x)"), None), table("public.b", None, Some("k"))].into(),
            correlation: Some("ad-hoc-1".to_owned()),
            sent: key("3"),
            chunk_end: key("3"),
            maximum: key("10"),
            ..State::default()
        }
    }

    #[test]
    fn a_state_survives_its_stored_form() {
        let offset = state().to_offset().expect("it runs");
        assert_eq!(
            offset[COLLECTIONS],
            "[{\"incremental_snapshot_collections_id\":\"public.a\",\
             \"incremental_snapshot_collections_additional_condition\":\"(id > 4 AND (x))\",\
             \"incremental_snapshot_collections_surrogate_key\":null},\
             {\"incremental_snapshot_collections_id\":\"public.b\",\
             \"incremental_snapshot_collections_additional_condition\":null,\
             \"incremental_snapshot_collections_surrogate_key\":\"k\"}]"
        );
        assert_eq!(State::from_offset(&offset).expect("readable"), state());
    }

    #[test]
    fn what_was_read_and_not_handed_over_is_not_stored() {
        let ahead = State { chunk_end: None, chunk: Some("c".to_owned()), paused: true, ..state() };
        assert_eq!(ahead.to_offset(), state().to_offset());
        assert_eq!(State::default().to_offset(), None);
    }

    #[test]
    fn nothing_is_left_of_a_snapshot_that_is_given_up() {
        let mut given_up = State { rows: 3, to_stop: vec![".*".to_owned()], chunk: Some("c".to_owned()), ..state() };
        given_up.give_up();
        assert_eq!(given_up, State::default());
    }

    #[test]
    fn a_key_that_is_not_understood_begins_the_table_again() {
        let mut offset = state().to_offset().expect("it runs");
        offset[PRIMARY_KEY] = "ACED0005FF".into();
        let read = State::from_offset(&offset).expect("readable");
        assert_eq!((read.chunk_end, read.maximum, read.tables.len()), (None, None, 2));
        offset[COLLECTIONS] = "nonsense".into();
        assert!(State::from_offset(&offset).is_err());
    }

    #[test]
    fn parentheses_of_a_condition_are_taken_off_as_a_pair_only() {
        for (stored, filter) in
            [("(a)", "a"), ("((a) OR (b))", "(a) OR (b)"), ("(a) OR (b)", "(a) OR (b)"), ("(x = ')')", "(x = ')')")]
        {
            assert_eq!(unwrapped(stored), filter);
        }
    }
}
