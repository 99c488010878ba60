//! `org.apache.kafka.connect.storage.StringConverter`: the text of anything, in a configurable encoding.

mod charset;

use std::sync::{Arc, LazyLock};

use connect_api::java::display;
use connect_api::{
    Bytes, BytesMut, Converter, Datum, Error, HeaderConverter, Kind, Plugin, PluginKind, Props, Result, Schema,
    SchemaRef, Text, Value,
};

pub(crate) use charset::Charset;

use crate::settings;

static OPTIONAL_STRING: LazyLock<SchemaRef> = LazyLock::new(|| Schema::of(Kind::String).optional().shared());

connect_config::config! {
    /// The keys of the converter.
    pub struct StringConverterConfig {
        /// What the converter is used for: keys, values or headers.
        "converter.type" => converter_type: String { importance(Low), validator(settings::converter_types()) },
        /// The name of the character set in which text is written and read.
        "converter.encoding" => encoding: String = "UTF-8" { importance(High), width(Width::Medium), display("Encoding") },
    }
}

/// The plugin.
pub(crate) fn plugin() -> Plugin {
    Plugin {
        class: "org.apache.kafka.connect.storage.StringConverter",
        version: crate::KAFKA_VERSION,
        kind: PluginKind::Converter(
            |props, is_key| Ok(Box::new(StringConverter::new(props, settings::type_of(is_key))?)),
            Some(|props| Ok(Box::new(StringConverter::new(props, "header")?))),
        ),
        config_def: StringConverterConfig::def,
    }
}

/// The converter.
struct StringConverter {
    write: Charset,
    read: Charset,
}

impl StringConverter {
    fn new(props: &Props, converter_type: &str) -> Result<Self> {
        let config = StringConverterConfig::parse(&settings::with_type(props, converter_type))
            .map_err(settings::first_problem)?;
        let side = if converter_type == "key" { "key" } else { "value" };
        // Kafka's serializers look for a key of their own first.
        let named = |suffix: &str| {
            let own = props.get(&format!("{side}.{suffix}.encoding")).and_then(Option::as_deref);
            let name = own.unwrap_or(&config.encoding);
            Charset::named(name).ok_or_else(|| {
                Error::config(format!("Unsupported encoding {name}"))
                    .class("org.apache.kafka.common.errors.SerializationException")
                    .hint("name one of UTF-8, UTF-16, UTF-16BE, UTF-16LE, ISO-8859-1, US-ASCII, windows-1252")
            })
        };
        Ok(Self { write: named("serializer")?, read: named("deserializer")? })
    }
}

impl Converter for StringConverter {
    fn serialize(&self, _topic: &str, datum: &Datum, out: &mut BytesMut) -> Result<bool> {
        match &datum.value {
            Value::Null => return Ok(false),
            Value::String(text) => self.write.encode(text, out),
            other => self.write.encode(&display::text(other, datum.schema.as_ref()), out),
        }
        Ok(true)
    }

    fn deserialize(&self, _topic: &str, payload: Option<Bytes>) -> Result<Datum> {
        let value = match payload {
            None => Value::Null,
            Some(bytes) if self.read == Charset::Utf8 => match Text::try_from(bytes.clone()) {
                Ok(text) => Value::String(text),
                Err(_) => Value::from(self.read.decode(&bytes)),
            },
            Some(bytes) => Value::from(self.read.decode(&bytes)),
        };
        Ok(Datum::new(Arc::clone(&OPTIONAL_STRING), value))
    }
}

impl HeaderConverter for StringConverter {
    fn serialize(&self, topic: &str, _key: &str, datum: &Datum, out: &mut BytesMut) -> Result<bool> {
        Converter::serialize(self, topic, datum, out)
    }

    fn deserialize(&self, topic: &str, _key: &str, payload: Option<Bytes>) -> Result<Datum> {
        Converter::deserialize(self, topic, payload)
    }
}
