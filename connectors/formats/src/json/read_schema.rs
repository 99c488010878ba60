//! From the schema of a JSON envelope to a Connect schema (`JsonConverter.asConnectSchema`).

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use connect_api::{Error, ErrorKind, Field, Kind, Schema, SchemaRef, validate};

use super::read::{Failure, Reader};
use super::scan::{Scan, Token};

type Result<T> = std::result::Result<T, Failure>;

fn data<T>(message: impl Into<Cow<'static, str>>) -> Result<T> {
    Err(Failure::Data(Error::data(message)))
}

fn builder_error(message: impl Into<Cow<'static, str>>) -> Failure {
    Failure::Data(Error::new(ErrorKind::Schema, message))
}

/// The members of a schema object, each with where its value stands.
struct Members<'a> {
    scan: Scan<'a>,
    members: Vec<(Cow<'a, str>, Range<usize>)>,
}

impl<'a> Members<'a> {
    /// The members of the value at the cursor; none when it is no object.
    fn of(mut scan: Scan<'a>) -> Result<Self> {
        let members = if scan.token()? == Token::Object { scan.clone().members()? } else { Vec::new() };
        Ok(Self { scan, members })
    }

    fn get(&self, name: &str) -> Option<Scan<'a>> {
        let (_, range) = self.members.iter().find(|(other, _)| other == name)?;
        Some(self.scan.part(range.clone()))
    }

    /// The text of a member that is a text.
    fn text(&self, name: &str) -> Result<Option<Cow<'a, str>>> {
        let Some(mut scan) = self.get(name) else { return Ok(None) };
        if scan.token()? != Token::String {
            return Ok(None);
        }
        let text = scan.text()?;
        Ok(Some(scan.content(&text)))
    }
}

/// Reads the schema at the cursor, and defaults with the reader; JSON null is "no schema".
pub(crate) fn schema(mut scan: Scan<'_>, reader: &mut Reader<'_>) -> Result<Option<SchemaRef>> {
    if scan.token()? == Token::Null {
        return Ok(None);
    }
    let members = Members::of(scan)?;
    let Some(name) = members.text("type")? else { return data("Schema must contain 'type' field") };
    let kind = match &*name {
        "boolean" => Kind::Boolean,
        "int8" => Kind::Int8,
        "int16" => Kind::Int16,
        "int32" => Kind::Int32,
        "int64" => Kind::Int64,
        "float" => Kind::Float32,
        "double" => Kind::Float64,
        "bytes" => Kind::Bytes,
        "string" => Kind::String,
        "array" => array(&members, reader)?,
        "map" => map(&members, reader)?,
        "struct" => Kind::Struct(fields(&members, reader)?),
        other => return data(format!("Unknown schema type: {other}")),
    };
    let mut schema = Schema {
        kind,
        optional: optional(&members)?,
        name: members.text("name")?.map(Arc::from),
        version: version(&members)?,
        doc: members.text("doc")?.map(Arc::from),
        parameters: parameters(&members)?,
        default: None,
    };
    if let Some(default) = members.get("default") {
        set_default(&mut schema, default, reader)?;
    }
    Ok(Some(Arc::new(schema)))
}

fn array(members: &Members<'_>, reader: &mut Reader<'_>) -> Result<Kind> {
    let element = match members.get("items") {
        Some(items) => schema(items, reader)?,
        None => None,
    };
    match element {
        Some(element) => Ok(Kind::Array(element)),
        None => data("Array schema did not specify the element type"),
    }
}

fn map(members: &Members<'_>, reader: &mut Reader<'_>) -> Result<Kind> {
    let Some(keys) = members.get("keys") else { return data("Map schema did not specify the key type") };
    let Some(values) = members.get("values") else { return data("Map schema did not specify the value type") };
    let (keys, values) = (schema(keys, reader)?, schema(values, reader)?);
    let Some(keys) = keys else { return Err(builder_error("keySchema cannot be null.")) };
    let Some(values) = values else { return Err(builder_error("valueSchema cannot be null.")) };
    Ok(Kind::Map(keys, values))
}

fn fields(members: &Members<'_>, reader: &mut Reader<'_>) -> Result<Vec<Field>> {
    const NO_ARRAY: &str = "Struct schema's \"fields\" argument is not an array.";
    let Some(mut scan) = members.get("fields") else { return data(NO_ARRAY) };
    if scan.token()? != Token::Array {
        return data(NO_ARRAY);
    }
    let mut fields: Vec<Field> = Vec::new();
    scan.enter()?;
    if scan.take(b']') {
        return Ok(fields);
    }
    loop {
        scan.space();
        let start = scan.at;
        scan.skip()?;
        let own = scan.part(start..scan.at);
        let Some(name) = Members::of(own.clone())?.text("field")? else {
            return data("Struct schema's field name not specified properly");
        };
        // A field's object holds its name beside its schema, so it is never null.
        let Some(schema) = schema(own, reader)? else { return data("Schema must contain 'type' field") };
        if name.is_empty() {
            return Err(builder_error("fieldName cannot be null."));
        }
        if fields.iter().any(|field| *field.name == *name) {
            return Err(builder_error(format!("Cannot create field because of field name duplication {name}")));
        }
        fields.push(Field::new(&*name, schema));
        if !scan.another(b']')? {
            return Ok(fields);
        }
    }
}

fn optional(members: &Members<'_>) -> Result<bool> {
    let Some(mut scan) = members.get("optional") else { return Ok(false) };
    Ok(scan.token()? == Token::Boolean && scan.boolean()?)
}

fn version(members: &Members<'_>) -> Result<Option<i32>> {
    let Some(mut scan) = members.get("version") else { return Ok(None) };
    if scan.token()? != Token::Number {
        return Ok(None);
    }
    let number = scan.number()?;
    Ok(number.integral.then(|| number.as_int()))
}

type Parameters = Vec<(Arc<str>, Arc<str>)>;

fn parameters(members: &Members<'_>) -> Result<Option<Parameters>> {
    let Some(scan) = members.get("parameters") else { return Ok(None) };
    let own = Members::of(scan)?;
    let mut parameters = Vec::with_capacity(own.members.len());
    for (name, _) in &own.members {
        match own.text(name)? {
            Some(value) => parameters.push((Arc::from(&**name), Arc::from(&*value))),
            None => return data("Schema parameters must have string values."),
        }
    }
    Ok(Some(parameters).filter(|parameters| !parameters.is_empty()))
}

/// Reads the default by the schema built so far. One of a struct is always refused: the JVM compares its schema with
/// the builder's.
fn set_default(schema: &mut Schema, mut scan: Scan<'_>, reader: &mut Reader<'_>) -> Result<()> {
    let invalid = |cause: Error| Failure::Data(Error::new(ErrorKind::Schema, "Invalid default value").caused_by(cause));
    let own = Arc::new(schema.clone());
    let value = reader.default(&own, &mut scan)?;
    if matches!(schema.kind, Kind::Struct(_)) && !value.is_null() {
        return Err(invalid(Error::data("Struct schemas do not match.")));
    }
    validate::value(&own, &value).map_err(invalid)?;
    schema.default = Some(value).filter(|value| !value.is_null());
    Ok(())
}
