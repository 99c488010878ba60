//! Logs on standard output, as text or as JSON, with levels that `/admin/loggers` changes while the worker runs.
//!
//! Levels at the start: INFO, then RUST_LOG, then `log.levels` of the worker's file. Format: TIDEGATE_LOG_FORMAT, then
//! `log.format`. Names of loggers are Java's, see `names`.

mod format;
mod levels;
mod names;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use connect_config::worker::ObservabilityConfig;
use connect_rest::loggers::{LoggerLevel, parse_level};
use connect_rest::{LogLevels, Loggers};
use parking_lot::Mutex;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use format::Format;
use levels::{Levels, Table, level_of};

/// The environment variable that says `text` or `json`.
const FORMAT: &str = "TIDEGATE_LOG_FORMAT";
/// The environment variable of levels.
const LEVELS: &str = "RUST_LOG";

/// The worker's logs.
pub struct Logging {
    loggers: Arc<LogLevels>,
    format: Format,
    levels: Levels,
    /// Levels without those that were set by request.
    base: Arc<Mutex<Table>>,
}

impl Logging {
    fn new() -> Self {
        let (levels, base) = (Levels::default(), Arc::new(Mutex::new(Table::default())));
        let (changes, from) = (levels.clone(), Arc::clone(&base));
        let apply = move |set: &BTreeMap<String, LoggerLevel>| changes.change(with(from.lock().clone(), set));
        let loggers = Arc::new(LogLevels::new("INFO", now_ms, apply));
        for name in names::all() {
            loggers.begin(name, None);
        }
        Self { loggers, format: Format::default(), levels, base }
    }

    /// What `/admin/loggers` shows and changes.
    pub fn loggers(&self) -> Arc<dyn Loggers> {
        Arc::clone(&self.loggers) as Arc<dyn Loggers>
    }

    /// Format and levels of the worker's file.
    pub fn configure(&self, config: &ObservabilityConfig) {
        if let Some(name) = &config.log_format {
            self.format.choose(name);
        }
        if !config.log_levels.is_empty() {
            self.read(&config.log_levels.join(","), "log.levels");
        }
    }

    fn read(&self, text: &str, from: &str) {
        // The lock of the base is never held while that of the loggers is taken: a request takes them the other way round.
        let mut begun = Vec::new();
        let unread = self.base.lock().read(text, |name, level| begun.push((name.to_owned(), name_of(level))));
        for (name, level) in begun {
            self.loggers.begin(&name, Some(level));
        }
        self.loggers.apply();
        for part in unread {
            tracing::warn!(part, from, "ignored what is no log level");
        }
    }

    fn subscriber<W>(&self, writer: W) -> impl tracing::Subscriber + Send + Sync + use<W>
    where
        W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
    {
        let layer = tracing_subscriber::fmt::layer().event_format(self.format.clone()).with_writer(writer);
        tracing_subscriber::registry().with(layer.with_filter(self.levels.clone()))
    }
}

/// Starts to log.
pub fn start() -> Logging {
    let logging = Logging::new();
    let format = std::env::var(FORMAT).unwrap_or_default();
    let known = format.is_empty() || logging.format.choose(&format);
    logging.subscriber(std::io::stdout).init();
    if !known {
        tracing::warn!(format, "{FORMAT} is neither text nor json");
    }
    logging.read(&std::env::var(LEVELS).unwrap_or_default(), LEVELS);
    logging
}

/// Sets a level that was asked for the whole cluster.
pub fn set_cluster_level(loggers: &dyn Loggers, logger: &str, level: &str) {
    match parse_level(level) {
        Some(level) => drop(loggers.set(logger, level)),
        None => tracing::warn!(logger, level, "ignored an unknown log level from the config topic"),
    }
}

/// The levels with those that were set by request.
fn with(mut table: Table, set: &BTreeMap<String, LoggerLevel>) -> Table {
    for (name, level) in set.iter().filter(|(_, level)| level.last_modified.is_some()) {
        table.set(name, level_of(level.level).unwrap_or(LevelFilter::INFO));
    }
    table
}

/// The name of a level, as requests show it.
fn name_of(level: LevelFilter) -> &'static str {
    match level.into_level() {
        None => "OFF",
        Some(level) => level.as_str(),
    }
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
