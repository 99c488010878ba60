//! The window of a chunk: its rows wait until the stream has passed the place where they were read. A row that the stream
//! brings meanwhile is newer, and takes the waiting one's place.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use connect_api::Value;

use crate::table::Table;
use crate::visible::Visible;

/// Rows that wait.
#[derive(Debug, Default)]
pub struct Window {
    /// The table that they are of, as the stream names it.
    pub relation: Option<u32>,
    table: Option<Arc<Table>>,
    rows: Vec<Option<Vec<Value>>>,
    /// Places of the rows by their keys. Rows without a key can't be told apart, and all stay.
    places: HashMap<String, Vec<usize>>,
    /// Whether the stream is where events take the place of rows.
    pub open: bool,
    /// What was seen before the rows were read.
    pub visible: Option<Visible>,
    /// The stream's transaction may be newer than the rows, though the window is not open.
    newer: bool,
    /// The place in the log that the stream has to pass, when the window is not closed by a signal.
    pub until: Option<u64>,
}

/// A key as a text that tells it from others.
fn key_text(table: &Table, row: &[Value]) -> Option<String> {
    let key = table.key(row);
    let mut text = String::new();
    for value in &key.value.as_struct()?.fields {
        // Writing to a string does not fail.
        let _written = write!(text, "{value:?}\u{1}");
    }
    Some(text)
}

impl Window {
    /// Rows of a chunk, in order.
    pub fn fill(&mut self, relation: u32, table: &Arc<Table>, rows: Vec<Vec<Value>>) {
        self.clear();
        self.relation = Some(relation);
        self.table = Some(Arc::clone(table));
        for (place, row) in rows.iter().enumerate() {
            if let Some(key) = key_text(table, row) {
                self.places.entry(key).or_default().push(place);
            }
        }
        self.rows = rows.into_iter().map(Some).collect();
    }

    /// The stream brings a transaction. One that was committed before the window was opened, and that sessions did not see yet when
    /// the rows were read, is newer than these.
    pub fn begins(&mut self, xid: u32) {
        self.newer = self.visible.as_ref().is_some_and(|visible| !visible.sees(xid));
    }

    /// Events take the place of rows.
    fn takes(&self) -> bool {
        self.open || self.newer
    }

    /// The stream brings a row with this one's key.
    pub fn seen(&mut self, table: &Table, row: &[Value]) {
        if !self.takes() || self.places.is_empty() {
            return;
        }
        for place in key_text(table, row).and_then(|key| self.places.remove(&key)).unwrap_or_default() {
            self.rows[place] = None;
        }
    }

    /// The table was emptied.
    pub fn emptied(&mut self) {
        if self.takes() {
            self.rows.clear();
            self.places.clear();
        }
    }

    /// The rows that are left, and their table.
    pub fn take(&mut self) -> Option<(Arc<Table>, Vec<Vec<Value>>)> {
        let rows = std::mem::take(&mut self.rows).into_iter().flatten().collect();
        let table = self.table.take();
        self.clear();
        Some((table?, rows))
    }

    /// No rows, and closed.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{ColumnMeta, TableMeta, TableName};
    use crate::settings::Settings;
    use crate::types::Types;

    fn table(key: &[&str]) -> Arc<Table> {
        let column = |name: &str| ColumnMeta {
            name: name.to_owned(),
            type_oid: 23,
            typmod: -1,
            required: true,
            default: None,
            generated: false,
        };
        let props =
            [("topic.prefix", "p"), ("database.hostname", "h"), ("database.user", "u"), ("database.dbname", "d")]
                .map(|(key, value)| (key.to_owned(), Some(value.to_owned())));
        let settings = Settings::parse(&props.into_iter().collect()).expect("valid settings");
        let meta = TableMeta {
            oid: 1,
            name: TableName { schema: "public".to_owned(), table: "t".to_owned() },
            columns: ["id", "v"].map(column).into(),
            key: key.iter().map(|name| (*name).to_owned()).collect(),
        };
        Arc::new(Table::from_catalog(&meta, &Types::new(), &settings))
    }

    fn rows(ids: &[i32]) -> Vec<Vec<Value>> {
        ids.iter().map(|id| vec![Value::Int32(*id), Value::Int32(0)]).collect()
    }

    fn left(window: &mut Window) -> Vec<Vec<Value>> {
        window.take().map(|(_, rows)| rows).unwrap_or_default()
    }

    #[test]
    fn what_the_stream_brings_in_an_open_window_is_not_sent_again() {
        let table = table(&["id"]);
        let mut window = Window::default();
        window.fill(1, &table, rows(&[1, 2, 3]));
        window.seen(&table, &[Value::Int32(1), Value::Int32(9)]);
        window.open = true;
        window.seen(&table, &[Value::Int32(2), Value::Int32(9)]);
        window.seen(&table, &[Value::Int32(7), Value::Int32(9)]);
        assert_eq!(left(&mut window), rows(&[1, 3]));
        assert!(left(&mut window).is_empty() && !window.open);
    }

    #[test]
    fn a_transaction_that_was_not_seen_takes_the_place_of_rows_before_the_window_is_open() {
        let table = table(&["id"]);
        let mut window = Window::default();
        window.fill(1, &table, rows(&[1, 2, 3]));
        window.visible = Visible::parse("100:105:101");
        for (xid, id) in [(100, 1), (101, 2), (105, 3)] {
            window.begins(xid);
            window.seen(&table, &[Value::Int32(id), Value::Int32(9)]);
        }
        assert_eq!(left(&mut window), rows(&[1]));
    }

    #[test]
    fn rows_without_a_key_all_stay() {
        let table = table(&[]);
        let mut window = Window::default();
        window.fill(1, &table, rows(&[1, 1, 2]));
        window.open = true;
        window.seen(&table, &[Value::Int32(1), Value::Int32(0)]);
        assert_eq!(left(&mut window), rows(&[1, 1, 2]));
    }

    #[test]
    fn a_table_that_is_emptied_leaves_nothing_to_send() {
        let table = table(&["id"]);
        let mut window = Window::default();
        window.fill(1, &table, rows(&[1, 2]));
        window.open = true;
        window.emptied();
        assert!(left(&mut window).is_empty());
    }
}
