//! From Connect's schemas to the text of a file of Protobuf (`ProtobufData.fromConnectSchema`), laid out as the JVM's converter
//! registers it, so that the registry finds the schemas that JVM workers have registered.

use std::collections::HashSet;
use std::fmt::Write as _;

use connect_api::schema::logical;
use connect_api::{Error, Kind, Result, Schema, SchemaRef};

use super::known;
use super::names;
use super::options::{self, Options};

/// A schema of Protobuf: the text of its file, and the full name of the message in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) text: String,
    pub(crate) message: String,
}

/// The schema in Protobuf.
pub(crate) fn convert(schema: &SchemaRef, options: &Options) -> Result<Written> {
    if let Some(wrapper) = root_wrapper(schema) {
        return Ok(Written { text: known::WRAPPERS.to_owned(), message: format!("google.protobuf.{wrapper}") });
    }
    let Kind::Struct(_) = &schema.kind else {
        return Err(Error::data(format!("Unsupported root schema of type {}", schema.kind.java_name()))
            .class("java.lang.IllegalArgumentException")
            .hint("a message has fields: hoist the value into a struct with a transform (HoistField)"));
    };
    let mut maker = Maker { options, imports: Vec::new(), unnamed: 0 };
    let full = maker.name_or_default(schema);
    let (package, name) = names::split(&full, options.scrub);
    let message = maker.message(&name, schema, &[])?;
    let mut text = "syntax = \"proto3\";\n".to_owned();
    if let Some(package) = &package {
        text.push_str(&format!("package {package};\n"));
    }
    if !maker.imports.is_empty() {
        text.push('\n');
        for import in &maker.imports {
            text.push_str(&format!("import \"{import}\";\n"));
        }
    }
    text.push('\n');
    message.write(&mut text);
    Ok(Written { text, message: package.map_or_else(|| name.clone(), |package| format!("{package}.{name}")) })
}

/// The message around a value that is no struct.
pub(crate) fn root_wrapper(schema: &Schema) -> Option<&'static str> {
    Some(match &schema.kind {
        Kind::Int8 | Kind::Int16 | Kind::Int32 => "Int32Value",
        Kind::Int64 => "Int64Value",
        Kind::Float32 => "FloatValue",
        Kind::Float64 => "DoubleValue",
        Kind::Boolean => "BoolValue",
        Kind::String => "StringValue",
        Kind::Bytes => "BytesValue",
        Kind::Array(_) | Kind::Map(..) | Kind::Struct(_) | Kind::Unknown => return None,
    })
}

/// A message in the making.
struct Message {
    name: String,
    fields: Vec<String>,
    oneofs: Vec<(String, Vec<String>)>,
    messages: Vec<Message>,
    enums: Vec<(String, Vec<(String, i32)>)>,
}

impl Message {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), fields: Vec::new(), oneofs: Vec::new(), messages: Vec::new(), enums: Vec::new() }
    }

    /// Appends the message. What is in it is indented by two blanks.
    fn write(&self, out: &mut String) {
        out.push_str(&format!("message {} {{", self.name));
        if !self.fields.is_empty() {
            out.push('\n');
            self.fields.iter().for_each(|field| indented(field, out));
        }
        if !self.oneofs.is_empty() {
            out.push('\n');
            for (name, fields) in &self.oneofs {
                let mut text = format!("oneof {name} {{\n");
                fields.iter().for_each(|field| indented(field, &mut text));
                text.push('}');
                indented(&text, out);
            }
        }
        if !self.messages.is_empty() || !self.enums.is_empty() {
            out.push('\n');
            for message in &self.messages {
                let mut text = String::new();
                message.write(&mut text);
                indented(text.trim_end_matches('\n'), out);
            }
            for (name, values) in &self.enums {
                let mut text = format!("enum {name} {{\n");
                for (symbol, number) in values {
                    indented(&format!("{symbol} = {number};"), &mut text);
                }
                text.push('}');
                indented(&text, out);
            }
        }
        out.push_str("}\n");
    }
}

fn indented(text: &str, out: &mut String) {
    for line in text.split('\n') {
        out.push_str("  ");
        out.push_str(line);
        out.push('\n');
    }
}

struct Maker<'a> {
    options: &'a Options,
    imports: Vec<&'static str>,
    /// How many types got a name of ours.
    unnamed: usize,
}

impl Maker<'_> {
    fn name_or_default(&mut self, schema: &Schema) -> String {
        match schema.name.as_deref().filter(|name| !name.is_empty()) {
            Some(name) => name.to_owned(),
            None => {
                self.unnamed += 1;
                format!("{}{}", options::DEFAULT_NAME, self.unnamed)
            }
        }
    }

    /// The last part of a name.
    fn unqualified(&mut self, schema: &Schema) -> String {
        let full = self.name_or_default(schema);
        names::scrubbed(full.rsplit('.').next().unwrap_or(&full), self.options.scrub)
    }

    /// A message; `around` are the names of those that it is in.
    fn message(&mut self, name: &str, schema: &Schema, around: &[String]) -> Result<Message> {
        if around.len() > 60 {
            return Err(Error::data(format!("the schema {name} holds itself too deep")));
        }
        let mut message = Message::new(name);
        let mut seen = HashSet::new();
        let mut path = around.to_vec();
        path.push(name.to_owned());
        let mut next = 1;
        for field in schema.fields() {
            let tag = match tag_of(&field.schema)? {
                Some(tag) => tag,
                None => {
                    next += 1;
                    next - 1
                }
            };
            let name = names::scrubbed(&field.name, self.options.scrub);
            if let Some(text) = self.field(&mut message, &mut seen, &field.schema, &name, tag, &path, false)? {
                message.fields.push(text);
            }
        }
        Ok(message)
    }

    /// The text of a field; nothing for a struct that stands for a oneof, which is added to the message itself.
    #[allow(clippy::too_many_arguments, reason = "one step of a recursion that hands everything on")]
    fn field(
        &mut self,
        message: &mut Message,
        seen: &mut HashSet<String>,
        schema: &SchemaRef,
        name: &str,
        tag: i32,
        path: &[String],
        in_oneof: bool,
    ) -> Result<Option<String>> {
        let optional = self.options.optional_label && schema.optional;
        let (label, schema) = match &schema.kind {
            Kind::Array(element) => ("repeated ", element),
            Kind::Map(..) => ("repeated ", schema),
            _ if optional && !in_oneof => ("optional ", schema),
            _ => ("", schema),
        };
        let mut params = Vec::new();
        let field_type = self.field_type(schema, name, &mut params)?;
        match &schema.kind {
            Kind::Struct(fields) if options::is_union(schema) => {
                let union = self.union_name(schema);
                let mut members = Vec::with_capacity(fields.len());
                for member in fields {
                    let tag = tag_of(&member.schema)?.ok_or_else(|| {
                        Error::data(format!("the field {} of a oneof has no {}", member.name, options::TAG))
                    })?;
                    let name = names::scrubbed(&member.name, self.options.scrub);
                    members.extend(self.field(message, seen, &member.schema, &name, tag, path, true)?);
                }
                message.oneofs.push((union, members));
                return Ok(None);
            }
            // A type of the name of the message around it is that message.
            Kind::Struct(_) if path.last().is_none_or(|last| *last != field_type) => {
                if seen.insert(field_type.clone()) {
                    let inner = self.message(&field_type, schema, path)?;
                    message.messages.push(inner);
                }
            }
            Kind::Map(keys, values) => {
                let mut entry = Message::new(&field_type);
                let (mut inside, mut path) = (HashSet::new(), path.to_vec());
                path.push(field_type.clone());
                for (schema, name, tag) in [(keys, "key", 1), (values, "value", 2)] {
                    let text = self.field(&mut entry, &mut inside, schema, name, tag, &path, false)?;
                    entry.fields.extend(text);
                }
                message.messages.push(entry);
            }
            _ => {
                if let Some(parameter) = self.options.enum_parameter(schema) {
                    let name = self.unqualified(schema);
                    if message.enums.iter().all(|(known, _)| *known != name) {
                        message.enums.push((name, symbols(schema, parameter)?));
                    }
                }
            }
        }
        Ok(Some(format!("{label}{field_type} {name} = {tag}{};", meta(&params))))
    }

    fn union_name(&mut self, schema: &Schema) -> String {
        let general = schema.get_parameter(options::SUM_UNION).filter(|_| self.options.generalized);
        if let Some(name) = general {
            return name.to_owned();
        }
        let name = schema.name.as_deref().unwrap_or_default();
        let name = name.strip_prefix(options::UNION_OF).unwrap_or(name);
        names::scrubbed(name.rsplit('.').next().unwrap_or(name), self.options.scrub)
    }

    fn import(&mut self, file: &'static str) {
        if !self.imports.contains(&file) {
            self.imports.push(file);
        }
    }

    /// The type of a field, and what Protobuf has no place for.
    fn field_type(
        &mut self,
        schema: &SchemaRef,
        field: &str,
        params: &mut Vec<(&'static str, String)>,
    ) -> Result<String> {
        let of_name = match schema.name.as_deref() {
            Some(logical::DECIMAL) => {
                // In the order in which a `HashMap` has them.
                let all = [(options::CONNECT_PRECISION, options::PRECISION), (options::SCALE, options::SCALE)];
                for (parameter, name) in all {
                    params.extend(schema.get_parameter(parameter).map(|value| (name, value.to_owned())));
                }
                Some(("confluent/type/decimal.proto", options::DECIMAL_TYPE))
            }
            Some(logical::DATE) => Some(("google/type/date.proto", options::DATE_TYPE)),
            Some(logical::TIME) => Some(("google/type/timeofday.proto", options::TIME_TYPE)),
            Some(logical::TIMESTAMP) => Some(("google/protobuf/timestamp.proto", options::TIMESTAMP_TYPE)),
            _ => None,
        };
        if let Some((file, name)) = of_name {
            self.import(file);
            return Ok(name.to_owned());
        }
        let parameter = |name: &str| schema.get_parameter(name);
        let enumeration = parameter(options::SUM_ENUM).or_else(|| parameter(options::ENUM));
        let plain = match &schema.kind {
            Kind::Int8 => {
                params.push((options::CONNECT_TYPE, "int8".to_owned()));
                "int32"
            }
            Kind::Int16 => {
                params.push((options::CONNECT_TYPE, "int16".to_owned()));
                "int32"
            }
            Kind::Int32 => match parameter(options::ENUM) {
                Some(name) => return Ok(name.to_owned()),
                None => parameter(options::TYPE).unwrap_or("int32"),
            },
            Kind::Int64 => parameter(options::TYPE).unwrap_or("int64"),
            Kind::Float32 => "float",
            Kind::Float64 => "double",
            Kind::Boolean => "bool",
            Kind::String => match enumeration {
                Some(name) => return Ok(name.to_owned()),
                None => "string",
            },
            Kind::Bytes => "bytes",
            Kind::Unknown => return Err(crate::no_schema_inside()),
            Kind::Array(_) => {
                return Err(Error::data("Array cannot be nested").class("java.lang.IllegalArgumentException"));
            }
            Kind::Map(..) => return Ok(names::map_entry(&self.unqualified(schema))),
            // The oneof of a union is named elsewhere.
            Kind::Struct(_) if options::is_union(schema) => return Ok(String::new()),
            Kind::Struct(_) => {
                let name = self.unqualified(schema);
                // A type can't have the name of the field beside it.
                return Ok(if name == field { format!("{name}Message") } else { name });
            }
        };
        if !(self.options.wrapper_for_nullables && schema.optional) {
            return Ok(plain.to_owned());
        }
        self.import("google/protobuf/wrappers.proto");
        let wrapper = match (&schema.kind, plain) {
            (Kind::Int64, "uint32" | "fixed32") => "UInt32Value",
            (Kind::Int64, "uint64" | "fixed64") => "UInt64Value",
            _ => root_wrapper(schema).unwrap_or_default(),
        };
        Ok(format!("google.protobuf.{wrapper}"))
    }
}

fn tag_of(schema: &Schema) -> Result<Option<i32>> {
    let tag = schema.get_parameter(options::TAG);
    tag.map(|tag| tag.parse().map_err(|_| Error::data(format!("{} is no number: {tag}", options::TAG)))).transpose()
}

fn symbols(schema: &Schema, parameter: &str) -> Result<Vec<(String, i32)>> {
    let beginning = format!("{parameter}.");
    let parameters = schema.parameters.iter().flatten();
    let symbols = parameters.filter_map(|(key, value)| Some((key.strip_prefix(&*beginning)?, value)));
    let symbol = |(symbol, number): (&str, &std::sync::Arc<str>)| {
        let number =
            number.parse().map_err(|_| Error::data(format!("the number of the symbol {symbol} is none: {number}")))?;
        Ok((symbol.to_owned(), number))
    };
    symbols.map(symbol).collect()
}

/// The option that holds what Protobuf has no place for.
fn meta(params: &[(&str, String)]) -> String {
    if params.is_empty() {
        return String::new();
    }
    let mut text = " [(confluent.field_meta) = {\n  params: [\n".to_owned();
    for (place, (key, value)) in params.iter().enumerate() {
        let end = if place + 1 < params.len() { "," } else { "" };
        let pair = match *key {
            options::PRECISION | options::SCALE => [("value", value.as_str()), ("key", *key)],
            _ => [("key", *key), ("value", value.as_str())],
        };
        let [(first, a), (second, b)] = pair;
        let written = write!(text, "    {{\n      {first}: \"{a}\",\n      {second}: \"{b}\"\n    }}{end}\n");
        debug_assert!(written.is_ok(), "writing into a string can not fail");
    }
    text.push_str("  ]\n}]");
    text
}
