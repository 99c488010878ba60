//! Replays `values.jsonl`: conversions, values from text and text of values, schemas that are inferred, built, compared and
//! projected, validation, and the fields of structs.
//!
//! Values are given as the objects that Java has; where ours have a physical form as well, that is tried too.

use std::path::Path;

use connect_api::values::convert;
use connect_api::values::zone::Zone;
use connect_api::{Datum, Error, Kind, Schema, SchemaRef, Struct, Value, projector, validate, values};
use serde_json::Value as Json;

use super::builder;
use super::outcome::{Outcome, Verdict, replay, same_error};
use super::{codec, compare};

/// Replays the file.
pub(crate) fn run(dir: &Path) -> Vec<Outcome> {
    let class = |v: &Json| v["op"].as_str().unwrap_or("other").to_owned();
    replay(dir, "values", class, in_its_zone)
}

/// The zone is one of the process: vectors are replayed one after the other.
fn in_its_zone(vector: &Json) -> Verdict {
    let Some(zone) = Zone::named(vector["timezone"].as_str().unwrap_or("UTC")) else {
        return Verdict::Failed(format!("no time zone {}", vector["timezone"]));
    };
    zone.set_for_process();
    let verdict = check(vector);
    Zone::UTC.set_for_process();
    verdict
}

fn check(vector: &Json) -> Verdict {
    let op = vector["op"].as_str().unwrap_or_default();
    let judged = match op {
        "parseString" => parse_string(vector),
        "convertToString" => convert_to_string(vector),
        "inferSchema" => infer_schema(vector),
        "validateValue" | "validateField" => validation(vector),
        "schemaEquals" => schema_equals(vector),
        "builderDefault" => builder::default(vector),
        "builderCase" => builder::case(vector),
        "project" => project(vector),
        "newStruct" => new_struct(vector),
        "structPut" => struct_put(vector),
        "structGet" => struct_get(vector),
        op if op.starts_with("convertTo") => conversion(op, vector),
        _ => return Verdict::Unsupported("no replay for this operation yet".into()),
    };
    judged.unwrap_or_else(|codec::Undecodable(why)| Verdict::Unsupported(why))
}

pub(crate) type Judged = Result<Verdict, codec::Undecodable>;

/// What was found, or failed, against what was recorded; `expected` is only looked at without an error.
pub(crate) fn verdict<T>(
    vector: &Json,
    found: Result<T, Error>,
    expected: impl FnOnce(T) -> Result<(), String>,
) -> Verdict {
    match (&vector["error"], found) {
        (Json::Null, Ok(found)) => expected(found).map_or_else(Verdict::Failed, |()| Verdict::Passed),
        (Json::Null, Err(error)) => Verdict::Failed(format!("got error {}", error.trace())),
        (error, Err(found)) => same_error(error, &found),
        (error, Ok(_)) => Verdict::Failed(format!("expected error {}", error["message"])),
    }
}

fn same_value(expected: &Value, found: &Value) -> Result<(), String> {
    if compare::values(expected, found, true) { Ok(()) } else { Err(format!("expected {expected:?}, got {found:?}")) }
}

pub(crate) fn same_schema(expected: Option<&SchemaRef>, found: Option<&SchemaRef>) -> Result<(), String> {
    let same = match (expected, found) {
        (Some(expected), Some(found)) => compare::schemas(expected, found),
        (expected, found) => expected.is_none() && found.is_none(),
    };
    if same { Ok(()) } else { Err(format!("expected {expected:?}, got {found:?}")) }
}

fn parse_string(vector: &Json) -> Judged {
    // Null is no text, and no value.
    let text = vector["text"].as_str();
    let result = &vector["result"];
    let schema = codec::schema(&result["schema"])?;
    let object = Datum { value: codec::object(&result["value"], schema.as_ref())?, schema };
    // Some lists have a schema that their values don't fit: those have no physical form.
    let physical = codec::datum(&result["schema"], &result["value"]).ok();
    let parsed = verdict(vector, text.map_or(Ok(Datum::null()), values::parse_string), |found| {
        physical.map_or(Ok(()), |expected| compare::datum(&expected, &found))
    });
    Ok(match parsed {
        Verdict::Passed => verdict(vector, text.map_or(Ok(Datum::null()), values::parse::parse_objects), |found| {
            compare::datum(&object, &found)
        }),
        other => other,
    })
}

fn convert_to_string(vector: &Json) -> Judged {
    let expected = codec::value(&vector["result"], None)?;
    let schema = codec::schema(&vector["schema"])?;
    let object = codec::object(&vector["value"], schema.as_ref())?;
    let mut found = vec![values::convert_to_string(None, &object)];
    if let Ok(physical) = codec::value(&vector["value"], schema.as_ref()) {
        found.push(values::convert_to_string(schema.as_ref(), &physical));
    }
    let check =
        |found: Vec<Option<String>>| found.into_iter().try_for_each(|found| same_value(&expected, &Value::from(found)));
    Ok(verdict(vector, Ok(found), check))
}

fn conversion(op: &str, vector: &Json) -> Judged {
    let schema = codec::schema(&vector["schema"])?;
    let value = codec::object(&vector["value"], schema.as_ref())?;
    let from = schema.as_deref();
    let scale = vector["scale"].as_i64().and_then(|scale| i32::try_from(scale).ok()).unwrap_or_default();
    let found = match op {
        "convertToBoolean" => convert::convert_to_boolean(from, &value).map(Value::from),
        "convertToByte" => convert::convert_to_byte(from, &value).map(|n| n.map_or(Value::Null, Value::Int8)),
        "convertToShort" => convert::convert_to_short(from, &value).map(|n| n.map_or(Value::Null, Value::Int16)),
        "convertToInteger" => convert::convert_to_integer(from, &value).map(Value::from),
        "convertToLong" => convert::convert_to_long(from, &value).map(Value::from),
        "convertToFloat" => convert::convert_to_float(from, &value).map(|n| n.map_or(Value::Null, Value::Float32)),
        "convertToDouble" => convert::convert_to_double(from, &value).map(|n| n.map_or(Value::Null, Value::Float64)),
        "convertToList" => convert::convert_to_list(value).map(Value::Array),
        "convertToMap" => convert::convert_to_map(value).map(Value::Map),
        "convertToStruct" => convert::convert_to_struct(value).map(Value::Struct),
        "convertToDate" => convert::convert_to_date(from, value).map(Value::Date),
        "convertToTime" => convert::convert_to_time(from, value).map(Value::Date),
        "convertToTimestamp" => convert::convert_to_timestamp(from, value).map(Value::Date),
        "convertToDecimal" => {
            convert::convert_to_decimal(&value, scale).map(|decimal| Value::Decimal(Box::new(decimal)))
        }
        _ => return Ok(Verdict::Unsupported(format!("no replay for {op} yet"))),
    };
    let expected = codec::object(&vector["result"], schema.as_ref())?;
    Ok(verdict(vector, found, |found| same_value(&expected, &found)))
}

fn infer_schema(vector: &Json) -> Judged {
    let value = codec::object(&vector["value"], codec::schema(&vector["schema"])?.as_ref())?;
    let expected = codec::schema(&vector["schema_result"])?;
    Ok(verdict(vector, values::infer_schema(&value), |found| same_schema(expected.as_ref(), found.as_ref())))
}

fn validation(vector: &Json) -> Judged {
    let Some(schema) = codec::schema(&vector["schema"])? else { return Ok(Verdict::Unsupported("no schema".into())) };
    let object = codec::object(&vector["value"], Some(&schema))?;
    let field = vector["field"].as_str();
    let found = match field {
        Some(field) => validate::object_field(field, &schema, &object),
        None => validate::object(&schema, &object),
    };
    let of_object = verdict(vector, found, |()| Ok(()));
    let Ok(physical) = codec::value(&vector["value"], Some(&schema)) else { return Ok(of_object) };
    if of_object != Verdict::Passed {
        return Ok(of_object);
    }
    let found = match field {
        Some(field) => validate::field(field, &schema, &physical),
        None => validate::value(&schema, &physical),
    };
    // Maps that come from JSON, as most do here, are of another class.
    let error = vector["error"]["message"].as_str().unwrap_or_default();
    if error.contains("java.util.LinkedHashMap") {
        return Ok(of_object);
    }
    Ok(verdict(vector, found, |()| Ok(())))
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

fn project(vector: &Json) -> Judged {
    let (source, target) = (codec::schema(&vector["source"])?, codec::schema(&vector["target"])?);
    let (Some(source), Some(target)) = (source, target) else {
        return Ok(Verdict::Unsupported("no schema to project".into()));
    };
    let value = codec::value(&vector["value"], Some(&source))?;
    let expected = codec::value(&vector["result"], Some(&target))?;
    Ok(verdict(vector, projector::project(&source, &value, &target), |found| same_value(&expected, &found)))
}

fn structure(vector: &Json) -> Result<Result<Struct, Error>, codec::Undecodable> {
    let Some(schema) = codec::schema(&vector["schema"])? else {
        return Err(codec::Undecodable("a struct without schema".into()));
    };
    Ok(Struct::empty(schema))
}

fn new_struct(vector: &Json) -> Judged {
    Ok(verdict(vector, structure(vector)?, |_| Ok(())))
}

fn struct_put(vector: &Json) -> Judged {
    let field = vector["field"].as_str().unwrap_or_default();
    let value = codec::object(&vector["value"], None)?;
    let put = structure(vector)?.and_then(|mut structure| structure.put(field, value));
    Ok(verdict(vector, put, |()| Ok(())))
}

fn struct_get(vector: &Json) -> Judged {
    let Some(schema) = codec::schema(&vector["schema"])? else {
        return Ok(Verdict::Unsupported("a struct without schema".into()));
    };
    let Value::Struct(structure) = codec::value(&vector["value"], Some(&schema))? else {
        return Ok(Verdict::Unsupported("no struct".into()));
    };
    let field = vector["field"].as_str().unwrap_or_default();
    let of_type = |kind: Kind| structure.get_of_type(field, &kind.hollow());
    let unknown = Schema::unknown;
    let found = match vector["getter"].as_str().unwrap_or_default() {
        "get" => structure.get_or_default(field),
        "getWithoutDefault" => structure.get_without_default(field),
        "getInt8" => of_type(Kind::Int8),
        "getInt16" => of_type(Kind::Int16),
        "getInt32" => of_type(Kind::Int32),
        "getInt64" => of_type(Kind::Int64),
        "getFloat32" => of_type(Kind::Float32),
        "getFloat64" => of_type(Kind::Float64),
        "getBoolean" => of_type(Kind::Boolean),
        "getString" => of_type(Kind::String),
        "getBytes" => of_type(Kind::Bytes),
        "getArray" => of_type(Kind::Array(unknown())),
        "getMap" => of_type(Kind::Map(unknown(), unknown())),
        "getStruct" => of_type(Kind::Struct(Vec::new())),
        other => return Ok(Verdict::Unsupported(format!("no replay for {other} yet"))),
    };
    let of_field = schema.fields().iter().find(|own| *own.name == *field).map(|own| &own.schema);
    let expected = codec::value(&vector["result"], of_field)?;
    Ok(verdict(vector, found, |found| same_value(&expected, found)))
}
