//! Metrics and logs. These keys are Tidegate's own: the JVM worker has no such keys and ignores them.

use crate::parse::ConfigError;
use crate::validators::{Validator, check};
use crate::worker::checks::listener_list;

crate::config! {
    /// How a worker is watched.
    pub struct ObservabilityConfig {
        /// Under which names metrics are shown: "strimzi" (Strimzi's JMX exporter example), "confluent" (jmx-monitoring-stacks,
        /// old and new suffixes), "reporter" (Strimzi's Metrics Reporter), "debezium" (Debezium's monitoring example).
        /// The first letter is enough.
        "metrics.prometheus.dialects" => dialects: Vec<String> = "strimzi,confluent,debezium" { importance(Low) },
        /// Whether the listeners of the REST API answer GET /metrics. Not given: to scrapers, whose requests name
        /// application/openmetrics-text or text/plain in Accept; everybody else gets the JVM worker's 404. "true": to
        /// everybody. "false": to nobody.
        "metrics.http.enable" => http: Option<bool> = NULL { importance(Low) },
        /// Addresses that serve metrics alone, as http URLs separated by commas, such as http://0.0.0.0:9404, the port of
        /// JMX exporters. Without TLS and without authentication.
        "metrics.listeners" => listeners: Option<Vec<String>> = NULL { validator(listener_list(false)), importance(Low) },
        /// How log lines look: "text", as the JVM worker writes them, or "json", one object a line. The environment
        /// variable TIDEGATE_LOG_FORMAT says it for the lines before this file is read.
        "log.format" => log_format: Option<String> = NULL { validator(log_format()), importance(Low) },
        /// Log levels at the start, as logger=LEVEL pairs separated by commas, such as
        /// "root=INFO,io.debezium=DEBUG,connector.orders=TRACE". They come after those of the environment variable RUST_LOG.
        "log.levels" => log_levels: Vec<String> = "" { importance(Low) },
    }
}

fn log_format() -> impl Validator {
    const FORMATS: [&str; 2] = ["text", "json"];
    check("[text, json]", |name, value| match value.as_str() {
        Some(format) if !FORMATS.iter().any(|known| known.eq_ignore_ascii_case(format)) => {
            Err(ConfigError::invalid(name, format, format_args!("must be one of {}", FORMATS.join(", "))))
        }
        _ => Ok(()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::Props;

    fn parse(key: &str, value: &str) -> Result<ObservabilityConfig, Vec<ConfigError>> {
        ObservabilityConfig::parse(&Props::from_iter([(key.to_owned(), Some(value.to_owned()))]))
    }

    #[test]
    fn unknown_formats_are_refused() {
        let standard = ObservabilityConfig::parse(&Props::new()).expect("the defaults are valid");
        assert_eq!(standard.dialects, ["strimzi", "confluent", "debezium"]);
        assert_eq!((standard.http, standard.listeners, standard.log_format), (None, None, None));
        assert!(parse("log.format", "JSON").is_ok());
        assert!(parse("log.format", "xml").is_err());
    }

    #[test]
    fn no_key_is_one_of_kafka() {
        let kafka = crate::DistributedConfig::def();
        for key in ObservabilityConfig::def().keys() {
            assert!(kafka.keys().all(|other| other.name != key.name), "{}", key.name);
        }
    }
}
