//! From text to typed values (`ConfigDef.parseType`, `ConfigDef.parse`).

use std::fmt;

use indexmap::IndexMap;

use crate::def::{ConfigDef, Default, Type};
use crate::java;
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

impl ConfigValue {
    /// The text of a string or class.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) | Self::Class(text) => Some(text),
            _ => None,
        }
    }

    /// A number as a double.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(n) => Some(f64::from(*n)),
            Self::Short(n) => Some(f64::from(*n)),
            // Loses precision beyond 2^53, as Java's `Number.doubleValue` does.
            #[allow(clippy::cast_precision_loss)]
            Self::Long(n) => Some(*n as f64),
            Self::Double(n) => Some(*n),
            _ => None,
        }
    }

    /// The text that the REST API shows (`ConfigDef.convertToString`): `None` for null, secrets hidden.
    pub fn text(&self) -> Option<String> {
        Some(match self {
            Self::Null => return None,
            Self::List(parts) => parts.join(","),
            other => other.to_string(),
        })
    }
}

/// As Java's `String.valueOf` prints the object, for messages: a list has brackets, a secret is hidden.
impl fmt::Display for ConfigValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Boolean(v) => write!(f, "{v}"),
            Self::String(v) | Self::Class(v) => f.write_str(v),
            Self::Int(v) => write!(f, "{v}"),
            Self::Short(v) => write!(f, "{v}"),
            Self::Long(v) => write!(f, "{v}"),
            Self::Double(v) => f.write_str(&java::double_text(*v)),
            Self::List(v) => write!(f, "[{}]", v.join(", ")),
            Self::Password(v) => write!(f, "{v}"),
        }
    }
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

/// Says whether a class exists: the worker's registry knows, the language of configuration does not.
pub type KnownClass<'a> = &'a dyn Fn(&str) -> bool;

/// Every class that has a name: used where nobody can know better.
pub const ANY_CLASS: KnownClass<'static> = &|name| !name.is_empty();

/// Parses one text as a type, with Kafka's tolerance for white space and its wording of errors. `None` is null.
pub fn parse_type(name: &str, text: Option<&str>, ty: Type) -> Result<ConfigValue, ConfigError> {
    parse_type_with(name, text, ty, ANY_CLASS)
}

/// The same, where classes that are not known are refused.
pub fn parse_type_with(
    name: &str,
    text: Option<&str>,
    ty: Type,
    known_class: KnownClass<'_>,
) -> Result<ConfigValue, ConfigError> {
    let Some(raw) = text else { return Ok(ConfigValue::Null) };
    let trimmed = raw.trim_matches(|c: char| c <= ' ');
    let not_a_number = || ConfigError::invalid(name, raw, format_args!("Not a number of type {}", type_name(ty)));
    let number = || java::parse_long(trimmed).ok_or_else(not_a_number);
    Ok(match ty {
        Type::Boolean => match () {
            () if trimmed.eq_ignore_ascii_case("true") => ConfigValue::Boolean(true),
            () if trimmed.eq_ignore_ascii_case("false") => ConfigValue::Boolean(false),
            () => return Err(ConfigError::invalid(name, raw, "Expected value to be either true or false")),
        },
        Type::String => ConfigValue::String(trimmed.to_owned()),
        Type::Password => ConfigValue::Password(Secret::new(trimmed)),
        Type::Class if known_class(trimmed) => ConfigValue::Class(trimmed.to_owned()),
        Type::Class => {
            return Err(ConfigError::invalid(name, raw, format_args!("Class {raw} could not be found.")));
        }
        Type::Int => ConfigValue::Int(number()?.try_into().map_err(|_| not_a_number())?),
        Type::Short => ConfigValue::Short(number()?.try_into().map_err(|_| not_a_number())?),
        Type::Long => ConfigValue::Long(number()?),
        Type::Double => ConfigValue::Double(java::parse_double(trimmed).ok_or_else(not_a_number)?),
        Type::List => ConfigValue::List(parse_list(trimmed)),
    })
}

/// Splits at commas, taking away the white space around each; an empty text is an empty list.
fn parse_list(trimmed: &str) -> Vec<String> {
    // The white space of Java's regular expression `\s*,\s*`.
    let white = |c: char| matches!(c, ' ' | '\t' | '\n' | '\x0B' | '\x0C' | '\r');
    if trimmed.is_empty() {
        return Vec::new();
    }
    trimmed.split(',').map(|part| part.trim_matches(white).to_owned()).collect()
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
        self.parse_key_with(name, props, ANY_CLASS)
    }

    /// The same, where classes that are not known are refused.
    pub fn parse_key_with(
        &self,
        name: &str,
        props: &Props,
        known_class: KnownClass<'_>,
    ) -> Result<ConfigValue, ConfigError> {
        let Some(key) = self.key(name) else {
            return Err(ConfigError::new(format!("Unknown configuration '{name}'")));
        };
        let value = match (props.get(name), &key.default) {
            (Some(text), _) => parse_type_with(name, text.as_deref(), key.ty, known_class)?,
            (None, Default::Required) => return Err(ConfigError::missing(name)),
            (None, Default::Value(value)) => value.clone(),
        };
        if let Some(validator) = &key.validator {
            validator.ensure_valid(name, &value)?;
        }
        Ok(value)
    }
}
