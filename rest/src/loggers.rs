//! Log levels as `/admin/loggers` shows and changes them (KIP-495, KIP-976), over the names that Java gives loggers.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// A level with the time of its last change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggerLevel {
    /// TRACE, DEBUG, INFO, WARN, ERROR, FATAL or OFF.
    pub level: &'static str,
    /// Milliseconds since the epoch; `None` when it was never changed.
    pub last_modified: Option<i64>,
}

/// The loggers of this worker.
pub trait Loggers: Send + Sync {
    /// All loggers with a level of their own, in order of name.
    fn all(&self) -> BTreeMap<String, LoggerLevel>;

    /// One logger.
    fn get(&self, name: &str) -> Option<LoggerLevel>;

    /// Sets the level of a logger and of every known one whose name begins with it. Answers the names that changed.
    fn set(&self, name: &str, level: &'static str) -> Vec<String>;
}

/// The level of a name, without regard to case.
pub fn parse_level(name: &str) -> Option<&'static str> {
    ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL", "OFF"]
        .into_iter()
        .find(|level| level.eq_ignore_ascii_case(name))
}

/// Hands the whole table to the logging system.
type Apply = Box<dyn Fn(&BTreeMap<String, LoggerLevel>) + Send + Sync>;

/// A table of levels that hands each change to the logging system.
pub struct LogLevels {
    levels: Mutex<BTreeMap<String, LoggerLevel>>,
    apply: Apply,
    now_ms: fn() -> i64,
}

const ROOT: &str = "root";

impl LogLevels {
    /// A table with the root's level. `apply` is called with the whole table after each change.
    pub fn new(
        root: &'static str,
        now_ms: fn() -> i64,
        apply: impl Fn(&BTreeMap<String, LoggerLevel>) + Send + Sync + 'static,
    ) -> Self {
        let levels = BTreeMap::from([(ROOT.to_owned(), LoggerLevel { level: root, last_modified: None })]);
        Self { levels: Mutex::new(levels), apply: Box::new(apply), now_ms }
    }
}

/// What the names of connectors' levels begin with, which the JVM does not have.
const CONNECTOR: &str = "connector.";

/// Whether a change of one logger's level changes that of another known one. Names are compared as text, not by their dotted
/// parts, because the JVM worker does so; names of connectors are whole.
fn reaches(name: &str, known: &str) -> bool {
    if name == ROOT || name.starts_with(CONNECTOR) { known == name } else { known.starts_with(name) }
}

impl Loggers for LogLevels {
    fn all(&self) -> BTreeMap<String, LoggerLevel> {
        self.levels.lock().clone()
    }

    fn get(&self, name: &str) -> Option<LoggerLevel> {
        self.levels.lock().get(name).cloned()
    }

    fn set(&self, name: &str, level: &'static str) -> Vec<String> {
        let mut levels = self.levels.lock();
        let new = LoggerLevel { level, last_modified: Some((self.now_ms)()) };
        let mut changed: Vec<String> = levels
            .iter()
            .filter(|(known, old)| reaches(name, known) && old.level != level)
            .map(|(known, _)| known.clone())
            .collect();
        if levels.get(name).is_none_or(|old| old.level != level) && !changed.iter().any(|known| known == name) {
            changed.push(name.to_owned());
            changed.sort();
        }
        for known in &changed {
            levels.insert(known.clone(), new.clone());
        }
        if !changed.is_empty() {
            (self.apply)(&levels);
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_reaches_every_name_that_begins_with_it() {
        let levels = LogLevels::new("INFO", || 7, |_| {});
        assert_eq!(levels.set("a.bx", "DEBUG"), ["a.bx"]);
        assert_eq!(levels.set("a.b", "WARN"), ["a.b", "a.bx"]);
        assert_eq!(levels.set("a.b", "WARN"), Vec::<String>::new());
        assert_eq!(levels.get("a.bx"), Some(LoggerLevel { level: "WARN", last_modified: Some(7) }));
        assert_eq!(levels.get("c"), None);
        assert_eq!(levels.all().keys().collect::<Vec<_>>(), ["a.b", "a.bx", "root"]);
    }
}
