//! `PartitionRouting`: chooses the partition by fields of the event, so that rows that belong together stay in order.

mod murmur3;

use std::sync::{Arc, LazyLock};

use connect_api::java::hash;
use connect_api::schema::logical;
use connect_api::value::Decimal;
use connect_api::{
    ConfigDef, Kind, Origin, Plugin, Props, Record, Result, Schema, SchemaRef, Struct, Transform, Value,
};
use connect_config::{Importance::High, Importance::Low, Type};
use num_bigint::BigInt;

use super::envelope::{self, AFTER, BEFORE, OP, debezium_error, is_envelope, java_error, missing, shown};
use super::settings::{Rule, Settings, definition, in_group, key};

const FIELDS: &str = "partition.payload.fields";
const PARTITIONS: &str = "partition.topic.num";
const HASH: &str = "partition.hash.function";
const GROUP: &str = "partitions";
/// Stands for the image of the row that an event has.
const CHANGE: &str = "change";

static DEF: LazyLock<ConfigDef> = LazyLock::new(|| {
    let fields = key(
        FIELDS,
        Type::List,
        "List of payload fields to use for compute partition.",
        "The fields of the event that choose the partition. A dot leads into a struct: source.table. `change` stands for \
         `after`, of deletes for `before`.",
    );
    let partitions =
        key(PARTITIONS, Type::Int, "Number of partition configured for topic", "How many partitions the topic has.");
    let function =
        key(HASH, Type::String, "Hash function", "How values become a number: java or murmur.").default("java");
    definition([
        in_group(GROUP, 1, fields.importance(High)),
        in_group(GROUP, 2, partitions.importance(High)),
        in_group(GROUP, 3, function.importance(Low)),
    ])
});

const RULES: &[(&str, &[Rule])] =
    &[(PARTITIONS, &[Rule::Integer, Rule::Positive, Rule::Required]), (FIELDS, &[Rule::Required])];

pub(super) fn plugin() -> Plugin {
    super::plugin(
        "io.debezium.transforms.partitions.PartitionRouting",
        || &DEF,
        |props| Ok(Box::new(PartitionRouting::new(props)?)),
    )
}

struct PartitionRouting {
    paths: Vec<Vec<String>>,
    partitions: i32,
    murmur: bool,
}

impl PartitionRouting {
    fn new(props: &Props) -> Result<Self> {
        let settings = Settings::new(&DEF, props);
        settings.check(RULES)?;
        let path = |text: String| {
            let mut steps: Vec<String> = text.split('.').map(|step| step.trim().to_owned()).collect();
            while steps.len() > 1 && steps.last().is_some_and(String::is_empty) {
                steps.pop();
            }
            steps
        };
        Ok(Self {
            paths: settings.list(FIELDS).into_iter().map(path).collect(),
            partitions: settings.text(PARTITIONS).and_then(|number| number.parse().ok()).unwrap_or(1),
            murmur: settings.text_or_default(HASH).trim().eq_ignore_ascii_case("murmur"),
        })
    }

    fn hash(&self, value: &Value, schema: &SchemaRef) -> i32 {
        let value = as_object(value, Some(schema));
        match &value {
            Value::String(text) if self.murmur => murmur3::text(text),
            value if self.murmur => murmur3::number(hash::code(value)),
            value => hash::code(value),
        }
    }

    /// The partition of an event, nothing when none of the fields has a value.
    fn partition(&self, event: &Struct) -> Result<Option<i32>> {
        let mut sum: Option<i32> = None;
        for path in &self.paths {
            if let Some((value, schema)) = find(event, path)? {
                sum = Some(sum.unwrap_or(0).wrapping_add(self.hash(&value, &schema)));
            }
        }
        Ok(sum.map(|sum| (sum & i32::MAX) % self.partitions.max(1)))
    }
}

/// The value at a path with its schema, nothing where there is none. Only a struct that is null on the way is an error.
fn find(event: &Struct, path: &[String]) -> Result<Option<(Value, SchemaRef)>> {
    let Some((last, before)) = path.split_last() else { return Ok(None) };
    let mut current = event;
    for (place, step) in before.iter().enumerate() {
        let step = match step.as_str() {
            CHANGE if place == 0 => match envelope::get_string(event, OP) {
                Ok(Some("d")) => BEFORE,
                Ok(_) => AFTER,
                Err(_) => return Ok(None),
            },
            step => step,
        };
        current = match envelope::get_struct(current, step) {
            Ok(Some(inner)) => inner,
            Ok(None) => return Err(missing(step)),
            Err(_) => return Ok(None),
        };
    }
    let Some(index) = current.schema.index_of(last) else { return Ok(None) };
    let value = envelope::get(current, last)?;
    Ok((!value.is_null()).then(|| (value, Arc::clone(&current.schema.fields()[index].schema))))
}

/// The value as the object that Java has: with a logical schema a number is a date, bytes are a decimal.
fn as_object(value: &Value, schema: Option<&SchemaRef>) -> Value {
    const DAY_MS: i64 = 86_400_000;
    let logical = schema.and_then(|schema| schema.name.as_deref());
    match (value, logical) {
        (Value::Int32(days), Some(logical::DATE)) => Value::Date(i64::from(*days) * DAY_MS),
        (Value::Int32(millis), Some(logical::TIME)) => Value::Date(i64::from(*millis)),
        (Value::Int64(millis), Some(logical::TIMESTAMP)) => Value::Date(*millis),
        (Value::Bytes(bytes), Some(logical::DECIMAL)) => {
            let scale = schema.and_then(|schema| schema.get_parameter("scale")).and_then(|scale| scale.parse().ok());
            let unscaled = BigInt::from_signed_bytes_be(bytes);
            Value::Decimal(Box::new(Decimal { unscaled, scale: scale.unwrap_or(0) }))
        }
        (Value::Array(list), _) => {
            let element = schema.and_then(|schema| element_schema(schema));
            Value::Array(list.iter().map(|value| as_object(value, element)).collect())
        }
        (value, _) => value.clone(),
    }
}

fn element_schema(schema: &Schema) -> Option<&SchemaRef> {
    match &schema.kind {
        Kind::Array(element) => Some(element),
        _ => None,
    }
}

impl Transform for PartitionRouting {
    fn apply(&self, mut record: Record) -> Result<Option<Record>> {
        if record.value.is_null() || !is_envelope(&record) {
            return Ok(Some(record));
        }
        let Value::Struct(event) = &record.value.value else {
            return Err(java_error("java.lang.ClassCastException", "a change event is no struct"));
        };
        let op = event.get(OP).and_then(Value::as_str);
        // Truncations and messages have no row.
        if matches!(op, Some("t" | "m")) {
            return Ok(Some(record));
        }
        let unprocessable = |cause: connect_api::Error| {
            let event = shown(&record.value.value, record.value.schema.as_ref());
            debezium_error(format!("Unprocessable message {event}")).caused_by(cause)
        };
        let Some(partition) = self.partition(event).map_err(unprocessable)? else { return Ok(Some(record)) };
        if !matches!(record.origin, Origin::Source) {
            let cause = "only records of a source can be sent to another partition";
            return Err(unprocessable(java_error("java.lang.ClassCastException", cause)));
        }
        record.partition = Some(partition);
        Ok(Some(record))
    }
}
