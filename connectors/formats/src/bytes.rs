//! `ByteArrayConverter`: bytes as they are. Debezium ships one of its own under its own name.

use std::sync::{Arc, LazyLock};

use connect_api::schema::logical;
use connect_api::{
    Bytes, BytesMut, Converter, Datum, Error, HeaderConverter, Kind, Plugin, PluginKind, Result, Schema, SchemaRef,
    Value,
};

use crate::settings;

static OPTIONAL_BYTES: LazyLock<SchemaRef> = LazyLock::new(|| Schema::of(Kind::Bytes).optional().shared());

connect_config::config! {
    /// The keys of the converter.
    pub struct ByteArrayConverterConfig {
        /// What the converter is used for: keys, values or headers.
        "converter.type" => converter_type: String { importance(Low), validator(settings::converter_types()) },
    }
}

/// The plugins.
pub(crate) fn plugins() -> [Plugin; 1] {
    [Plugin {
        class: "org.apache.kafka.connect.converters.ByteArrayConverter",
        version: crate::KAFKA_VERSION,
        kind: PluginKind::Converter(
            |_, _| Ok(Box::new(ByteArrayConverter)),
            Some(|_| Ok(Box::new(ByteArrayConverter))),
        ),
        config_def: ByteArrayConverterConfig::def,
    }]
}

/// The converter.
struct ByteArrayConverter;

impl Converter for ByteArrayConverter {
    fn serialize(&self, _topic: &str, datum: &Datum, out: &mut BytesMut) -> Result<bool> {
        if let Some(schema) = datum.schema.as_ref().filter(|schema| schema.kind != Kind::Bytes) {
            let kind = schema.kind.java_name();
            return Err(Error::data(format!("Invalid schema type for ByteArrayConverter: {kind}")));
        }
        match &datum.value {
            Value::Null => Ok(false),
            // A decimal is bytes only on its way through the worker.
            Value::Bytes(bytes) if !datum.schema.as_ref().is_some_and(|schema| schema.is(logical::DECIMAL)) => {
                out.extend_from_slice(bytes);
                Ok(true)
            }
            other => {
                let class = other.java_class(datum.schema.as_deref());
                Err(Error::data(format!("ByteArrayConverter is not compatible with objects of type class {class}")))
            }
        }
    }

    fn deserialize(&self, _topic: &str, payload: Option<Bytes>) -> Result<Datum> {
        Ok(Datum::new(Arc::clone(&OPTIONAL_BYTES), payload.map_or(Value::Null, Value::Bytes)))
    }
}

impl HeaderConverter for ByteArrayConverter {
    fn serialize(&self, topic: &str, _key: &str, datum: &Datum, out: &mut BytesMut) -> Result<bool> {
        Converter::serialize(self, topic, datum, out)
    }

    fn deserialize(&self, topic: &str, _key: &str, payload: Option<Bytes>) -> Result<Datum> {
        Converter::deserialize(self, topic, payload)
    }
}
