//! A schema in JSON (`JsonConverter.asJsonSchema`).

use connect_api::{BytesMut, Kind, Result, SchemaRef};

use super::config::Options;
use super::escape::write_string;
use super::write::write_once;

/// Appends a schema, null for the unknown one.
pub(crate) fn write(schema: &SchemaRef, options: Options, out: &mut BytesMut) -> Result<()> {
    if schema.is_unknown() {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    write_with_field(schema, None, options, out)
}

fn write_with_field(schema: &SchemaRef, field: Option<&str>, options: Options, out: &mut BytesMut) -> Result<()> {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(type_name(&schema.kind).as_bytes());
    out.extend_from_slice(b"\"");
    match &schema.kind {
        Kind::Array(element) => {
            out.extend_from_slice(b",\"items\":");
            write(element, options, out)?;
        }
        Kind::Map(keys, values) => {
            out.extend_from_slice(b",\"keys\":");
            write(keys, options, out)?;
            out.extend_from_slice(b",\"values\":");
            write(values, options, out)?;
        }
        Kind::Struct(fields) => {
            out.extend_from_slice(b",\"fields\":[");
            for (i, field) in fields.iter().enumerate() {
                if i > 0 {
                    out.extend_from_slice(b",");
                }
                write_with_field(&field.schema, Some(&field.name), options, out)?;
            }
            out.extend_from_slice(b"]");
        }
        _ => {}
    }
    out.extend_from_slice(if schema.optional { b",\"optional\":true" } else { b",\"optional\":false" });
    if let Some(name) = &schema.name {
        out.extend_from_slice(b",\"name\":");
        write_string(name, out);
    }
    if let Some(version) = schema.version {
        out.extend_from_slice(b",\"version\":");
        out.extend_from_slice(itoa::Buffer::new().format(version).as_bytes());
    }
    if let Some(doc) = &schema.doc {
        out.extend_from_slice(b",\"doc\":");
        write_string(doc, out);
    }
    if let Some(parameters) = &schema.parameters {
        out.extend_from_slice(b",\"parameters\":{");
        for (i, (key, value)) in parameters.iter().enumerate() {
            if i > 0 {
                out.extend_from_slice(b",");
            }
            write_string(key, out);
            out.extend_from_slice(b":");
            write_string(value, out);
        }
        out.extend_from_slice(b"}");
    }
    if let Some(default) = &schema.default {
        out.extend_from_slice(b",\"default\":");
        write_once(schema, default, options, out)?;
    }
    if let Some(field) = field {
        out.extend_from_slice(b",\"field\":");
        write_string(field, out);
    }
    out.extend_from_slice(b"}");
    Ok(())
}

/// The name of a kind in JSON schemas: floats are called otherwise than elsewhere.
fn type_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Float32 => "float",
        Kind::Float64 => "double",
        other => other.name(),
    }
}
