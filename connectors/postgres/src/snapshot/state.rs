//! How far a snapshot is that can be gone on with, and its form in offsets.
//!
//! A table is read in parts: ranges of its key, or the table as a whole. A part has been handed over up to the key of the last row
//! whose record is in a batch, or in the one that is being filled: what is stored with a mark covers the records before that mark,
//! and no others. Rows that wait for their successor do not count.

use bytes::Bytes;
use connect_api::OffsetMap;
use serde_json::{Value, json};

use crate::copy;

/// The field of the offset. Offsets of Connect hold plain values only: it is JSON in a text.
pub const FIELD: &str = "tidegate_snapshot";

/// With more text than this, tables that are done are left out: they are read again after a crash. A record of Kafka has a
/// megabyte by default.
const TEXT_MAX: usize = 512 * 1024;

/// A column of a primary key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyColumn {
    pub name: String,
    /// As the server writes it, with its limits.
    pub type_name: String,
}

/// The server's own text of each column.
pub type Key = Vec<String>;

/// Rows whose key is greater than one key and not greater than another; without them, from the first or to the last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    pub after: Option<Key>,
    pub until: Option<Key>,
}

/// What is read by one statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// What is left of it, once [`TableState::note`] has looked at the last row.
    pub range: Range,
    /// The last row that was handed over, since that was done.
    last: Option<Bytes>,
    /// Rows that were read and not handed over yet.
    waiting: u64,
    /// All its rows were read.
    read: bool,
}

impl Part {
    /// Nothing of it was read yet.
    pub fn new(range: Range) -> Self {
        Self { range, ..Self::default() }
    }

    fn is_done(&self) -> bool {
        self.read && self.waiting == 0
    }
}

/// A table of the snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableState {
    pub name: String,
    pub oid: u32,
    /// The columns of its primary key; none for a table that is read as a whole.
    pub key: Vec<KeyColumn>,
    /// Rows that were handed over.
    pub rows: u64,
    /// Empty before it is known how the table is read, and once it was done in an earlier attempt.
    pub parts: Vec<Part>,
    /// Which cells of a row are its key.
    pub cells: Vec<usize>,
    done: bool,
    /// What is stored of it, once that does not change any more.
    text: Option<String>,
}

impl TableState {
    /// Nothing of it was read.
    pub fn new(name: &str, oid: u32, key: Vec<KeyColumn>) -> Self {
        Self { name: name.to_owned(), oid, key, ..Self::default() }
    }

    /// True when it is the same table with the same key.
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.name, self.oid, &self.key) == (&other.name, other.oid, &other.key)
    }

    /// Every row was handed over.
    pub fn is_done(&self) -> bool {
        self.done || (!self.parts.is_empty() && self.parts.iter().all(Part::is_done))
    }

    /// Makes the keys of the last rows the beginnings of what is left.
    fn note(&mut self) {
        let mut cells = Vec::new();
        for part in &mut self.parts {
            let Some(row) = part.last.take() else { continue };
            copy::split(&row, &mut cells);
            let key: Option<Key> = self.cells.iter().map(|&at| text(cells.get(at)?, &row)).collect();
            // One that is no text in UTF-8 can't be stored: the rows after the last one that is come again after a crash.
            if key.is_some() {
                part.range.after = key;
            }
        }
    }

    /// Keeps what another attempt goes on with.
    fn settle(&mut self) {
        self.note();
        self.done = self.is_done();
        self.parts.retain(|part| !part.is_done());
        for part in &mut self.parts {
            (part.waiting, part.read) = (0, false);
        }
        if self.done || self.key.is_empty() || self.rows == 0 {
            self.parts.clear();
        }
        if !self.done && self.parts.is_empty() {
            self.rows = 0;
        }
    }

    /// What is stored of it; `None` for a table that is to be read from its beginning.
    fn text(&mut self) -> Option<String> {
        if self.text.is_some() {
            return self.text.clone();
        }
        let done = self.is_done();
        if !done && (self.rows == 0 || self.key.is_empty()) {
            return None;
        }
        let key: Vec<_> = self.key.iter().map(|column| json!([column.name, column.type_name])).collect();
        let mut value = json!({"table": self.name, "oid": self.oid, "key": key, "rows": self.rows});
        if done {
            self.text = Some(value.to_string());
            return self.text.clone();
        }
        self.note();
        let left = self.parts.iter().filter(|part| !part.is_done());
        value["left"] = left.map(|part| json!([part.range.after, part.range.until])).collect();
        Some(value.to_string())
    }

    fn parse(value: &Value) -> Option<Self> {
        let column = |pair: &Value| {
            let text = |at: usize| Some(pair.get(at)?.as_str()?.to_owned());
            Some(KeyColumn { name: text(0)?, type_name: text(1)? })
        };
        let key: Vec<KeyColumn> = value.get("key")?.as_array()?.iter().map(column).collect::<Option<_>>()?;
        let bound = |bound: &Value| match bound {
            Value::Null => Some(None),
            bound => {
                let texts = bound.as_array()?.iter().map(|text| Some(text.as_str()?.to_owned()));
                texts.collect::<Option<Key>>().filter(|texts| texts.len() == key.len()).map(Some)
            }
        };
        let part = |part: &Value| Some(Part::new(Range { after: bound(part.get(0)?)?, until: bound(part.get(1)?)? }));
        let parts = match value.get("left") {
            None => Vec::new(),
            Some(left) => left.as_array()?.iter().map(part).collect::<Option<Vec<_>>>()?,
        };
        Some(Self {
            name: value.get("table")?.as_str()?.to_owned(),
            oid: u32::try_from(value.get("oid")?.as_u64()?).ok()?,
            rows: value.get("rows")?.as_u64()?,
            done: parts.is_empty(),
            key,
            parts,
            ..Self::default()
        })
    }
}

fn text(cell: &copy::Column, row: &Bytes) -> Option<String> {
    let bytes = match cell {
        copy::Column::Null => return None,
        copy::Column::Plain { start, end } => row.get(*start..*end)?,
        copy::Column::Unescaped(bytes) => bytes,
    };
    Some(simdutf8::basic::from_utf8(bytes).ok()?.to_owned())
}

/// A snapshot that can be gone on with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Which server's log it is, with its timelines: another one may never have had the rows that were read.
    pub server: String,
    /// Where the slot stands: from there on the stream tells what the snapshot has missed.
    pub slot: u64,
    /// The place that the snapshot's records have.
    pub lsn: u64,
    /// In the order in which they are read.
    pub tables: Vec<TableState>,
}

impl State {
    /// True when the slot is at the same place of the same log: the stream still tells what the snapshot has missed.
    pub fn belongs_to(&self, server: &str, slot: u64) -> bool {
        self.server == server && self.slot == slot
    }

    /// Rows of a part were read, and wait to be handed over.
    pub fn came(&mut self, table: usize, part: usize, rows: usize) {
        if let Some(part) = self.part(table, part) {
            part.waiting += rows as u64;
        }
    }

    /// A part has no more rows.
    pub fn read(&mut self, table: usize, part: usize) {
        if let Some(part) = self.part(table, part) {
            part.read = true;
        }
    }

    /// A row of a part was handed over.
    pub fn told(&mut self, table: usize, part: usize, row: Option<Bytes>) {
        if let Some(table) = self.tables.get_mut(table) {
            table.rows += 1;
        }
        if let Some(part) = self.part(table, part) {
            part.waiting = part.waiting.saturating_sub(1);
            part.last = row.or(part.last.take());
        }
    }

    fn part(&mut self, table: usize, part: usize) -> Option<&mut Part> {
        self.tables.get_mut(table)?.parts.get_mut(part)
    }

    /// Keeps what another attempt goes on with: rows that were read and not handed over are read again.
    pub fn settle(&mut self) {
        self.tables.iter_mut().for_each(TableState::settle);
        self.tables.retain(|table| table.done || !table.parts.is_empty());
    }

    /// Rows that were handed over.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }

    /// The field of the offset.
    pub fn to_offset(&mut self) -> OffsetMap {
        let server = Value::from(self.server.as_str());
        let mut text = format!("{{\"server\":{server},\"slot\":{},\"lsn\":{},\"tables\":[", self.slot, self.lsn);
        let mut first = true;
        for table in &mut self.tables {
            let done = table.is_done();
            let Some(own) = table.text() else { continue };
            if done && text.len() + own.len() > TEXT_MAX {
                continue;
            }
            if !std::mem::take(&mut first) {
                text.push(',');
            }
            text.push_str(&own);
        }
        text.push_str("]}");
        let mut map = OffsetMap::new();
        map.insert(FIELD.to_owned(), Value::String(text));
        map
    }

    /// Reads what an offset holds of it. What can't be read makes the snapshot begin anew: better twice than never.
    pub fn from_offset(offset: &OffsetMap) -> Option<Self> {
        let field = offset.get(FIELD).filter(|value| !value.is_null())?;
        let state = field.as_str().and_then(|text| Self::parse(&serde_json::from_str(text).ok()?));
        if state.is_none() {
            tracing::warn!(field = FIELD, "the stored offset does not tell how far the snapshot was: it begins anew");
        }
        state
    }

    fn parse(value: &Value) -> Option<Self> {
        Some(Self {
            server: value.get("server")?.as_str()?.to_owned(),
            slot: value.get("slot")?.as_u64()?,
            lsn: value.get("lsn")?.as_u64()?,
            tables: value.get("tables")?.as_array()?.iter().map(TableState::parse).collect::<Option<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, type_name: &str) -> KeyColumn {
        KeyColumn { name: name.to_owned(), type_name: type_name.to_owned() }
    }

    fn key(texts: &[&str]) -> Option<Key> {
        Some(texts.iter().map(|text| (*text).to_owned()).collect())
    }

    fn row(text: &'static str) -> Option<Bytes> {
        Some(Bytes::from_static(text.as_bytes()))
    }

    /// A table that is done, one of two ranges under way, one without a key, and one that was not begun.
    fn state() -> State {
        let mut big = TableState::new("public.big", 7, vec![column("a", "integer"), column("b", "text")]);
        big.cells = vec![2, 0];
        let ranges = [(None, key(&["5", "it's"])), (key(&["5", "it's"]), None)];
        big.parts = ranges.map(|(after, until)| Part::new(Range { after, until })).to_vec();
        let mut small = TableState::new("public.small", 6, vec![column("id", "uuid")]);
        let mut whole = TableState::new("public.whole", 8, Vec::new());
        let mut new = TableState::new("public.new", 9, vec![column("id", "uuid")]);
        for table in [&mut small, &mut whole, &mut new] {
            table.parts = vec![Part::default()];
        }
        State { server: "71/2@1:0/50".to_owned(), slot: 100, lsn: 110, tables: vec![small, big, whole, new] }
    }

    fn stored(state: &mut State) -> Value {
        let offset = state.to_offset();
        serde_json::from_str(offset[FIELD].as_str().expect("a text")).expect("JSON")
    }

    #[test]
    fn what_is_stored_covers_what_was_handed_over_and_nothing_else() {
        let mut state = state();
        let empty = json!({"server": "71/2@1:0/50", "slot": 100, "lsn": 110, "tables": []});
        assert_eq!(stored(&mut state), empty);
        state.came(0, 0, 1);
        state.read(0, 0);
        assert_eq!(stored(&mut state)["tables"], json!([]), "its row waits for its successor");
        state.told(0, 0, None);
        state.came(1, 1, 3);
        state.told(1, 1, row("x\\\\y\tfiller\t6\n"));
        state.told(1, 1, row("x\\ty\tfiller\t7\n"));
        state.came(2, 0, 2);
        state.told(2, 0, None);
        let small = json!({"table": "public.small", "oid": 6, "key": [["id", "uuid"]], "rows": 1});
        let big_key = json!([["a", "integer"], ["b", "text"]]);
        assert_eq!(
            stored(&mut state)["tables"],
            json!([
                small,
                {"table": "public.big", "oid": 7, "key": big_key, "rows": 2,
                 "left": [[null, ["5", "it's"]], [["7", "x\ty"], null]]},
            ])
        );
        state.read(1, 0);
        state.told(1, 1, row("z\tfiller\t8\n"));
        state.read(1, 1);
        state.told(2, 0, None);
        state.read(2, 0);
        assert_eq!(
            stored(&mut state)["tables"],
            json!([
                small,
                {"table": "public.big", "oid": 7, "key": big_key, "rows": 3},
                {"table": "public.whole", "oid": 8, "key": [], "rows": 2},
            ])
        );
    }

    #[test]
    fn another_attempt_goes_on_with_what_was_stored_or_handed_over() {
        let mut state = state();
        state.came(1, 0, 3);
        state.told(1, 0, row("a\tfiller\t1\n"));
        state.read(1, 0);
        state.came(2, 0, 5);
        state.told(2, 0, None);
        let read = State::from_offset(&state.to_offset()).expect("readable");
        state.settle();
        let names: Vec<_> = state.tables.iter().map(|table| table.name.as_str()).collect();
        assert_eq!(names, ["public.big"], "a table without a key is read again, and others were not begun");
        let big = &state.tables[0];
        let ranges: Vec<_> = big.parts.iter().map(|part| part.range.after.clone()).collect();
        assert_eq!((ranges, big.rows, big.is_done()), (vec![key(&["1", "a"]), key(&["5", "it's"])], 1, false));
        assert_eq!(read.tables[0].parts, big.parts);
        assert!(read.tables[0].is_same(big));
        let mut read = read;
        read.settle();
        assert_eq!(read.tables[0].parts, big.parts, "what was stored stays as it is");
    }

    #[test]
    fn a_slot_at_the_same_place_of_another_log_is_another_one() {
        let read = State::from_offset(&state().to_offset()).expect("readable");
        assert!(read.belongs_to("71/2@1:0/50", 100));
        assert!(!read.belongs_to("71/2@1:0/50", 101));
        assert!(!read.belongs_to("71/3@1:0/50@2:0/60", 100), "a standby was promoted");
        assert!(!read.belongs_to("", 100));
    }

    #[test]
    fn a_key_that_is_no_text_is_not_taken_for_one() {
        let mut state = state();
        state.came(1, 0, 2);
        state.told(1, 0, row("a\tfiller\t1\n"));
        stored(&mut state);
        state.told(1, 0, Some(Bytes::from_static(b"\xff\tfiller\t2\n")));
        assert_eq!(stored(&mut state)["tables"][0]["left"][0][0], json!(["1", "a"]));
    }

    #[test]
    fn what_is_not_understood_begins_anew() {
        let without_server = r#"{"slot":1,"lsn":1,"tables":[]}"#;
        let table = r#"{"table":"t","oid":1,"key":[],"rows":1,"left":[[["x"],null]]}"#;
        let longer_than_its_key = format!(r#"{{"server":"71/1","slot":1,"lsn":1,"tables":[{table}]}}"#);
        for text in ["", "{}", without_server, &longer_than_its_key] {
            let mut offset = OffsetMap::new();
            offset.insert(FIELD.to_owned(), text.into());
            assert_eq!(State::from_offset(&offset), None, "{text}");
        }
        assert_eq!(State::from_offset(&OffsetMap::new()), None);
    }

    #[test]
    fn the_text_has_a_bound_that_leaves_tables_under_way_in() {
        let mut state = state();
        let name = "x".repeat(1000);
        state.tables.truncate(2);
        let done = |n: u32| TableState { done: true, ..TableState::new(&name, n, Vec::new()) };
        state.tables.splice(0..1, (0..2000).map(done));
        let at = state.tables.len() - 1;
        state.came(at, 0, 2);
        state.told(at, 0, row("a\tfiller\t1\n"));
        let offset = state.to_offset();
        assert!(offset[FIELD].as_str().expect("a text").len() < TEXT_MAX + 2_000);
        let read = State::from_offset(&offset).expect("readable");
        assert_eq!(read.tables.last().map(|table| table.name.as_str()), Some("public.big"));
    }
}
