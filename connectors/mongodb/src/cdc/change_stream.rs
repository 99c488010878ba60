//! Change streams as MongoDB's own source publishes them (`cdc.mongodb.ChangeStreamHandler`).

use bson::{Bson, Document, doc};
use connect_api::Error;

use crate::doc::{Side, render};
use crate::statement::Model;

/// Operations that change no document: they are skipped.
const OTHERS: [&str; 11] = [
    "create",
    "createindexes",
    "refinecollectionshardkey",
    "reshardcollection",
    "shardcollection",
    "modify",
    "drop",
    "dropdatabase",
    "dropindexes",
    "rename",
    "invalidate",
];

/// The fields of an update description that can be applied.
const KNOWN: [&str; 4] = ["updatedFields", "removedFields", "truncatedArrays", "disambiguatedPaths"];

/// The write of an event; `None` for events that concern no document.
pub fn handle(value: &Side<'_>) -> Result<Option<Model>, Error> {
    let event = value.tree()?.unwrap_or_default();
    let operation = match event.get("operationType") {
        None => {
            return Err(Error::data(format!(
                "Error: `operationType` field is doc is missing. {}",
                render::json(&event)
            )));
        }
        Some(Bson::String(operation)) => operation.to_ascii_lowercase(),
        Some(_) => return Err(Error::data("Error: Unexpected CDC operation type, should be a string")),
    };
    match operation.as_str() {
        "insert" | "replace" => Ok(Some(Model::Replace {
            filter: document(&event, "documentKey")?,
            replacement: document(&event, "fullDocument")?,
            upsert: true,
        })),
        "update" => update(&event).map(Some),
        "delete" => Ok(Some(Model::Delete { filter: document(&event, "documentKey")? })),
        other => {
            let known = OTHERS.contains(&other);
            tracing::warn!(operation = if known { other } else { "unknown" }, "unsupported change stream operation");
            Ok(None)
        }
    }
}

fn update(event: &Document) -> Result<Model, Error> {
    let filter = document(event, "documentKey")?;
    if event.contains_key("fullDocument") {
        return Ok(Model::Replace { filter, replacement: document(event, "fullDocument")?, upsert: false });
    }
    Ok(Model::Update { filter, update: update_document(event)?, upsert: false })
}

fn document(event: &Document, field: &str) -> Result<Document, Error> {
    match event.get(field) {
        Some(Bson::Document(document)) => Ok(document.clone()),
        None => Err(Error::data(format!("Missing {field} field: {}", render::json(event)))),
        Some(other) => Err(Error::data(format!(
            "Unexpected {field} field type, expecting a document but found `{}`: {}",
            render::bson_value_text(other),
            render::json(event)
        ))),
    }
}

fn update_document(event: &Document) -> Result<Document, Error> {
    let description = match event.get("updateDescription") {
        Some(Bson::Document(description)) => description,
        None => return Err(Error::data(format!("Missing updateDescription field: {}", render::json(event)))),
        Some(other) => return Err(unexpected("updateDescription", "expected a document found", other, event)),
    };
    let unknown: Vec<_> = description.keys().filter(|name| !KNOWN.contains(&name.as_str())).cloned().collect();
    if !unknown.is_empty() {
        return Err(Error::data(format!(
            "Warning unexpected field(s) in updateDescription [{}]. {}. Cannot process due to risk of data loss.",
            unknown.join(", "),
            render::json(description)
        )));
    }
    let missing =
        |field: &str| Error::data(format!("Missing updateDescription.{field} field: {}", render::json(description)));
    let updated = match description.get("updatedFields") {
        Some(Bson::Document(updated)) => updated.clone(),
        None => return Err(missing("updatedFields")),
        Some(_) => {
            let whole = Bson::Document(description.clone());
            return Err(unexpected("updateDescription", "expected a document but found", &whole, description));
        }
    };
    let removed = match description.get("removedFields") {
        Some(Bson::Array(removed)) => removed,
        None => return Err(missing("removedFields")),
        Some(other) => return Err(unexpected("removedFields", "expected an array but found", other, description)),
    };
    if let Some(other) = description.get("truncatedArrays").filter(|value| !matches!(value, Bson::Array(_))) {
        return Err(unexpected("truncatedArrays", "expected an array but found", other, description));
    }
    if let Some(other) = description.get("disambiguatedPaths").filter(|value| !matches!(value, Bson::Document(_))) {
        return Err(unexpected("disambiguatedPaths", "expected an array but found", other, description));
    }
    let mut unset = Document::new();
    for name in removed {
        let Bson::String(name) = name else {
            return Err(Error::data(format!(
                "Unexpected value type in removedFields, expected a string but found `{}`: {}",
                render::bson_value_text(name),
                render::json(description)
            )));
        };
        unset.insert(name.clone(), "");
    }
    let mut update = doc! { "$set": updated };
    if !unset.is_empty() {
        update.insert("$unset", unset);
    }
    Ok(update)
}

fn unexpected(field: &str, what: &str, found: &Bson, whole: &Document) -> Error {
    Error::data(format!(
        "Unexpected {field} field type, {what} `{}`: {}",
        render::bson_value_text(found),
        render::json(whole)
    ))
}
