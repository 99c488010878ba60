//! Replays `values.jsonl`, as far as it is built: values from text and text of values, validation, equality of schemas.

use std::path::Path;

use connect_api::{Datum, Error, Value, validate, values};
use serde_json::Value as Json;

use super::outcome::{Outcome, Verdict, replay, same_error};
use super::{codec, compare};

/// Replays the file.
pub(crate) fn run(dir: &Path) -> Vec<Outcome> {
    let class = |v: &Json| v["op"].as_str().unwrap_or("other").to_owned();
    replay(dir, "values", class, check)
}

fn check(vector: &Json) -> Verdict {
    if vector["timezone"].as_str().is_some_and(|zone| zone != "UTC") {
        return Verdict::Unsupported("a time zone of the process: dates are in UTC".into());
    }
    let judged = match vector["op"].as_str() {
        Some("parseString") => parse_string(vector),
        Some("convertToString") => convert_to_string(vector),
        Some("validateValue" | "validateField") => validation(vector),
        Some("schemaEquals") => schema_equals(vector),
        _ => return Verdict::Unsupported("no replay for this operation yet".into()),
    };
    judged.unwrap_or_else(|codec::Undecodable(why)| Verdict::Unsupported(why))
}

type Judged = Result<Verdict, codec::Undecodable>;

fn parse_string(vector: &Json) -> Judged {
    let Some(text) = vector["text"].as_str() else { return Ok(Verdict::Unsupported("no text".into())) };
    let expected = match &vector["result"] {
        Json::Null => Datum::null(),
        result => codec::datum(&result["schema"], &result["value"])?,
    };
    let found = values::parse_string(text);
    Ok(compare::datum(&expected, &found).map_or_else(Verdict::Failed, |()| Verdict::Passed))
}

fn convert_to_string(vector: &Json) -> Judged {
    let datum = codec::datum(&vector["schema"], &vector["value"])?;
    let found = values::convert_to_string(datum.schema.as_ref(), &datum.value);
    let expected = codec::value(&vector["result"], None)?;
    Ok(match (Value::from(found), &vector["error"]) {
        (_, error) if !error.is_null() => Verdict::Unsupported(format!("refuses {error}")),
        (found, _) if found == expected => Verdict::Passed,
        (found, _) => Verdict::Failed(format!("expected {expected:?}, got {found:?}")),
    })
}

fn validation(vector: &Json) -> Judged {
    let datum = codec::datum(&vector["schema"], &vector["value"])?;
    let Some(schema) = &datum.schema else { return Ok(Verdict::Unsupported("no schema".into())) };
    let found = match vector["field"].as_str() {
        Some(field) => validate::field(field, schema, &datum.value),
        None => validate::value(schema, &datum.value),
    };
    Ok(verdict(&vector["error"], found))
}

fn verdict(expected: &Json, found: Result<(), Error>) -> Verdict {
    match (expected, found) {
        (Json::Null, Ok(())) => Verdict::Passed,
        (Json::Null, Err(error)) => Verdict::Failed(format!("got error {}", error.trace())),
        (expected, Err(error)) => same_error(expected, &error),
        (expected, Ok(())) => Verdict::Failed(format!("expected error {}", expected["message"])),
    }
}

fn schema_equals(vector: &Json) -> Judged {
    let (a, b) = (codec::schema(&vector["a"])?, codec::schema(&vector["b"])?);
    let found = a == b;
    Ok(if Json::Bool(found) == vector["result"] {
        Verdict::Passed
    } else {
        Verdict::Failed(format!("expected {}, got {found}", vector["result"]))
    })
}
