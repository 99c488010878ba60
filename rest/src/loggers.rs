//! Log levels as `/admin/loggers` shows and changes them (KIP-495, KIP-976), over the names that Java gives loggers.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// A level with the time of its last change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggerLevel {
    /// ALL, TRACE, DEBUG, INFO, WARN, ERROR, FATAL or OFF.
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

/// The level of a name, without regard to case and to blanks around it.
pub fn parse_level(name: &str) -> Option<&'static str> {
    ["ALL", "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL", "OFF"]
        .into_iter()
        .find(|level| level.eq_ignore_ascii_case(name.trim()))
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
/// How many loggers are known by name. A level of a further one is not kept; it still goes to known ones below it.
const LOGGERS_MAX: usize = 2_000;
/// What the names of connectors' levels begin with, which the JVM does not have.
const CONNECTOR: &str = "connector.";

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

    /// Levels that loggers have from the start: each is known from now on, with those below it that are. Nothing is applied,
    /// and nothing counts as changed. `None` is the level that it inherits.
    pub fn begin(&self, name: &str, level: Option<&'static str>) {
        let name = canonical(name);
        let mut levels = self.levels.lock();
        let level = level.unwrap_or_else(|| inherited(&levels, name));
        levels.entry(name.to_owned()).or_insert(LoggerLevel { level, last_modified: None });
        for (_, known) in levels.iter_mut().filter(|(known, _)| reaches(name, known)) {
            known.level = level;
        }
    }

    /// Hands the table to the logging system as it is, for what else the levels come from has changed.
    pub fn apply(&self) {
        (self.apply)(&self.levels.lock());
    }
}

/// The level of the nearest logger around one that has none of its own.
fn inherited(levels: &BTreeMap<String, LoggerLevel>, name: &str) -> &'static str {
    let mut around = name;
    while let Some((outer, _)) = around.rsplit_once('.') {
        if let Some(found) = levels.get(outer) {
            return found.level;
        }
        around = outer;
    }
    levels.get(ROOT).map_or("INFO", |root| root.level)
}

/// The root's name may be written in any case.
fn canonical(name: &str) -> &str {
    if name.eq_ignore_ascii_case(ROOT) { ROOT } else { name }
}

/// Whether a change of one logger's level changes that of another known one. Names are compared as text, not by their dotted
/// parts, and the root's level goes to all, because the JVM worker does so. Names of connectors are whole.
fn reaches(name: &str, known: &str) -> bool {
    if name.starts_with(CONNECTOR) || known.starts_with(CONNECTOR) {
        return known == name;
    }
    name == ROOT || known.starts_with(name)
}

impl Loggers for LogLevels {
    fn all(&self) -> BTreeMap<String, LoggerLevel> {
        self.levels.lock().clone()
    }

    fn get(&self, name: &str) -> Option<LoggerLevel> {
        self.levels.lock().get(canonical(name)).cloned()
    }

    fn set(&self, name: &str, level: &'static str) -> Vec<String> {
        let name = canonical(name);
        let mut levels = self.levels.lock();
        let new = LoggerLevel { level, last_modified: Some((self.now_ms)()) };
        if levels.len() >= LOGGERS_MAX && !levels.contains_key(name) {
            tracing::warn!(
                logger = name,
                max = LOGGERS_MAX,
                "too many loggers have levels: that of another one is not kept"
            );
        } else if !levels.contains_key(name) {
            // It is known from now on, even where it has that level already.
            let level = inherited(&levels, name);
            levels.insert(name.to_owned(), LoggerLevel { level, last_modified: None });
        }
        let mut changed = Vec::new();
        for (known, old) in levels.iter_mut().filter(|(known, old)| reaches(name, known) && old.level != level) {
            *old = new.clone();
            changed.push(known.clone());
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

    fn debug(at: Option<i64>) -> Option<LoggerLevel> {
        Some(LoggerLevel { level: "DEBUG", last_modified: at })
    }

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

    /// As Apache Kafka's worker 4.1.1 answers.
    #[test]
    fn the_roots_level_goes_to_all_and_inherited_levels_are_no_change() {
        let levels = LogLevels::new("INFO", || 7, |_| {});
        levels.begin("io.d.A", None);
        levels.begin("io.d.B", None);
        assert_eq!(levels.set("io.d", "DEBUG"), ["io.d", "io.d.A", "io.d.B"]);
        assert_eq!(levels.set("io.d.C", "DEBUG"), Vec::<String>::new(), "it inherits that");
        assert_eq!(levels.get("io.d.C"), debug(None));
        assert_eq!(levels.set("other", "INFO"), Vec::<String>::new());
        assert_eq!(levels.set("root", "WARN"), ["io.d", "io.d.A", "io.d.B", "io.d.C", "other", "root"]);
        assert_eq!(levels.get("io.d.A"), Some(LoggerLevel { level: "WARN", last_modified: Some(7) }));
    }

    #[test]
    fn the_root_and_levels_are_read_in_any_case() {
        let levels = LogLevels::new("INFO", || 7, |_| {});
        assert_eq!(levels.set("Root", "WARN"), ["root"]);
        assert_eq!(levels.get("ROOT").map(|level| level.level), Some("WARN"));
        assert_eq!(
            (parse_level(" all"), parse_level("Debug"), parse_level("loud")),
            (Some("ALL"), Some("DEBUG"), None)
        );
    }

    #[test]
    fn levels_of_connectors_are_their_own() {
        let levels = LogLevels::new("INFO", || 7, |_| {});
        assert_eq!(levels.set("connector.orders", "DEBUG"), ["connector.orders"]);
        assert_eq!(levels.set("connector.order", "TRACE"), ["connector.order"]);
        assert_eq!(levels.set("root", "WARN"), ["root"]);
        assert_eq!(levels.get("connector.orders"), debug(Some(7)));
    }

    #[test]
    fn levels_of_the_start_are_no_changes() {
        let levels = LogLevels::new("INFO", || 7, |_| {});
        levels.begin("a.b", None);
        levels.begin("a", Some("DEBUG"));
        assert_eq!((levels.get("a"), levels.get("a.b")), (debug(None), debug(None)));
        levels.begin("Root", Some("DEBUG"));
        assert_eq!((levels.get("root"), levels.all().contains_key("Root")), (debug(None), false));
    }

    #[test]
    fn names_are_bounded() {
        let levels = LogLevels::new("INFO", || 7, |_| {});
        for number in 0..LOGGERS_MAX + 10 {
            levels.set(&format!("connector.{number}"), "DEBUG");
        }
        assert_eq!(levels.all().len(), LOGGERS_MAX);
        assert_eq!(levels.set("connector.1", "WARN"), ["connector.1"], "known ones still change");
        assert_eq!(levels.set("no.room", "WARN"), Vec::<String>::new());
    }
}
