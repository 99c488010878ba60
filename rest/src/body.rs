//! Reading request bodies as Jackson binds them: scalars become strings with their own text, of a name given twice the
//! last counts, any Unicode encoding is read, nothing may follow the value, and anything that does not bind is answered
//! with 500, as the JVM worker answers it.

use std::borrow::Cow;

use connect_cluster::{OffsetEntry, Target};
use connect_config::Props;
use indexmap::IndexMap;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::error::{RestError, RestResult};

/// Longest number that is read, in characters (Jackson's `StreamReadConstraints`).
const MAX_NUMBER: usize = 1000;

/// The fields of an object as they stand in the body, each once: the last of a name counts.
pub(crate) type Fields = IndexMap<String, Box<RawValue>>;

/// Body of `POST /connectors`.
pub(crate) struct CreateConnector {
    pub(crate) name: Option<String>,
    pub(crate) config: StringMap,
    initial_state: Option<String>,
}

impl<'de> Deserialize<'de> for CreateConnector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Fields::deserialize(deserializer)?;
        known(&fields, &["name", "config", "initial_state"])?;
        let config = fields.swap_remove("config").ok_or_else(|| serde::de::Error::missing_field("config"))?;
        Ok(Self {
            name: optional(fields.get("name").map(AsRef::as_ref))?,
            config: serde_json::from_str(config.get()).map_err(serde::de::Error::custom)?,
            initial_state: optional(fields.get("initial_state").map(AsRef::as_ref))?,
        })
    }
}

/// Refuses fields that a body must not have.
fn known<E: serde::de::Error>(fields: &Fields, names: &'static [&'static str]) -> Result<(), E> {
    match fields.keys().find(|name| !names.contains(&name.as_str())) {
        Some(name) => Err(E::unknown_field(name, names)),
        None => Ok(()),
    }
}

fn optional<E: serde::de::Error>(raw: Option<&RawValue>) -> Result<Option<String>, E> {
    raw.map_or(Ok(None), scalar).map_err(E::custom)
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
pub(crate) struct AlterOffsets(Vec<WireOffset>);

struct WireOffset(OffsetEntry);

impl<'de> Deserialize<'de> for AlterOffsets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = Fields::deserialize(deserializer)?;
        known(&fields, &["offsets"])?;
        let offsets: Option<Vec<WireOffset>> = field(&fields, "offsets")?;
        Ok(Self(offsets.unwrap_or_default()))
    }
}

impl<'de> Deserialize<'de> for WireOffset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = Fields::deserialize(deserializer)?;
        known(&fields, &["partition", "offset"])?;
        Ok(Self(OffsetEntry { partition: field(&fields, "partition")?, offset: field(&fields, "offset")? }))
    }
}

/// A field, null when it is missing.
fn field<T: DeserializeOwned, E: serde::de::Error>(fields: &Fields, name: &str) -> Result<Option<T>, E> {
    fields.get(name).map_or(Ok(None), |raw| serde_json::from_str(raw.get())).map_err(E::custom)
}

impl AlterOffsets {
    pub(crate) fn into_entries(self) -> Vec<OffsetEntry> {
        self.0.into_iter().map(|WireOffset(entry)| entry).collect()
    }
}

/// A JSON object read as a map of strings: numbers and booleans keep their text, null stays null.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct StringMap(pub(crate) Props);

impl<'de> Deserialize<'de> for StringMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Fields::deserialize(deserializer)?;
        let mut props = Props::with_capacity(raw.len());
        for (key, value) in raw {
            props.insert(key, scalar(&value).map_err(serde::de::Error::custom)?);
        }
        Ok(Self(props))
    }
}

/// The text of a scalar, `None` for null.
pub(crate) fn scalar(raw: &RawValue) -> Result<Option<String>, String> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'"') => serde_json::from_str(text).map(Some).map_err(|error| error.to_string()),
        Some(b'{' | b'[') => Err(format!("a text is needed where {text} stands")),
        _ if text == "null" => Ok(None),
        _ if text.len() > MAX_NUMBER => {
            Err(format!("a number of {} characters exceeds the maximum of {MAX_NUMBER}", text.len()))
        }
        _ => Ok(Some(text.to_owned())),
    }
}

/// The text of a body: UTF-8, or what its first bytes show it to be (RFC 4627, 3).
pub(crate) fn text(body: &[u8]) -> Option<Cow<'_, str>> {
    let wide = |body: &[u8], big: bool| {
        let unit = |pair: &[u8]| match *pair {
            [a, b] if big => Some(u16::from_be_bytes([a, b])),
            [a, b] => Some(u16::from_le_bytes([a, b])),
            _ => None,
        };
        let units: Option<Vec<u16>> = body.chunks(2).map(unit).collect();
        String::from_utf16(&units?).ok().map(Cow::Owned)
    };
    let widest = |body: &[u8], big: bool| {
        let unit = |four: &[u8]| match *four {
            [a, b, c, d] if big => char::from_u32(u32::from_be_bytes([a, b, c, d])),
            [a, b, c, d] => char::from_u32(u32::from_le_bytes([a, b, c, d])),
            _ => None,
        };
        body.chunks(4).map(unit).collect::<Option<String>>().map(Cow::Owned)
    };
    match body {
        [0, 0, 0xfe, 0xff, rest @ ..] => widest(rest, true),
        [0xff, 0xfe, 0, 0, rest @ ..] => widest(rest, false),
        [0xfe, 0xff, rest @ ..] => wide(rest, true),
        [0xff, 0xfe, rest @ ..] => wide(rest, false),
        [0xef, 0xbb, 0xbf, rest @ ..] => std::str::from_utf8(rest).ok().map(Cow::Borrowed),
        [0, 0, 0, _, ..] => widest(body, true),
        [_, 0, 0, 0, ..] => widest(body, false),
        [0, _, ..] => wide(body, true),
        [_, 0, ..] => wide(body, false),
        _ => std::str::from_utf8(body).ok().map(Cow::Borrowed),
    }
}

/// The answer to a body that must not be null.
pub(crate) fn null_body() -> RestError {
    unbound("the body is null")
}

/// Binds a body, or answers 500.
pub(crate) fn bind_or_null<T: DeserializeOwned>(body: &[u8]) -> RestResult<Option<T>> {
    let text = text(body).ok_or_else(|| unbound("it is not Unicode"))?;
    serde_json::from_str(&text).map_err(|error| unbound(error.to_string()))
}

fn unbound(why: impl Into<String>) -> RestError {
    RestError::internal(format!("Cannot read the request body: {}", why.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind<T: DeserializeOwned>(body: &[u8]) -> RestResult<T> {
        bind_or_null(body)?.ok_or_else(null_body)
    }

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
        let long = format!("{{\"a\":{}}}", "1".repeat(MAX_NUMBER + 1));
        for raw in ["", "null", "[]", "{\"a\":", "{\"a\":{\"b\":1}}", "{\"a\":[1]}", "{} x", "{}}", "{} {}", &long] {
            assert_eq!(bind::<StringMap>(raw.as_bytes()).unwrap_err().status.as_u16(), 500, "{raw}");
        }
        for raw in [
            "{}",
            r#"{"name":"a"}"#,
            r#"{"name":"a","config":"text"}"#,
            r#"{"name":"a","config":{},"unknown_field":1}"#,
            r#"{"name":"a","config":{"topic":{"nested":1}}}"#,
        ] {
            assert!(bind::<CreateConnector>(raw.as_bytes()).is_err(), "{raw}");
        }
        for raw in ["[]", " [[]]", r#"{"offsets":[[]]}"#, r#"{"offsets":[null]}"#, r#"{"offsets":[{"x":1}]}"#] {
            assert!(bind::<AlterOffsets>(raw.as_bytes()).is_err(), "{raw}");
        }
        let bogus: CreateConnector = bind(br#"{"name":"a","config":{},"initial_state":"BOGUS"}"#).unwrap();
        assert_eq!(bogus.target().unwrap_err().status.as_u16(), 500);
    }

    #[test]
    fn the_initial_state_is_read_without_regard_to_case() {
        let body: CreateConnector = bind(br#"{"name":7,"config":{},"initial_state":"stopped"} "#).unwrap();
        assert_eq!((body.name.as_deref(), body.target().unwrap()), (Some("7"), Target::Stopped));
    }

    #[test]
    fn of_a_name_given_twice_the_last_counts() {
        let body: CreateConnector =
            bind(br#"{"name":"a","config":{"x":{}},"name":"b","config":{"k":1,"l":2,"k":3}}"#).unwrap();
        assert_eq!(body.name.as_deref(), Some("b"));
        let props: Vec<_> = body.config.0.iter().map(|(k, v)| (k.as_str(), v.as_deref())).collect();
        assert_eq!(props, [("k", Some("3")), ("l", Some("2"))]);
    }

    #[test]
    fn any_unicode_encoding_is_read() {
        let text = "{\"a\":\"é😀\"}";
        let utf16: Vec<u16> = text.encode_utf16().collect();
        let big: Vec<u8> = utf16.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        let little: Vec<u8> = utf16.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big32: Vec<u8> = text.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect();
        let little32: Vec<u8> = text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
        let marked = |mark: &[u8], body: &[u8]| [mark, body].concat();
        for body in [
            text.as_bytes().to_vec(),
            marked(&[0xef, 0xbb, 0xbf], text.as_bytes()),
            marked(&[0xfe, 0xff], &big),
            marked(&[0xff, 0xfe], &little),
            marked(&[0, 0, 0xfe, 0xff], &big32),
            marked(&[0xff, 0xfe, 0, 0], &little32),
            big,
            little,
            big32,
            little32,
        ] {
            assert_eq!(bind::<StringMap>(&body).unwrap().0["a"].as_deref(), Some("é😀"), "{body:?}");
        }
        for broken in [&b"{\"a\":\"\xff\"}"[..], &[0xfe, 0xff, 0], &[0, 0, 0, 1, 2]] {
            assert!(bind::<StringMap>(broken).is_err(), "{broken:?}");
        }
    }
}
