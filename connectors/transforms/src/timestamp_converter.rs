//! `TimestampConverter`: between text, Unix time and Connect's date, time and timestamp.

use connect_api::java::hash;
use connect_api::schema::logical;
use connect_api::{
    ConfigError, Error, Kind, Plugin, Props, Record, Result, Schema, SchemaRef, Struct, Transform, Value,
};

use crate::schemas::{Cache, Fields, check_null, filled};
use crate::side::{Side, entry, put_entry, struct_or_null, take_map};
use crate::simple_date::Pattern;

const PURPOSE: &str = "converting timestamp formats";
const DAY_MS: i64 = 86_400_000;

connect_config::config! {
    /// The keys of the transform.
    pub struct TimestampConverterConfig {
        /// The field to convert; empty for the whole.
        "field" => field: String = "" { importance(High) },
        /// What it becomes.
        "target.type" => target: String {
            importance(High), validator(one_of(["string", "unix", "Date", "Time", "Timestamp"]))
        },
        /// How text is written and read, as `java.text.SimpleDateFormat` does it.
        "format" => format: String = "" {},
        /// What a unit of Unix time is.
        "unix.precision" => precision: String = "milliseconds" {
            importance(Low), validator(one_of(["nanoseconds", "microseconds", "milliseconds", "seconds"]))
        },
        /// Puts the default of a field in the place of null.
        "replace.null.with.default" => replace_null: bool = "true" {},
    }
}

pub(crate) fn plugins() -> [Plugin; 2] {
    crate::both_sides!("TimestampConverter", TimestampConverterConfig, TimestampConverter)
}

/// A way to hold a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Unix,
    Date,
    Time,
    Timestamp,
}

impl Form {
    fn named(name: &str) -> Self {
        match name {
            "string" => Self::Text,
            "unix" => Self::Unix,
            "Date" => Self::Date,
            "Time" => Self::Time,
            _ => Self::Timestamp,
        }
    }

    fn of_schema(schema: &Schema) -> Result<Self> {
        Ok(match (schema.name.as_deref(), &schema.kind) {
            (Some(logical::TIMESTAMP), _) => Self::Timestamp,
            (Some(logical::DATE), _) => Self::Date,
            (Some(logical::TIME), _) => Self::Time,
            (_, Kind::String) => Self::Text,
            (_, Kind::Int64) => Self::Unix,
            _ => {
                let name = schema.name.as_deref().map(|name| format!("{name}:")).unwrap_or_default();
                let shown = format!("Schema{{{name}{}}}", schema.kind.java_name());
                return Err(Error::connect(format!(
                    "Schema {shown} does not correspond to a known timestamp type format"
                )));
            }
        })
    }

    fn of_value(value: &Value) -> Result<Self> {
        match value {
            Value::Date(_) => Ok(Self::Timestamp),
            Value::String(_) => Ok(Self::Text),
            Value::Int64(_) => Ok(Self::Unix),
            other => {
                let class = other.java_class(None);
                Err(Error::data(format!("TimestampConverter does not support class {class} objects as timestamps")))
            }
        }
    }

    fn schema(self, optional: bool) -> SchemaRef {
        let schema = match self {
            Self::Text => Schema::of(Kind::String),
            Self::Unix => Schema::of(Kind::Int64),
            Self::Date => Schema::of(Kind::Int32).named(logical::DATE).version(1),
            Self::Time => Schema::of(Kind::Int32).named(logical::TIME).version(1),
            Self::Timestamp => Schema::of(Kind::Int64).named(logical::TIMESTAMP).version(1),
        };
        if optional { schema.optional().shared() } else { schema.shared() }
    }
}

/// What a unit of Unix time is to a millisecond.
#[derive(Clone, Copy, Debug)]
enum Precision {
    Seconds,
    Millis,
    Micros,
    Nanos,
}

impl Precision {
    fn named(name: &str) -> Self {
        match name {
            "seconds" => Self::Seconds,
            "microseconds" => Self::Micros,
            "nanoseconds" => Self::Nanos,
            _ => Self::Millis,
        }
    }

    fn millis_of_unix(self, unix: i64) -> i64 {
        match self {
            Self::Seconds => unix.saturating_mul(1000),
            Self::Millis => unix,
            Self::Micros => unix / 1000,
            Self::Nanos => unix / 1_000_000,
        }
    }

    fn unix_of_millis(self, millis: i64) -> i64 {
        match self {
            Self::Seconds => millis / 1000,
            Self::Millis => millis,
            Self::Micros => millis.saturating_mul(1000),
            Self::Nanos => millis.saturating_mul(1_000_000),
        }
    }
}

struct TimestampConverter {
    side: Side,
    field: String,
    target: Form,
    pattern: Option<(Pattern, String)>,
    precision: Precision,
    replace_null: bool,
    schemas: Cache,
}

impl TimestampConverter {
    fn new(props: &Props, side: Side) -> Result<Self> {
        let config = TimestampConverterConfig::parse(props).map_err(crate::first_problem)?;
        let target = Form::named(&config.target);
        let blank = config.format.trim().is_empty();
        if target == Form::Text && blank {
            let message = "TimestampConverter requires format option to be specified when using string timestamps";
            return Err(Error::config(message));
        }
        let pattern = if blank {
            None
        } else {
            let parsed = Pattern::parse(&config.format).map_err(|why| {
                let what = format!(
                    "TimestampConverter requires a SimpleDateFormat-compatible pattern for string timestamps: {}",
                    config.format
                );
                ConfigError::invalid_bare(&what, format!("java.lang.IllegalArgumentException: {why}"))
            })?;
            Some((parsed, config.format.clone()))
        };
        Ok(Self {
            side,
            field: config.field,
            target,
            pattern,
            precision: Precision::named(&config.precision),
            replace_null: config.replace_null,
            schemas: Cache::default(),
        })
    }

    /// Milliseconds since the epoch.
    fn read(&self, value: &Value, form: Form) -> Result<i64> {
        Ok(match (form, value) {
            (_, Value::Date(millis)) if form != Form::Text && form != Form::Unix => *millis,
            (Form::Date, Value::Int32(days)) => i64::from(*days) * DAY_MS,
            (Form::Time, Value::Int32(millis)) => i64::from(*millis),
            (Form::Timestamp, Value::Int64(millis)) => *millis,
            (Form::Unix, Value::Int64(unix)) => self.precision.millis_of_unix(*unix),
            (Form::Text, Value::String(text)) => {
                let Some((pattern, source)) = &self.pattern else {
                    let message = "A format is needed to read a timestamp from text";
                    return Err(Error::data(message).class("java.lang.NullPointerException"));
                };
                let wrong = || {
                    let cause = Error::data(format!("Unparseable date: \"{text}\"")).class("java.text.ParseException");
                    Error::data(format!("Could not parse timestamp: value ({text}) does not match pattern ({source})"))
                        .caused_by(cause)
                };
                pattern.parse_text(text).ok_or_else(wrong)?
            }
            (form, other) => {
                let (what, wanted) = match form {
                    Form::Text => ("string timestamp", "String"),
                    Form::Unix => ("Unix timestamp", "Long"),
                    Form::Date => ("Date", "java.util.Date"),
                    Form::Time => ("Time", "java.util.Date"),
                    Form::Timestamp => ("Timestamp", "java.util.Date"),
                };
                let class = other.java_class(None);
                return Err(Error::data(format!("Expected {what} to be a {wanted}, but found class {class}")));
            }
        })
    }

    /// The target form of a time; physical when it gets a schema.
    fn write(&self, millis: i64, with_schema: bool) -> Value {
        let millis = match self.target {
            // There is no start to the first day that there are milliseconds for.
            Form::Date => millis.div_euclid(DAY_MS).saturating_mul(DAY_MS),
            Form::Time => millis.rem_euclid(DAY_MS),
            _ => millis,
        };
        match self.target {
            Form::Text => match &self.pattern {
                Some((pattern, _)) => Value::from(pattern.format(millis)),
                None => Value::Null,
            },
            Form::Unix => Value::Int64(self.precision.unix_of_millis(millis)),
            _ if !with_schema => Value::Date(millis),
            Form::Date => i32::try_from(millis / DAY_MS).map_or(Value::Date(millis), Value::Int32),
            Form::Time => Value::Int32(millis as i32),
            Form::Timestamp => Value::Int64(millis),
        }
    }

    fn convert(&self, value: &Value, schema: Option<&Schema>) -> Result<Value> {
        if value.is_null() {
            // The schema is looked at all the same.
            return schema.map_or(Ok(()), |schema| Form::of_schema(schema).map(|_| ())).map(|()| Value::Null);
        }
        let form = match schema {
            Some(schema) => Form::of_schema(schema)?,
            None => Form::of_value(value)?,
        };
        Ok(self.write(self.read(value, form)?, schema.is_some()))
    }

    fn schema(&self, schema: &SchemaRef) -> Result<SchemaRef> {
        self.schemas.get(schema, || {
            let mut fields = Fields::default();
            for field in schema.fields() {
                let own = if *field.name == *self.field {
                    self.target.schema(field.schema.optional)
                } else {
                    SchemaRef::clone(&field.schema)
                };
                fields.add(&field.name, own)?;
            }
            let mut made = Schema::clone(&fields.build(schema));
            made.optional = schema.optional;
            if let Some(Value::Struct(default)) = &schema.default {
                let own = SchemaRef::new(made.clone());
                made.default = Some(Value::Struct(self.convert_struct(default, &own)?));
            }
            Ok(made.shared())
        })
    }

    fn convert_struct(&self, value: &Struct, schema: &SchemaRef) -> Result<Struct> {
        let mut values = Vec::with_capacity(value.fields.len());
        for ((value, field), new) in value.fields.iter().zip(value.schema.fields()).zip(schema.fields()) {
            let mut value = filled(value.clone(), &field.schema, self.replace_null);
            if *field.name == *self.field {
                value = self.convert(&value, Some(&field.schema))?;
            }
            check_null(&field.name, &new.schema, &value)?;
            values.push(value);
        }
        Ok(Struct::new(SchemaRef::clone(schema), values))
    }
}

impl Transform for TimestampConverter {
    fn apply(&self, mut record: Record) -> Result<Option<Record>> {
        let datum = self.side.of_mut(&mut record);
        match datum.schema.clone() {
            None if datum.value.is_null() || self.field.is_empty() => {
                datum.value = self.convert(&datum.value, None)?;
            }
            None => {
                let mut entries = take_map(datum, PURPOSE)?;
                let copied = entries.len();
                let value = self.convert(entry(&entries, &self.field).unwrap_or(&Value::Null), None)?;
                put_entry(&mut entries, &self.field, value);
                hash::order_of_copy(copied, &mut entries);
                datum.value = Value::Map(entries);
            }
            Some(schema) if self.field.is_empty() => {
                datum.value = self.convert(&datum.value, Some(&schema))?;
                datum.schema = Some(self.target.schema(schema.optional));
            }
            Some(schema) => {
                let value = std::mem::take(&mut datum.value);
                let found = struct_or_null(&value, Some(&schema), PURPOSE)?;
                let updated = self.schema(&schema)?;
                if let Some(found) = found {
                    datum.value = Value::Struct(self.convert_struct(found, &updated)?);
                }
                datum.schema = Some(updated);
            }
        }
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_moment_are_dates() {
        let props = [("target.type".to_owned(), Some("Date".to_owned()))].into_iter().collect();
        let converter = TimestampConverter::new(&props, Side::Value).unwrap();
        for (millis, date) in [(i64::MIN, i64::MIN), (i64::MAX, i64::MAX - i64::MAX.rem_euclid(DAY_MS)), (-1, -DAY_MS)]
        {
            assert_eq!(converter.convert(&Value::Int64(millis), None).unwrap(), Value::Date(date));
        }
    }
}
