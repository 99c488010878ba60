//! Qlik Replicate, formerly Attunity (`cdc.qlik.rdbms.RdbmsHandler`): events with or without their envelopes.

use bson::oid::ObjectId;
use bson::{Bson, Document, doc};
use connect_api::Error;

use crate::doc::{Side, render};
use crate::statement::Model;

/// The write of an event; `None` for tombstones and updates that change nothing.
pub fn handle(key: &Side<'_>, value: &Side<'_>) -> Result<Option<Model>, Error> {
    let key = key.tree()?.unwrap_or_default();
    let event = value.tree()?.unwrap_or_default();
    if event.is_empty() {
        return Ok(None);
    }
    let message = sub_document(&event, "message", false)?;
    let headers = sub_document(message, "headers", false)?;
    let operation = headers.get("operation").or_else(|| headers.get("headers_operation"));
    let Some(Bson::String(operation)) = operation else {
        return Err(Error::data(format!(
            "Error: Could not determine the CDC operation type. {}",
            render::json(&event)
        )));
    };
    match operation.to_ascii_lowercase().as_str() {
        "insert" | "refresh" | "read" => replace(&key, message).map(Some),
        "update" => update(&key, &event, message),
        "delete" => delete(&key, &event, message).map(Some),
        _ => Err(Error::data(format!("Unable to determine the CDC operation from: {}", render::json(&event)))),
    }
}

fn replace(key: &Document, message: &Document) -> Result<Model, Error> {
    let filter = if key.is_empty() {
        doc! { "_id": ObjectId::new() }
    } else {
        doc! { "_id": key.clone() }
    };
    let mut replacement = filter.clone();
    for (name, value) in sub_document(message, "data", false)? {
        replacement.insert(name.clone(), value.clone());
    }
    Ok(Model::Replace { filter, replacement, upsert: true })
}

fn update(key: &Document, event: &Document, message: &Document) -> Result<Option<Model>, Error> {
    let filter = match key.is_empty() {
        false => doc! { "_id": key.clone() },
        true => sub_document(message, "beforeData", false)?.clone(),
    };
    let before = sub_document(message, "beforeData", false)?;
    let after = sub_document(message, "data", false)?;
    if filter.is_empty() || after.is_empty() {
        return Err(no_data(event));
    }
    let changed: Document = after
        .iter()
        .filter(|(name, value)| before.get(name.as_str()) != Some(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if changed.is_empty() {
        return Ok(None);
    }
    Ok(Some(Model::Update { filter, update: doc! { "$set": changed }, upsert: true }))
}

fn delete(key: &Document, event: &Document, message: &Document) -> Result<Model, Error> {
    let filter = match key.is_empty() {
        false => doc! { "_id": key.clone() },
        true => sub_document(sub_document(message, "data", true)?, "beforeData", true)?.clone(),
    };
    if filter.is_empty() {
        return Err(no_data(event));
    }
    Ok(Model::Delete { filter })
}

fn no_data(event: &Document) -> Error {
    Error::data(format!(
        "Error: Value Document does not contain the expected data, cannot create filter: {}.",
        render::json(event)
    ))
}

/// The sub-document of a name, the document itself when it has none.
fn sub_document<'a>(original: &'a Document, name: &str, null_is_missing: bool) -> Result<&'a Document, Error> {
    match original.get(name) {
        None => Ok(original),
        Some(Bson::Null) if null_is_missing => Ok(original),
        Some(Bson::Document(document)) => Ok(document),
        Some(_) => Err(Error::data(format!(
            "Error: Value document contains a '{name}' that is not a document: {}",
            render::json(original)
        ))),
    }
}
