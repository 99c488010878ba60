//! What the configurations of all converters have in common.

use connect_api::{Error, Props};
use connect_config::{ConfigError, Validator, validators};

/// The values of `converter.type`.
pub(crate) fn converter_types() -> impl Validator {
    validators::one_of(["key", "value", "header"])
}

/// The properties with the type that the worker decides, whatever the user said.
pub(crate) fn with_type(props: &Props, converter_type: &str) -> Props {
    let mut props = props.clone();
    props.insert("converter.type".into(), Some(converter_type.into()));
    props
}

/// The type of a converter of keys or values.
pub(crate) fn type_of(is_key: bool) -> &'static str {
    if is_key { "key" } else { "value" }
}

/// Of all problems the first, as the JVM reports it.
pub(crate) fn first_problem(problems: Vec<ConfigError>) -> Error {
    problems.into_iter().next().map_or_else(|| Error::config("invalid configuration"), Error::from)
}
