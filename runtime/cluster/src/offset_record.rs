//! Keys and values of the offsets topic (`OffsetStorageWriter`, `OffsetUtils`), byte for byte.
//!
//! The bytes of the key identify a source partition, so their order of fields is that of the connector's own map.

use serde_json::{Map, Value};

use crate::json;

/// An offset or partition that can't be stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Offsets may only contain primitive types as values, but field {field} contains {class}")]
pub struct OffsetError {
    pub field: String,
    /// The Connect type, or Java class, of what it contains.
    pub class: &'static str,
}

/// The key of a partition: `["connector",{partition}]`.
pub fn encode_key(connector: &str, partition: Option<&Map<String, Value>>) -> Result<Vec<u8>, OffsetError> {
    let mut out = String::from("[");
    json::write_string(&mut out, connector);
    out.push(',');
    write_map(&mut out, partition)?;
    out.push(']');
    Ok(out.into_bytes())
}

/// The value of an offset; `None` is a tombstone.
pub fn encode_value(offset: Option<&Map<String, Value>>) -> Result<Option<Vec<u8>>, OffsetError> {
    if offset.is_none() {
        return Ok(None);
    }
    let mut out = String::new();
    write_map(&mut out, offset)?;
    Ok(Some(out.into_bytes()))
}

fn write_map(out: &mut String, map: Option<&Map<String, Value>>) -> Result<(), OffsetError> {
    let Some(map) = map else {
        out.push_str("null");
        return Ok(());
    };
    for (field, value) in map {
        let class = match value {
            Value::Array(_) => "ARRAY",
            Value::Object(_) => "MAP",
            _ => continue,
        };
        return Err(OffsetError { field: field.clone(), class });
    }
    json::write_object(out, map.iter().map(|(k, v)| (k.as_str(), v)), json::write_value);
    Ok(())
}

/// Reads a key: the connector and the partition. `None` when it is no such key.
pub fn decode_key(key: &[u8]) -> Option<(String, Map<String, Value>)> {
    let Value::Array(parts) = serde_json::from_slice(key).ok()? else { return None };
    let [Value::String(connector), Value::Object(partition)] = parts.as_slice() else { return None };
    Some((connector.clone(), partition.clone()))
}

/// Reads a value; `None` when it is no object.
pub fn decode_value(value: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice(value).ok()? {
        Value::Object(map) => Some(map),
        _ => None,
    }
}
