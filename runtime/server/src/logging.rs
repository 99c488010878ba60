//! Logs: text on standard output, filtered by `RUST_LOG` (default `info`), changed at run time by `/admin/loggers`.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use connect_rest::loggers::{LoggerLevel, parse_level};
use connect_rest::{LogLevels, Loggers};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

const DEFAULT: &str = "info";
const ROOT: &str = "root";

/// Java's names for what our crates do: who changes the level of one means these.
const JAVA_NAMES: [(&str, &[&str]); 8] = [
    ("org.apache.kafka.connect", &["connect_worker", "connect_cluster", "connect_plugins", "tidegate"]),
    ("org.apache.kafka.connect.runtime.rest", &["connect_rest"]),
    ("org.apache.kafka.connect.file", &["connect_file"]),
    ("org.apache.kafka.connect.transforms", &["connect_transforms"]),
    ("org.apache.kafka.connect.json", &["connect_formats"]),
    ("org.apache.kafka.clients", &["connect_kafka", "librdkafka", "rdkafka"]),
    ("io.debezium", &["connect_postgres"]),
    ("com.mongodb", &["connect_mongodb", "mongodb"]),
];

/// Starts to log. The answer changes levels while the worker runs.
pub fn start() -> Arc<dyn Loggers> {
    let base =
        std::env::var("RUST_LOG").ok().filter(|text| !text.trim().is_empty()).unwrap_or_else(|| DEFAULT.to_owned());
    let (filter, handle) = reload::Layer::<EnvFilter, Registry>::new(filter(&base, &BTreeMap::new()));
    let text = fmt::layer().with_target(true).with_ansi(std::io::stdout().is_terminal());
    tracing_subscriber::registry().with(filter).with(text).init();
    let apply = move |levels: &BTreeMap<String, LoggerLevel>| {
        if let Err(error) = handle.reload(filter_of(&base, levels)) {
            tracing::warn!(%error, "failed to change log levels");
        }
    };
    Arc::new(LogLevels::new("INFO", now_ms, apply))
}

/// Sets a level that was asked for the whole cluster.
pub fn set_cluster_level(loggers: &dyn Loggers, logger: &str, level: &str) {
    match parse_level(level) {
        Some(level) => drop(loggers.set(logger, level)),
        None => tracing::warn!(logger, level, "ignored an unknown log level from the config topic"),
    }
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

fn filter_of(base: &str, levels: &BTreeMap<String, LoggerLevel>) -> EnvFilter {
    filter(base, levels)
}

/// The base filter with the levels that were set; names that are neither ours nor Java's for ours have no effect.
fn filter(base: &str, levels: &BTreeMap<String, LoggerLevel>) -> EnvFilter {
    let root = levels.get(ROOT).filter(|level| level.last_modified.is_some());
    let base = root.map_or(base, |level| rust_level(level.level));
    let mut filter = EnvFilter::builder().parse_lossy(base);
    for (name, level) in levels.iter().filter(|(name, _)| *name != ROOT) {
        for target in targets(name) {
            if let Ok(directive) = format!("{target}={}", rust_level(level.level)).parse() {
                filter = filter.add_directive(directive);
            }
        }
    }
    filter
}

fn targets(name: &str) -> Vec<&str> {
    let java: Vec<&str> =
        JAVA_NAMES.iter().filter(|(java, _)| java.starts_with(name)).flat_map(|(_, ours)| *ours).copied().collect();
    if java.is_empty() && !name.contains('.') { vec![name] } else { java }
}

fn rust_level(level: &str) -> &'static str {
    match level {
        "TRACE" => "trace",
        "DEBUG" => "debug",
        "WARN" => "warn",
        "ERROR" | "FATAL" => "error",
        "OFF" => "off",
        _ => "info",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(level: &'static str) -> LoggerLevel {
        LoggerLevel { level, last_modified: Some(1) }
    }

    #[test]
    fn java_names_reach_our_crates() {
        let levels = BTreeMap::from([("io.debezium".to_owned(), level("DEBUG"))]);
        assert_eq!(filter("info", &levels).to_string(), "connect_postgres=debug,info");
        let levels = BTreeMap::from([("root".to_owned(), level("WARN")), ("connect_kafka".to_owned(), level("TRACE"))]);
        assert_eq!(filter("info", &levels).to_string(), "connect_kafka=trace,warn");
        let unknown = BTreeMap::from([("suite.rc-1".to_owned(), level("DEBUG"))]);
        assert_eq!(filter("info", &unknown).to_string(), "info");
    }
}
