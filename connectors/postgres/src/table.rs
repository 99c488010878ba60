//! A captured table: its schemas, and one decoder per column, made once.
//!
//! A row is an array of values in the order of the value's schema. Columns that belong to the key but are left out of
//! the value come after those, for the time between decoding a row and taking its key.

use std::sync::Arc;

use bytes::Bytes;
use connect_api::{Datum, Error, Field, Kind, Schema, SchemaRef, Struct, Value};

use crate::catalog::{TableMeta, TableName};
use crate::copy;
use crate::decode::{Decoder, Text};
use crate::defaults;
use crate::event::envelope_schema;
use crate::metrics::EventCounts;
use crate::pgoutput::{Cell, Relation, Tuple};
use crate::settings::{NameAdjustment, Settings};
use crate::types::{Planner, Types};

/// The object id of `bytea`.
const BYTEA: u32 = 17;

/// A column of the rows that come in.
#[derive(Clone, Debug)]
struct Column {
    name: Arc<str>,
    /// Its place in the row, `None` when it is not wanted.
    slot: Option<usize>,
    decoder: Decoder,
    /// What null becomes: null, or what stands for it in a required column.
    null: Value,
    placeholder: Value,
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
    pub schema_name: bytestring::ByteString,
    pub table_name: bytestring::ByteString,
    columns: Vec<Column>,
    /// Places of the key's columns in a row.
    key_slots: Vec<usize>,
    /// Columns of the value; a row may be longer by columns that only the key needs.
    width: usize,
    /// Columns in a row.
    slots: usize,
}

/// A column as it comes in: from the catalogue (snapshot) or from the stream.
struct Incoming<'a> {
    name: &'a str,
    type_oid: u32,
    typmod: i32,
    required: bool,
    default: Option<&'a str>,
}

impl Table {
    /// A table as a snapshot reads it: columns as in [`Table::snapshot_columns`].
    pub fn from_catalog(meta: &TableMeta, types: &Types, settings: &Settings) -> Self {
        let incoming: Vec<_> = meta
            .columns
            .iter()
            .map(|column| Incoming {
                name: &column.name,
                type_oid: column.type_oid,
                typmod: column.typmod,
                required: column.required,
                default: column.default.as_deref(),
            })
            .collect();
        Self::build(&meta.name, &incoming, &meta.key, types, settings)
    }

    /// A table as the stream describes it; the catalogue adds what the stream does not carry.
    pub fn from_relation(relation: &Relation, meta: Option<&TableMeta>, types: &Types, settings: &Settings) -> Self {
        let name = TableName { schema: relation.schema.clone(), table: relation.table.clone() };
        // A table that was renamed meanwhile is still found by its id; one that is gone has its identity left.
        let incoming: Vec<_> = relation
            .columns
            .iter()
            .map(|column| {
                let known = meta.and_then(|meta| meta.columns.iter().find(|known| known.name == column.name));
                Incoming {
                    name: &column.name,
                    type_oid: column.type_oid,
                    typmod: column.typmod,
                    required: known.map_or(column.key && relation.identity == b'd', |known| known.required),
                    default: known.and_then(|known| known.default.as_deref()),
                }
            })
            .collect();
        let identity: Vec<String> = match relation.identity {
            b'd' | b'i' => relation.columns.iter().filter(|c| c.key).map(|c| c.name.clone()).collect(),
            _ => Vec::new(),
        };
        Self::build(&name, &incoming, meta.map_or(&identity, |meta| &meta.key), types, settings)
    }

    fn build(name: &TableName, incoming: &[Incoming<'_>], key: &[String], types: &Types, settings: &Settings) -> Self {
        let key = key_columns(name, key, settings);
        let planner = Planner { modes: &settings.values, types };
        let mut fields = Vec::with_capacity(incoming.len());
        let mut key_only = Vec::new();
        let mut columns = Vec::with_capacity(incoming.len());
        for column in incoming {
            let captured = settings.filters.column(&name.schema, &name.table, column.name);
            let in_key = key.iter().any(|key| key == column.name);
            let plan = if captured || in_key { planner.plan(column.type_oid, column.typmod) } else { None };
            let Some(plan) = plan else {
                columns.push(Column::unwanted(column.name));
                continue;
            };
            let is_enum = types.get(&column.type_oid).is_some_and(|info| info.kind == b'e');
            let default = column
                .default
                .and_then(|text| defaults::parse(text, (column.type_oid, column.typmod), is_enum, &plan.decoder));
            let mut schema = plan.schema;
            schema.optional = !column.required;
            let null = match (column.required, &default) {
                (false, _) => Value::Null,
                (true, Some(default)) => default.clone(),
                (true, None) => plan.zero,
            };
            schema.default = default;
            let schema = schema.shared();
            let field = Field::new(adjusted(column.name, settings.field_names, false), SchemaRef::clone(&schema));
            // Places after the value's columns are given once their number is known.
            let list = if captured { &mut fields } else { &mut key_only };
            let place = list.len();
            list.push(field);
            columns.push(Column {
                name: column.name.into(),
                slot: Some(if captured { place } else { usize::MAX - place }),
                decoder: plan.decoder.bound_to(&schema),
                null: bound(null, &schema),
                placeholder: placeholder(column, bound(plan.placeholder, &schema)),
            });
        }
        let width = fields.len();
        for column in &mut columns {
            column.slot = column.slot.map(|slot| if slot < width { slot } else { width + (usize::MAX - slot) });
        }
        Self::assemble(name, columns, fields, key_only, &key, settings)
    }

    fn assemble(
        name: &TableName,
        columns: Vec<Column>,
        fields: Vec<Field>,
        key_only: Vec<Field>,
        key: &[String],
        settings: &Settings,
    ) -> Self {
        let width = fields.len();
        let slots = width + key_only.len();
        let key_slots: Vec<usize> = key
            .iter()
            .filter_map(|key| columns.iter().find(|column| *column.name == **key).and_then(|column| column.slot))
            .collect();
        let topic = topic_name(name, settings);
        let schema_name = |suffix: &str| adjusted(&format!("{topic}.{suffix}"), settings.names, true);
        let key_schema = (!key_slots.is_empty()).then(|| {
            let all: Vec<&Field> = fields.iter().chain(&key_only).collect();
            let fields = key_slots.iter().map(|&slot| all[slot].clone()).collect();
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
            width,
            slots,
        }
    }

    /// Names of the columns that a snapshot selects, in the order of [`Table::copied_row`].
    pub fn snapshot_columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().filter(|column| column.slot.is_some()).map(|column| &*column.name)
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
        let mut row = vec![Value::Null; self.slots];
        let wanted = self.columns.iter().filter_map(|column| Some((column, column.slot?)));
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
        column
            .decoder
            .decode(text)
            .map_err(|e| Error::data(format!("column {} of table {} can't be read: {e}", column.name, self.name)))
    }

    /// True when two rows look the same to a consumer.
    pub fn same_image(&self, a: &[Value], b: &[Value]) -> bool {
        a[..self.width] == b[..self.width]
    }

    /// The columns of a row that a consumer sees.
    pub fn values<'a>(&self, row: &'a [Value]) -> &'a [Value] {
        &row[..self.width.min(row.len())]
    }

    /// The key of a row.
    pub fn key(&self, row: &[Value]) -> Datum {
        let Some(schema) = &self.key_schema else { return Datum::null() };
        let fields = self.key_slots.iter().map(|&slot| row[slot].clone()).collect();
        Datum::new(SchemaRef::clone(schema), Value::Struct(Struct::new(SchemaRef::clone(schema), fields)))
    }

    /// The row as the struct of before and after.
    pub fn image(&self, mut row: Vec<Value>) -> Value {
        row.truncate(self.width);
        Value::Struct(Struct::new(SchemaRef::clone(&self.value_schema), row))
    }
}

impl Column {
    fn unwanted(name: &str) -> Self {
        let name = name.into();
        Self { name, slot: None, decoder: Decoder::EmptyArray, null: Value::Null, placeholder: Value::Null }
    }
}

/// The reference has no text for bytes that were not sent: null, where null is allowed.
fn placeholder(column: &Incoming<'_>, own: Value) -> Value {
    if column.type_oid == BYTEA && !column.required && !matches!(own, Value::Bytes(_)) { Value::Null } else { own }
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

/// The topic of a table: what Kafka does not allow becomes an underscore.
pub fn topic_name(name: &TableName, settings: &Settings) -> String {
    let delimiter = &settings.topic_delimiter;
    let topic = if settings.topic_per_schema {
        format!("{}{delimiter}{}{delimiter}{}", settings.prefix, name.schema, name.table)
    } else {
        format!("{}{delimiter}{}", settings.prefix, name.table)
    };
    topic.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' }).collect()
}

/// A name under `schema.name.adjustment.mode` or its counterpart for fields: fit for Avro, by underscores or by the
/// codes of characters. Full names keep their dots.
fn adjusted(name: &str, mode: NameAdjustment, full: bool) -> String {
    if mode == NameAdjustment::None {
        return name.to_owned();
    }
    let mut out = String::with_capacity(name.len());
    for (at, c) in name.char_indices() {
        let fits = c.is_ascii_alphabetic() || c == '_' || (at > 0 && c.is_ascii_digit()) || (full && c == '.');
        match mode {
            NameAdjustment::AvroUnicode if !fits || c == '_' => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("_u{unit:04x}"));
                }
            }
            _ if fits => out.push(c),
            _ if c.is_ascii_digit() => {
                out.push('_');
                out.push(c);
            }
            _ => out.push('_'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_fit_as_recorded() {
        for (name, mode, full, wanted) in [
            ("p.Sch-ema.1.Ta_ble.Key", NameAdjustment::Avro, true, "p.Sch_ema.1.Ta_ble.Key"),
            ("1st", NameAdjustment::Avro, false, "_1st"),
            ("a.b", NameAdjustment::Avro, false, "a_b"),
            ("1st", NameAdjustment::AvroUnicode, false, "_u0031st"),
            ("Ta_ble", NameAdjustment::AvroUnicode, true, "Ta_u005fble"),
            ("a.b", NameAdjustment::None, false, "a.b"),
        ] {
            assert_eq!(adjusted(name, mode, full), wanted, "{name}");
        }
    }
}
