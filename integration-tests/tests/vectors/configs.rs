//! Replays `configs.jsonl` and compares `configdefs/*.json` with our definitions.

#[path = "configs/connectors.rs"]
mod connectors;
#[path = "configs/definitions.rs"]
mod definitions;
#[path = "configs/files.rs"]
mod files;
#[path = "configs/keys.rs"]
mod keys;
#[path = "configs/workers.rs"]
mod workers;

use std::collections::BTreeSet;
use std::path::Path;

use connect_config::{ConfigError, ConfigValue, Secret, Type};
use serde_json::Value as Json;

use super::outcome::{Outcome, Verdict, replay};

/// Replays the file and the definitions.
pub(crate) fn run(dir: &Path) -> Vec<Outcome> {
    let class = |v: &Json| v["kind"].as_str().unwrap_or("other").to_owned();
    let classes = known_classes(dir);
    let fixtures = files::Fixtures::write(dir);
    let connectors = connectors::Connectors::new();
    let mut outcomes = replay(dir, "configs", class, |vector| match vector["kind"].as_str().unwrap_or_default() {
        "parseType" => keys::parse_type(vector, &classes),
        "convertToString" => keys::convert_to_string(vector),
        "define" => keys::define(vector, &classes),
        "properties" => files::properties(vector),
        "substitute" => fixtures.substitute(vector),
        "abstract_config" => fixtures.abstract_config(vector),
        "worker_config" => workers::check(vector, &classes),
        "validate_connector" => connectors.check(vector),
        other => Verdict::Unsupported(format!("vectors of kind {other}")),
    });
    outcomes.extend(definitions::run(dir));
    outcomes
}

/// The classes that the JVM had when the vectors were recorded, as far as vectors name them: those with a definition,
/// and one of the JDK.
fn known_classes(dir: &Path) -> BTreeSet<String> {
    let files = std::fs::read_dir(dir.join("configdefs")).expect("the definitions are there");
    let names = files.filter_map(|file| file.ok()?.file_name().into_string().ok());
    let mut classes: BTreeSet<String> =
        names.filter_map(|name| name.strip_suffix(".json").map(str::to_owned)).collect();
    classes.insert("java.lang.String".to_owned());
    for class in [
        "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever",
        "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator",
    ] {
        classes.insert(class.to_owned());
    }
    classes
}

/// A type by its name.
fn type_of(json: &Json) -> Type {
    match json.as_str().unwrap_or_default() {
        "BOOLEAN" => Type::Boolean,
        "STRING" => Type::String,
        "INT" => Type::Int,
        "SHORT" => Type::Short,
        "LONG" => Type::Long,
        "DOUBLE" => Type::Double,
        "LIST" => Type::List,
        "CLASS" => Type::Class,
        "PASSWORD" => Type::Password,
        other => panic!("no type of this name: {other}"),
    }
}

/// A value in the vectors' notation.
fn value(json: &Json) -> ConfigValue {
    let int = || json[1].as_i64().expect("integers are numbers");
    let text = || json[1].as_str().expect("the value is text").to_owned();
    match json[0].as_str() {
        None => ConfigValue::Null,
        Some("bool") => ConfigValue::Boolean(json[1].as_bool().expect("a boolean")),
        Some("str") => ConfigValue::String(text()),
        Some("i16") => ConfigValue::Short(int().try_into().expect("a short")),
        Some("i32") => ConfigValue::Int(int().try_into().expect("an int")),
        Some("i64") => ConfigValue::Long(int()),
        Some("f64") => ConfigValue::Double(match text().as_str() {
            "NaN" => f64::NAN,
            "Infinity" => f64::INFINITY,
            "-Infinity" => f64::NEG_INFINITY,
            number => number.parse().expect("a number"),
        }),
        Some("list") => ConfigValue::List(strings(&json[1])),
        Some("class") => ConfigValue::Class(text()),
        Some("password") => ConfigValue::Password(Secret::new(text())),
        Some(other) => panic!("no value of this form: {other}"),
    }
}

fn strings(json: &Json) -> Vec<String> {
    let texts = json.as_array().map(Vec::as_slice).unwrap_or_default();
    texts.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

/// Equality that takes NaN as equal to itself and tells the two zeros apart.
fn same(a: &ConfigValue, b: &ConfigValue) -> bool {
    match (a, b) {
        (ConfigValue::Double(a), ConfigValue::Double(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
        _ => a == b,
    }
}

/// Compares a result with the vector's, or its error with the vector's.
fn verdict<T>(error: &Json, actual: Result<T, ConfigError>, compare: impl FnOnce(T) -> Result<(), String>) -> Verdict {
    match (error.is_null(), actual) {
        (true, Ok(actual)) => match compare(actual) {
            Ok(()) => Verdict::Passed,
            Err(difference) => Verdict::Failed(difference),
        },
        (true, Err(problem)) => Verdict::Failed(format!("unexpected error {:?}", problem.message)),
        (false, Ok(_)) => Verdict::Failed(format!("expected the error {}", error["message"])),
        (false, Err(problem)) => {
            let expected = error["message"].as_str().unwrap_or_default();
            match message_matches(expected, &problem.message) || error["jdk"] == Json::Bool(true) {
                true => Verdict::Passed,
                false => Verdict::Failed(format!("expected {expected:?}, got {:?}", problem.message)),
            }
        }
    }
}

/// `<list>` stands for text that depends on the installation.
fn message_matches(expected: &str, actual: &str) -> bool {
    match expected.split_once("<list>") {
        None => expected == actual,
        Some((before, after)) => actual.starts_with(before) && actual.ends_with(after),
    }
}

/// `Ok` when two things are equal, else what differs.
fn equal<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, actual: &T) -> Result<(), String> {
    if expected == actual { Ok(()) } else { Err(format!("{what}: expected {expected:?}, got {actual:?}")) }
}
