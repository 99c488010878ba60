//! `TimezoneConverter`: brings timestamps into another time zone.
//!
//! A timestamp with a zone keeps its instant and shows it in the new zone. One without a zone is taken as the time of day
//! in the new zone, so its instant moves. Fields of other types stay.

mod iso;
mod rules;
mod zone;

use std::collections::HashSet;
use std::sync::LazyLock;

use connect_api::schema::logical;
use connect_api::{ConfigDef, Plugin, Props, Record, Result, Schema, Struct, Transform, Value};
use connect_config::{ConfigKey, Importance::High, Type, Width};

use super::envelope::{self, AFTER, BEFORE, SOURCE, debezium_error, is_envelope, java_error, missing};
use super::settings::{Rule, Settings, definition, key, split_list};
use crate::schemas::filled;
use rules::Rules;
use zone::Zone;

const TIMEZONE: &str = "converted.timezone";
const INCLUDE: &str = "include.list";
const EXCLUDE: &str = "exclude.list";

static DEF: LazyLock<ConfigDef> = LazyLock::new(|| {
    let list = "Elements are source:table, topic:topic or a name of either alone; behind them may stand a field, of one image \
                of the row only with before.field or after.field. The first element's prefix holds for those without one.";
    let key = |name, ty, display, documentation: &str| -> ConfigKey {
        key(name, ty, display, documentation).importance(High).width(Width::Medium)
    };
    definition([
        key(
            TIMEZONE,
            Type::String,
            "Converted Timezone",
            "The time zone: its name, like America/Los_Angeles, or an offset, like +08:00.",
        ),
        key(INCLUDE, Type::List, "Include List", &format!("What to convert; everything by default. {list}")),
        key(EXCLUDE, Type::List, "Exclude List", &format!("What not to convert. {list}")),
    ])
});

pub(super) fn plugin() -> Plugin {
    super::plugin(
        "io.debezium.transforms.TimezoneConverter",
        || &DEF,
        |props| Ok(Box::new(TimezoneConverter::new(props)?)),
    )
}

/// What a list says.
enum Scope {
    Everything,
    Only(Rules),
    AllBut(Rules),
}

struct TimezoneConverter {
    zone: Zone,
    scope: Scope,
}

fn bad_list(which: &str) -> connect_api::Error {
    debezium_error(format!(
        "Invalid {which} list format. Please specify a list of rules in the format of \"source:<tablename>:<fieldnames>\", \
         \"topic:<topicname>:<fieldnames>\", \"<matchname>:<fieldnames>\""
    ))
}

impl TimezoneConverter {
    fn new(props: &Props) -> Result<Self> {
        let settings = Settings::new(&DEF, props);
        settings.check(&[(TIMEZONE, &[Rule::Required])])?;
        let rules = |key, which: &str| match settings.given(key).map(split_list) {
            None => Ok(None),
            Some(list) if rules::well_formed(&list) => Ok(Some(Rules::of(&list))),
            Some(_) => Err(bad_list(which)),
        };
        if settings.given(INCLUDE).is_some() && settings.given(EXCLUDE).is_some() {
            let message = "Both include and exclude lists are specified. Please specify only one.";
            return Err(debezium_error(message));
        }
        let scope = match (rules(INCLUDE, "include")?, rules(EXCLUDE, "exclude")?) {
            (Some(only), _) => Scope::Only(only),
            (None, Some(all_but)) => Scope::AllBut(all_but),
            (None, None) => Scope::Everything,
        };
        let Some(zone) = Zone::named(&settings.text_or_default(TIMEZONE)) else {
            return Err(debezium_error(
                "Invalid timezone format. Please specify either a geographic timezone (e.g. America/Los_Angeles) or a UTC \
                 offset in the format of +/-hh:mm, (e.g. +08:00).",
            ));
        };
        Ok(Self { zone, scope })
    }

    /// Converts the fields of one struct of the event that `wanted` says yes to.
    fn convert_image(&self, event: &mut Struct, image: &str, wanted: &dyn Fn(&str) -> bool) -> Result<()> {
        let Some(index) = event.schema.index_of(image) else { return Ok(()) };
        let Value::Struct(row) = &mut event.fields[index] else { return Ok(()) };
        for (field, value) in row.schema.fields().iter().zip(&mut row.fields) {
            if wanted(&field.name)
                && let Some(kind) = Timestamp::of(&field.schema)
            {
                let old = filled(value.clone(), &field.schema, true);
                if !old.is_null() {
                    *value = kind.convert(&old, &self.zone)?;
                }
            }
        }
        Ok(())
    }

    fn convert_only(&self, event: &mut Struct, fields: &HashSet<String>) -> Result<()> {
        if fields.is_empty() {
            return self.convert_rows(event, &|_, _| true);
        }
        let named = |image: &str, name: &str| fields.contains(&format!("{image}.{name}"));
        self.convert_image(event, SOURCE, &|name| named(SOURCE, name))?;
        self.convert_rows(event, &|image, name| fields.contains(name) || named(image, name))
    }

    fn convert_all_but(&self, event: &mut Struct, fields: &HashSet<String>) -> Result<()> {
        if fields.is_empty() {
            return Ok(());
        }
        let named = |image: &str, name: &str| fields.contains(name) || fields.contains(&format!("{image}.{name}"));
        self.convert_rows(event, &|image, name| !named(image, name))
    }

    fn convert_rows(&self, event: &mut Struct, wanted: &dyn Fn(&str, &str) -> bool) -> Result<()> {
        self.convert_image(event, BEFORE, &|name| wanted(BEFORE, name))?;
        self.convert_image(event, AFTER, &|name| wanted(AFTER, name))
    }
}

/// A type of timestamp.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Timestamp {
    Zoned,
    ZonedTime,
    Millis,
    Micros,
    Nanos,
}

impl Timestamp {
    fn of(schema: &Schema) -> Option<Self> {
        match schema.name.as_deref()? {
            "io.debezium.time.ZonedTimestamp" => Some(Self::Zoned),
            "io.debezium.time.ZonedTime" => Some(Self::ZonedTime),
            "io.debezium.time.Timestamp" | logical::TIMESTAMP => Some(Self::Millis),
            "io.debezium.time.MicroTimestamp" => Some(Self::Micros),
            "io.debezium.time.NanoTimestamp" => Some(Self::Nanos),
            _ => None,
        }
    }

    fn convert(self, value: &Value, zone: &Zone) -> Result<Value> {
        let overflow = || java_error("java.lang.ArithmeticException", "long overflow");
        Ok(match (self, value) {
            (Self::Zoned, Value::String(text)) => {
                let moment = iso::Moment::parse(text).ok_or_else(|| unreadable(text))?;
                // Java looks the offset up by the time of day that the text shows, not by the instant.
                let offset = zone.offset_of_local(moment.local())?;
                moment.write(offset).into()
            }
            (Self::ZonedTime, Value::String(text)) => {
                let time = iso::Time::parse(text).ok_or_else(|| unreadable(text))?;
                time.write(zone.offset_now()?).into()
            }
            (Self::Millis, Value::Int64(millis)) => {
                let offset = zone.offset_of_local(millis.div_euclid(1_000))?;
                Value::Int64(millis.checked_sub(i64::from(offset) * 1_000).ok_or_else(overflow)?)
            }
            (Self::Micros, Value::Int64(micros)) => {
                let offset = zone.offset_of_local(micros.div_euclid(1_000_000))?;
                Value::Int64(micros.wrapping_sub(i64::from(offset) * 1_000_000))
            }
            (Self::Nanos, Value::Int64(nanos)) => {
                let offset = zone.offset_of_local(nanos.div_euclid(1_000_000_000))?;
                Value::Int64(nanos.wrapping_sub(i64::from(offset) * 1_000_000_000))
            }
            (_, other) => {
                let class = other.java_class(None);
                let message = format!("class {class} cannot be cast to what a timestamp is made of");
                return Err(java_error("java.lang.ClassCastException", message));
            }
        })
    }
}

fn unreadable(text: &str) -> connect_api::Error {
    java_error("java.time.format.DateTimeParseException", format!("Text '{text}' could not be parsed"))
}

/// The table in the event's source; `None` when it does not say.
fn table(event: &Struct) -> Result<Option<String>> {
    if event.schema.index_of(SOURCE).is_none() {
        return Ok(None);
    }
    match envelope::get_struct(event, SOURCE) {
        Ok(None) => Err(missing(SOURCE)),
        Ok(Some(source)) => Ok(envelope::get_string(source, "table").ok().flatten().map(str::to_owned)),
        Err(_) => Ok(None),
    }
}

impl Transform for TimezoneConverter {
    fn apply(&self, mut record: Record) -> Result<Option<Record>> {
        if !is_envelope(&record) {
            return Ok(Some(record));
        }
        let Value::Struct(event) = &mut record.value.value else { return Ok(Some(record)) };
        let table = table(event)?;
        match &self.scope {
            Scope::Everything => self.convert_rows(event, &|_, _| true)?,
            Scope::Only(rules) => {
                if let Some(fields) = rules.fields_for(&record.topic, table.as_deref()) {
                    self.convert_only(event, fields)?;
                }
            }
            Scope::AllBut(rules) => match rules.fields_for(&record.topic, table.as_deref()) {
                Some(fields) => self.convert_all_but(event, fields)?,
                None => self.convert_rows(event, &|_, _| true)?,
            },
        }
        Ok(Some(record))
    }
}
