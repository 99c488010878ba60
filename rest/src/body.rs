//! Reading request bodies as Jackson binds them: scalars become strings with their own text, trailing content is
//! ignored, anything that does not bind is answered with 500, as the JVM worker answers it.

use connect_cluster::{OffsetEntry, Target};
use connect_config::Props;
use indexmap::IndexMap;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::error::{RestError, RestResult};

/// Body of `POST /connectors`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateConnector {
    #[serde(default, deserialize_with = "scalar_or_null")]
    pub(crate) name: Option<String>,
    pub(crate) config: StringMap,
    #[serde(default, deserialize_with = "scalar_or_null")]
    initial_state: Option<String>,
}

impl CreateConnector {
    /// The target that `initial_state` names (KIP-980).
    pub(crate) fn target(&self) -> RestResult<Target> {
        match self.initial_state.as_deref().map(str::to_uppercase).as_deref() {
            None | Some("RUNNING") => Ok(Target::Started),
            Some("PAUSED") => Ok(Target::Paused),
            Some("STOPPED") => Ok(Target::Stopped),
            Some(other) => Err(unbound(format!("initial_state is RUNNING, PAUSED or STOPPED, not {other}"))),
        }
    }
}

/// Body of `PATCH /connectors/{name}/offsets`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AlterOffsets {
    #[serde(default)]
    offsets: Option<Vec<WireOffset>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireOffset {
    #[serde(default)]
    partition: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(default)]
    offset: Option<serde_json::Map<String, serde_json::Value>>,
}

impl AlterOffsets {
    pub(crate) fn into_entries(self) -> Vec<OffsetEntry> {
        let entry = |o: WireOffset| OffsetEntry { partition: o.partition, offset: o.offset };
        self.offsets.unwrap_or_default().into_iter().map(entry).collect()
    }
}

/// A JSON object read as a map of strings: numbers and booleans keep their text, null stays null.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct StringMap(pub(crate) Props);

impl<'de> Deserialize<'de> for StringMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw: IndexMap<String, Box<RawValue>> = IndexMap::deserialize(deserializer)?;
        let mut props = Props::with_capacity(raw.len());
        for (key, value) in raw {
            props.insert(key, scalar(&value).map_err(serde::de::Error::custom)?);
        }
        Ok(Self(props))
    }
}

fn scalar_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let raw: Box<RawValue> = Box::deserialize(deserializer)?;
    scalar(&raw).map_err(serde::de::Error::custom)
}

fn scalar(raw: &RawValue) -> Result<Option<String>, String> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'"') => serde_json::from_str(text).map(Some).map_err(|error| error.to_string()),
        Some(b'{' | b'[') => Err(format!("a text is needed where {text} stands")),
        _ if text == "null" => Ok(None),
        _ => Ok(Some(text.to_owned())),
    }
}

/// Binds a body that must be an object, or answers 500. (A derived reader would take an array of a struct's fields, too.)
pub(crate) fn bind_object<T: DeserializeOwned>(body: &[u8]) -> RestResult<T> {
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'[') => Err(unbound("an object is needed, not an array")),
        _ => bind(body),
    }
}

/// Binds a body, or answers 500.
pub(crate) fn bind<T: DeserializeOwned>(body: &[u8]) -> RestResult<T> {
    // What follows the first JSON value is ignored, as Jackson does.
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    match Option::<T>::deserialize(&mut deserializer) {
        Ok(Some(value)) => Ok(value),
        Ok(None) => Err(unbound("the body is null")),
        Err(error) => Err(unbound(error.to_string())),
    }
}

fn unbound(why: impl Into<String>) -> RestError {
    RestError::internal(format!("Cannot read the request body: {}", why.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_keep_their_text() {
        let StringMap(map) =
            bind(br#"{"a": 1.50, "b": true, "c": "x\u00e9", "d": null, "e": 12345678901234567890}"#).unwrap();
        let text = |key: &str| map[key].as_deref();
        assert_eq!(text("a"), Some("1.50"));
        assert_eq!(text("b"), Some("true"));
        assert_eq!(text("c"), Some("xé"));
        assert_eq!(text("d"), None);
        assert_eq!(text("e"), Some("12345678901234567890"));
    }

    #[test]
    fn what_does_not_bind_is_500() {
        for raw in ["", "null", "[]", "{\"a\":", "{\"a\":{\"b\":1}}", "{\"a\":[1]}"] {
            assert_eq!(bind::<StringMap>(raw.as_bytes()).unwrap_err().status.as_u16(), 500, "{raw}");
        }
        for raw in [
            "{}",
            r#"{"name":"a"}"#,
            r#"{"name":"a","config":"text"}"#,
            r#"{"name":"a","config":{},"unknown_field":1}"#,
            r#"{"name":"a","config":{"topic":{"nested":1}}}"#,
        ] {
            assert!(bind_object::<CreateConnector>(raw.as_bytes()).is_err(), "{raw}");
        }
        for raw in ["[]", " [[]]"] {
            assert!(bind_object::<AlterOffsets>(raw.as_bytes()).is_err(), "{raw}");
        }
        let bogus: CreateConnector = bind(br#"{"name":"a","config":{},"initial_state":"BOGUS"}"#).unwrap();
        assert_eq!(bogus.target().unwrap_err().status.as_u16(), 500);
    }

    #[test]
    fn the_initial_state_is_read_without_regard_to_case() {
        let body: CreateConnector = bind(br#"{"name":7,"config":{},"initial_state":"stopped"} trailing"#).unwrap();
        assert_eq!((body.name.as_deref(), body.target().unwrap()), (Some("7"), Target::Stopped));
    }
}
