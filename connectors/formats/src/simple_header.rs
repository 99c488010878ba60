//! `org.apache.kafka.connect.storage.SimpleHeaderConverter`: headers as text that tells its own type.

use std::sync::{Arc, LazyLock};

use connect_api::java::utf8;
use connect_api::{
    Bytes, BytesMut, ConfigDef, Datum, HeaderConverter, Kind, Plugin, PluginKind, Result, Schema, SchemaRef, Value,
    values,
};

static NO_KEYS: LazyLock<ConfigDef> = LazyLock::new(ConfigDef::new);
static BYTES: LazyLock<SchemaRef> = LazyLock::new(|| Schema::of(Kind::Bytes).shared());

/// The plugin.
pub(crate) fn plugin() -> Plugin {
    Plugin {
        class: "org.apache.kafka.connect.storage.SimpleHeaderConverter",
        version: crate::KAFKA_VERSION,
        kind: PluginKind::HeaderConverter(|_| Ok(Box::new(SimpleHeaderConverter))),
        config_def: || &NO_KEYS,
    }
}

/// The converter.
struct SimpleHeaderConverter;

impl HeaderConverter for SimpleHeaderConverter {
    fn serialize(&self, _topic: &str, _key: &str, datum: &Datum, out: &mut BytesMut) -> Result<bool> {
        let text = values::convert_to_string(datum.schema.as_ref(), &datum.value);
        out.extend_from_slice(text.as_deref().unwrap_or_default().as_bytes());
        Ok(text.is_some())
    }

    fn deserialize(&self, _topic: &str, _key: &str, payload: Option<Bytes>) -> Result<Datum> {
        let Some(bytes) = payload else { return Ok(Datum::null()) };
        let read = match std::str::from_utf8(&bytes) {
            Ok(text) => values::parse_string(text),
            Err(_) => values::parse_string(&utf8::decode(&bytes)),
        };
        // A text that can't be read (nested too deeply) stays what it was.
        Ok(read.unwrap_or_else(|_| Datum::new(Arc::clone(&BYTES), Value::Bytes(bytes))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_nested_too_deeply_stays_bytes() {
        let text = Bytes::from("[".repeat(2000));
        let datum = SimpleHeaderConverter.deserialize("t", "h", Some(text.clone())).unwrap();
        assert_eq!(datum, Datum::new(Arc::clone(&BYTES), Value::Bytes(text)));
    }
}
