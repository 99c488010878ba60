//! `ExtractNewRecordState`: puts the row in the place of the change event around it.
//!
//! The event's metadata can be added as fields and as headers, a delete can become a row that says so, and fields that a
//! header names can be left out again.

use std::sync::{Arc, LazyLock};

use connect_api::{
    ConfigDef, Datum, Header, Kind, Plugin, Props, Record, Result, Schema, SchemaRef, Struct, Transform, Value,
};
use connect_config::{Importance::Medium, Type, Width};

use super::envelope::{self, AFTER, BEFORE, is_envelope, java_error};
use super::settings::{Rule, Settings, definition, key, low};
use super::shared_headers::SharedHeaders;
use crate::schemas::{Cache, Fields, basics, check_null, filled};
use crate::side::{put_entry, require_map, require_struct, take_struct};

mod field_reference;

use field_reference::FieldReference;

const PURPOSE: &str = "field extraction";
const DROP_PURPOSE: &str = "field replacement";
const DELETED: &str = "__deleted";

const MODE: &str = "delete.tombstone.handling.mode";
const ROUTE_BY_FIELD: &str = "route.by.field";
const FIELDS_PREFIX: &str = "add.fields.prefix";
const FIELDS: &str = "add.fields";
const HEADERS_PREFIX: &str = "add.headers.prefix";
const HEADERS: &str = "add.headers";
const DROP_HEADER: &str = "drop.fields.header.name";
const DROP_FROM_KEY: &str = "drop.fields.from.key";
const DROP_COMPATIBLE: &str = "drop.fields.keep.schema.compatible";

static DEF: LazyLock<ConfigDef> = LazyLock::new(|| {
    let metadata = "Elements are fields of the event, of its source or of its transaction, also as struct.field, and \
                    may be given another name behind a colon.";
    definition([
        key(MODE, Type::String, "Handle delete and tombstone records", "What becomes of deletes and of the tombstones \
            behind them: drop leaves out both; tombstone makes deletes tombstones and leaves out the others; rewrite makes \
            deletes rows with a field that says so; rewrite-with-tombstone keeps the tombstones as well; \
            delete-to-tombstone makes deletes tombstones without a schema.")
            .importance(Medium)
            .width(Width::Medium)
            .default("tombstone"),
        low(key(ROUTE_BY_FIELD, Type::String, "Route by field name", "A field of the row whose text is the topic."))
            .default(""),
        low(key(FIELDS_PREFIX, Type::String, "Field prefix to be added to each field.", "What added fields begin with."))
            .width(Width::Short)
            .default("__"),
        low(key(
            FIELDS,
            Type::List,
            "Adds the specified field(s) to the message if they exist.",
            &format!("Metadata to add as fields of the row. {metadata}"),
        ))
        .default(""),
        low(key(
            HEADERS_PREFIX,
            Type::String,
            "Header prefix to be added to each header.",
            "What added headers begin with.",
        ))
        .width(Width::Short)
        .default("__"),
        low(key(
            HEADERS,
            Type::List,
            "Adds the specified fields to the header if they exist.",
            &format!("Metadata to add as headers. {metadata}"),
        ))
        .default(""),
        low(key(
            DROP_HEADER,
            Type::String,
            "Specifies a header that contains a list of field names to be removed",
            "The header with a list of the fields to leave out.",
        ))
        .width(Width::Short),
        low(key(
            DROP_FROM_KEY,
            Type::Boolean,
            "Specifies whether the fields to be dropped should also be omitted from the key",
            "Leaves the fields out of the key, too.",
        ))
        .width(Width::Short)
        .default("false"),
        low(key(
            DROP_COMPATIBLE,
            Type::Boolean,
            "Specifies if fields are dropped, will the event's schemas be compatible",
            "Leaves out optional fields only, so that readers of the schema before can read the one after.",
        ))
        .width(Width::Short)
        .default("true"),
    ])
});

const RULES: &[(&str, &[Rule])] = &[
    (MODE, &[Rule::OneOf(&["drop", "tombstone", "rewrite", "rewrite-with-tombstone", "delete-to-tombstone"])]),
    (DROP_FROM_KEY, &[Rule::Flag]),
    (DROP_COMPATIBLE, &[Rule::Flag]),
];

pub(super) fn plugin() -> Plugin {
    super::plugin(
        "io.debezium.transforms.ExtractNewRecordState",
        || &DEF,
        |props| Ok(Box::new(ExtractNewRecordState::new(props)?)),
    )
}

/// What becomes of deletes and tombstones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Drop,
    Tombstone,
    Rewrite,
    RewriteWithTombstone,
    DeleteToTombstone,
}

impl Mode {
    fn of(text: &str) -> Self {
        match text.trim().to_ascii_lowercase().as_str() {
            "drop" => Self::Drop,
            "rewrite" => Self::Rewrite,
            "rewrite-with-tombstone" => Self::RewriteWithTombstone,
            "delete-to-tombstone" => Self::DeleteToTombstone,
            _ => Self::Tombstone,
        }
    }

    fn rewrites(self) -> bool {
        matches!(self, Self::Rewrite | Self::RewriteWithTombstone)
    }
}

/// Which fields to leave out.
struct DropFields {
    header: String,
    from_key: bool,
    compatible: bool,
}

/// What was made of an event's schema: for the row's schema that it had then, the new one.
#[derive(Clone)]
struct Made {
    row: SchemaRef,
    schema: SchemaRef,
}

struct ExtractNewRecordState {
    mode: Mode,
    route_by_field: Option<String>,
    fields: Vec<FieldReference>,
    headers: Vec<FieldReference>,
    drop_fields: Option<DropFields>,
    /// Rows that are rewritten get defaults in the place of null.
    replace_null: bool,
    schemas: Cache<Made>,
    shared_headers: SharedHeaders,
}

impl ExtractNewRecordState {
    fn new(props: &Props) -> Result<Self> {
        let settings = Settings::new(&DEF, props);
        settings.check_all(RULES)?;
        let references =
            |fields, prefix| FieldReference::all(&settings.list(fields), &settings.text_or_default(prefix));
        let drop_fields = settings.given(DROP_HEADER).filter(|name| !name.trim().is_empty()).map(|name| DropFields {
            header: name.to_owned(),
            from_key: settings.flag(DROP_FROM_KEY),
            compatible: settings.flag(DROP_COMPATIBLE),
        });
        let replace_null = settings.given("replace.null.with.default");
        Ok(Self {
            mode: Mode::of(&settings.text_or_default(MODE)),
            route_by_field: settings.text(ROUTE_BY_FIELD).filter(|field| !field.is_empty()),
            fields: references(FIELDS, FIELDS_PREFIX)?,
            headers: references(HEADERS, HEADERS_PREFIX)?,
            drop_fields,
            replace_null: replace_null.is_none_or(|text| !text.trim().eq_ignore_ascii_case("false")),
            schemas: Cache::default(),
            shared_headers: SharedHeaders::default(),
        })
    }

    /// A tombstone is kept in one mode only. Nothing is known of it but that it stands for a delete.
    fn tombstone(&self, mut record: Record) -> Option<Record> {
        if self.mode != Mode::RewriteWithTombstone {
            return None;
        }
        self.shared_headers.extend(&mut record);
        let schema = Schema::of(Kind::String).shared();
        for reference in self.headers.iter().filter(|reference| reference.is_operation()) {
            let datum = Datum::new(Arc::clone(&schema), Value::string("d"));
            record.headers.push(Header { key: reference.name(), datum });
        }
        Some(record)
    }

    fn delete(&self, mut record: Record, event: &Struct) -> Result<Option<Record>> {
        let row = image(event, BEFORE)?;
        let Value::Struct(old) = &row.value else { return Ok(None) };
        let had = record.headers.len();
        self.add_headers(&mut record, event)?;
        if self.mode == Mode::RewriteWithTombstone {
            self.shared_headers.deleted(&record, event.schema.name.as_deref(), had);
        }
        self.route(&mut record, old)?;
        match self.mode {
            Mode::Drop => return Ok(None),
            Mode::Tombstone => record.value = Datum { schema: image(event, AFTER)?.schema, value: Value::Null },
            Mode::DeleteToTombstone => record.value = Datum::null(),
            Mode::Rewrite | Mode::RewriteWithTombstone => record.value = self.row(old, event, Some("true"))?,
        }
        self.leave_out(&mut record)?;
        Ok(Some(record))
    }

    fn upsert(&self, mut record: Record, event: &Struct, row: &Struct) -> Result<Option<Record>> {
        self.route(&mut record, row)?;
        self.add_headers(&mut record, event)?;
        record.value = self.row(row, event, self.mode.rewrites().then_some("false"))?;
        self.leave_out(&mut record)?;
        Ok(Some(record))
    }

    fn route(&self, record: &mut Record, row: &Struct) -> Result<()> {
        if let Some(field) = &self.route_by_field
            && let Some(topic) = envelope::get_string(row, field)?
        {
            record.topic = topic.into();
        }
        Ok(())
    }

    fn add_headers(&self, record: &mut Record, event: &Struct) -> Result<()> {
        for reference in &self.headers {
            if let Some(datum) = reference.find(event)? {
                record.headers.push(Header { key: reference.name(), datum });
            }
        }
        Ok(())
    }

    /// The row with what is added to it.
    fn row(&self, row: &Struct, event: &Struct, deleted: Option<&str>) -> Result<Datum> {
        let mut added = Vec::with_capacity(self.fields.len());
        for reference in &self.fields {
            if let Some(datum) = reference.find(event)? {
                added.push((reference, datum));
            }
        }
        let schema = self.schema(row, event, deleted.is_some(), &added)?;
        let mut values = Vec::with_capacity(schema.fields().len());
        for (value, field) in row.fields.iter().zip(row.schema.fields()) {
            let value = filled(value.clone(), &field.schema, deleted.is_some() && self.replace_null);
            check_null(&field.name, &field.schema, &value)?;
            values.push(value);
        }
        values.extend(deleted.map(Value::string));
        values.extend(added.into_iter().map(|(_, datum)| datum.value));
        Ok(Datum::new(Arc::clone(&schema), Value::Struct(Struct::new(schema, values))))
    }

    fn schema(
        &self,
        row: &Struct,
        event: &Struct,
        deleted: bool,
        added: &[(&FieldReference, Datum)],
    ) -> Result<SchemaRef> {
        let make = || -> Result<Made> {
            let mut fields = Fields::default();
            for field in row.schema.fields() {
                fields.add(&field.name, Arc::clone(&field.schema))?;
            }
            if deleted {
                fields.add(DELETED, Schema::of(Kind::String).optional().shared())?;
            }
            for (reference, datum) in added {
                let schema = datum.schema.as_ref().map_or_else(|| Schema::of(Kind::String).shared(), Arc::clone);
                fields.add(&reference.name(), schema)?;
            }
            Ok(Made { row: Arc::clone(&row.schema), schema: fields.build(&row.schema) })
        };
        let made = self.schemas.get(&event.schema, make)?;
        // The images before and after a change may have schemas of their own.
        if Arc::ptr_eq(&made.row, &row.schema) { Ok(made.schema) } else { Ok(make()?.schema) }
    }

    /// Leaves out the fields that the header names.
    fn leave_out(&self, record: &mut Record) -> Result<()> {
        let Some(drop_fields) = &self.drop_fields else { return Ok(()) };
        let Some(header) = record.headers.iter().find(|header| *header.key == *drop_fields.header) else {
            return Ok(());
        };
        let names: Vec<String> = match &header.datum.value {
            Value::Null => return Ok(()),
            Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => return Err(java_error("java.lang.ClassCastException", "the header with fields to drop is no list")),
        };
        if names.is_empty() {
            return Ok(());
        }
        if drop_fields.from_key && !record.key.is_null() {
            drop_fields.apply(&mut record.key, &names)?;
        }
        if record.value.is_null() { Ok(()) } else { drop_fields.apply(&mut record.value, &names) }
    }
}

impl DropFields {
    fn apply(&self, datum: &mut Datum, names: &[String]) -> Result<()> {
        let Some(schema) = &datum.schema else { return self.apply_to_map(datum, names) };
        let dropped = |name: &str, schema: &Schema| {
            (schema.optional || !self.compatible) && names.iter().any(|dropped| dropped == name)
        };
        if self.compatible && !schema.fields().iter().any(|field| dropped(&field.name, &field.schema)) {
            return Ok(());
        }
        let value = require_struct(datum, DROP_PURPOSE)?;
        let kept = |field: &connect_api::Field| !dropped(&field.name, &field.schema);
        let fields = schema.fields().iter().filter(|field| kept(field)).cloned().collect();
        let schema = basics(schema, Kind::Struct(fields)).shared();
        let old = value.schema.fields().iter().zip(&value.fields).filter(|(field, _)| kept(field));
        let values = old.map(|(field, value)| filled(value.clone(), &field.schema, true)).collect();
        *datum = Datum::new(Arc::clone(&schema), Value::Struct(Struct::new(schema, values)));
        Ok(())
    }

    fn apply_to_map(&self, datum: &mut Datum, names: &[String]) -> Result<()> {
        if self.compatible {
            return Err(envelope::missing("schema of the key"));
        }
        let mut kept = Vec::new();
        for (key, value) in require_map(&datum.value, DROP_PURPOSE)? {
            let name = key.as_str().unwrap_or_default();
            if !names.iter().any(|dropped| dropped == name) {
                put_entry(&mut kept, name, value.clone());
            }
        }
        connect_api::java::hash::order(&mut kept);
        datum.value = Value::Map(kept);
        Ok(())
    }
}

/// The row before or after a change.
fn image(event: &Struct, name: &str) -> Result<Datum> {
    let Some(index) = event.schema.index_of(name) else {
        return Err(java_error("java.lang.IllegalArgumentException", format!("Unknown field: {name}")));
    };
    let schema = Arc::clone(&event.schema.fields()[index].schema);
    let value = filled(event.fields[index].clone(), &schema, true);
    Ok(Datum::new(schema, value))
}

impl Transform for ExtractNewRecordState {
    fn apply(&self, mut record: Record) -> Result<Option<Record>> {
        if record.value.is_null() {
            return Ok(self.tombstone(record));
        }
        if !is_envelope(&record) {
            return Ok(Some(record));
        }
        let event = take_struct(&mut record.value, PURPOSE)?;
        match image(&event, AFTER)?.value {
            Value::Null => self.delete(record, &event),
            Value::Struct(row) => self.upsert(record, &event, &row),
            _ => Err(java_error("java.lang.ClassCastException", "the row is no struct")),
        }
    }
}
