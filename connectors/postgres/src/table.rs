//! A captured table: its schemas, and one decoder per column, made once.
//!
//! A row is an array of values in the order of the value's schema, as they are in the database: masks are put on when the
//! row becomes an image, because the key has none. Columns that belong to the key but are left out of the value come after
//! those, for the time between decoding a row and taking its key.

mod draft;
mod naming;
mod reselected;

use std::sync::Arc;

use bytes::Bytes;
use connect_api::{Datum, Error, ErrorKind, Field, Kind, Schema, SchemaRef, Struct, Value};

use crate::catalog::{TableMeta, TableName};
use crate::columns::Mapping;
use crate::copy;
use crate::decode::{Decoder, Text};
use crate::event::envelope_schema;
use crate::metrics::EventCounts;
use crate::pgoutput::{Cell, Relation, Tuple};
use crate::reselect::plan::{Plan, plans};
use crate::settings::Settings;
use crate::types::{Planner, Types, Way};

use draft::{Draft, Incoming};
use naming::adjusted;
pub use naming::topic_name;

/// A column of the rows that come in.
#[derive(Clone, Debug)]
struct Column {
    name: Arc<str>,
    /// Its place in the row, `None` when it is not wanted.
    slot: Option<usize>,
    /// Snapshots select it.
    selected: bool,
    decoder: Decoder,
    /// What null becomes: null, or what stands for it in a required column.
    null: Value,
    placeholder: Value,
    /// It is neither optional nor has it a default: a value that the modes have no form for leaves nothing to send.
    strict: bool,
}

/// A captured table.
#[derive(Clone, Debug)]
pub struct Table {
    pub name: TableName,
    /// Counts the table's events, when it is streamed.
    pub counts: Arc<EventCounts>,
    pub topic: Arc<str>,
    pub key_schema: Option<SchemaRef>,
    pub value_schema: SchemaRef,
    pub envelope_schema: SchemaRef,
    pub schema_name: connect_api::Text,
    pub table_name: connect_api::Text,
    columns: Vec<Column>,
    /// Places of the key's columns in a row.
    key_slots: Vec<usize>,
    /// The key's fields have other schemas than the value's.
    key_differs: bool,
    /// Columns whose values are masked, hashed or cut.
    mappings: Vec<(usize, Mapping)>,
    /// Columns of the key that a snapshot does not read, with what they have instead.
    unread: Vec<(usize, Value)>,
    /// The column of the key that makes a snapshot impossible.
    out_of_reach: Option<Arc<str>>,
    /// What is looked up where the stream does not bring it.
    pub reselect: Vec<Arc<Plan>>,
    /// Columns of the value; a row may be longer by columns that only the key needs.
    width: usize,
    /// Columns in a row.
    slots: usize,
}

impl Table {
    /// A table as a snapshot reads it: columns as in [`Table::snapshot_columns`].
    pub fn from_catalog(meta: &TableMeta, types: &Types, settings: &Settings) -> Self {
        let name = &meta.name;
        let incoming: Vec<_> = meta
            .columns
            .iter()
            .map(|column| Incoming {
                name: &column.name,
                type_oid: column.type_oid,
                typmod: column.typmod,
                required: column.required,
                default: column.default.as_deref(),
                captured: settings.filters.column(&name.schema, &name.table, &column.name),
            })
            .collect();
        let mut table = Self::build(name, &incoming, &meta.key, Way::Snapshot, types, settings);
        let full = name.to_string();
        let overridden = settings.snapshot_overrides.iter().any(|(table, _)| table.eq_ignore_ascii_case(&full));
        if !overridden {
            table.leave_unread(&incoming);
        }
        table
    }

    /// The reference selects captured columns only, or all when none is captured. Columns of the key that it does not
    /// select are zero; those that stand behind all that it selects make it fail.
    fn leave_unread(&mut self, incoming: &[Incoming<'_>]) {
        let Some(last) = incoming.iter().rposition(|column| column.captured) else { return };
        for (place, (column, incoming)) in self.columns.iter_mut().zip(incoming).enumerate() {
            let Some(slot) = column.slot.filter(|_| !incoming.captured) else { continue };
            column.selected = false;
            self.unread.push((slot, column.null.clone()));
            if place > last {
                self.out_of_reach.get_or_insert_with(|| Arc::clone(&column.name));
            }
        }
    }

    /// Why rows of this table can't be read in a snapshot, when there are any.
    pub fn unreadable(&self) -> Result<(), Error> {
        let Some(column) = &self.out_of_reach else { return Ok(()) };
        Err(Error::new(
            ErrorKind::Config,
            format!(
                "Data row is smaller than a column index, internal schema representation is probably out of sync with real \
                 database schema: column {column} belongs to the key of table {} and is not captured, and no column behind \
                 it is",
                self.name
            ),
        )
        .class("org.apache.kafka.connect.errors.ConnectException")
        .hint("capture the columns of keys: see column.include.list and column.exclude.list"))
    }

    /// A table as the stream describes it; the catalogue adds what the stream does not carry.
    pub fn from_relation(relation: &Relation, meta: Option<&TableMeta>, types: &Types, settings: &Settings) -> Self {
        let name = TableName { schema: relation.schema.clone(), table: relation.table.clone() };
        // A table that was renamed meanwhile is still found by its id; one that is gone has its identity left.
        let incoming: Vec<_> = relation
            .columns
            .iter()
            .map(|column| {
                // The catalogue is asked for captured columns only: others may be null, whatever it says of them.
                let captured = settings.filters.column(&name.schema, &name.table, &column.name);
                let known = meta.and_then(|meta| meta.columns.iter().find(|known| known.name == column.name));
                let unknown = column.key && relation.identity == b'd';
                Incoming {
                    name: &column.name,
                    type_oid: column.type_oid,
                    typmod: column.typmod,
                    required: captured && known.map_or(unknown, |known| known.required),
                    default: known.filter(|_| captured).and_then(|known| known.default.as_deref()),
                    captured,
                }
            })
            .collect();
        let identity: Vec<String> = match relation.identity {
            b'd' | b'i' => relation.columns.iter().filter(|c| c.key).map(|c| c.name.clone()).collect(),
            _ => Vec::new(),
        };
        let key = meta.map_or(&identity, |meta| &meta.key);
        let mut table = Self::build(&name, &incoming, key, Way::Stream, types, settings);
        table.reselect = plans(&table, key, settings);
        table
    }

    fn build(
        name: &TableName,
        incoming: &[Incoming<'_>],
        key: &[String],
        way: Way,
        types: &Types,
        settings: &Settings,
    ) -> Self {
        let key = key_columns(name, key, settings);
        let planner = Planner { modes: &settings.values, types, way };
        let mut draft = Draft::default();
        for column in incoming {
            let in_key = key.iter().any(|key| key == column.name);
            draft.add(name, column, in_key, &planner, settings);
        }
        let width = draft.fields.len();
        for column in &mut draft.columns {
            column.slot = column.slot.map(|slot| if slot < width { slot } else { width + (usize::MAX - slot) });
        }
        Self::assemble(name, draft, &key, settings)
    }

    fn assemble(name: &TableName, draft: Draft, key: &[String], settings: &Settings) -> Self {
        let Draft { columns, fields, key_fields, key_only, mappings } = draft;
        let width = fields.len();
        let keys: Vec<(usize, Field)> = key
            .iter()
            .filter_map(|key| {
                let place = columns.iter().position(|column| *column.name == **key)?;
                Some((columns[place].slot?, key_fields[place].clone()?))
            })
            .collect();
        let topic = topic_name(name, settings);
        let schema_name = |suffix: &str| adjusted(&format!("{topic}.{suffix}"), settings.names, true);
        let key_differs = keys.iter().any(|(slot, key)| fields.get(*slot).is_some_and(|field| field != key));
        let key_slots: Vec<usize> = keys.iter().map(|(slot, _)| *slot).collect();
        let key_schema = (!keys.is_empty()).then(|| {
            let fields = keys.into_iter().map(|(_, field)| field).collect();
            Schema::structure(fields).named(schema_name("Key")).shared()
        });
        let value_schema = Schema::of(Kind::Struct(fields)).optional().named(schema_name("Value")).shared();
        Self {
            counts: Arc::default(),
            key_schema,
            envelope_schema: envelope_schema(&value_schema, schema_name("Envelope")),
            topic: topic.into(),
            value_schema,
            schema_name: name.schema.as_str().into(),
            table_name: name.table.as_str().into(),
            name: name.clone(),
            columns,
            key_slots,
            key_differs,
            mappings,
            unread: Vec::new(),
            out_of_reach: None,
            reselect: Vec::new(),
            width,
            slots: width + key_only,
        }
    }

    /// Names of the columns that a snapshot selects, in the order of [`Table::copied_row`].
    pub fn snapshot_columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().filter(|column| column.selected).map(|column| &*column.name)
    }

    /// A row of the stream. Large values that were not sent come from `old`, when that is a whole row.
    pub fn streamed_row(&self, tuple: &Tuple, old: Option<&[Value]>) -> Result<Vec<Value>, Error> {
        let mut row = vec![Value::Null; self.slots];
        for (column, cell) in self.columns.iter().zip(tuple.cells()) {
            let Some(slot) = column.slot else { continue };
            row[slot] = match cell {
                Cell::Null => column.null.clone(),
                // The reference knows no `name` in streams; consumers of both see the same from both.
                Cell::Text(_) if matches!(column.decoder, Decoder::Name) => column.null.clone(),
                Cell::Unchanged => old.map_or_else(|| column.placeholder.clone(), |old| old[slot].clone()),
                Cell::Text(bytes) => self.value(column, &Text { buffer: tuple.buffer(), bytes })?,
            };
        }
        if usize::from(tuple.count) != self.columns.len() {
            return Err(Error::data(format!(
                "a row of table {} has {} columns where {} were announced",
                self.name,
                tuple.count,
                self.columns.len()
            )));
        }
        Ok(row)
    }

    /// A row of a snapshot: the columns of [`Table::snapshot_columns`].
    pub fn copied_row(&self, frame: &Bytes, columns: &[copy::Column]) -> Result<Vec<Value>, Error> {
        self.unreadable()?;
        let mut row = vec![Value::Null; self.slots];
        for (slot, value) in &self.unread {
            row[*slot] = value.clone();
        }
        let wanted = self.columns.iter().filter_map(|column| Some((column, column.slot.filter(|_| column.selected)?)));
        for ((column, slot), cell) in wanted.zip(columns) {
            row[slot] = match cell {
                copy::Column::Null => column.null.clone(),
                copy::Column::Plain { start, end } => {
                    self.value(column, &Text { buffer: frame, bytes: &frame[*start..*end] })?
                }
                copy::Column::Unescaped(bytes) => self.value(column, &Text::whole(bytes))?,
            };
        }
        Ok(row)
    }

    fn value(&self, column: &Column, text: &Text<'_>) -> Result<Value, Error> {
        let unread = |e: &dyn std::fmt::Display| {
            Error::data(format!("column {} of table {} can't be read: {e}", column.name, self.name))
        };
        let value = column.decoder.decode(text).map_err(|e| unread(&e))?;
        if column.strict && matches!(value, Value::Null) {
            return Err(unread(&"its value has no form in the configured mode, and it is NOT NULL without a default")
                .hint("for NaN and infinity set decimal.handling.mode to string or double"));
        }
        Ok(value)
    }

    /// True when two rows look the same to a consumer.
    pub fn same_image(&self, a: &[Value], b: &[Value]) -> bool {
        if self.mappings.is_empty() {
            return a[..self.width] == b[..self.width];
        }
        self.image(a.to_vec()) == self.image(b.to_vec())
    }

    /// The columns of a row that a consumer sees.
    pub fn values<'a>(&self, row: &'a [Value]) -> &'a [Value] {
        &row[..self.width.min(row.len())]
    }

    /// The key of a row.
    pub fn key(&self, row: &[Value]) -> Datum {
        let Some(schema) = &self.key_schema else { return Datum::null() };
        let values = self.key_slots.iter().map(|&slot| row[slot].clone());
        let fields = if self.key_differs {
            values.zip(schema.fields()).map(|(value, field)| bound(value, &field.schema)).collect()
        } else {
            values.collect()
        };
        Datum::new(SchemaRef::clone(schema), Value::Struct(Struct::new(SchemaRef::clone(schema), fields)))
    }

    /// The row as the struct of before and after.
    pub fn image(&self, mut row: Vec<Value>) -> Value {
        row.truncate(self.width);
        for (slot, mapping) in &self.mappings {
            row[*slot] = mapping.apply(std::mem::take(&mut row[*slot]));
        }
        Value::Struct(Struct::new(SchemaRef::clone(&self.value_schema), row))
    }
}

/// A struct with the schema of its field.
fn bound(value: Value, schema: &SchemaRef) -> Value {
    match value {
        Value::Struct(own) => Value::Struct(Struct { schema: SchemaRef::clone(schema), fields: own.fields }),
        other => other,
    }
}

/// The columns of `message.key.columns`, or those of the table itself.
pub(crate) fn key_columns(name: &TableName, own: &[String], settings: &Settings) -> Vec<String> {
    let full = name.to_string();
    let configured = settings.key_columns.iter().find(|(table, _)| table.is_match(&full));
    configured.map_or_else(|| own.to_vec(), |(_, columns)| columns.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::ColumnMeta;
    use crate::pgoutput::RelationColumn;
    use crate::types::TypeInfo;

    fn settings(extra: &[(&str, &str)]) -> Settings {
        let base =
            [("topic.prefix", "p"), ("database.hostname", "h"), ("database.user", "u"), ("database.dbname", "d")];
        let props = base.iter().chain(extra).map(|(k, v)| ((*k).to_owned(), Some((*v).to_owned()))).collect();
        Settings::parse(&props).expect("valid settings")
    }

    /// `s.t (id int PRIMARY KEY, a text, b text)`, with the key in the place given.
    fn meta(key_at: usize) -> TableMeta {
        let column = |name: &str, type_oid: u32| ColumnMeta {
            name: name.to_owned(),
            type_oid,
            typmod: -1,
            required: name == "id",
            default: None,
            generated: false,
        };
        let mut columns = vec![column("a", 25), column("b", 25)];
        columns.insert(key_at, column("id", 23));
        let name = TableName { schema: "s".to_owned(), table: "t".to_owned() };
        TableMeta { oid: 1, name, columns, key: vec!["id".to_owned()] }
    }

    fn types() -> Types {
        let info =
            |(oid, name): (u32, &str)| (oid, TypeInfo { oid, name: name.into(), kind: b'b', ..TypeInfo::default() });
        [(23, "int4"), (25, "text")].map(info).into_iter().collect()
    }

    fn copied(table: &Table, line: &'static str) -> Result<Vec<Value>, Error> {
        let frame = Bytes::from_static(line.as_bytes());
        let mut cells = Vec::new();
        copy::split(&frame, &mut cells);
        table.copied_row(&frame, &cells)
    }

    fn fields(value: &Value) -> Vec<Value> {
        let Value::Struct(own) = value else { panic!("no struct: {value:?}") };
        own.fields.to_vec()
    }

    #[test]
    fn a_key_that_is_not_captured_is_zero_in_snapshots() {
        let table = Table::from_catalog(&meta(0), &types(), &settings(&[("column.exclude.list", "s.t.id")]));
        assert_eq!(table.snapshot_columns().collect::<Vec<_>>(), ["a", "b"]);
        let row = copied(&table, "x\ty").expect("a row");
        assert_eq!(fields(&table.key(&row).value), [Value::Int32(0)]);
        assert!(!table.key_schema.as_ref().expect("a key").fields()[0].schema.optional);
        assert_eq!(fields(&table.image(row)), [Value::from("x"), Value::from("y")]);
    }

    #[test]
    fn a_key_behind_all_that_is_captured_makes_snapshots_fail() {
        let excluded = settings(&[("column.exclude.list", "s.t.id")]);
        let table = Table::from_catalog(&meta(2), &types(), &excluded);
        let refused = copied(&table, "x\ty").expect_err("the key is out of reach");
        assert!(refused.message().starts_with("Data row is smaller than a column index"), "{refused}");
        assert!(refused.message().contains("column id belongs to the key of table s.t"), "{refused}");
        // Where nothing is captured, everything is read.
        let other = Table::from_catalog(&meta(2), &types(), &settings(&[("column.include.list", "s.other.id")]));
        assert_eq!(other.snapshot_columns().collect::<Vec<_>>(), ["id"]);
        let row = copied(&other, "7").expect("a row");
        assert_eq!(fields(&other.key(&row).value), [Value::Int32(7)]);
    }

    #[test]
    fn a_key_that_is_not_captured_is_optional_in_streams() {
        let column = |name: &str, type_oid: u32| RelationColumn {
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
            columns: vec![column("id", 23), column("a", 25), column("b", 25)],
        };
        for (list, optional) in [("s.t.id", true), ("s.t.a", false)] {
            let settings = settings(&[("column.exclude.list", list)]);
            let table = Table::from_relation(&relation, Some(&meta(0)), &types(), &settings);
            assert_eq!(table.key_schema.expect("a key").fields()[0].schema.optional, optional, "without {list}");
        }
    }

    #[test]
    fn rules_change_values_and_leave_keys() {
        let rules = settings(&[
            ("column.mask.with.3.chars", "s.t.a"),
            ("column.propagate.source.type", ".*"),
            ("message.key.columns", "s.t:id,a"),
        ]);
        let table = Table::from_catalog(&meta(0), &types(), &rules);
        let row = copied(&table, "1\tsecret\ty").expect("a row");
        assert_eq!(fields(&table.key(&row).value), [Value::Int32(1), Value::from("secret")]);
        let parameters = |schema: &SchemaRef| {
            let count = |field: &Field| field.schema.parameters.as_ref().map_or(0, Vec::len);
            schema.fields().iter().map(count).collect::<Vec<_>>()
        };
        assert_eq!(parameters(table.key_schema.as_ref().expect("a key")), [0, 0]);
        assert_eq!(parameters(&table.value_schema), [4, 1, 4]);
        let other = copied(&table, "1\tother\ty").expect("a row");
        assert!(table.same_image(&row, &other), "both are masked");
        assert_eq!(fields(&table.image(row))[1], Value::from("***"));
    }

    #[test]
    fn a_value_without_a_form_is_null_or_can_not_be_read() {
        for (required, default, readable) in [(false, None, true), (true, Some("0"), true), (true, None, false)] {
            let mut meta = meta(0);
            let v = &mut meta.columns[1];
            (v.type_oid, v.typmod, v.required, v.default) = (1700, 655_366, required, default.map(str::to_owned));
            let mut types = types();
            let numeric = TypeInfo { oid: 1700, name: "numeric".into(), kind: b'b', ..TypeInfo::default() };
            types.insert(1700, numeric);
            let table = Table::from_catalog(&meta, &types, &settings(&[]));
            match copied(&table, "1\tNaN\ty") {
                Ok(row) => assert!(readable && row[1] == Value::Null, "{required} {default:?}"),
                Err(error) => {
                    assert!(!readable, "{error}");
                    assert_eq!(error.kind(), ErrorKind::Data);
                }
            }
        }
    }
}
