//! Debezium's MongoDB source (`cdc.debezium.mongodb.MongoDbHandler` and `ChangeStreamHandler`): documents arrive as
//! Extended JSON texts inside the event.

use bson::{Document, doc};
use connect_api::Error;

use super::wrapped;
use crate::doc::extjson::parse_document;
use crate::doc::{DocRef, Side, render};
use crate::statement::Model;

/// What an update carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A patch, or a whole document when it has an `_id`.
    Oplog,
    /// The whole document.
    ChangeStream,
}

/// The write of an event; `None` for a tombstone.
pub fn handle(key: &Side<'_>, value: &Side<'_>, format: Format) -> Result<Option<Model>, Error> {
    let Some(key) = key.doc()?.filter(|key| !key.is_empty()) else {
        return Err(Error::data("Key document must not be missing for CDC mode"));
    };
    let event = value.doc()?.filter(|event| !event.is_empty());
    if event.is_none() && key.contains("id") {
        return Ok(None);
    }
    let missing = || Error::data("Value document is missing or CDC operation is not a string");
    let event = event.ok_or_else(missing)?;
    let operation = event.get("op").and_then(|node| node.as_str()).ok_or_else(missing)?;
    match operation {
        "c" | "r" => insert(event).map(Some),
        "u" => update(key, event, format).map(Some),
        "d" => delete(key).map(Some),
        other => Err(Error::data(format!("Unknown operation type {other}"))),
    }
}

fn insert(event: DocRef<'_>) -> Result<Model, Error> {
    if !event.contains("after") {
        return Err(Error::data("Insert document missing `after` field."));
    }
    let replacement = parse_field(event, "after").map_err(wrapped)?;
    let id = replacement.get("_id").cloned().unwrap_or(bson::Bson::Null);
    Ok(Model::Replace { filter: doc! { "_id": id }, replacement, upsert: true })
}

fn update(key: DocRef<'_>, event: DocRef<'_>, format: Format) -> Result<Model, Error> {
    let field = match format {
        Format::Oplog => "patch",
        Format::ChangeStream => "after",
    };
    if !event.contains(field) {
        return Err(Error::data(format!("Update document missing `{field}` field.")));
    }
    let mut update = parse_field(event, field).map_err(reworded)?;
    if format == Format::ChangeStream {
        return Ok(Model::Replace { filter: filter_by_key(key)?, replacement: update, upsert: true });
    }
    // An internal field of the oplog's format, which the server refuses in an update.
    update.remove("$v");
    if let Some(id) = update.get("_id").cloned() {
        return Ok(Model::Replace { filter: doc! { "_id": id }, replacement: update, upsert: true });
    }
    Ok(Model::Update { filter: filter_by_key(key)?, update, upsert: false })
}

fn delete(key: DocRef<'_>) -> Result<Model, Error> {
    if !key.contains("id") {
        return Err(Error::data("Delete document missing `id` field."));
    }
    Ok(Model::Delete { filter: key_filter(key).map_err(wrapped)? })
}

fn filter_by_key(key: DocRef<'_>) -> Result<Document, Error> {
    if !key.contains("id") {
        return Err(Error::data("Update document missing `id` field."));
    }
    key_filter(key).map_err(reworded)
}

/// The key's `id` is the JSON text of the `_id`.
fn key_filter(key: DocRef<'_>) -> Result<Document, Error> {
    parse_document(&format!("{{_id: {}}}", text(key, "id")?))
}

fn parse_field(event: DocRef<'_>, field: &str) -> Result<Document, Error> {
    parse_document(text(event, field)?)
}

fn text<'a>(document: DocRef<'a>, field: &str) -> Result<&'a str, Error> {
    let Some(node) = document.get(field) else {
        return Err(Error::data(format!("Document does not contain key {field}")));
    };
    match node.as_str() {
        Some(text) => Ok(text),
        None => Err(Error::data(format!(
            "Value expected to be of type STRING is of unexpected type {}",
            render::bson_type(&node.to_bson()?)
        ))
        .class("org.bson.BsonInvalidOperationException")),
    }
}

/// The same message under `DataException`, as updates report what they could not read.
fn reworded(error: Error) -> Error {
    Error::data(error.message().to_owned()).caused_by(error)
}
