//! `org.apache.kafka.connect.storage.SimpleHeaderConverter`: headers as text that tells its own type.

use std::sync::LazyLock;

use connect_api::java::utf8;
use connect_api::{Bytes, BytesMut, ConfigDef, Datum, HeaderConverter, Plugin, PluginKind, Result, values};

static NO_KEYS: LazyLock<ConfigDef> = LazyLock::new(ConfigDef::new);

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
        Ok(payload.map_or_else(Datum::null, |bytes| match std::str::from_utf8(&bytes) {
            Ok(text) => values::parse_string(text),
            Err(_) => values::parse_string(&utf8::decode(&bytes)),
        }))
    }
}
