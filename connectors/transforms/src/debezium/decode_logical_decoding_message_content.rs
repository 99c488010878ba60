//! `DecodeLogicalDecodingMessageContent`: makes the JSON in a logical decoding message the row of an insert, which the
//! outbox router can take.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use connect_api::{
    ConfigDef, Datum, Error, Kind, Plugin, Props, Record, Result, Schema, SchemaRef, Struct, Transform, Value,
};
use connect_config::{Importance::Medium, Type, Width};

use super::envelope::{self, AFTER, OP, debezium_error, missing};
use super::json;
use super::json_payload::{self, Nulls};
use super::settings::{Settings, definition, key};
use crate::schemas::{Fields, filled};
use crate::side::require_struct;

const MESSAGE_VALUE: &str = "io.debezium.connector.postgresql.MessageValue";
const MESSAGE: &str = "message";
const CONTENT: &str = "content";
const INCLUDE_NULLS: &str = "fields.null.include";
/// Schemas kept; with more than these it starts afresh.
const KEPT_MAX: usize = 256;

static DEF: LazyLock<ConfigDef> = LazyLock::new(|| {
    definition([key(
        INCLUDE_NULLS,
        Type::Boolean,
        "Defines whether to include fields with null values to the decoded structure",
        "Keeps fields of the JSON that are null, as optional bytes.",
    )
    .importance(Medium)
    .width(Width::Medium)
    .default("false")])
});

pub(super) fn plugin() -> Plugin {
    let class = "io.debezium.connector.postgresql.transforms.DecodeLogicalDecodingMessageContent";
    super::plugin(class, || &DEF, |props| Ok(Box::new(DecodeMessageContent::new(props))))
}

/// A message's schema, its content's, and what was made of the two.
type Made = Vec<(SchemaRef, SchemaRef, SchemaRef)>;

struct DecodeMessageContent {
    nulls: Nulls,
    made: Mutex<Made>,
}

impl DecodeMessageContent {
    fn new(props: &Props) -> Self {
        let nulls = if Settings::new(&DEF, props).flag(INCLUDE_NULLS) { Nulls::OptionalBytes } else { Nulls::Ignore };
        Self { nulls, made: Mutex::default() }
    }

    fn content(&self, message: &Value) -> Result<(Value, SchemaRef)> {
        let text = content_text(message)?;
        if !text.starts_with(['{', '[']) {
            let message = format!("Unable to parse logical decoding message content JSON string '{text}'");
            return Err(debezium_error(message));
        }
        let value = json::parse(&text)
            .map_err(|error| debezium_error("The content of a logical decoding message is no JSON").caused_by(error))?;
        let schema = json_payload::schema(None, &value, self.nulls)?.ok_or_else(|| missing("schema of the content"))?;
        Ok((json_payload::data(&value, &schema)?, schema))
    }

    /// The schema of the event, and of its row: equal contents share one.
    fn schema(&self, message: &SchemaRef, content: SchemaRef) -> Result<(SchemaRef, SchemaRef)> {
        // A panic leaves finished entries behind.
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let known = made.iter().find(|(of, row, _)| Arc::ptr_eq(of, message) && *row == content);
        if let Some((_, row, schema)) = known {
            return Ok((Arc::clone(row), Arc::clone(schema)));
        }
        let mut fields = Fields::default();
        for field in message.fields().iter().filter(|field| *field.name != *MESSAGE) {
            fields.add(&field.name, Arc::clone(&field.schema))?;
        }
        fields.add(AFTER, Arc::clone(&content))?;
        let name = format!("{}.Envelope", message.name.as_deref().unwrap_or("null"));
        let schema = Schema::of(fields.into_kind()).named(name).shared();
        if made.len() >= KEPT_MAX {
            made.clear();
        }
        made.push((Arc::clone(message), Arc::clone(&content), Arc::clone(&schema)));
        Ok((content, schema))
    }
}

fn content_text(message: &Value) -> Result<Cow<'_, str>> {
    let Some(message) = message.as_struct() else {
        let found = message.java_class(None);
        let purpose = "Retrieve content of a logical decoding message";
        return Err(Error::data(format!("Only Struct objects supported for [{purpose}], found: {found}")));
    };
    let Some(index) = message.schema.index_of(CONTENT) else { return Err(missing(CONTENT)) };
    if !matches!(message.schema.fields()[index].schema.kind, Kind::Bytes) {
        return Err(debezium_error("The content of a logical decoding message is non-binary"));
    }
    let Value::Bytes(bytes) = &message.fields[index] else { return Err(missing("content of the message")) };
    Ok(String::from_utf8_lossy(bytes))
}

impl Transform for DecodeMessageContent {
    fn apply(&self, mut record: Record) -> Result<Option<Record>> {
        let Some(schema) = &record.value.schema else { return Err(missing("schema of the value")) };
        if !schema.is(MESSAGE_VALUE) {
            return Ok(Some(record));
        }
        let value = require_struct(&record.value, "Retrieve a record value")?;
        let (content, row) = self.content(&envelope::get(value, MESSAGE)?)?;
        let (row, schema) = self.schema(&value.schema, row)?;
        let content = match content {
            Value::Struct(content) => Value::Struct(Struct { schema: row, fields: content.fields }),
            other => other,
        };
        let mut values = Vec::with_capacity(schema.fields().len());
        for (field, old) in value.schema.fields().iter().zip(&value.fields) {
            match &*field.name {
                MESSAGE => {}
                OP => values.push(Value::string("c")),
                _ => values.push(filled(old.clone(), &field.schema, true)),
            }
        }
        values.push(content);
        record.key = Datum::null();
        record.value = Datum::new(Arc::clone(&schema), Value::Struct(Struct::new(schema, values)));
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use connect_api::{Bytes, Field};

    use super::*;

    fn message(content: &'static str) -> Record {
        let text = || Schema::of(Kind::String).shared();
        let message = Schema::structure(vec![
            Field::new("prefix", text()),
            Field::new(CONTENT, Schema::of(Kind::Bytes).optional().shared()),
        ])
        .shared();
        let schema = Schema::structure(vec![Field::new(OP, text()), Field::new(MESSAGE, Arc::clone(&message))])
            .named(MESSAGE_VALUE);
        let schema = schema.shared();
        let message = Struct::new(message, vec!["p".into(), Value::Bytes(Bytes::from_static(content.as_bytes()))]);
        let value = Struct::new(Arc::clone(&schema), vec!["m".into(), Value::Struct(message)]);
        let key = Datum::new(text(), "p".into());
        Record::source("t".into(), key, Datum::new(schema, Value::Struct(value)))
    }

    fn decoded(content: &'static str, nulls: &str) -> Result<Record> {
        let props = Props::from_iter([(INCLUDE_NULLS.to_owned(), Some(nulls.to_owned()))]);
        Ok(DecodeMessageContent::new(&props).apply(message(content))?.expect("nothing is dropped"))
    }

    #[test]
    fn a_message_becomes_an_insert() {
        let record = decoded(r#"{"id":1,"none":null}"#, "false").unwrap();
        assert!(record.key.is_null());
        let event = record.value.value.as_struct().unwrap();
        assert_eq!(event.schema.name.as_deref(), Some("io.debezium.connector.postgresql.MessageValue.Envelope"));
        assert_eq!(event.get(OP).and_then(Value::as_str), Some("c"));
        let row = event.get(AFTER).and_then(Value::as_struct).unwrap();
        assert_eq!((row.get("id"), row.get("none")), (Some(&Value::Int32(1)), None));
        let record = decoded(r#"{"id":1,"none":null}"#, "true").unwrap();
        let row = record.value.value.as_struct().unwrap().get(AFTER).and_then(Value::as_struct).unwrap();
        assert_eq!(row.get("none"), Some(&Value::Null));
    }

    #[test]
    fn what_is_no_json_is_refused() {
        let message = |content| decoded(content, "false").unwrap_err().message().to_owned();
        assert_eq!(message("x"), "Unable to parse logical decoding message content JSON string 'x'");
        assert_eq!(message("[1]"), "Not a struct schema: Schema{ARRAY}");
        assert_eq!(message(r#"{"a":[1,"x"]}"#), "Field is not a homogenous array (1 x STRING).");
    }
}
