//! Validators of single values (the inner classes of `ConfigDef`), with Kafka's wording.
//!
//! A validator's `Display` is what the REST API and the reference page print of it, so it never changes with the
//! value under test.

use std::fmt;

use crate::java;
use crate::parse::{ConfigError, ConfigValue};

/// Checks one parsed value. `Display` is what the reference page and the REST API print of it.
pub trait Validator: fmt::Display + Send + Sync {
    /// Refuses a value that does not fit.
    fn ensure_valid(&self, name: &str, value: &ConfigValue) -> Result<(), ConfigError>;
}

/// A closure as a validator, with the text that describes it.
pub struct Check<F> {
    text: String,
    check: F,
}

/// Makes a validator from a closure (`ConfigDef.LambdaValidator`).
pub fn check<F>(text: impl Into<String>, check: F) -> Check<F>
where
    F: Fn(&str, &ConfigValue) -> Result<(), ConfigError> + Send + Sync,
{
    Check { text: text.into(), check }
}

impl<F> fmt::Display for Check<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<F> Validator for Check<F>
where
    F: Fn(&str, &ConfigValue) -> Result<(), ConfigError> + Send + Sync,
{
    fn ensure_valid(&self, name: &str, value: &ConfigValue) -> Result<(), ConfigError> {
        (self.check)(name, value)
    }
}

/// An end of a [`Range`]: an integer or a floating-point number, printed as Java prints it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    Int(i64),
    Double(f64),
}

impl Bound {
    /// Compared as doubles, as Java's `Number.doubleValue` does it.
    fn as_f64(self) -> f64 {
        match self {
            // Loses precision beyond 2^53, as the JVM does.
            #[allow(clippy::cast_precision_loss)]
            Self::Int(n) => n as f64,
            Self::Double(n) => n,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(n) => write!(f, "{n}"),
            Self::Double(n) => f.write_str(&java::double_text(*n)),
        }
    }
}

impl From<i32> for Bound {
    fn from(n: i32) -> Self {
        Self::Int(n.into())
    }
}

impl From<i64> for Bound {
    fn from(n: i64) -> Self {
        Self::Int(n)
    }
}

impl From<f64> for Bound {
    fn from(n: f64) -> Self {
        Self::Double(n)
    }
}

/// A number within bounds, both included (`ConfigDef.Range`). Null is refused.
#[derive(Clone, Debug)]
pub struct Range {
    min: Option<Bound>,
    max: Option<Bound>,
}

/// A number of at least `min`.
pub fn at_least(min: impl Into<Bound>) -> Range {
    Range { min: Some(min.into()), max: None }
}

/// A number from `min` to `max`.
pub fn between(min: impl Into<Bound>, max: impl Into<Bound>) -> Range {
    Range { min: Some(min.into()), max: Some(max.into()) }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.min, self.max) {
            (None, None) => f.write_str("[...]"),
            (None, Some(max)) => write!(f, "[...,{max}]"),
            (Some(min), None) => write!(f, "[{min},...]"),
            (Some(min), Some(max)) => write!(f, "[{min},...,{max}]"),
        }
    }
}

impl Validator for Range {
    fn ensure_valid(&self, name: &str, value: &ConfigValue) -> Result<(), ConfigError> {
        let Some(number) = value.as_f64() else {
            return Err(ConfigError::invalid(name, "null", "Value must be non-null"));
        };
        if let Some(min) = self.min.filter(|min| number < min.as_f64()) {
            return Err(ConfigError::invalid(name, value, format_args!("Value must be at least {min}")));
        }
        if let Some(max) = self.max.filter(|max| number > max.as_f64()) {
            return Err(ConfigError::invalid(name, value, format_args!("Value must be no more than {max}")));
        }
        Ok(())
    }
}

/// One of some texts (`ConfigDef.ValidString`), or every element of a list one of them (`ConfigDef.ValidList`).
#[derive(Clone, Debug)]
pub struct OneOf {
    values: Vec<String>,
    ignore_case: bool,
}

/// One of these texts. Null is refused.
pub fn one_of<S: Into<String>>(values: impl IntoIterator<Item = S>) -> OneOf {
    OneOf { values: values.into_iter().map(Into::into).collect(), ignore_case: false }
}

/// One of these texts, in upper or lower case (`ConfigDef.CaseInsensitiveValidString`). Null is refused.
pub fn one_of_ignoring_case<S: Into<String>>(values: impl IntoIterator<Item = S>) -> OneOf {
    OneOf { values: values.into_iter().map(|value| value.into().to_uppercase()).collect(), ignore_case: true }
}

impl OneOf {
    fn ensure_text(&self, name: &str, text: Option<&str>) -> Result<(), ConfigError> {
        let known = text.is_some_and(|text| match self.ignore_case {
            true => self.values.contains(&text.to_uppercase()),
            false => self.values.iter().any(|value| value == text),
        });
        if known {
            return Ok(());
        }
        let how = if self.ignore_case { " (case insensitive)" } else { "" };
        let why = format!("String must be one of{how}: {}", self.values.join(", "));
        Err(ConfigError::invalid(name, text.unwrap_or("null"), why))
    }
}

impl fmt::Display for OneOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.ignore_case { "(case insensitive) " } else { "" };
        write!(f, "{how}[{}]", self.values.join(", "))
    }
}

impl Validator for OneOf {
    fn ensure_valid(&self, name: &str, value: &ConfigValue) -> Result<(), ConfigError> {
        match value {
            ConfigValue::List(parts) => parts.iter().try_for_each(|part| self.ensure_text(name, Some(part))),
            ConfigValue::String(text) => self.ensure_text(name, Some(text)),
            _ => self.ensure_text(name, None),
        }
    }
}

/// Anything but null (`ConfigDef.NonNullValidator`).
pub fn non_null() -> impl Validator {
    check("non-null string", |name, value| match value {
        ConfigValue::Null => Err(ConfigError::invalid(name, "null", "entry must be non null")),
        _ => Ok(()),
    })
}

/// A text that is not empty; null passes (`ConfigDef.NonEmptyString`).
pub fn non_empty() -> impl Validator {
    check("non-empty string", |name, value| match value.as_str() {
        Some("") => Err(ConfigError::invalid(name, "", "String must be non-empty")),
        _ => Ok(()),
    })
}

/// A list that is neither null nor empty (`NonEmptyListValidator` of the transforms).
pub fn non_empty_list() -> impl Validator {
    check("non-empty list", |name, value| match value {
        ConfigValue::List(parts) if !parts.is_empty() => Ok(()),
        _ => Err(ConfigError::invalid(name, value, "Empty list")),
    })
}

/// A text that is neither empty nor has control characters; null passes
/// (`ConfigDef.NonEmptyStringWithoutControlChars`).
pub fn non_empty_without_control_chars() -> impl Validator {
    check("non-empty string without ISO control characters", |name, value| {
        let Some(text) = value.as_str() else { return Ok(()) };
        if text.is_empty() {
            return Err(ConfigError::invalid(name, text, "String may not be empty"));
        }
        let found: Vec<String> = text.chars().filter(|c| c.is_control()).map(|c| (c as u32).to_string()).collect();
        if found.is_empty() {
            return Ok(());
        }
        let why =
            format!("String may not contain control sequences but had the following ASCII chars: {}", found.join(", "));
        Err(ConfigError::invalid(name, text, why))
    })
}

/// A list of at most `max` elements (`ConfigDef.ListSize`).
pub fn list_size(max: usize) -> impl Validator {
    check(format!("List containing maximum of {max} elements"), move |name, value| match value {
        ConfigValue::List(parts) if parts.len() > max => {
            Err(ConfigError::invalid(name, value, format_args!("exceeds maximum list size of [{max}].")))
        }
        _ => Ok(()),
    })
}

/// A regular expression; null passes (`RegexValidator` of Connect).
pub fn valid_regex() -> impl Validator {
    check("valid regex", |name, value| {
        let problem = match value {
            // In the JDK's words: that nothing was given is an error of its own.
            ConfigValue::Null => Some("Cannot invoke \"String.isEmpty()\" because \"this.pattern\" is null".to_owned()),
            other => other.as_str().and_then(java::regex_error),
        };
        match problem {
            Some(problem) => Err(ConfigError::invalid(name, value, format_args!("Invalid regex: {problem}"))),
            None => Ok(()),
        }
    })
}

/// A list in which nothing stands twice, as the aliases of transforms must be. `what` names the elements.
pub fn unique(what: &str) -> impl Validator {
    check(format!("unique {what}"), |name, value| match value {
        ConfigValue::List(parts) if (1..parts.len()).any(|i| parts[..i].contains(&parts[i])) => {
            Err(ConfigError::invalid(name, value, "Duplicate alias provided."))
        }
        _ => Ok(()),
    })
}

/// Both checks, in order (`ConfigDef.CompositeValidator`).
pub struct Both<A, B>(A, B);

/// Both checks, in order.
pub fn both<A: Validator, B: Validator>(first: A, second: B) -> Both<A, B> {
    Both(first, second)
}

impl<A: Validator, B: Validator> fmt::Display for Both<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.0, self.1)
    }
}

impl<A: Validator, B: Validator> Validator for Both<A, B> {
    fn ensure_valid(&self, name: &str, value: &ConfigValue) -> Result<(), ConfigError> {
        self.0.ensure_valid(name, value)?;
        self.1.ensure_valid(name, value)
    }
}
