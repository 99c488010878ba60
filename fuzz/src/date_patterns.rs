//! Patterns of dates, and the texts that they read and write.

use std::sync::Arc;

use connect_api::plugin::MakeTransform;
use connect_api::{Datum, PluginKind, Props, Record, Value};
use connect_mongodb::timefield::{DEFAULT_PATTERN, TimeParser};

use crate::{parts, props};

/// A pattern that loses nothing.
const WHOLE: &str = "G yyyy-MM-dd'T'HH:mm:ss.SSS Z";
/// Days that the first and the last year have no part of may be missing.
const MARGIN: i64 = 400 * 86_400_000;

/// A transform of a record without schemas.
fn apply(name: &str, props: &Props, value: Value) -> Option<Value> {
    thread_local!(static KNOWN: Vec<(&'static str, MakeTransform)> = connect_transforms::plugins()
        .into_iter()
        .filter_map(|plugin| match plugin.kind {
            PluginKind::Transformation(make) => Some((plugin.class, make)),
            _ => None,
        })
        .collect());
    let class = format!("org.apache.kafka.connect.transforms.{name}");
    let make = KNOWN.with(|known| known.iter().find(|(other, _)| *other == class).map(|(_, make)| *make));
    let transform = make.expect("a transform")(props).ok()?;
    let mut record = Record::source(Arc::from("t"), Datum::null(), Datum::null());
    if let Value::Int64(millis) = value {
        record.timestamp = Some(millis);
    }
    record.value = Datum::schemaless(value);
    let applied = transform.apply(record).ok()??;
    Some(applied.value.value)
}

fn convert(target: &str, pattern: &str, value: Value) -> Option<Value> {
    apply("TimestampConverter$Value", &props(&[("target.type", target), ("format", pattern)]), value)
}

/// A pattern and a text. The first byte says who reads them: the text of the sink's time field, texts of a transform, or the
/// number that eight bytes are.
pub fn date_patterns(data: &[u8]) {
    let Some((&kind, data)) = data.split_first() else { return };
    let (pattern, rest) = parts(data);
    let (pattern, text) = (String::from_utf8_lossy(pattern), String::from_utf8_lossy(rest));
    match kind % 4 {
        0 => {
            let Ok(parser) = TimeParser::new(&pattern) else { return };
            parser.millis(&text);
        }
        1 => {
            let parser = TimeParser::new(DEFAULT_PATTERN).expect("a pattern");
            let text = String::from_utf8_lossy(data);
            // BSON has no later years.
            const LAST: u64 = 1_000_000 * 366 * 86_400_000;
            assert!(parser.millis(&text).is_none_or(|millis| millis.unsigned_abs() < LAST));
        }
        2 => drop(convert("unix", &pattern, Value::from(&*text))),
        _ => {
            let Some(number) = rest.first_chunk::<8>() else { return };
            let millis = i64::from_le_bytes(*number);
            for target in ["string", "unix", "Date", "Time", "Timestamp"] {
                drop(convert(target, &pattern, Value::Int64(millis)));
            }
            let router = props(&[("timestamp.format", &*pattern)]);
            drop(apply("TimestampRouter", &router, Value::Int64(millis)));
            let written = convert("string", WHOLE, Value::Int64(millis)).expect("a text");
            if millis.unsigned_abs() < (i64::MAX - MARGIN).unsigned_abs() {
                assert_eq!(convert("unix", WHOLE, written), Some(Value::Int64(millis)));
            }
        }
    }
}
