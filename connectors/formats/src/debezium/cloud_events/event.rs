//! The attributes of a CloudEvent, from the change event.

use connect_api::java::display;
use connect_api::{Error, Field, Kind, Result, Struct, Value};

/// The connector whose events are known.
const POSTGRES: &str = "postgresql";
/// What the names of Debezium's own attributes begin with.
const EXTENSION: &str = "iodebezium";

/// The attributes in their order.
type Attributes = Vec<(Value, Value)>;

/// The failure of a missing thing that Java takes for granted.
pub(super) fn missing(what: &str) -> Error {
    Error::data(format!("there is no {what}")).class("java.lang.NullPointerException")
}

/// A field of a struct with its value, its default in the place of null (`Struct.get`).
fn field<'a>(value: &'a Struct, name: &str) -> Result<(&'a Field, Value)> {
    let Some(index) = value.schema.index_of(name) else {
        return Err(Error::data(format!("{name} is not a valid field name")));
    };
    let field = &value.schema.fields()[index];
    let value = match &value.fields[index] {
        Value::Null => field.schema.default.clone().unwrap_or_default(),
        value => value.clone(),
    };
    Ok((field, value))
}

fn shown(value: &Struct, name: &str) -> Result<String> {
    let (field, value) = field(value, name)?;
    Ok(display::text(&value, Some(&field.schema)))
}

/// The attributes of an event but its data, and the name of its connector.
pub(super) fn attributes(event: &Struct, extensions: bool) -> Result<(Attributes, String)> {
    let (_, op) = field(event, "op")?;
    let (_, source) = field(event, "source")?;
    let Value::Struct(source) = source else { return Err(missing("source of the event")) };
    let connector = shown(&source, "connector")?;
    if connector != POSTGRES {
        return Err(Error::data(format!("No usable CloudEvents converters for connector type \"{connector}\"")));
    }
    let name = shown(&source, "name")?;
    let (_, millis) = field(&source, "ts_ms")?;
    field(&source, "db")?;
    let (lsn, transaction, sequence) = (shown(&source, "lsn")?, shown(&source, "txId")?, shown(&source, "sequence")?);
    let mut attributes = Attributes::new();
    let mut add = |name: &str, value: Value| attributes.push((name.into(), value));
    add("id", format!("name:{name};lsn:{lsn};txId:{transaction};sequence:{sequence}").into());
    add("source", format!("/debezium/{connector}/{name}").into());
    add("specversion", "1.0".into());
    add("type", format!("io.debezium.connector.{connector}.DataChangeEvent").into());
    add("time", time(&millis)?.into());
    add("datacontenttype", "application/json".into());
    if extensions {
        add("iodebeziumop", op);
        for field in source.schema.fields() {
            add(&extension_name(&field.name), extension(&source, field)?);
        }
        transaction_attributes(event, &mut add)?;
    }
    Ok((attributes, connector))
}

fn transaction_attributes(event: &Struct, add: &mut dyn FnMut(&str, Value)) -> Result<()> {
    let transaction = event.get("transaction").and_then(Value::as_struct);
    let attributes = [
        ("iodebeziumtxid", "id"),
        ("iodebeziumtxtotalorder", "total_order"),
        ("iodebeziumtxdatacollectionorder", "data_collection_order"),
    ];
    for (attribute, name) in attributes {
        let value = match transaction {
            Some(transaction) => match field(transaction, name)? {
                (_, Value::Null) => Value::Null,
                (field, value) => display::text(&value, Some(&field.schema)).into(),
            },
            None => Value::Null,
        };
        add(attribute, value);
    }
    Ok(())
}

/// Names of attributes are letters and digits.
fn extension_name(field: &str) -> String {
    let letters = field.chars().filter(char::is_ascii_alphanumeric);
    EXTENSION.chars().chain(letters).collect()
}

/// The value of an attribute: 64-bit numbers are texts.
fn extension(source: &Struct, field: &Field) -> Result<Value> {
    let (_, value) = self::field(source, &field.name)?;
    let kind = field.schema.kind.java_name();
    match (&field.schema.kind, value) {
        (Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64 | Kind::String | Kind::Boolean, Value::Null) => {
            Ok(Value::Null)
        }
        (Kind::Int64, value) => Ok(display::text(&value, Some(&field.schema)).into()),
        (Kind::String | Kind::Boolean, value) => Ok(value),
        (Kind::Int8 | Kind::Int16 | Kind::Int32, value) => {
            let class = value.java_class(Some(&field.schema));
            if class == "java.lang.Integer" {
                return Ok(value);
            }
            let name = extension_name(&field.name);
            let message =
                format!("Invalid Java object for schema with type INT32: class {class} for field: \"{name}\"");
            Err(Error::data(message))
        }
        _ => {
            let message =
                format!("Source field of type {kind} cannot be converted into CloudEvents extension attribute.");
            Err(Error::data(message).class("java.lang.IllegalArgumentException"))
        }
    }
}

/// Milliseconds since the epoch as ISO 8601 in UTC, always with three digits behind the point.
fn time(millis: &Value) -> Result<String> {
    let Value::Int64(millis) = millis else { return Err(missing("time of the event")) };
    let time = jiff::Timestamp::from_millisecond(*millis)
        .map_err(|error| Error::data("the time of the event is out of range").caused_by(error))?;
    Ok(time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}
