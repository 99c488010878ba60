//! Validators that only a worker's keys have, with the JVM's wording.

use crate::parse::{ConfigError, ConfigValue};
use crate::validators::{Validator, check};
use crate::worker::headers::HeaderRule;

/// Algorithms that sign and check requests between workers.
pub(crate) const ALGORITHMS: [&str; 4] = ["HmacSHA224", "HmacSHA256", "HmacSHA384", "HmacSHA512"];

/// A number of partitions: positive, or -1.
pub(crate) fn partitions() -> impl Validator {
    positive_or_default(
        "Positive number, or -1 to use the broker's default",
        "Number of partitions must be positive, or -1 to use the broker's default",
    )
}

/// A replication factor: positive, or -1.
pub(crate) fn replication_factor() -> impl Validator {
    positive_or_default(
        "Positive number not larger than the number of brokers in the Kafka cluster, or -1 to use the broker's default",
        "Replication factor must be positive and not larger than the number of brokers in the Kafka cluster, or -1 to \
         use the broker's default",
    )
}

fn positive_or_default(text: &'static str, problem: &'static str) -> impl Validator {
    // Both types of such keys are whole numbers.
    #[allow(clippy::float_cmp)]
    check(text, move |name, value| match value.as_f64() {
        Some(n) if n >= 1.0 || n == -1.0 => Ok(()),
        _ => Err(ConfigError::invalid(name, value, problem)),
    })
}

/// `ConnectProtocolCompatibility`, in upper or lower case.
pub(crate) fn connect_protocol() -> impl Validator {
    check("[eager, compatible, sessioned]", |name, value| match value.as_str().map(str::to_lowercase).as_deref() {
        Some("eager" | "compatible" | "sessioned") => Ok(()),
        _ => Err(ConfigError::invalid(name, value, "Invalid Connect protocol compatibility")),
    })
}

fn supported(name: &str, algorithm: &str) -> Result<(), ConfigError> {
    if ALGORITHMS.contains(&algorithm) {
        return Ok(());
    }
    // "this JVM" is what operators' tools know, and what the key has always said.
    let why = format!(
        "the algorithm is not supported by this JVM; the supported algorithms are: [{}]",
        ALGORITHMS.join(", ")
    );
    Err(ConfigError::invalid(name, algorithm, why))
}

/// One algorithm that we know.
pub(crate) fn algorithm(text: &'static str) -> impl Validator {
    check(text, |name, value| supported(name, value.as_str().unwrap_or("null")))
}

/// At least one algorithm, all known.
pub(crate) fn algorithms() -> impl Validator {
    check("A list of one or more MAC algorithms, each supported by the worker JVM", |name, value| match value {
        ConfigValue::List(names) if !names.is_empty() => names.iter().try_for_each(|known| supported(name, known)),
        _ => Err(ConfigError::invalid(name, value, "At least one signature verification algorithm must be provided")),
    })
}

/// URLs to listen on. What they say is checked when they are opened, as the JVM does.
pub(crate) fn listener_list(needed: bool) -> impl Validator {
    check("List of comma-separated URLs, ex: http://localhost:8080,https://localhost:8443.", move |name, value| {
        match value {
            ConfigValue::List(urls) if urls.iter().any(|url| url.trim().is_empty()) => {
                Err(ConfigError::new(format!("Empty URL found when parsing {name} list.")))
            }
            ConfigValue::List(urls) if !urls.is_empty() => Ok(()),
            _ if !needed => Ok(()),
            ConfigValue::List(_) => Err(ConfigError::new(
                "Invalid value for listeners, at least one URL is expected, ex: \
                 http://localhost:8080,https://localhost:8443.",
            )),
            _ => Err(ConfigError::new(
                "Invalid value type for listeners (expected list of URLs , ex: \
                 http://localhost:8080,https://localhost:8443).",
            )),
        }
    })
}

/// Rules for headers of responses.
pub(crate) fn header_rules() -> impl Validator {
    check(
        "Comma-separated header rules, where each header rule is of the form '[action] [header name]:[header value]' \
         and optionally surrounded by double quotes if any part of a header rule contains a comma",
        |_, value| HeaderRule::parse_all(value.as_str().unwrap_or_default()).map(|_| ()),
    )
}
