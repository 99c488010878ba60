//! Debezium's types as MongoDB has them (`debezium.types.convert`): the names of schemas say what numbers and texts mean.
//!
//! What has no better form in BSON stays: durations are numbers or texts, bits are bytes with the lowest first, as
//! `$bitsAllSet` reads them, vectors are arrays of numbers. Without a schema there are no names, and nothing changes.

use bson::spec::BinarySubtype;
use connect_api::{Error, Schema, Struct, Value};
use num_bigint::BigInt;

use super::decimal::{decimal128, plain};
use super::geometry::{self, NotWritten};
use super::json;
use super::time::{self, MILLIS_PER_DAY};
use super::unavailable::Unavailable;
use super::value::{Rewrite, map_key, write_value};
use super::write::{At, Writer};

/// What names of Debezium's types begin with.
const PREFIX: &str = "io.debezium.";
/// How much of a text a message shows.
const SHOWN: usize = 80;

/// How Debezium's types are converted.
#[derive(Clone, Debug)]
pub struct Types {
    /// UUIDs become binary of subtype 4; texts otherwise.
    uuid_binary: bool,
    /// The last parts of names whose values stay as they are.
    excluded: Vec<String>,
    /// The placeholder of a value that was not read is of no type: it stays.
    unavailable: Unavailable,
}

/// [`Types`] in a field, which errors name.
#[derive(Clone, Copy, Debug)]
pub struct InField<'a> {
    types: &'a Types,
    field: &'a str,
}

impl Types {
    /// Makes it of the settings; `excluded` are names of types, with or without what stands before the last dot.
    pub fn new(uuid_binary: bool, excluded: &[String], unavailable: Unavailable) -> Self {
        let excluded = excluded.iter().map(|name| last_part(name.trim()).to_owned()).collect();
        Self { uuid_binary, excluded, unavailable }
    }

    /// The conversion of a field's value.
    pub fn in_field<'a>(&'a self, field: &'a str) -> InField<'a> {
        InField { types: self, field }
    }
}

impl<'a> Rewrite<'a> for InField<'a> {
    fn of_field(self, name: &'a str) -> Self {
        Self { field: name, ..self }
    }

    fn write(self, w: &mut Writer, at: At, schema: &Schema, value: &Value) -> Result<bool, Error> {
        let Some(name) = schema.name.as_deref().and_then(|name| name.strip_prefix(PREFIX)) else { return Ok(false) };
        let excluded = &self.types.excluded;
        if value.is_null()
            || (!excluded.is_empty() && excluded.iter().any(|one| one == last_part(name)))
            || self.types.unavailable.is_value(value)
        {
            return Ok(false);
        }
        let start = w.len();
        let written = self.types.convert(w, at, name, value);
        if !matches!(written, Ok(true)) {
            w.truncate(start);
        }
        written.map_err(|why| self.unreadable(schema, value, &why))
    }
}

impl InField<'_> {
    fn unreadable(self, schema: &Schema, value: &Value, why: &str) -> Error {
        let ty = schema.name.as_deref().unwrap_or("a value");
        let shown = value.as_str().map(|text| format!("'{}' ", cut(text))).unwrap_or_default();
        Error::data(format!("field {}: {shown}cannot be read as {ty}: {why}", self.field)).hint(
            "mend the value where it comes from, or have its type stored as it is: name it in debezium.types.exclude",
        )
    }
}

impl Types {
    /// Writes a value; false when its plain form is to be written, the error is why it cannot be read.
    fn convert(&self, w: &mut Writer, at: At, name: &str, value: &Value) -> Result<bool, String> {
        match (name, value) {
            ("time.Date", Value::Int32(days)) => w.put_date(at, i64::from(*days) * MILLIS_PER_DAY),
            ("time.Timestamp", Value::Int64(millis)) => w.put_date(at, *millis),
            ("time.MicroTimestamp", Value::Int64(micros)) => w.put_date(at, micros.div_euclid(1000)),
            ("time.NanoTimestamp", Value::Int64(nanos)) => w.put_date(at, nanos.div_euclid(1_000_000)),
            ("time.ZonedTimestamp" | "time.IsoTimestamp", Value::String(text)) => {
                w.put_date(at, time::timestamp(text).ok_or("it is no timestamp of ISO 8601")?);
            }
            ("time.IsoDate", Value::String(text)) => {
                w.put_date(at, time::date(text).ok_or("it is no date of ISO 8601")?);
            }
            ("time.Time", Value::Int32(millis)) => w.put_str(at, &time::time_of_day((*millis).into(), 1000)),
            ("time.MicroTime", Value::Int64(micros)) => w.put_str(at, &time::time_of_day(*micros, 1_000_000)),
            ("time.NanoTime", Value::Int64(nanos)) => w.put_str(at, &time::time_of_day(*nanos, 1_000_000_000)),
            ("data.Json", Value::String(text)) => {
                json::write(w, at, text).map_err(|malformed| malformed.to_string())?
            }
            ("data.Uuid", Value::String(text)) if self.uuid_binary => {
                let uuid = uuid::Uuid::try_parse(text).map_err(|_| "it is no UUID")?;
                w.put_binary(at, BinarySubtype::Uuid.into(), uuid.as_bytes());
            }
            ("data.EnumSet", Value::String(text)) => write_set(w, at, text),
            ("data.VariableScaleDecimal", Value::Struct(value)) => write_decimal(w, at, value)?,
            ("data.geometry.Point" | "data.geometry.Geometry" | "data.geometry.Geography", Value::Struct(value)) => {
                return match write_geometry(w, at, value) {
                    Ok(()) => Ok(true),
                    Err(NotWritten::Other) => Ok(false),
                    Err(NotWritten::Malformed(why)) => Err(why.to_owned()),
                };
            }
            (
                "data.SparseVector"
                | "data.SparseDoubleVector"
                | "data.vector.SparseVector"
                | "data.vector.SparseDoubleVector",
                Value::Struct(value),
            ) => write_sparse_vector(w, at, value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// The members of a MySQL set; none of them has a comma.
fn write_set(w: &mut Writer, at: At, text: &str) {
    let open = w.begin_array(at);
    for (index, member) in text.split(',').filter(|_| !text.is_empty()).enumerate() {
        let at = w.index(index);
        w.put_str(at, member);
    }
    w.close(open);
}

/// A text where 34 digits do not hold it.
fn write_decimal(w: &mut Writer, at: At, value: &Struct) -> Result<(), String> {
    let (Some(Value::Int32(scale)), Some(Value::Bytes(unscaled))) = (value.get("scale"), value.get("value")) else {
        return Err("its scale or its value is missing".to_owned());
    };
    let unscaled = BigInt::from_signed_bytes_be(unscaled);
    match decimal128(&unscaled, *scale) {
        Ok(decimal) => w.put_decimal128(at, decimal),
        Err(_) => w.put_str(at, &plain(&unscaled, *scale)),
    }
    Ok(())
}

fn write_geometry(w: &mut Writer, at: At, value: &Struct) -> Result<(), NotWritten> {
    if let Some(Value::Int32(srid)) = value.get("srid")
        && !geometry::is_wgs84(*srid)
    {
        return Err(NotWritten::Other);
    }
    match (value.get("wkb"), value.get("x"), value.get("y")) {
        (Some(Value::Bytes(bytes)), _, _) => geometry::write(w, at, bytes),
        (_, Some(Value::Float64(x)), Some(Value::Float64(y))) => geometry::write_point(w, at, *x, *y),
        _ => Err(NotWritten::Malformed("its bytes are missing")),
    }
}

/// Places are names: documents have no others.
fn write_sparse_vector(w: &mut Writer, at: At, value: &Struct) -> Result<(), String> {
    let (dimensions, Some(Value::Map(entries))) =
        (value.get("dimensions").unwrap_or(&Value::Null), value.get("vector"))
    else {
        return Err("its entries are missing".to_owned());
    };
    let text = |error: Error| error.message().to_owned();
    let open = w.begin(at);
    let at = w.literal("dimensions");
    write_value(w, at, None, dimensions).map_err(text)?;
    let at = w.literal("vector");
    let vector = w.begin(at);
    for (place, number) in entries {
        let at = match place {
            Value::Int16(place) => w.literal(&place.to_string()),
            Value::Int32(place) => w.literal(&place.to_string()),
            other => w.name(map_key(other).map_err(text)?).map_err(text)?,
        };
        write_value(w, at, None, number).map_err(text)?;
    }
    w.close(vector);
    w.close(open);
    Ok(())
}

fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// The beginning of a text, for a message.
fn cut(text: &str) -> &str {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => text.get(..end).unwrap_or(text),
        None => text,
    }
}
