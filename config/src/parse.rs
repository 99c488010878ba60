//! From text to typed values (`ConfigDef.parseType`, `ConfigDef.parse`).

use std::fmt;

use indexmap::IndexMap;

use crate::def::{ConfigDef, Default, Type};
use crate::secret::Secret;

/// What a user gave: keys and texts, in order. A null value is kept apart from a missing key.
pub type Props = IndexMap<String, Option<String>>;

/// A parsed value.
#[derive(Clone, Debug, PartialEq)]
pub enum ConfigValue {
    Null,
    Boolean(bool),
    String(String),
    Int(i32),
    Short(i16),
    Long(i64),
    Double(f64),
    List(Vec<String>),
    Class(String),
    Password(Secret),
}

/// A value that does not fit its key (`org.apache.kafka.common.config.ConfigException`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    /// The key, when it concerns one.
    pub key: Option<String>,
    /// Kafka's wording.
    pub message: String,
}

impl ConfigError {
    /// An error that concerns no single key.
    pub fn new(message: impl Into<String>) -> Self {
        Self { key: None, message: message.into() }
    }

    /// `Invalid value {value} for configuration {key}: {why}`.
    pub fn invalid(key: &str, value: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self { key: Some(key.to_owned()), message: format!("Invalid value {value} for configuration {key}: {why}") }
    }

    /// `Invalid value {value} for configuration {key}`.
    pub fn invalid_bare(key: &str, value: impl fmt::Display) -> Self {
        Self { key: Some(key.to_owned()), message: format!("Invalid value {value} for configuration {key}") }
    }

    /// `Missing required configuration "{key}" which has no default value.`
    pub fn missing(key: &str) -> Self {
        Self {
            key: Some(key.to_owned()),
            message: format!("Missing required configuration \"{key}\" which has no default value."),
        }
    }
}

/// Parses one text as a type, with Kafka's tolerance for white space and its wording of errors. `None` is null.
pub fn parse_type(name: &str, text: Option<&str>, ty: Type) -> Result<ConfigValue, ConfigError> {
    let Some(raw) = text else { return Ok(ConfigValue::Null) };
    let trimmed = raw.trim_matches(|c: char| c <= ' ');
    let not_a_number = || ConfigError::invalid(name, trimmed, format!("Not a number of type {}", type_name(ty)));
    // Java's Integer.parseInt takes a leading plus sign, as Rust does; it has no other extras.
    Ok(match ty {
        Type::Boolean => match () {
            () if trimmed.eq_ignore_ascii_case("true") => ConfigValue::Boolean(true),
            () if trimmed.eq_ignore_ascii_case("false") => ConfigValue::Boolean(false),
            () => return Err(ConfigError::invalid(name, raw, "Expected value to be either true or false")),
        },
        Type::String => ConfigValue::String(trimmed.to_owned()),
        Type::Password => ConfigValue::Password(Secret::new(trimmed)),
        Type::Class => ConfigValue::Class(trimmed.to_owned()),
        Type::Int => ConfigValue::Int(trimmed.parse().map_err(|_| not_a_number())?),
        Type::Short => ConfigValue::Short(trimmed.parse().map_err(|_| not_a_number())?),
        Type::Long => ConfigValue::Long(trimmed.parse().map_err(|_| not_a_number())?),
        Type::Double => ConfigValue::Double(trimmed.parse().map_err(|_| not_a_number())?),
        Type::List => ConfigValue::List(parse_list(trimmed)),
    })
}

/// Splits at commas, trimming the white space around each; an empty text is an empty list.
fn parse_list(trimmed: &str) -> Vec<String> {
    if trimmed.is_empty() { Vec::new() } else { trimmed.split(',').map(|part| part.trim().to_owned()).collect() }
}

/// The name of a type in the REST API and in messages.
pub fn type_name(ty: Type) -> &'static str {
    match ty {
        Type::Boolean => "BOOLEAN",
        Type::String => "STRING",
        Type::Int => "INT",
        Type::Short => "SHORT",
        Type::Long => "LONG",
        Type::Double => "DOUBLE",
        Type::List => "LIST",
        Type::Class => "CLASS",
        Type::Password => "PASSWORD",
    }
}

impl ConfigDef {
    /// Parses one key: the given text or the default, then the validator.
    pub fn parse_key(&self, name: &str, props: &Props) -> Result<ConfigValue, ConfigError> {
        let Some(key) = self.key(name) else {
            return Err(ConfigError::new(format!("Unknown configuration '{name}'")));
        };
        let value = match (props.get(name), &key.default) {
            (Some(text), _) => parse_type(name, text.as_deref(), key.ty)?,
            (None, Default::Required) => return Err(ConfigError::missing(name)),
            (None, Default::Value(value)) => value.clone(),
        };
        if let Some(validator) = &key.validator {
            validator.ensure_valid(name, &value)?;
        }
        Ok(value)
    }
}
