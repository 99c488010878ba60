//! `ByLogicalTableRouter`: brings the changes of several tables into one topic, as one logical table.
//!
//! The rows' keys may collide then, so the key gets a field with the physical table's name. Schemas are renamed after the
//! new topic.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use connect_api::{ConfigDef, Datum, Kind, Plugin, Props, Record, Result, Schema, SchemaRef, Struct, Transform, Value};
use connect_config::{Type, Width};

use super::envelope::{self, AFTER, BEFORE, is_envelope};
use super::schema_names::{Adjuster, MODE_KEY, MODES};
use super::settings::{Rule, Settings, definition, key, low};
use crate::java_regex::FullMatch;
use crate::schemas::{Fields, check_null, filled};
use crate::side::require_struct;

const PURPOSE: &str = "Updating schema";
const TOPIC_REGEX: &str = "topic.regex";
const TOPIC_REPLACEMENT: &str = "topic.replacement";
const UNIQUE: &str = "key.enforce.uniqueness";
const KEY_REGEX: &str = "key.field.regex";
const KEY_REPLACEMENT: &str = "key.field.replacement";
const CACHE_SIZE: &str = "logical.table.cache.size";
/// Honoured, but no part of the definition.
const KEY_FIELD: &str = "key.field.name";
const KEY_FIELD_DEFAULT: &str = "__dbz__physicalTableIdentifier";

static DEF: LazyLock<ConfigDef> = LazyLock::new(|| {
    definition([
        low(key(TOPIC_REGEX, Type::String, "Topic regex", "A Java regular expression for the topics to bring together.")),
        low(key(
            TOPIC_REPLACEMENT,
            Type::String,
            "Topic replacement",
            "The topic in their place, in which `$1` stands for the first group.",
        )),
        low(key(
            UNIQUE,
            Type::Boolean,
            "Add source topic name into key",
            "Adds the physical table to the key, so that keys of different tables stay different. Not needed when keys are \
             unique over all tables.",
        ))
        .width(Width::Short)
        .default("true"),
        low(key(
            KEY_REGEX,
            Type::String,
            "Key field regex",
            "A Java regular expression for the original topic, whose groups make the name of the physical table in the key. \
             Without it that is the topic.",
        )),
        low(key(
            KEY_REPLACEMENT,
            Type::String,
            "Key field replacement",
            "The physical table's name, in which `$1` stands for the first group of the expression.",
        )),
        low(key(CACHE_SIZE, Type::Int, "Logical table cache size", "How many renamed schemas are kept.")).default("16"),
    ])
});

const RULES: &[(&str, &[Rule])] = &[
    (TOPIC_REGEX, &[Rule::Required, Rule::Pattern]),
    (TOPIC_REPLACEMENT, &[Rule::Required]),
    (UNIQUE, &[Rule::Flag]),
    (KEY_REGEX, &[Rule::Pattern]),
    (CACHE_SIZE, &[Rule::Integer]),
];

/// The two that depend on others, or are not defined.
fn check_rest(settings: &Settings<'_>) -> Result<()> {
    let blank = |key| settings.given(key).is_none_or(|text| text.trim().is_empty());
    let broken = !blank(KEY_REGEX) && blank(KEY_REPLACEMENT);
    if broken {
        let message = "Unable to validate config.";
        return Err(connect_api::Error::connect(message)
            .hint(format!("{KEY_REPLACEMENT} must be non-empty if {KEY_REGEX} is set.")));
    }
    settings.check_all(&[(MODE_KEY, &[MODES])])
}

pub(super) fn plugin() -> Plugin {
    super::plugin(
        "io.debezium.transforms.ByLogicalTableRouter",
        || &DEF,
        |props| Ok(Box::new(ByLogicalTableRouter::new(props)?)),
    )
}

/// Schemas made for a logical table, by the old schema's address. The entry holds the old schema, so the address is
/// never another's.
type Made = HashMap<(usize, String), (SchemaRef, SchemaRef)>;

struct ByLogicalTableRouter {
    topic: FullMatch,
    replacement: String,
    unique: bool,
    key_field: String,
    key_name: Option<(FullMatch, String)>,
    adjuster: Adjuster,
    made_max: usize,
    made: Mutex<Made>,
}

impl ByLogicalTableRouter {
    fn new(props: &Props) -> Result<Self> {
        let settings = Settings::new(&DEF, props);
        settings.check_all(RULES)?;
        check_rest(&settings)?;
        let key_regex = settings.given(KEY_REGEX).filter(|regex| !regex.trim().is_empty());
        let key_name = match key_regex {
            Some(regex) => Some((FullMatch::new(KEY_REGEX, regex)?, settings.text_or_default(KEY_REPLACEMENT))),
            None => None,
        };
        let adjuster = Adjuster::of(settings.given(MODE_KEY)).unwrap_or(Adjuster::None);
        let made_max = settings.text(CACHE_SIZE).and_then(|size| size.parse().ok()).unwrap_or(0);
        Ok(Self {
            topic: FullMatch::new(TOPIC_REGEX, &settings.text_or_default(TOPIC_REGEX))?,
            replacement: settings.text_or_default(TOPIC_REPLACEMENT),
            unique: settings.flag(UNIQUE),
            key_field: settings.given(KEY_FIELD).unwrap_or(KEY_FIELD_DEFAULT).to_owned(),
            key_name,
            adjuster,
            made_max,
            made: Mutex::default(),
        })
    }

    /// What was made of a schema for a topic, or what is made of it now.
    fn schema(&self, old: &SchemaRef, topic: &str, make: impl FnOnce() -> Result<SchemaRef>) -> Result<SchemaRef> {
        // A panic leaves finished entries behind.
        let mut known = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (Arc::as_ptr(old) as usize, topic.to_owned());
        if let Some((_, made)) = known.get(&place) {
            return Ok(Arc::clone(made));
        }
        let made = make()?;
        if known.len() >= self.made_max {
            known.clear();
        }
        if self.made_max > 0 {
            known.insert(place, (Arc::clone(old), Arc::clone(&made)));
        }
        Ok(made)
    }

    fn renamed(&self, schema: &Schema, topic: &str, suffix: &str, kind: Kind) -> Schema {
        let name = self.adjuster.adjust(&format!("{topic}{suffix}"));
        Schema { kind, name: Some(name.into()), default: None, ..schema.clone() }
    }

    fn key(&self, key: &Datum, old_topic: &str, topic: &str) -> Result<Datum> {
        let value = require_struct(key, PURPOSE)?;
        let schema = self.schema(&value.schema, topic, || {
            let mut fields = Fields::default();
            for field in value.schema.fields() {
                fields.add(&field.name, Arc::clone(&field.schema))?;
            }
            if self.unique {
                fields.add(&self.key_field, Schema::of(Kind::String).shared())?;
            }
            Ok(self.renamed(&value.schema, topic, ".Key", fields.into_kind()).shared())
        })?;
        let mut values = values_with_defaults(value)?;
        if self.unique {
            let replaced = match &self.key_name {
                Some((regex, replacement)) => regex.replace(old_topic, replacement)?,
                None => None,
            };
            values.push(Value::string(replaced.as_deref().unwrap_or(old_topic)));
        }
        Ok(Datum::new(Arc::clone(&schema), Value::Struct(Struct::new(schema, values))))
    }

    fn event(&self, event: &Datum, topic: &str) -> Result<Datum> {
        let value = require_struct(event, PURPOSE)?;
        let schema = self.schema(&value.schema, topic, || {
            let Some(before) = value.schema.index_of(BEFORE) else { return Err(envelope::missing("field before")) };
            let row = &value.schema.fields()[before].schema;
            let row = self.renamed(row, topic, ".Value", row.kind.clone()).shared();
            let mut fields = Fields::default();
            for field in value.schema.fields() {
                let is_row = matches!(&*field.name, BEFORE | AFTER);
                fields.add(&field.name, Arc::clone(if is_row { &row } else { &field.schema }))?;
            }
            Ok(self.renamed(&value.schema, topic, ".Envelope", fields.into_kind()).shared())
        })?;
        let mut values = Vec::with_capacity(schema.fields().len());
        for (value, field) in value.fields.iter().zip(schema.fields()) {
            let value = filled(value.clone(), &field.schema, true);
            values.push(match value {
                Value::Struct(row) if matches!(&*field.name, BEFORE | AFTER) => {
                    Value::Struct(Struct::new(Arc::clone(&field.schema), values_with_defaults(&row)?))
                }
                value => value,
            });
        }
        Ok(Datum::new(Arc::clone(&schema), Value::Struct(Struct::new(schema, values))))
    }
}

fn values_with_defaults(value: &Struct) -> Result<Vec<Value>> {
    let with_default = |(value, field): (&Value, &connect_api::Field)| {
        let value = filled(value.clone(), &field.schema, true);
        check_null(&field.name, &field.schema, &value)?;
        Ok(value)
    };
    value.fields.iter().zip(value.schema.fields()).map(with_default).collect()
}

impl Transform for ByLogicalTableRouter {
    fn apply(&self, mut record: Record) -> Result<Option<Record>> {
        let old_topic = Arc::clone(&record.topic);
        let Some(topic) = self.topic.replace(&old_topic, &self.replacement)? else { return Ok(Some(record)) };
        if topic.is_empty() {
            return Ok(Some(record));
        }
        record.topic = topic.as_str().into();
        record.key = if record.key.is_null() { Datum::null() } else { self.key(&record.key, &old_topic, &topic)? };
        if is_envelope(&record) && !record.value.is_null() {
            record.value = self.event(&record.value, &topic)?;
        }
        Ok(Some(record))
    }
}
