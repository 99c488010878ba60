//! Single keys: parsing, printing, defining, validating.

use std::collections::BTreeSet;

use connect_config::validators::{
    at_least, between, both, list_size, non_empty, non_empty_without_control_chars, non_null, one_of,
    one_of_ignoring_case,
};
use connect_config::{ConfigDef, ConfigError, ConfigKey, ConfigValue, Validator, parse_type_with};
use serde_json::Value as Json;

use super::{equal, same, strings, type_of, value, verdict};
use crate::codec::props;
use crate::outcome::Verdict;

/// `parseType`.
pub(crate) fn parse_type(vector: &Json, classes: &BTreeSet<String>) -> Verdict {
    let text = match &vector["value"] {
        Json::Null => None,
        Json::String(text) => Some(text.as_str()),
        _ => return Verdict::Unsupported("the input is a Java object, ours are texts".into()),
    };
    let name = vector["name"].as_str().unwrap_or_default();
    let parsed = parse_type_with(name, text, type_of(&vector["type"]), &|class| classes.contains(class));
    let expected = value(&vector["result"]);
    verdict(&vector["error"], parsed, |actual| match same(&expected, &actual) {
        true => Ok(()),
        false => Err(format!("expected {expected:?}, got {actual:?}")),
    })
}

/// `convertToString`.
pub(crate) fn convert_to_string(vector: &Json) -> Verdict {
    let expected = vector["result"].as_str().map(str::to_owned);
    match equal("text", &expected, &value(&vector["value"]).text()) {
        Ok(()) => Verdict::Passed,
        Err(difference) => Verdict::Failed(difference),
    }
}

/// A validator behind one type.
struct Any(Box<dyn Validator>);

impl std::fmt::Display for Any {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Validator for Any {
    fn ensure_valid(&self, name: &str, value: &ConfigValue) -> Result<(), ConfigError> {
        self.0.ensure_valid(name, value)
    }
}

fn validator(json: &Json) -> Option<Any> {
    let inner: Box<dyn Validator> = match json["kind"].as_str()? {
        "range" => match (&json["min"], &json["max"]) {
            (Json::Number(min), Json::Number(max)) if min.is_f64() => {
                Box::new(between(min.as_f64().expect("a number"), max.as_f64().expect("a number")))
            }
            (min, Json::Number(max)) => {
                Box::new(between(min.as_i64().expect("a number"), max.as_i64().expect("a number")))
            }
            (min, _) => Box::new(at_least(min.as_i64().expect("a number"))),
        },
        "valid_string" | "valid_list" => Box::new(one_of(strings(&json["values"]))),
        "case_insensitive_valid_string" => Box::new(one_of_ignoring_case(strings(&json["values"]))),
        "non_null" => Box::new(non_null()),
        "non_empty_string" => Box::new(non_empty()),
        "non_empty_without_control" => Box::new(non_empty_without_control_chars()),
        "list_size" => Box::new(list_size(json["max"].as_u64().expect("a size").try_into().expect("a small size"))),
        "composite" => {
            let parts = json["of"].as_array().expect("a composite has parts");
            let mut parts = parts.iter().map(|part| validator(part).expect("a part is a validator"));
            let first = parts.next().expect("a composite has a part");
            return Some(parts.fold(first, |all, next| Any(Box::new(both(all, next)))));
        }
        other => panic!("no validator of this kind: {other}"),
    };
    Some(Any(inner))
}

/// `define`: one key defined, parsed and validated.
pub(crate) fn define(vector: &Json, classes: &BTreeSet<String>) -> Verdict {
    let known = |class: &str| classes.contains(class);
    let key = || -> Result<ConfigDef, ConfigError> {
        let mut key = ConfigKey::new("k", type_of(&vector["type"]), "A key under test.");
        if vector["required"] != Json::Bool(true) {
            let default = value(&vector["default"]);
            key = key.try_default(default.text().as_deref())?;
        }
        if let Some(validator) = validator(&vector["validator"]) {
            if vector["validator_text"].as_str().is_some_and(|text| text != validator.to_string()) {
                return Err(ConfigError::new(format!("the validator's text is {validator}")));
            }
            key = key.validator(validator);
        }
        let mut def = ConfigDef::new();
        def.try_define(key)?;
        Ok(def)
    };
    let error = &vector["error"];
    let def = match key() {
        Ok(def) => def,
        Err(problem) if error["phase"] == "define" => return verdict::<()>(error, Err(problem), |()| Ok(())),
        Err(problem) => return Verdict::Failed(format!("the definition is refused: {}", problem.message)),
    };
    let given = props(&vector["props"]);
    let parsed = verdict(error, def.parse_key_with("k", &given, &known), |actual| {
        let expected = value(&vector["parsed"]);
        if same(&expected, &actual) { Ok(()) } else { Err(format!("expected {expected:?}, got {actual:?}")) }
    });
    if parsed != Verdict::Passed {
        return parsed;
    }
    let validated = def.validate_with(&given, &known);
    let Some(entry) = validated.entry("k") else { return Verdict::Failed("no entry for the key".into()) };
    let expected = &vector["validated"];
    let compared = equal("errors", &strings(&expected["errors"]), &entry.errors)
        .and_then(|()| equal("visible", &expected["visible"].as_bool(), &Some(entry.visible)));
    match compared {
        Ok(()) if same(&value(&expected["value"]), &entry.value) => Verdict::Passed,
        Ok(()) => Verdict::Failed(format!("expected {}, got {:?}", expected["value"], entry.value)),
        Err(difference) => Verdict::Failed(difference),
    }
}
