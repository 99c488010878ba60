//! `EventRouter`: makes messages of the rows of an outbox table, each for the topic that a field of the row chooses.

mod placement;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use connect_api::{
    ConfigDef, Datum, Error, Header, Plugin, Props, Record, Result, Schema, SchemaRef, Struct, Transform, Value,
    validate,
};
use connect_config::{ConfigKey, Importance, Type, Width};

use super::envelope::{self, AFTER, OP, TS_MS, is_envelope, java_error, missing, shown};
use super::json_payload::{self, Nulls};
use super::settings::{Rule, Settings, definition, in_group, key};
use super::{activate_tracing_span, json};
use crate::java_regex::FullMatch;
use crate::schemas::{Fields, filled};
use placement::{Additional, Placement};

const ID: &str = "table.field.event.id";
const KEY: &str = "table.field.event.key";
const PAYLOAD: &str = "table.field.event.payload";
const TIMESTAMP: &str = "table.field.event.timestamp";
const ADDITIONAL: &str = "table.fields.additional.placement";
const ERROR_ON_MISSING: &str = "table.fields.additional.error.on.missing";
const VERSION: &str = "table.field.event.schema.version";
const INVALID_OPERATION: &str = "table.op.invalid.behavior";
const EXPAND: &str = "table.expand.json.payload";
const NULL_BEHAVIOR: &str = "table.json.payload.null.behavior";
const ROUTE_BY: &str = "route.by.field";
const REGEX: &str = "route.topic.regex";
const REPLACEMENT: &str = "route.topic.replacement";
const TOMBSTONE: &str = "route.tombstone.on.empty.payload";

/// The name of the payload in the value, next to additional fields.
const PAYLOAD_FIELD: &str = "payload";
/// Schemas kept; with more than these it starts afresh.
const KEPT_MAX: usize = 256;

fn text(name: &str, importance: Importance, display: &str, documentation: &str) -> ConfigKey {
    key(name, Type::String, display, documentation).importance(importance).width(Width::Medium)
}

fn flag(name: &str, importance: Importance, display: &str, documentation: &str) -> ConfigKey {
    key(name, Type::Boolean, display, documentation).importance(importance).width(Width::Medium)
}

fn table_keys() -> [ConfigKey; 11] {
    use Importance::{High, Low, Medium};
    [
        text(ID, Low, "Event ID Field", "The column with the event's id.").default("id"),
        text(KEY, Low, "Event Key Field", "The column with the message's key.").default("aggregateid"),
        text("table.field.event.type", Low, "Event Type Field", "The column with the event's type.").default("type"),
        text(PAYLOAD, Low, "Event Payload Field", "The column with the message's value.").default("payload"),
        text(
            TIMESTAMP,
            Medium,
            "Event Timestamp Field",
            "The column with the message's timestamp; without it that is when the connector saw the event.",
        ),
        key(
            ADDITIONAL,
            Type::List,
            "Settings for each additional column in the outbox table",
            "More columns and where they go: column:header, column:envelope or column:partition, behind which another name \
             may stand.",
        )
        .importance(High)
        .width(Width::Medium),
        flag(
            ERROR_ON_MISSING,
            Medium,
            "Should the transform error if an additional field is missing in the change data",
            "Fails on a row without one of the additional columns.",
        )
        .default("true"),
        text(
            VERSION,
            Low,
            "Event Schema Version Field",
            "The column with the version of the value's schema.",
        ),
        text(
            INVALID_OPERATION,
            Medium,
            "Behavior when capturing an unexpected outbox event",
            "What becomes of updates, which an outbox table should not have: warn and error leave them out and say so; fatal \
             stops.",
        )
        .default("warn"),
        flag(
            EXPAND,
            Medium,
            "Expand Payload escaped string as real JSON",
            "Makes a struct of a payload that is a text of JSON.",
        )
        .default("false"),
        text(
            NULL_BEHAVIOR,
            Medium,
            "Behavior when json payload including null value",
            "What becomes of null in such a payload: ignore leaves the field out; optional_bytes makes it bytes.",
        )
        .default("ignore"),
    ]
}

fn router_keys() -> [ConfigKey; 4] {
    use Importance::{High, Low};
    let name = "The name of the routed topic";
    [
        text(ROUTE_BY, High, "Field to route events by", "The column that chooses the topic.").default("aggregatetype"),
        text(REGEX, Low, name, "A Java regular expression for that column's text.").default("(?<routedByValue>.*)"),
        text(REPLACEMENT, High, name, "The topic, in which ${routedByValue} stands for what the expression found.")
            .default("outbox.event.${routedByValue}"),
        flag(
            TOMBSTONE,
            High,
            "Empty payloads cause a tombstone message",
            "Makes a tombstone of an event whose payload is null or empty.",
        )
        .default("false"),
    ]
}

static DEF: LazyLock<ConfigDef> = LazyLock::new(|| {
    let mut keys = Vec::new();
    keys.extend((1..).zip(table_keys()).map(|(order, key)| in_group("Table", order, key)));
    keys.extend((1..).zip(router_keys()).map(|(order, key)| in_group("Router", order, key)));
    keys.extend((1..).zip(activate_tracing_span::keys()).map(|(order, key)| in_group("Tracing", order, key)));
    definition(keys)
});

const RULES: &[(&str, &[Rule])] = &[
    (NULL_BEHAVIOR, &[Rule::OneOf(&["ignore", "optional_bytes"])]),
    (REGEX, &[Rule::Pattern]),
    (ADDITIONAL, &[Rule::Custom(placement::problem)]),
    (TOMBSTONE, &[Rule::Flag]),
    (EXPAND, &[Rule::Flag]),
    (INVALID_OPERATION, &[Rule::OneOf(&["warn", "error", "fatal"])]),
    (ERROR_ON_MISSING, &[Rule::Flag]),
];

pub(super) fn plugin() -> Plugin {
    super::plugin("io.debezium.transforms.outbox.EventRouter", || &DEF, |props| Ok(Box::new(EventRouter::new(props)?)))
}

/// What the value's schema depends on: the row's schema and the payload's by address, the version, the route.
type Place = (usize, usize, Option<i32>, String);

/// Schemas that were made, with those that they were made of: an address is never another schema's.
#[derive(Default)]
struct Made {
    values: HashMap<Place, (SchemaRef, Option<SchemaRef>, SchemaRef)>,
    /// Schemas told from JSON, so that equal ones are one.
    payloads: Vec<SchemaRef>,
}

struct EventRouter {
    id: String,
    key: String,
    payload: String,
    timestamp: Option<String>,
    version: Option<String>,
    route_by: String,
    regex: FullMatch,
    replacement: String,
    additional: Vec<Additional>,
    in_envelope: bool,
    error_on_missing: bool,
    fatal: bool,
    tombstone: bool,
    /// Whether texts of JSON become structs, and what becomes of their nulls.
    expand: Option<Nulls>,
    made: Mutex<Made>,
}

/// An event's payload on its way to the message.
struct Payload {
    value: Value,
    schema: Option<SchemaRef>,
}

impl EventRouter {
    fn new(props: &Props) -> Result<Self> {
        let settings = Settings::new(&DEF, props);
        settings.check(RULES)?;
        let nulls = match settings.text_or_default(NULL_BEHAVIOR).trim().eq_ignore_ascii_case("optional_bytes") {
            true => Nulls::OptionalBytes,
            false => Nulls::Ignore,
        };
        let additional = placement::all(&settings, ADDITIONAL);
        Ok(Self {
            id: settings.text_or_default(ID),
            key: settings.text_or_default(KEY),
            payload: settings.text_or_default(PAYLOAD),
            timestamp: settings.text(TIMESTAMP),
            version: settings.text(VERSION),
            route_by: settings.text_or_default(ROUTE_BY),
            // The router behind this one takes its settings without white space around them.
            regex: FullMatch::new(REGEX, settings.text_or_default(REGEX).trim())?,
            replacement: settings.text_or_default(REPLACEMENT).trim().to_owned(),
            in_envelope: additional.iter().any(|field| field.placement == Some(Placement::Envelope)),
            additional,
            error_on_missing: settings.flag(ERROR_ON_MISSING),
            fatal: settings.text_or_default(INVALID_OPERATION).trim().eq_ignore_ascii_case("fatal"),
            tombstone: settings.flag(TOMBSTONE),
            expand: settings.flag(EXPAND).then_some(nulls),
            made: Mutex::default(),
        })
    }

    /// True when the event makes a message; deletes do not, nor do updates.
    fn takes(&self, record: &Record, event: &Struct) -> Result<bool> {
        match envelope::get_string(event, OP)? {
            None => Err(missing("operation in the event")),
            Some("d") => Ok(false),
            Some("u") if self.fatal => {
                let key = shown(&record.key.value, record.key.schema.as_ref());
                let message = format!("Unexpected update message received {key}, fail.");
                Err(java_error("java.lang.IllegalStateException", message))
            }
            // The message does not show the record, which may hold personal data.
            Some("u") => Ok(false),
            Some(_) => Ok(true),
        }
    }

    fn timestamp(&self, event: &Struct, row: &Struct) -> Result<Option<i64>> {
        let Some(name) = &self.timestamp else { return envelope::get_int64(event, TS_MS) };
        let Some(index) = row.schema.index_of(name) else {
            return Err(Error::connect(format!("Unable to find timestamp field {name} in event")));
        };
        let Some(value) = envelope::get_int64(row, name)? else { return envelope::get_int64(event, TS_MS) };
        let schema = &row.schema.fields()[index].schema;
        match schema.name.as_deref() {
            Some("io.debezium.time.Timestamp") => Ok(Some(value)),
            Some("io.debezium.time.MicroTimestamp") => Ok(Some(value / 1_000)),
            Some("io.debezium.time.NanoTimestamp") => Ok(Some(value / 1_000_000)),
            Some(name) => Err(Error::connect(format!("Unsupported field type {name} for event timestamp"))),
            None => {
                let kind = schema.kind.java_name();
                let message =
                    format!("Unsupported field type {kind} (without logical schema name) for event timestamp");
                Err(Error::connect(message))
            }
        }
    }

    fn payload(&self, row: &Struct) -> Result<Payload> {
        let (field, value) = envelope::plain(row, &self.payload)?;
        let mut payload =
            Payload { value: filled(value.clone(), &field.schema, true), schema: Some(Arc::clone(&field.schema)) };
        if let Some(nulls) = self.expand {
            self.expand(&mut payload, nulls);
        }
        Ok(payload)
    }

    /// Makes a struct of a text of JSON. What is no JSON stays a text; what has a schema but does not fit it stays a
    /// text under that schema.
    fn expand(&self, payload: &mut Payload, nulls: Nulls) {
        let Some(text) = payload.value.as_str().filter(|text| text.starts_with(['{', '['])) else { return };
        let Ok(value) = json::parse(text) else { return };
        let Ok(schema) = json_payload::schema(Some(PAYLOAD_FIELD), &value, nulls) else { return };
        payload.schema = schema.map(|schema| self.known_payload(schema));
        if let Some(schema) = &payload.schema
            && let Ok(data) = json_payload::data(&value, schema)
        {
            payload.value = data;
        }
    }

    /// A schema told from JSON, or the equal one that was told before.
    fn known_payload(&self, schema: SchemaRef) -> SchemaRef {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = made.payloads.iter().find(|known| **known == schema) {
            return Arc::clone(known);
        }
        if made.payloads.len() >= KEPT_MAX {
            made.payloads.clear();
        }
        made.payloads.push(Arc::clone(&schema));
        schema
    }

    /// The schema of a value that holds the payload and additional fields.
    fn value_schema(&self, row: &Struct, payload: Option<&SchemaRef>) -> Result<SchemaRef> {
        let version = match &self.version {
            Some(field) => envelope::get_int32(row, field)?,
            None => None,
        };
        let Some(route) = envelope::get_string(row, &self.route_by)? else { return Err(missing("topic")) };
        let Some(payload) = payload else { return Err(missing("schema of the payload")) };
        let address = |schema: &SchemaRef| Arc::as_ptr(schema) as usize;
        let place: Place = (address(&row.schema), address(payload), version, route.to_owned());
        // A panic leaves finished entries behind.
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, _, schema)) = made.values.get(&place) {
            return Ok(Arc::clone(schema));
        }
        let mut fields = Fields::default();
        fields.add(PAYLOAD_FIELD, Arc::clone(payload))?;
        for field in self.placed(Placement::Envelope) {
            let Some(index) = row.schema.index_of(&field.field) else { return Err(missing(&field.field)) };
            fields.add(&field.alias, Arc::clone(&row.schema.fields()[index].schema))?;
        }
        let mut schema = Schema::of(fields.into_kind()).named(schema_name(&row.schema, route));
        schema.version = version;
        let schema = schema.shared();
        if made.values.len() >= KEPT_MAX {
            made.values.clear();
        }
        made.values.insert(place, (Arc::clone(&row.schema), Some(Arc::clone(payload)), Arc::clone(&schema)));
        Ok(schema)
    }

    fn placed(&self, placement: Placement) -> impl Iterator<Item = &Additional> {
        self.additional.iter().filter(move |field| field.placement == Some(placement))
    }

    /// The message's value with the additional fields in it; those for headers and for the partition go there.
    fn value(&self, record: &mut Record, row: &Struct, payload: Payload) -> Result<Datum> {
        if !self.in_envelope {
            self.place(record, row, &mut |_, _| Ok(()))?;
            return Ok(Datum { schema: payload.schema, value: payload.value });
        }
        let schema = self.value_schema(row, payload.schema.as_ref())?;
        validate::field(PAYLOAD_FIELD, &schema.fields()[0].schema, &payload.value)?;
        let mut values = vec![payload.value];
        self.place(record, row, &mut |_, value| {
            values.push(value);
            Ok(())
        })?;
        Ok(Datum::new(Arc::clone(&schema), Value::Struct(Struct::new(schema, values))))
    }

    /// Goes through the additional fields in their order.
    fn place(
        &self,
        record: &mut Record,
        row: &Struct,
        in_envelope: &mut dyn FnMut(&Additional, Value) -> Result<()>,
    ) -> Result<()> {
        for field in &self.additional {
            let Some(placement) = field.placement else { return Err(missing("placement of this name")) };
            let known = row.schema.index_of(&field.field);
            if known.is_none() && !self.error_on_missing {
                continue;
            }
            match placement {
                Placement::Envelope => in_envelope(field, envelope::get(row, &field.field)?)?,
                Placement::Header => {
                    let value = envelope::get(row, &field.field)?;
                    let schema = known.map(|index| Arc::clone(&row.schema.fields()[index].schema));
                    record.headers.push(Header { key: field.alias.as_str().into(), datum: Datum { schema, value } });
                }
                Placement::Partition => record.partition = envelope::get_int32(row, &field.field)?,
            }
        }
        Ok(())
    }

    fn route(&self, row: &Struct) -> Result<String> {
        let Some(route) = envelope::get_string(row, &self.route_by)? else { return Err(missing("topic")) };
        Ok(self.regex.replace(route, &self.replacement)?.unwrap_or_else(|| route.to_owned()))
    }

    fn message(&self, mut record: Record, event: &Struct, row: &Struct) -> Result<Record> {
        if row.schema.index_of(&self.payload).is_none() {
            return Err(Error::connect(format!("Unable to find payload field {} in event", self.payload)));
        }
        record.timestamp = self.timestamp(event, row)?;
        let id = envelope::get(row, &self.id)?;
        let schema = Arc::clone(&envelope::plain(row, &self.id)?.0.schema);
        record.headers.push(Header { key: "id".into(), datum: Datum::new(schema, id) });
        record.partition = None;
        let payload = self.payload(row)?;
        let empty = match &payload.value {
            Value::Null => true,
            Value::String(text) => text.trim().is_empty(),
            _ => false,
        };
        let value = self.value(&mut record, row, payload)?;
        record.value = if empty && self.tombstone { Datum::null() } else { value };
        let schema = Arc::clone(&envelope::plain(row, &self.key)?.0.schema);
        record.key = Datum::new(schema, envelope::get(row, &self.key)?);
        record.topic = self.route(row)?.into();
        Ok(record)
    }
}

/// The name of the value's schema: that of the row's with the route before its last step.
fn schema_name(row: &Schema, route: &str) -> String {
    match row.name.as_deref() {
        None => route.to_owned(),
        Some(name) => match name.rsplit_once('.') {
            Some((before, last)) => format!("{before}.{route}.{last}"),
            None => format!("{route}.{name}"),
        },
    }
}

impl Transform for EventRouter {
    fn apply(&self, mut record: Record) -> Result<Option<Record>> {
        if record.value.is_null() {
            return Ok(None);
        }
        if !is_envelope(&record) {
            return Ok(Some(record));
        }
        let event = crate::side::take_struct(&mut record.value, "Detect Debezium Operation")?;
        if !self.takes(&record, &event)? {
            return Ok(None);
        }
        let Some(index) = event.schema.index_of(AFTER) else {
            return Err(java_error("java.lang.IllegalArgumentException", format!("Unknown field: {AFTER}")));
        };
        let after = Datum::new(Arc::clone(&event.schema.fields()[index].schema), event.fields[index].clone());
        let row = crate::side::require_struct(&after, "Read Outbox Event")?;
        self.message(record, &event, row).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_route_stands_before_the_last_step_of_the_name() {
        let name = |name: Option<&str>| {
            let mut schema = Schema::structure(Vec::new());
            schema.name = name.map(Into::into);
            schema_name(&schema, "Order")
        };
        assert_eq!(name(Some("server1.public.outbox.Value")), "server1.public.outbox.Order.Value");
        assert_eq!(name(Some("plain")), "Order.plain");
        assert_eq!(name(None), "Order");
    }

    #[test]
    fn the_definition_builds() {
        assert_eq!(DEF.groups(), ["Table", "Router", "Tracing"]);
        assert!(DEF.key(TIMESTAMP).is_some_and(|key| key.default_text().is_none()));
    }
}
