//! Replays `converters.jsonl`: every converter in both directions, as a converter and as a header converter.

use std::path::Path;

use connect_api::{Bytes, BytesMut, Converter, Datum, Error, HeaderConverter, Plugin, PluginKind};
use serde_json::Value as Json;

use super::outcome::{Outcome, Verdict, replay, same_error};
use super::{codec, compare};

const TOPIC: &str = "topic";
const HEADER: &str = "h";

/// Replays the file.
pub(crate) fn run(dir: &Path) -> Vec<Outcome> {
    let plugins = connect_formats::plugins();
    let class = |v: &Json| v["converter"].as_str().unwrap_or_default().to_owned();
    replay(dir, "converters", class, |vector| check(&plugins, vector))
}

/// The two directions of either interface.
trait Both {
    fn from(&self, datum: &Datum) -> Result<Option<Bytes>, Error>;
    fn to(&self, bytes: Option<Bytes>) -> Result<Datum, Error>;
}

impl Both for Box<dyn Converter> {
    fn from(&self, datum: &Datum) -> Result<Option<Bytes>, Error> {
        let mut out = BytesMut::new();
        Ok(self.serialize(TOPIC, datum, &mut out)?.then(|| out.freeze()))
    }
    fn to(&self, bytes: Option<Bytes>) -> Result<Datum, Error> {
        self.deserialize(TOPIC, bytes)
    }
}

impl Both for Box<dyn HeaderConverter> {
    fn from(&self, datum: &Datum) -> Result<Option<Bytes>, Error> {
        let mut out = BytesMut::new();
        Ok(self.serialize(TOPIC, HEADER, datum, &mut out)?.then(|| out.freeze()))
    }
    fn to(&self, bytes: Option<Bytes>) -> Result<Datum, Error> {
        self.deserialize(TOPIC, HEADER, bytes)
    }
}

fn make(plugin: &Plugin, vector: &Json) -> Result<Box<dyn Both>, Error> {
    let props = codec::props(&vector["config"]);
    let is_key = vector["isKey"] == Json::Bool(true);
    let header = vector["op"].as_str().is_some_and(|op| op.ends_with("Header"));
    Ok(match &plugin.kind {
        PluginKind::Converter(make, _) if !header => Box::new(make(&props, is_key)?),
        PluginKind::Converter(_, Some(make)) | PluginKind::HeaderConverter(make) => Box::new(make(&props)?),
        _ => return Err(Error::connect("not a converter of the kind asked for")),
    })
}

fn check(plugins: &[Plugin], vector: &Json) -> Verdict {
    let class = vector["converter"].as_str().unwrap_or_default();
    let Some(plugin) = plugins.iter().find(|plugin| plugin.class == class) else {
        return Verdict::Unsupported(format!("{class} is not built"));
    };
    let outcome = if vector["op"].as_str().is_some_and(|op| op.starts_with("from")) {
        check_from(plugin, vector)
    } else {
        check_to(plugin, vector)
    };
    outcome.unwrap_or_else(|codec::Undecodable(why)| Verdict::Unsupported(why))
}

fn check_from(plugin: &Plugin, vector: &Json) -> Result<Verdict, codec::Undecodable> {
    let datum = codec::datum(&vector["schema"], &vector["value"])?;
    let bytes = make(plugin, vector).and_then(|converter| converter.from(&datum));
    let expected = Some(&vector["bytes"]).filter(|bytes| !bytes.is_null()).map(codec::base64);
    Ok(match bytes {
        Err(error) if !vector["error"].is_null() => same_error(&vector["error"], &error),
        Err(error) => Verdict::Failed(format!("expected {expected:?}, got error {}", error.trace())),
        Ok(bytes) if !vector["error"].is_null() => {
            Verdict::Failed(format!("expected error {}, got {bytes:?}", vector["error"]["message"]))
        }
        Ok(bytes) if bytes == expected => Verdict::Passed,
        Ok(bytes) => Verdict::Failed(format!("expected {expected:?}, got {bytes:?}")),
    })
}

fn check_to(plugin: &Plugin, vector: &Json) -> Result<Verdict, codec::Undecodable> {
    let bytes = Some(&vector["bytes"]).filter(|bytes| !bytes.is_null()).map(codec::base64);
    let datum = make(plugin, vector).and_then(|converter| converter.to(bytes));
    if !vector["error"].is_null() {
        return Ok(match datum {
            Err(error) => same_error(&vector["error"], &error),
            Ok(datum) => Verdict::Failed(format!("expected error {}, got {datum:?}", vector["error"]["message"])),
        });
    }
    let expected = codec::datum(&vector["result"]["schema"], &vector["result"]["value"])?;
    Ok(match datum {
        Err(error) => Verdict::Failed(format!("expected {expected:?}, got error {}", error.trace())),
        Ok(datum) => compare::datum(&expected, &datum).map_or_else(Verdict::Failed, |()| Verdict::Passed),
    })
}
