//! How a line looks: as the JVM worker's, or as JSON. One line an event, whatever is in it.
//!
//! ```text
//! [2026-01-15 10:30:00,123] INFO [orders|task-0] partitions were assigned partitions=3 (org.apache.kafka.connect.runtime.WorkerSinkTask)
//! ```

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::{Timestamp, Zoned};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::levels::Whose;
use super::names;

/// Writes events as text, or as JSON from when it is told to.
#[derive(Clone, Default)]
pub(super) struct Format {
    json: Arc<AtomicBool>,
}

impl Format {
    /// Text or JSON from now on; false for a name that is neither.
    pub(super) fn choose(&self, name: &str) -> bool {
        let json = name.trim().eq_ignore_ascii_case("json");
        let known = json || name.trim().eq_ignore_ascii_case("text");
        if known {
            self.json.store(json, Ordering::Relaxed);
        }
        known
    }
}

/// The fields of an event.
#[derive(Default)]
struct Fields {
    message: String,
    whose: Whose,
    /// Others, in order.
    rest: Vec<(&'static str, Value)>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        // The bridge from the `log` facade says in fields what events say in their metadata.
        if !field.name().starts_with("log.") {
            self.rest.push((field.name(), value));
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            "connector" => value.clone_into(&mut self.whose.connector),
            _ => self.put(field, value.into()),
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "task" => self.whose.task = Some(value),
            _ => self.put(field, value.into()),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        match field.name() {
            "message" => self.message = text,
            // A name that is shown, not one that is quoted.
            "connector" => self.whose.connector = text,
            _ => self.put(field, text.into()),
        }
    }
}

impl<S, N> FormatEvent<S, N> for Format
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let around = context.event_scope().into_iter().flatten().find_map(|span| {
            let extensions = span.extensions();
            extensions.get::<Whose>().cloned()
        });
        let whose = around.unwrap_or_else(|| std::mem::take(&mut fields.whose));
        let module = log_target(event).unwrap_or_else(|| event.metadata().target().to_owned());
        let line = Line { level: event.metadata().level().as_str(), whose, module: &module, fields };
        if self.json.load(Ordering::Relaxed) { line.json(writer) } else { line.text(writer) }
    }
}

/// The module of a line that came through the `log` facade.
fn log_target(event: &Event<'_>) -> Option<String> {
    struct Target(Option<String>);
    impl Visit for Target {
        fn record_str(&mut self, field: &Field, value: &str) {
            if field.name() == "log.target" {
                self.0 = Some(value.to_owned());
            }
        }
        fn record_debug(&mut self, _field: &Field, _value: &dyn fmt::Debug) {}
    }
    if event.metadata().target() != "log" {
        return None;
    }
    let mut target = Target(None);
    event.record(&mut target);
    target.0
}

struct Line<'a> {
    level: &'static str,
    whose: Whose,
    module: &'a str,
    fields: Fields,
}

impl Line<'_> {
    fn text(self, mut out: Writer<'_>) -> fmt::Result {
        let now = Zoned::now().strftime("%Y-%m-%d %H:%M:%S,%3f").to_string();
        write!(out, "[{now}] {} ", self.level)?;
        // The JVM's context: `[name|worker]`, `[name|task-0]`.
        match (self.whose.connector.as_str(), self.whose.task) {
            ("", _) => {}
            (name, Some(task)) => write!(out, "[{}|task-{task}] ", one_line(name))?,
            (name, None) => write!(out, "[{}|worker] ", one_line(name))?,
        }
        out.write_str(&one_line(&self.fields.message))?;
        for (name, value) in &self.fields.rest {
            match value {
                Value::String(text) if plain(text) => write!(out, " {name}={text}")?,
                Value::String(text) => write!(out, " {name}=\"{}\"", one_line(text))?,
                other => write!(out, " {name}={other}")?,
            }
        }
        writeln!(out, " ({})", names::shown(self.module))
    }

    fn json(self, mut out: Writer<'_>) -> fmt::Result {
        let mut object = Map::new();
        object.insert("timestamp".to_owned(), Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string().into());
        object.insert("level".to_owned(), self.level.into());
        object.insert("logger".to_owned(), names::shown(self.module).into());
        object.insert("module".to_owned(), self.module.into());
        if !self.whose.connector.is_empty() {
            object.insert("connector".to_owned(), self.whose.connector.into());
        }
        if let Some(task) = self.whose.task {
            object.insert("task".to_owned(), task.into());
        }
        object.insert("message".to_owned(), self.fields.message.into());
        for (name, value) in self.fields.rest {
            object.entry(name).or_insert(value);
        }
        writeln!(out, "{}", Value::Object(object))
    }
}

fn plain(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"' || c == '=')
}

/// A text without line ends and other control characters: a line stays one, and nobody can forge another.
fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                // Writing into a string does not fail.
                let _written = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out
}
