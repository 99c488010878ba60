//! `BinaryDataConverter` and Debezium's own `ByteArrayConverter`: bytes as they are, everything else through another
//! converter.
//!
//! In Java the two differ in what holds the bytes, which is one type here.

use std::sync::{Arc, LazyLock};

use connect_api::java::display;
use connect_api::schema::logical;
use connect_api::{
    Bytes, BytesMut, Converter, Datum, Error, HeaderConverter, Kind, Plugin, PluginKind, Props, Result, Schema,
    SchemaRef, Value,
};

use crate::settings;

const DELEGATE: &str = "delegate.converter.type";

static OPTIONAL_BYTES: LazyLock<SchemaRef> = LazyLock::new(|| Schema::of(Kind::Bytes).optional().shared());

connect_config::config! {
    /// The keys of the converters.
    pub struct BinaryDataConverterConfig {
        /// What the converter is used for: keys, values or headers.
        "converter.type" => converter_type: String { importance(Low), validator(settings::converter_types()) },
        /// The class of the converter for what is no bytes; its own keys stand behind this one's name.
        "delegate.converter.type" => delegate: Option<String> = NULL { importance(Low) },
    }
}

/// The plugins.
pub(super) fn plugins() -> [Plugin; 2] {
    ["io.debezium.converters.BinaryDataConverter", "io.debezium.converters.ByteArrayConverter"].map(|class| Plugin {
        class,
        version: super::DEBEZIUM_VERSION,
        kind: PluginKind::Converter(
            |props, is_key| Ok(Box::new(BinaryDataConverter { delegate: delegate(props, is_key)? })),
            // As a header converter it takes no settings.
            Some(|_| Ok(Box::new(BinaryDataConverter { delegate: None }))),
        ),
        config_def: BinaryDataConverterConfig::def,
    })
}

/// The converter that the settings name.
fn delegate(props: &Props, is_key: bool) -> Result<Option<Box<dyn Converter>>> {
    let Some(class) = props.get(DELEGATE).and_then(Option::as_deref) else { return Ok(None) };
    let plugins = crate::plugins();
    let make = plugins.iter().find(|plugin| plugin.class == class).and_then(|plugin| match plugin.kind {
        PluginKind::Converter(make, _) => Some(make),
        _ => None,
    });
    let Some(make) = make else {
        let message = format!("Unable to find class {class}");
        return Err(Error::config(message)
            .class("java.lang.IllegalArgumentException")
            .hint("give the full class name of a converter that the worker has"));
    };
    let prefix = format!("{DELEGATE}.");
    let own = |(key, value): (&String, &Option<String>)| Some((key.strip_prefix(&prefix)?.to_owned(), value.clone()));
    make(&props.iter().filter_map(own).collect(), is_key).map(Some)
}

struct BinaryDataConverter {
    delegate: Option<Box<dyn Converter>>,
}

impl BinaryDataConverter {
    fn delegate(&self, topic: &str, datum: &Datum, out: &mut BytesMut) -> Result<bool> {
        match &self.delegate {
            Some(delegate) => delegate.serialize(topic, datum, out),
            None => {
                let shown = display::text(&datum.value, datum.schema.as_ref());
                let message = format!("A {topic} of type '{shown}' requires a {DELEGATE} to be configured");
                Err(Error::data(message))
            }
        }
    }
}

impl Converter for BinaryDataConverter {
    fn serialize(&self, topic: &str, datum: &Datum, out: &mut BytesMut) -> Result<bool> {
        if datum.schema.as_ref().is_some_and(|schema| schema.kind != Kind::Bytes) {
            return self.delegate(topic, datum, out);
        }
        // A decimal is bytes only on its way through the worker.
        let decimal = datum.schema.as_ref().is_some_and(|schema| schema.is(logical::DECIMAL));
        match &datum.value {
            Value::Null => Ok(false),
            Value::Bytes(bytes) if !decimal => {
                out.extend_from_slice(bytes);
                Ok(true)
            }
            _ => self.delegate(topic, datum, out),
        }
    }

    fn deserialize(&self, _topic: &str, payload: Option<Bytes>) -> Result<Datum> {
        Ok(Datum::new(Arc::clone(&OPTIONAL_BYTES), payload.map_or(Value::Null, Value::Bytes)))
    }
}

impl HeaderConverter for BinaryDataConverter {
    fn serialize(&self, topic: &str, _key: &str, datum: &Datum, out: &mut BytesMut) -> Result<bool> {
        Converter::serialize(self, topic, datum, out)
    }

    fn deserialize(&self, topic: &str, _key: &str, payload: Option<Bytes>) -> Result<Datum> {
        Converter::deserialize(self, topic, payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(settings: &[(&str, &str)], datum: &Datum) -> std::result::Result<Option<String>, String> {
        let props = settings.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect();
        let text = |error: Error| error.message().to_owned();
        let converter = BinaryDataConverter { delegate: delegate(&props, false).map_err(text)? };
        let mut out = BytesMut::new();
        let written = Converter::serialize(&converter, "topic", datum, &mut out).map_err(text)?;
        Ok(written.then(|| String::from_utf8_lossy(&out).into_owned()))
    }

    const JSON: (&str, &str) = (DELEGATE, "org.apache.kafka.connect.json.JsonConverter");

    #[test]
    fn bytes_stay_and_the_rest_is_delegated() {
        let bytes = Datum::new(Schema::of(Kind::Bytes).shared(), Value::Bytes(Bytes::from_static(b"\x01a")));
        assert_eq!(converted(&[], &bytes), Ok(Some("\u{1}a".into())));
        let text = Datum::new(Schema::of(Kind::String).shared(), "x".into());
        let schemas = ("delegate.converter.type.schemas.enable", "false");
        assert_eq!(converted(&[JSON, schemas], &text), Ok(Some("\"x\"".into())));
        let refused = "A topic of type 'x' requires a delegate.converter.type to be configured";
        assert_eq!(converted(&[], &text), Err(refused.into()));
        assert_eq!(converted(&[], &Datum::null()), Ok(None));
    }

    #[test]
    fn a_delegate_is_named_by_its_class() {
        let unknown = converted(&[(DELEGATE, "JsonConverter")], &Datum::null());
        assert_eq!(unknown, Err("Unable to find class JsonConverter".into()));
    }
}
