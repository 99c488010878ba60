//! Validators of single values (the inner classes of `ConfigDef`), with Kafka's wording.

use std::fmt;

use crate::parse::{ConfigError, ConfigValue};

/// Checks one parsed value. `Display` is what the reference page and the REST API print of it.
pub trait Validator: fmt::Display + Send + Sync {
    /// Refuses a value that does not fit.
    fn ensure_valid(&self, name: &str, value: &ConfigValue) -> Result<(), ConfigError>;
}

/// A closure as a validator, with the text that describes it.
pub struct Check<F> {
    text: &'static str,
    check: F,
}

/// Makes a validator from a closure.
pub fn check<F>(text: &'static str, check: F) -> Check<F>
where
    F: Fn(&str, &ConfigValue) -> Result<(), ConfigError> + Send + Sync,
{
    Check { text, check }
}

impl<F> fmt::Display for Check<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
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
