//! What of a table may be reselected, and how a row is found: made once, when the stream describes the table.

use std::sync::Arc;

use bytes::Bytes;
use connect_api::Value;

use super::settings::{OnFailure, Processor};
use crate::pgoutput::{Cell, Tuple};
use crate::settings::Settings;
use crate::table::Table;
use crate::wire::{identifier, literal};

/// What one processor does with a table.
#[derive(Debug)]
pub struct Plan {
    /// Quoted.
    table: String,
    /// The columns that a row is found by.
    key: Vec<KeyColumn>,
    /// Those that may be reselected, in the order of the stream's rows.
    columns: Vec<Candidate>,
    pub on_failure: OnFailure,
}

#[derive(Debug)]
struct KeyColumn {
    name: String,
    /// In a row of the stream.
    place: usize,
}

/// When a column is reselected.
#[derive(Clone, Copy, Debug, Default)]
struct When {
    unavailable: bool,
    null: bool,
}

/// A column that may be reselected.
#[derive(Debug)]
pub struct Candidate {
    name: String,
    /// In a row of the stream.
    pub place: usize,
    /// In a record's row.
    pub slot: usize,
    when: When,
}

/// The texts of a key's columns.
pub type KeyTexts = Vec<Option<Bytes>>;

/// Why a row can't be looked up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoKey {
    #[error("the table has no primary key")]
    Missing,
    #[error("the value of {0}, which belongs to the key, was not sent: it is large and did not change")]
    NotSent(String),
}

impl NoKey {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Missing => {
                "set reselect.use.event.key=true, which finds rows by the columns of message.key.columns, or leave the table \
                 out by reselect.columns.exclude.list"
            }
            Self::NotSent(_) => {
                "ALTER TABLE .. REPLICA IDENTITY FULL, with which the server sends what did not change, too"
            }
        }
    }
}

/// The plans for a table with this key of its own. None of them where nothing is to be done, so that events cost nothing.
pub fn plans(table: &Table, own_key: &[String], settings: &Settings) -> Vec<Arc<Plan>> {
    // As in the reference: records without a key stay as they are, and so do those of the signal table.
    if settings.reselect.is_empty()
        || table.key_schema.is_none()
        || settings.filters.signals(&table.name.schema, &table.name.table)
    {
        return Vec::new();
    }
    // What an earlier processor takes, later ones find done.
    let mut taken = vec![When::default(); table.value_schema.fields().len()];
    settings
        .reselect
        .iter()
        .filter_map(|processor| Plan::make(processor, table, own_key, &mut taken))
        .map(Arc::new)
        .collect()
}

impl Plan {
    fn make(processor: &Processor, table: &Table, own_key: &[String], taken: &mut [When]) -> Option<Self> {
        let name = table.name.to_string();
        let columns: Vec<Candidate> = table
            .shown_columns()
            .filter(|column| processor.fits(&name, column.name))
            .filter_map(|column| {
                let taken = taken.get_mut(column.slot)?;
                let when = When {
                    unavailable: processor.unavailable && !taken.unavailable,
                    null: processor.nulls && column.null_is_null && !taken.null,
                };
                *taken = When { unavailable: taken.unavailable || when.unavailable, null: taken.null || when.null };
                let wanted = when.unavailable || when.null;
                wanted.then(|| Candidate {
                    name: identifier(column.name),
                    place: column.place,
                    slot: column.slot,
                    when,
                })
            })
            .collect();
        if columns.is_empty() {
            return None;
        }
        let names: Vec<&str> = if processor.event_key {
            table.key_names().collect()
        } else {
            own_key.iter().map(String::as_str).collect()
        };
        // A column of the key that was dropped since is not asked for.
        let key = names
            .into_iter()
            .filter_map(|name| Some(KeyColumn { name: identifier(name), place: table.place(name)? }))
            .collect();
        let table = format!("{}.{}", identifier(&table.name.schema), identifier(&table.name.table));
        Some(Self { table, key, columns, on_failure: processor.on_failure })
    }

    /// Which columns of a row are to be reselected, by their places in the plan. `unsent` says that what did not change is not in
    /// `after` either.
    pub fn wanted(&self, new: &Tuple, unsent: bool, after: &[Value]) -> Vec<usize> {
        let mut cells = new.cells().enumerate();
        let mut wanted = Vec::new();
        for (at, column) in self.columns.iter().enumerate() {
            let cell = cells.find(|(place, _)| *place == column.place).map(|(_, cell)| cell);
            let unavailable = column.when.unavailable && unsent && cell == Some(Cell::Unchanged);
            let null = column.when.null && after.get(column.slot).is_some_and(Value::is_null);
            if unavailable || null {
                wanted.push(at);
            }
        }
        wanted
    }

    /// The key of a row. What did not change is taken from the old row, where that was sent as a whole.
    pub fn key_of(&self, new: &Tuple, old: Option<&Tuple>) -> Result<KeyTexts, NoKey> {
        if self.key.is_empty() {
            return Err(NoKey::Missing);
        }
        let text = |column: &KeyColumn| {
            let known = text_at(new, column.place).or_else(|| text_at(old?, column.place));
            known.ok_or_else(|| NoKey::NotSent(column.name.clone()))
        };
        self.key.iter().map(text).collect()
    }

    /// The statement that looks a row up. Literals have no type: each takes that of its column. A second row tells that the key does
    /// not tell rows apart.
    pub fn statement(&self, wanted: &[usize], key: &[Option<Bytes>]) -> String {
        let columns: Vec<&str> = self.candidates(wanted).map(|column| column.name.as_str()).collect();
        let conditions: Vec<String> = self
            .key
            .iter()
            .zip(key)
            .map(|(column, text)| match text {
                Some(text) => format!("{} = {}", column.name, literal(&String::from_utf8_lossy(text))),
                // Never true, as in the reference.
                None => format!("{} = NULL", column.name),
            })
            .collect();
        format!("SELECT {} FROM {} WHERE {} LIMIT 2", columns.join(", "), self.table, conditions.join(" AND "))
    }

    /// The columns at these places in the plan.
    pub fn candidates(&self, wanted: &[usize]) -> impl Iterator<Item = &Candidate> {
        wanted.iter().filter_map(|&at| self.columns.get(at))
    }

    /// The key as the reference shows it.
    pub fn shown_key(&self, key: &[Option<Bytes>]) -> String {
        let parts: Vec<String> = self
            .key
            .iter()
            .zip(key)
            .filter_map(|(column, text)| {
                Some(format!("{}={}", column.name.trim_matches('"'), String::from_utf8_lossy(text.as_ref()?)))
            })
            .collect();
        format!("Struct{{{}}}", parts.join(","))
    }
}

/// The text of a column, `Some(None)` for null, `None` for one that was not sent.
fn text_at(tuple: &Tuple, place: usize) -> Option<Option<Bytes>> {
    match tuple.cells().nth(place)? {
        Cell::Text(bytes) => Some(Some(tuple.buffer().slice_ref(bytes))),
        Cell::Null => Some(None),
        Cell::Unchanged => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{ColumnMeta, TableMeta, TableName};
    use crate::pgoutput::{self, Message, Old, Relation, RelationColumn};
    use crate::types::{TypeInfo, Types};

    const CLASS: (&str, &str) =
        ("post.processors.r.type", "io.debezium.processors.reselect.ReselectColumnsPostProcessor");

    fn settings(extra: &[(&str, &str)]) -> Settings {
        let base = [
            ("topic.prefix", "p"),
            ("database.hostname", "h"),
            ("database.user", "u"),
            ("database.dbname", "d"),
            ("post.processors", "r"),
            CLASS,
        ];
        let props = base.iter().chain(extra).map(|(k, v)| ((*k).to_owned(), Some((*v).to_owned()))).collect();
        Settings::parse(&props).expect("valid settings")
    }

    /// `s.t (id int PRIMARY KEY, a text, b text DEFAULT 'x')`, or without that key.
    fn described(key: &[&str], settings: &Settings) -> Table {
        let names = [("id", 23), ("a", 25), ("b", 25)];
        let column = |(name, type_oid): (&str, u32)| ColumnMeta {
            name: name.to_owned(),
            type_oid,
            typmod: -1,
            required: name == "id",
            default: (name == "b").then(|| "'x'::text".to_owned()),
            generated: false,
        };
        let name = TableName { schema: "s".to_owned(), table: "t".to_owned() };
        let key: Vec<String> = key.iter().map(|name| (*name).to_owned()).collect();
        let meta = TableMeta { oid: 1, name, columns: names.map(column).into(), key };
        let column = |(name, type_oid): (&str, u32)| RelationColumn {
            key: name == "id",
            name: name.to_owned(),
            type_oid,
            typmod: -1,
        };
        let relation = Relation {
            oid: 1,
            schema: "s".to_owned(),
            table: "t".to_owned(),
            identity: b'd',
            columns: names.map(column).into(),
        };
        let info =
            |(oid, name): (u32, &str)| (oid, TypeInfo { oid, name: name.into(), kind: b'b', ..TypeInfo::default() });
        let types: Types = [(23, "int4"), (25, "text")].map(info).into_iter().collect();
        Table::from_relation(&relation, Some(&meta), &types, settings)
    }

    /// An update: the new row and the old one, if that is sent. `-` was not sent, `~` is null.
    fn update(new: [&str; 3], old: Option<[&str; 3]>) -> (Tuple, Option<Tuple>) {
        fn put(bytes: &mut Vec<u8>, kind: u8, row: [&str; 3]) {
            bytes.push(kind);
            bytes.extend(3_u16.to_be_bytes());
            for cell in row {
                match cell {
                    "-" => bytes.push(b'u'),
                    "~" => bytes.push(b'n'),
                    text => {
                        bytes.push(b't');
                        bytes.extend(u32::try_from(text.len()).expect("short").to_be_bytes());
                        bytes.extend(text.as_bytes());
                    }
                }
            }
        }
        let mut bytes = b"U\0\0\0\x01".to_vec();
        if let Some(old) = old {
            put(&mut bytes, b'O', old);
        }
        put(&mut bytes, b'N', new);
        match pgoutput::decode(&bytes.into()).expect("decodes") {
            Message::Update { new, old: Some(Old::Full(old)), .. } => (new, Some(old)),
            Message::Update { new, .. } => (new, None),
            other => panic!("{other:?}"),
        }
    }

    /// The statements of an update's lookups.
    fn statements(table: &Table, new: [&str; 3], old: Option<[&str; 3]>) -> Vec<String> {
        let (new, old) = update(new, old);
        let before = old.as_ref().map(|old| table.streamed_row(old, None).expect("a row"));
        let row = table.streamed_row(&new, before.as_deref()).expect("a row");
        table
            .reselect
            .iter()
            .filter_map(|plan| {
                let wanted = plan.wanted(&new, old.is_none(), &row);
                (!wanted.is_empty()).then(|| plan.statement(&wanted, &plan.key_of(&new, old.as_ref()).expect("a key")))
            })
            .collect()
    }

    #[test]
    fn what_was_not_sent_and_what_is_null_is_looked_up_by_the_primary_key() {
        let table = described(&["id"], &settings(&[]));
        let select = |columns: &str| vec![format!("SELECT {columns} FROM \"s\".\"t\" WHERE \"id\" = '1' LIMIT 2")];
        assert_eq!(statements(&table, ["1", "-", "-"], None), select("\"a\", \"b\""));
        assert_eq!(statements(&table, ["1", "~", "x"], None), select("\"a\""));
        assert!(statements(&table, ["1", "x", "~"], None).is_empty(), "its default stands for null");
        assert!(statements(&table, ["1", "x", "y"], None).is_empty());
        assert!(statements(&table, ["1", "-", "y"], Some(["1", "x", "y"])).is_empty(), "the old row has it");
        // A key that is large itself.
        assert_eq!(statements(&table, ["-", "~", "y"], Some(["1", "~", "y"])), select("\"a\""));
        let (new, _) = update(["-", "~", "y"], None);
        assert_eq!(table.reselect[0].key_of(&new, None), Err(NoKey::NotSent("\"id\"".to_owned())));
    }

    #[test]
    fn options_say_what_is_looked_up() {
        let of = |extra: &[(&str, &str)], new| statements(&described(&["id"], &settings(extra)), new, None).len();
        let unavailable = ("post.processors.r.reselect.unavailable.values", "false");
        let null = ("post.processors.r.reselect.null.values", "false");
        assert_eq!((of(&[unavailable], ["1", "-", "x"]), of(&[unavailable], ["1", "~", "x"])), (0, 1));
        assert_eq!((of(&[null], ["1", "-", "x"]), of(&[null], ["1", "~", "x"])), (1, 0));
        let list = ("post.processors.r.reselect.columns.include.list", "S.T:B");
        assert_eq!((of(&[list], ["1", "-", "x"]), of(&[list], ["1", "x", "-"])), (0, 1));
        for nothing in [
            [unavailable, null],
            [("column.exclude.list", "s.t.(a|b)"), unavailable],
            [("signal.data.collection", "s.t"), null],
            [("column.mask.with.3.chars", "s.t.(a|b)"), unavailable],
        ] {
            assert!(described(&["id"], &settings(&nothing)).reselect.is_empty(), "{nothing:?}");
        }
    }

    #[test]
    fn rows_are_found_by_the_columns_of_the_records_key_where_that_is_wanted() {
        assert!(described(&[], &settings(&[])).reselect.is_empty(), "a record without a key stays as it is");
        let own_key = ("message.key.columns", "s.t:b,id");
        let table = described(&[], &settings(&[own_key]));
        let (new, _) = update(["1", "-", "it's"], None);
        assert_eq!(table.reselect[0].key_of(&new, None), Err(NoKey::Missing));
        let table = described(&["id"], &settings(&[own_key, ("post.processors.r.reselect.use.event.key", "true")]));
        assert_eq!(
            statements(&table, ["1", "-", "it's"], None),
            ["SELECT \"a\" FROM \"s\".\"t\" WHERE \"b\" = 'it''s' AND \"id\" = '1' LIMIT 2"]
        );
        assert_eq!(
            statements(&table, ["1", "-", "~"], None),
            ["SELECT \"a\" FROM \"s\".\"t\" WHERE \"b\" = NULL AND \"id\" = '1' LIMIT 2"]
        );
        let plan = &table.reselect[0];
        let key = plan.key_of(&new, None).expect("a key");
        assert_eq!(plan.shown_key(&key), "Struct{b=it's,id=1}");
    }

    #[test]
    fn what_a_processor_takes_is_left_out_by_those_behind_it() {
        let two = settings(&[
            ("post.processors", "r,q"),
            ("post.processors.r.reselect.columns.include.list", "s.t:a"),
            ("post.processors.r.reselect.null.values", "false"),
            ("q.type", CLASS.1),
        ]);
        let table = described(&["id"], &two);
        let select = |column: &str| format!("SELECT \"{column}\" FROM \"s\".\"t\" WHERE \"id\" = '1' LIMIT 2");
        assert_eq!(statements(&table, ["1", "-", "-"], None), [select("a"), select("b")]);
        assert_eq!(statements(&table, ["1", "~", "x"], None), [select("a")]);
    }

    #[test]
    fn reselected_values_are_cut_and_hashed_as_those_of_the_stream() {
        let rules =
            settings(&[("column.truncate.to.3.chars", "s.t.a"), ("column.mask.hash.v2.MD5.with.salt.x", "s.t.b")]);
        let table = described(&["id"], &rules);
        let shown = |place, text: &'static str| table.shown(place, Some(&Bytes::from_static(text.as_bytes())));
        assert_eq!(shown(1, "secret").expect("a value"), Value::from("sec"));
        let hashed = shown(2, "secret").expect("a value");
        assert!(hashed.as_str().is_some_and(|text| text.len() == 32), "{hashed:?}");
        assert_eq!(table.shown(1, None).expect("a value"), Value::Null);
        assert!(shown(0, "no number").is_err());
    }
}
