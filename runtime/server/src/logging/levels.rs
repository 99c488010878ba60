//! Which lines are written: levels by logger, and by connector.
//!
//! The most specific logger that is set decides; `connector.<name>`, an extension, sets the level of everything that happens
//! inside a connector and its tasks, and comes before loggers when it lets more through.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::registry::LookupSpan;

use super::names;

/// The logger of everything that no other is set for.
pub(super) const ROOT: &str = "root";
/// What the name of a connector's level begins with.
pub(super) const CONNECTOR: &str = "connector.";

/// Whose lines a span has: a connector's, and perhaps one of its tasks'.
#[derive(Clone, Debug, Default)]
pub(super) struct Whose {
    pub(super) connector: String,
    pub(super) task: Option<u64>,
}

impl Visit for Whose {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "connector" {
            value.clone_into(&mut self.connector);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "task" {
            self.task = Some(value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "connector" {
            self.connector = format!("{value:?}").trim_matches('"').to_owned();
        }
    }
}

/// Levels by the names of loggers.
#[derive(Clone, Debug)]
pub(super) struct Table {
    root: LevelFilter,
    loggers: BTreeMap<String, LevelFilter>,
    connectors: BTreeMap<String, LevelFilter>,
}

impl Default for Table {
    fn default() -> Self {
        Self { root: LevelFilter::INFO, loggers: BTreeMap::new(), connectors: BTreeMap::new() }
    }
}

impl Table {
    /// Sets a level by name: of the root, a logger, a module, or a connector.
    pub(super) fn set(&mut self, name: &str, level: LevelFilter) {
        if name.eq_ignore_ascii_case(ROOT) {
            self.root = level;
        } else if let Some(connector) = name.strip_prefix(CONNECTOR) {
            self.connectors.insert(connector.to_owned(), level);
        } else {
            self.loggers.insert(name.to_owned(), level);
        }
    }

    /// Reads `level` and `logger=level` pairs, separated by commas, as RUST_LOG has them; what can't be read is given back.
    /// `each` hears of those that could.
    pub(super) fn read(&mut self, text: &str, mut each: impl FnMut(&str, LevelFilter)) -> Vec<String> {
        let mut unread = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, level) = part.split_once('=').unwrap_or((ROOT, part));
            match level_of(level.trim()) {
                Some(level) => {
                    self.set(name.trim(), level);
                    each(name.trim(), level);
                }
                None => unread.push(part.to_owned()),
            }
        }
        unread
    }

    fn of_module(&self, module: &str) -> LevelFilter {
        let fitting = self.loggers.iter().filter_map(|(name, level)| Some((names::fit(name, module)?, *level)));
        fitting.max_by_key(|(fit, _)| *fit).map_or(self.root, |(_, level)| level)
    }

    /// The most that anything may let through.
    fn most(&self) -> LevelFilter {
        let all = self.loggers.values().chain(self.connectors.values());
        all.copied().chain([self.root]).max().unwrap_or(LevelFilter::TRACE)
    }

    /// The levels that a module's lines have: without a connector, and at most inside of one.
    fn bounds(&self, module: &str) -> (LevelFilter, LevelFilter) {
        let own = self.of_module(module);
        (own, self.connectors.values().copied().chain([own]).max().unwrap_or(own))
    }
}

/// The level of a name of Java's or Rust's, in any case.
pub(super) fn level_of(name: &str) -> Option<LevelFilter> {
    let known = [
        ("off", LevelFilter::OFF),
        ("fatal", LevelFilter::ERROR),
        ("error", LevelFilter::ERROR),
        ("warn", LevelFilter::WARN),
        ("info", LevelFilter::INFO),
        ("debug", LevelFilter::DEBUG),
        ("trace", LevelFilter::TRACE),
        ("all", LevelFilter::TRACE),
    ];
    known.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, level)| level)
}

/// Lets lines through by a table that may change.
#[derive(Clone, Default)]
pub(super) struct Levels(Arc<ArcSwap<Table>>);

impl Levels {
    /// Another table from now on.
    pub(super) fn change(&self, table: Table) {
        self.0.store(Arc::new(table));
        tracing::callsite::rebuild_interest_cache();
    }
}

impl<S> Filter<S> for Levels
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        if metadata.is_span() {
            return true;
        }
        let table = self.0.load();
        if *metadata.level() <= table.of_module(metadata.target()) {
            return true;
        }
        if table.connectors.is_empty() {
            return false;
        }
        let Some(span) = context.lookup_current() else { return false };
        let mut scope = span.scope();
        scope.any(|span| {
            let extensions = span.extensions();
            let level = extensions.get::<Whose>().and_then(|whose| table.connectors.get(&whose.connector));
            level.is_some_and(|level| metadata.level() <= level)
        })
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.is_span() {
            return Interest::always();
        }
        // Lines of the `log` facade all come from one place.
        if metadata.target() == "log" {
            return Interest::sometimes();
        }
        let (outside, inside) = self.0.load().bounds(metadata.target());
        if *metadata.level() <= outside {
            Interest::always()
        } else if *metadata.level() <= inside {
            Interest::sometimes()
        } else {
            Interest::never()
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.0.load().most())
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut whose = Whose::default();
        attributes.record(&mut whose);
        if let Some(span) = context.span(id)
            && !whose.connector.is_empty()
        {
            span.extensions_mut().insert(whose);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_logger_decides() {
        let mut table = Table::default();
        let unread = table
            .read("warn, io.debezium=DEBUG,connect_postgres::wire=trace, x=loud,connector.orders=TRACE", |_, _| {});
        assert_eq!(unread, ["x=loud"]);
        assert_eq!(table.of_module("connect_worker::sink"), LevelFilter::WARN);
        assert_eq!(table.of_module("connect_postgres::stream"), LevelFilter::DEBUG);
        assert_eq!(table.of_module("connect_postgres::wire"), LevelFilter::TRACE);
        assert_eq!(table.bounds("connect_worker::sink"), (LevelFilter::WARN, LevelFilter::TRACE));
        table.set("io.debezium", LevelFilter::OFF);
        assert_eq!(table.of_module("connect_postgres::stream"), LevelFilter::OFF);
        assert_eq!(table.most(), LevelFilter::TRACE);
    }

    #[test]
    fn the_root_is_read_in_any_case() {
        let mut table = Table::default();
        assert!(table.read("Root=DEBUG", |_, _| {}).is_empty());
        assert_eq!(table.of_module("connect_worker::sink"), LevelFilter::DEBUG);
    }
}
