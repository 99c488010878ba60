//! Replays what `values.jsonl` has of `SchemaBuilder`: defaults, and sequences of calls that go by a name.

use connect_api::{Kind, Result, Schema, SchemaBuilder, SchemaRef, Value};
use serde_json::{Value as Json, json};

use super::codec;
use super::outcome::Verdict;
use super::values::{Judged, same_schema, verdict};

/// A default for a schema of a type.
pub(crate) fn default(vector: &Json) -> Judged {
    let Some(schema) = codec::schema(&json!({ "type": vector["type"] }))? else {
        return Ok(Verdict::Unsupported("no type".into()));
    };
    let value = codec::object(&vector["value"], None)?;
    let built = SchemaBuilder::new(schema.kind.clone()).and_then(|builder| builder.default_value(value));
    judged(vector, built.map(SchemaBuilder::build))
}

fn judged(vector: &Json, built: Result<SchemaRef>) -> Judged {
    let expected = codec::schema(&vector["schema_result"])?;
    Ok(verdict(vector, built, |built| same_schema(expected.as_ref(), Some(&built))))
}

/// The calls that a name stands for.
pub(crate) fn case(vector: &Json) -> Judged {
    let name = vector["case"].as_str().unwrap_or_default();
    match named(name) {
        Some(built) => judged(vector, built.map(SchemaBuilder::build)),
        None => Ok(Verdict::Unsupported(format!("no calls go by the name of {name:?} here"))),
    }
}

fn named(name: &str) -> Option<Result<SchemaBuilder>> {
    let int32 = || SchemaBuilder::new(Kind::Int32);
    let structure = || SchemaBuilder::new(Kind::Struct(Vec::new()));
    let int = || Schema::of(Kind::Int32).shared();
    let null = Schema::unknown;
    Some(match name {
        "name set twice" => int32().and_then(|b| b.name("a")).and_then(|b| b.name("b")),
        "version set twice" => int32().and_then(|b| b.version(1)).and_then(|b| b.version(2)),
        "doc set twice" => int32().and_then(|b| b.doc("a")).and_then(|b| b.doc("b")),
        "default set twice" => {
            int32().and_then(|b| b.default_value(Value::Int32(1))).and_then(|b| b.default_value(Value::Int32(2)))
        }
        "optional then required" => int32().and_then(SchemaBuilder::optional).and_then(SchemaBuilder::required),
        "required then optional" => int32().and_then(SchemaBuilder::required).and_then(SchemaBuilder::optional),
        "optional set twice" | "optional twice" | "optional then optional" => {
            int32().and_then(SchemaBuilder::optional).and_then(SchemaBuilder::optional)
        }
        "parameter set twice" => int32().map(|b| b.parameter("a", "1").parameter("a", "2")),
        "empty parameters" | "parameters empty" => int32().map(|b| b.parameters([])),
        "field on int32" => int32().and_then(|b| b.field("a", int())),
        "field twice" => structure().and_then(|b| b.field("a", int())).and_then(|b| b.field("a", int())),
        "empty field name" | "null field name" => structure().and_then(|b| b.field("", int())),
        "null field schema" => structure().and_then(|b| b.field("a", null())),
        "array of null schema" => SchemaBuilder::array(null()),
        "map of null schema" => SchemaBuilder::map(int(), null()),
        "map of null key schema" | "map of null keys" => SchemaBuilder::map(null(), int()),
        "null type" | "type null" => SchemaBuilder::new(Kind::Unknown),
        _ => return None,
    })
}
