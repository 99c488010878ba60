//! `CloudEventsConverter`: change events as CloudEvents in JSON, and CloudEvents as maps.
//!
//! Attributes are made from the event itself. Taking them from headers, and Avro, are refused when they are configured: a
//! converter does not see a record's headers here, and Debezium's distribution holds no Avro converter.

mod config;
mod event;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use connect_api::java::{display, hash};
use connect_api::{
    Bytes, BytesMut, ConfigDef, Converter, Datum, Error, Kind, Plugin, PluginKind, Props, Result, Schema, SchemaRef,
    Struct, Value,
};

use crate::json::JsonConverter;
use config::Config;

/// Schemas of data kept; with more than these it starts afresh.
const KEPT_MAX: usize = 256;
/// What a CloudEvent must have, besides its data.
const REQUIRED: [&str; 4] = ["id", "source", "specversion", "type"];
const DATA: &str = "data";
const ENVELOPE: &str = ".Envelope";

/// In Java the keys are not part of what the plugin declares.
static NO_KEYS: LazyLock<ConfigDef> = LazyLock::new(ConfigDef::new);

/// The plugin.
pub(super) fn plugin() -> Plugin {
    Plugin {
        class: "io.debezium.converters.CloudEventsConverter",
        version: super::DEBEZIUM_VERSION,
        kind: PluginKind::Converter(|props, _| Ok(Box::new(CloudEventsConverter::new(props)?)), None),
        config_def: || &NO_KEYS,
    }
}

struct CloudEventsConverter {
    config: Config,
    /// Writes attributes, and reads events.
    attributes: JsonConverter,
    /// Writes and reads the data.
    data: JsonConverter,
    /// The schema of the data by the address of the event's, which is held so that the address is never another's.
    data_schemas: Mutex<HashMap<usize, (SchemaRef, SchemaRef)>>,
}

impl CloudEventsConverter {
    fn new(props: &Props) -> Result<Self> {
        let plain = Props::from_iter([("schemas.enable".to_owned(), Some("false".to_owned()))]);
        let own =
            |(key, value): (&String, &Option<String>)| Some((key.strip_prefix("json.")?.to_owned(), value.clone()));
        // The data's settings are refused in its converter's words, without the prefix.
        let data = JsonConverter::new(&props.iter().filter_map(own).collect(), "value")?;
        Ok(Self {
            config: Config::parse(props)?,
            attributes: JsonConverter::new(&plain, "value")?,
            data,
            data_schemas: Mutex::default(),
        })
    }

    fn data_schema(&self, event: &SchemaRef, make: impl FnOnce() -> Result<SchemaRef>) -> Result<SchemaRef> {
        // A panic leaves finished entries behind.
        let mut known = self.data_schemas.lock().unwrap_or_else(PoisonError::into_inner);
        let address = Arc::as_ptr(event) as usize;
        if let Some((_, made)) = known.get(&address) {
            return Ok(Arc::clone(made));
        }
        let made = make()?;
        if known.len() >= KEPT_MAX {
            known.clear();
        }
        known.insert(address, (Arc::clone(event), Arc::clone(&made)));
        Ok(made)
    }

    /// The images of the row before and after the change.
    fn data(&self, event: &Struct, connector: &str) -> Result<Datum> {
        let places = ["before", "after"].map(|name| event.schema.index_of(name));
        let [Some(before), Some(after)] = places else {
            return Err(event::missing("image of the row before or after the change"));
        };
        let schema = self.data_schema(&event.schema, || {
            let fields = [before, after].map(|index| event.schema.fields()[index].clone());
            let name = self.config.adjusted(&format!("io.debezium.connector.{connector}.Data"));
            Ok(Schema::structure(fields.into()).named(name).shared())
        })?;
        let values = [before, after].map(|index| event.fields[index].clone());
        Ok(Datum::new(Arc::clone(&schema), Value::Struct(Struct::new(schema, values.into()))))
    }

    fn write(&self, topic: &str, event: &Struct, out: &mut BytesMut) -> Result<()> {
        let (attributes, connector) = event::attributes(event, self.config.extensions)?;
        let data = self.data(event, &connector)?;
        self.attributes.serialize(topic, &Datum::schemaless(Value::Map(attributes)), out)?;
        // The data stands last within the braces of the attributes.
        out.truncate(out.len().saturating_sub(1));
        out.extend_from_slice(b",\"data\":");
        self.data.serialize(topic, &data, out)?;
        out.extend_from_slice(b"}");
        Ok(())
    }

    /// The data of an event that was read: with schemas it is the value in its envelope.
    fn read_data(&self, topic: &str, data: Value) -> Result<Value> {
        if !self.config.schemas {
            return Ok(data);
        }
        let with_envelope = match &data {
            Value::Map(entries) => ["schema", "payload"].iter().all(|name| has(entries, name)),
            _ => false,
        };
        if !with_envelope {
            return Err(event::missing("schema of the data"));
        }
        let mut entries = match data {
            Value::Map(entries) => entries,
            _ => Vec::new(),
        };
        entries.retain(|(key, _)| matches!(key.as_str(), Some("schema" | "payload")));
        let mut bytes = BytesMut::new();
        self.attributes.serialize(topic, &Datum::schemaless(Value::Map(entries)), &mut bytes)?;
        Ok(self.data.deserialize(topic, Some(bytes.freeze()))?.value)
    }
}

fn has(entries: &[(Value, Value)], name: &str) -> bool {
    entries.iter().any(|(key, _)| key.as_str() == Some(name))
}

impl Converter for CloudEventsConverter {
    fn serialize(&self, topic: &str, datum: &Datum, out: &mut BytesMut) -> Result<bool> {
        let Some(schema) = datum.schema.as_ref().filter(|_| !datum.value.is_null()) else { return Ok(false) };
        let Some(name) = schema.name.as_deref() else { return Err(event::missing("name of the schema")) };
        if !name.ends_with(ENVELOPE) {
            return Ok(false);
        }
        let (Kind::Struct(_), Value::Struct(event)) = (&schema.kind, &datum.value) else {
            return Err(Error::data("Mismatching schema"));
        };
        let before = out.len();
        self.write(topic, event, out).inspect_err(|_| out.truncate(before))?;
        Ok(true)
    }

    fn deserialize(&self, topic: &str, payload: Option<Bytes>) -> Result<Datum> {
        let read = self.attributes.deserialize(topic, payload)?;
        let is_event = match &read.value {
            Value::Map(entries) => REQUIRED.iter().all(|name| has(entries, name)),
            _ => false,
        };
        let Value::Map(mut entries) = read.value else { return Err(no_event(&read.value)) };
        if !is_event {
            return Err(no_event(&Value::Map(entries)));
        }
        let Some((_, data)) = entries.iter_mut().find(|(key, _)| key.as_str() == Some(DATA)) else {
            return Err(event::missing("data of the event"));
        };
        *data = self.read_data(topic, std::mem::take(data))?;
        hash::order(&mut entries);
        Ok(Datum::schemaless(Value::Map(entries)))
    }
}

fn no_event(value: &Value) -> Error {
    let shown = display::text(value, None);
    Error::data(format!("A deserialized record's value is not a CloudEvent: value={shown}"))
}

#[cfg(test)]
mod tests {
    use connect_api::Field;

    use super::*;

    fn event() -> Datum {
        let text = || Schema::of(Kind::String);
        let number = || Schema::of(Kind::Int64);
        let fields = |fields: Vec<(&str, Schema)>| {
            Schema::structure(fields.into_iter().map(|(name, schema)| Field::new(name, schema.shared())).collect())
        };
        let source = fields(vec![
            ("connector", text()),
            ("name", text()),
            ("ts_ms", number()),
            ("db", text()),
            ("sequence", text().optional()),
            ("txId", number().optional()),
            ("lsn", number().optional()),
        ])
        .shared();
        let row = fields(vec![("id", Schema::of(Kind::Int32))]).optional().shared();
        let schema = Schema::structure(vec![
            Field::new("before", Arc::clone(&row)),
            Field::new("after", Arc::clone(&row)),
            Field::new("source", Arc::clone(&source)),
            Field::new("op", text().shared()),
        ])
        .named("s.t.Envelope")
        .shared();
        let source =
            vec!["postgresql".into(), "s".into(), 5_i64.into(), "d".into(), Value::Null, 7_i64.into(), Value::Null];
        let values = vec![
            Value::Null,
            Value::Struct(Struct::new(row, vec![1.into()])),
            Value::Struct(Struct::new(Arc::clone(&schema.fields()[2].schema), source)),
            "c".into(),
        ];
        Datum::new(Arc::clone(&schema), Value::Struct(Struct::new(schema, values)))
    }

    fn converter(settings: &[(&str, &str)]) -> Result<CloudEventsConverter> {
        let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), Some((*value).to_owned()));
        CloudEventsConverter::new(&settings.iter().map(pair).collect())
    }

    #[test]
    fn a_change_is_an_event() {
        let plain = [("json.schemas.enable", "false"), ("extension.attributes.enable", "false")];
        let mut out = BytesMut::new();
        assert!(converter(&plain).unwrap().serialize("topic", &event(), &mut out).unwrap());
        let text = std::str::from_utf8(&out).unwrap();
        let expected = r#"{"id":"name:s;lsn:null;txId:7;sequence:null","source":"/debezium/postgresql/s","#;
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains(r#""time":"1970-01-01T00:00:00.005Z""#), "{text}");
        assert!(text.ends_with(r#""data":{"before":null,"after":{"id":1}}}"#), "{text}");
        let back = converter(&plain).unwrap().deserialize("topic", Some(out.freeze())).unwrap();
        assert!(matches!(back.value, Value::Map(entries) if has(&entries, DATA)));
    }

    #[test]
    fn what_is_no_event_is_refused() {
        let read = |text: &'static str| converter(&[]).unwrap().deserialize("topic", Some(text.into()));
        let message = read(r#"{"id":"x"}"#).unwrap_err();
        assert_eq!(message.message(), "A deserialized record's value is not a CloudEvent: value={id=x}");
        let mut out = BytesMut::new();
        let heartbeat = Datum::new(Schema::structure(Vec::new()).named("x").shared(), Value::Bool(true));
        assert!(!converter(&[]).unwrap().serialize("topic", &heartbeat, &mut out).unwrap());
    }

    #[test]
    fn what_is_not_there_is_refused_when_it_is_configured() {
        let refused = |settings: &[(&str, &str)]| converter(settings).map(|_| ()).unwrap_err().message().to_owned();
        assert!(refused(&[("serializer.type", "avro")]).starts_with("Cannot use 'application/json'"));
        assert!(refused(&[("data.serializer.type", "avro")]).starts_with("Need URL(s)"));
        assert_eq!(refused(&[("metadata.source", "generate")]), "Global metadata source can't be GENERATE");
        assert_eq!(refused(&[("metadata.source", "value,id:x")]), "Field source `x` is not valid");
        assert!(refused(&[("metadata.source", "header")]).contains("headers"));
    }
}
