//! `SchemaChangeEventFilter`: drops events about changes of the schema, by what they do.

use std::sync::LazyLock;

use connect_api::{ConfigDef, Error, Plugin, Props, Record, Result, Transform, Value};
use connect_config::{Importance::High, Type, Width};

use super::envelope::{self, java_error};
use super::settings::{Rule, Settings, definition, key};
use crate::side::require_struct;

const PURPOSE: &str = "Read schema change event to filter";
const EXCLUDED: &str = "schema.change.event.exclude.list";
const DATABASE: &str = "DATABASE";
/// What an event may do.
const KINDS: [&str; 5] = ["CREATE", "ALTER", "DROP", "TRUNCATE", DATABASE];
const ENUM: &str = "io.debezium.schema.SchemaChangeEvent.SchemaChangeEventType";

static DEF: LazyLock<ConfigDef> = LazyLock::new(|| {
    definition([key(
        EXCLUDED,
        Type::String,
        "Schema change event exclude list",
        "The kinds of events to drop: CREATE, \
        ALTER, DROP, TRUNCATE, DATABASE.",
    )
    .importance(High)
    .width(Width::Short)])
});

pub(super) fn plugin() -> Plugin {
    super::plugin(
        "io.debezium.transforms.SchemaChangeEventFilter",
        || &DEF,
        |props| Ok(Box::new(SchemaChangeEventFilter::new(props)?)),
    )
}

struct SchemaChangeEventFilter {
    excluded: Vec<&'static str>,
}

fn known(name: &str) -> Option<&'static str> {
    KINDS.into_iter().find(|kind| *kind == name)
}

impl SchemaChangeEventFilter {
    fn new(props: &Props) -> Result<Self> {
        let settings = Settings::new(&DEF, props);
        settings.check(&[(EXCLUDED, &[Rule::Required])])?;
        let kind = |name: String| {
            let unknown = || Error::config(format!("No enum constant {ENUM}.{name}"));
            known(&name).ok_or_else(|| unknown().class("java.lang.IllegalArgumentException"))
        };
        Ok(Self { excluded: settings.list(EXCLUDED).into_iter().map(kind).collect::<Result<_>>()? })
    }

    /// True when the event's first change is one of those to drop. Without a list of changes there is nothing to tell,
    /// and an empty one is about the database as a whole.
    fn drops(&self, changes: &Value) -> Result<bool> {
        let Value::Array(changes) = changes else { return Ok(true) };
        let Some(first) = changes.first() else { return Ok(self.excluded.contains(&DATABASE)) };
        let Value::Struct(change) = first else {
            return Err(java_error("java.lang.ClassCastException", "a change is no struct"));
        };
        let name = envelope::get(change, "type")?;
        let name = name.as_str().ok_or_else(|| envelope::missing("type of the change"))?;
        match known(name) {
            Some(kind) => Ok(self.excluded.contains(&kind)),
            None => Err(java_error("java.lang.IllegalArgumentException", format!("No enum constant {ENUM}.{name}"))),
        }
    }
}

fn is_schema_change(record: &Record) -> bool {
    let name = record.value.schema.as_ref().and_then(|schema| schema.name.as_deref());
    name.is_some_and(|name| name.ends_with(".SchemaChangeKey") || name.ends_with(".SchemaChangeValue"))
}

impl Transform for SchemaChangeEventFilter {
    fn apply(&self, record: Record) -> Result<Option<Record>> {
        if record.value.is_null() || !is_schema_change(&record) {
            return Ok(Some(record));
        }
        let event = require_struct(&record.value, PURPOSE)?;
        let dropped = self.drops(&envelope::get(event, "tableChanges")?)?;
        Ok((!dropped).then_some(record))
    }
}
