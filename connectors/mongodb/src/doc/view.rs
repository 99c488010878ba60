//! Documents as handlers see them: a struct, a map, or a document that had to be parsed.
//!
//! A look into a record's key or value copies nothing; only texts and raw BSON are parsed, once, when something
//! first reads them. That laziness is visible: a key that cannot be converted is harmless while nothing needs it.

use std::cell::OnceCell;

use bson::{Bson, Document};
use connect_api::{Datum, Error, Schema, Struct, Value};

use super::debezium::Types;
use super::value::{field_value, map_key, map_value_schema, write_rewritten, write_value};
use super::write::{At, Writer};
use super::{extjson, render};

/// A document somewhere in a record.
#[derive(Clone, Copy, Debug)]
pub enum DocRef<'a> {
    Struct(&'a Struct),
    Map(&'a [(Value, Value)], Option<&'a Schema>),
    Tree(&'a Document),
}

/// A value somewhere in a record.
#[derive(Clone, Copy, Debug)]
pub enum NodeRef<'a> {
    Value(&'a Value, Option<&'a Schema>),
    Tree(&'a Bson),
}

impl<'a> DocRef<'a> {
    /// True without any field.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Struct(value) => value.schema.fields().is_empty(),
            Self::Map(entries, _) => entries.is_empty(),
            Self::Tree(document) => document.is_empty(),
        }
    }

    /// A field.
    pub fn get(&self, name: &str) -> Option<NodeRef<'a>> {
        match *self {
            Self::Struct(value) => {
                let index = value.schema.index_of(name)?;
                Some(NodeRef::Value(field_value(value, index), Some(&value.schema.fields()[index].schema)))
            }
            Self::Map(entries, schema) => entries
                .iter()
                .find(|(key, _)| key.as_str() == Some(name))
                .map(|(_, value)| NodeRef::Value(value, schema.and_then(map_value_schema))),
            Self::Tree(document) => document.get(name).map(NodeRef::Tree),
        }
    }

    /// True when the field is there, null or not.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Visits every field in order.
    pub fn each(&self, mut visit: impl FnMut(&'a str, NodeRef<'a>) -> Result<(), Error>) -> Result<(), Error> {
        match *self {
            Self::Struct(value) => {
                for (index, field) in value.schema.fields().iter().enumerate() {
                    visit(&field.name, NodeRef::Value(field_value(value, index), Some(&field.schema)))?;
                }
            }
            Self::Map(entries, schema) => {
                let value_schema = schema.and_then(map_value_schema);
                for (key, value) in entries {
                    visit(map_key(key)?, NodeRef::Value(value, value_schema))?;
                }
            }
            Self::Tree(document) => {
                for (name, value) in document {
                    visit(name, NodeRef::Tree(value))?;
                }
            }
        }
        Ok(())
    }

    /// True when a field is as asked. Fields whose names are no texts are passed over: writing them is an error.
    pub fn any(&self, mut asked: impl FnMut(&'a str, NodeRef<'a>) -> bool) -> bool {
        match *self {
            Self::Struct(value) => value.schema.fields().iter().enumerate().any(|(index, field)| {
                asked(&field.name, NodeRef::Value(field_value(value, index), Some(&field.schema)))
            }),
            Self::Map(entries, schema) => {
                let value_schema = schema.and_then(map_value_schema);
                entries.iter().any(|(key, value)| {
                    key.as_str().is_some_and(|name| asked(name, NodeRef::Value(value, value_schema)))
                })
            }
            Self::Tree(document) => document.iter().any(|(name, value)| asked(name, NodeRef::Tree(value))),
        }
    }

    /// Writes every field into an open document.
    pub fn write_fields(&self, w: &mut Writer) -> Result<(), Error> {
        self.write_fields_as(w, None)
    }

    /// The same with Debezium's types converted, but for `_id`: an id keeps its form.
    pub fn write_fields_as(&self, w: &mut Writer, types: Option<&Types>) -> Result<(), Error> {
        self.each(|name, node| {
            let at = w.name(name)?;
            node.write_as(w, at, name, types.filter(|_| name != "_id"))
        })
    }

    /// The same as a tree of the driver's types.
    pub fn to_tree(self) -> Result<Document, Error> {
        self.to_tree_as(None)
    }

    /// The tree with Debezium's types converted, but for `_id`.
    pub fn to_tree_as(self, types: Option<&Types>) -> Result<Document, Error> {
        if let Self::Tree(document) = self {
            return Ok(document.clone());
        }
        let mut w = Writer::new();
        let open = w.open();
        self.write_fields_as(&mut w, types)?;
        w.close(open);
        bson::RawDocumentBuf::from_bytes(w.into_bytes())
            .and_then(|raw| Document::try_from(&raw))
            .map_err(|error| Error::data(error.to_string()).class("org.bson.BsonSerializationException"))
    }
}

impl<'a> NodeRef<'a> {
    /// True for null.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Value(Value::Null, _) | Self::Tree(Bson::Null))
    }

    /// The text, when it is one.
    pub fn as_str(&self) -> Option<&'a str> {
        match self {
            Self::Value(value, _) => value.as_str(),
            Self::Tree(value) => value.as_str(),
        }
    }

    /// The document, when it is one.
    pub fn as_doc(&self) -> Option<DocRef<'a>> {
        match *self {
            Self::Value(Value::Struct(value), _) => Some(DocRef::Struct(value)),
            Self::Value(Value::Map(entries), schema) => Some(DocRef::Map(entries, schema)),
            Self::Tree(Bson::Document(document)) => Some(DocRef::Tree(document)),
            _ => None,
        }
    }

    /// Writes it as an element.
    pub fn write(&self, w: &mut Writer, at: At) -> Result<(), Error> {
        match *self {
            Self::Value(value, schema) => write_value(w, at, schema, value),
            Self::Tree(value) => w.put_bson(at, value),
        }
    }

    /// Writes it as the element of the field `name`, with Debezium's types converted where that is asked for.
    pub fn write_as(&self, w: &mut Writer, at: At, name: &str, types: Option<&Types>) -> Result<(), Error> {
        match (*self, types) {
            (Self::Value(value, schema), Some(types)) => write_rewritten(w, at, schema, value, types.in_field(name)),
            _ => self.write(w, at),
        }
    }

    /// The same as a value of the driver's types.
    pub fn to_bson(self) -> Result<Bson, Error> {
        if let Self::Tree(value) = self {
            return Ok(value.clone());
        }
        let mut w = Writer::new();
        let open = w.open();
        let at = w.literal("v");
        self.write(&mut w, at)?;
        w.close(open);
        bson::RawDocumentBuf::from_bytes(w.into_bytes())
            .and_then(|raw| Document::try_from(&raw))
            .map(|mut document| document.remove("v").unwrap_or(Bson::Null))
            .map_err(|error| Error::data(error.to_string()).class("org.bson.BsonSerializationException"))
    }
}

/// Which side of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Key,
    Value,
}

/// One side of a record, read lazily (`LazyBsonDocument`).
#[derive(Debug)]
pub struct Side<'a> {
    datum: &'a Datum,
    which: Which,
    parsed: OnceCell<Document>,
}

impl<'a> Side<'a> {
    /// One side of a record.
    pub fn new(datum: &'a Datum, which: Which) -> Self {
        Self { datum, which, parsed: OnceCell::new() }
    }

    /// True when there is a document, or something that ought to be one.
    pub fn present(&self) -> bool {
        !self.datum.value.is_null()
    }

    /// The document, `None` for null. Structs and maps are not converted here: what their fields hold is found out
    /// when they are written, and [`Side::explain`] then gives the error its frame.
    pub fn doc(&self) -> Result<Option<DocRef<'_>>, Error> {
        Ok(Some(match &self.datum.value {
            Value::Null => return Ok(None),
            Value::Struct(value) => DocRef::Struct(value),
            Value::Map(entries) => DocRef::Map(entries, self.datum.schema.as_deref()),
            other => DocRef::Tree(self.parse(other)?),
        }))
    }

    /// The document as a tree, `None` for null.
    pub fn tree(&self) -> Result<Option<Document>, Error> {
        self.tree_as(None)
    }

    /// The tree with Debezium's types converted where that is asked for, but for `_id`.
    pub fn tree_as(&self, types: Option<&Types>) -> Result<Option<Document>, Error> {
        match self.doc()? {
            None => Ok(None),
            Some(document) => document.to_tree_as(types).map(Some).map_err(|error| self.explain(error)),
        }
    }

    fn parse(&self, value: &Value) -> Result<&Document, Error> {
        if let Some(document) = self.parsed.get() {
            return Ok(document);
        }
        let document = match value {
            Value::String(text) => extjson::parse_document(text),
            Value::Bytes(bytes) => bson_document(bytes),
            other => Err(Error::data(format!(
                "No converter present due to unexpected object type: {}",
                render::java_class(other)
            ))),
        };
        let document = document.map_err(|error| self.explain(error))?;
        Ok(self.parsed.get_or_init(|| document))
    }

    /// Puts an error of the conversion into its frame, naming the side and the value.
    pub fn explain(&self, error: Error) -> Error {
        let side = match self.which {
            Which::Key => "key",
            Which::Value => "value",
        };
        let text = render::java_text(self.datum);
        let class = render::java_class(&self.datum.value);
        Error::data(format!("Could not convert {side} '{text}' ({class}) into a BsonDocument.")).caused_by(error)
    }
}

/// Reads raw BSON; trailing bytes are ignored, as the JVM's reader does.
fn bson_document(bytes: &[u8]) -> Result<Document, Error> {
    Document::from_reader(bytes)
        .map_err(|error| Error::data(error.to_string()).class("org.bson.BsonSerializationException"))
}
