//! Write model strategies (`writemodel.strategy`, `delete.writemodel.strategy`).

use bson::{Bson, DateTime, Document, doc};
use connect_api::Error;

use crate::ids::IdStrategy;
use crate::process::Working;
use crate::statement::Model;

/// The strategies that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteStrategy {
    InsertOneDefault,
    ReplaceOneDefault,
    ReplaceOneBusinessKey,
    UpdateOneDefault,
    UpdateOneTimestamps,
    UpdateOneBusinessKeyTimestamp,
    DeleteOneDefault,
    DeleteOneBusinessKey,
    DeleteOneTombstoneBusinessKey,
}

impl WriteStrategy {
    /// True for strategies that find documents by fields of theirs instead of by `_id`.
    pub fn finds_by_fields(self) -> bool {
        matches!(
            self,
            Self::ReplaceOneBusinessKey
                | Self::UpdateOneBusinessKeyTimestamp
                | Self::DeleteOneBusinessKey
                | Self::DeleteOneTombstoneBusinessKey
        )
    }

    /// The write for a record with a value, or for any record in the case of deletes by key. `key_ids` is the id
    /// strategy that a delete by key uses instead of the key document.
    pub fn model(
        self,
        working: &mut Working<'_>,
        ids: &IdStrategy,
        key_ids: Option<&IdStrategy>,
    ) -> Result<Model, Error> {
        match self {
            Self::DeleteOneDefault => return delete_by_key(working, key_ids),
            Self::DeleteOneTombstoneBusinessKey => return delete_by_key_parts(working, ids),
            _ => {}
        }
        let Some(mut value) = working.value.take() else {
            return Err(Error::data("Could not build the WriteModel,the value document was missing unexpectedly"));
        };
        Ok(match self {
            Self::InsertOneDefault => Model::Insert(value),
            Self::ReplaceOneDefault => {
                Model::Replace { filter: doc! { "_id": id(&value)? }, replacement: value, upsert: true }
            }
            Self::UpdateOneDefault => {
                let filter = doc! { "_id": id(&value)? };
                value.remove("_id");
                Model::Update { filter, update: doc! { "$set": value }, upsert: true }
            }
            Self::UpdateOneTimestamps => {
                let filter = doc! { "_id": id(&value)? };
                timestamped(filter, value)
            }
            Self::UpdateOneBusinessKeyTimestamp => {
                let filter = business_key(&mut value, ids, MISSING_KEY_HINTED)?;
                timestamped(filter, value)
            }
            Self::ReplaceOneBusinessKey => {
                let filter = business_key(&mut value, ids, MISSING_KEY_HINTED)?;
                Model::Replace { filter, replacement: value, upsert: true }
            }
            Self::DeleteOneBusinessKey => Model::Delete { filter: business_key(&mut value, ids, MISSING_KEY)? },
            // Handled above.
            Self::DeleteOneDefault | Self::DeleteOneTombstoneBusinessKey => Model::Delete { filter: Document::new() },
        })
    }
}

const MISSING_KEY: &str = "Could not build the WriteModel,the value document does not contain an _id field of type \
                           BsonDocument which holds the business key fields";
const MISSING_KEY_HINTED: &str = "Could not build the WriteModel,the value document does not contain an _id field of \
     type BsonDocument which holds the business key fields.\n\n If you are including an existing `_id` value in the \
     business key then ensure `document.id.strategy.overwrite.existing=true`.";

fn id(value: &Document) -> Result<Bson, Error> {
    value
        .get("_id")
        .cloned()
        .ok_or_else(|| Error::data("Could not build the WriteModel,the `_id` field was missing unexpectedly"))
}

/// Takes the `_id` out of a value and makes the filter of it.
fn business_key(value: &mut Document, ids: &IdStrategy, missing: &'static str) -> Result<Document, Error> {
    match value.get("_id") {
        Some(Bson::Document(_)) => {}
        _ => return Err(Error::data(missing)),
    }
    match value.remove("_id") {
        Some(Bson::Document(key)) if ids.is_partial() => Ok(flatten(key)),
        Some(Bson::Document(key)) => Ok(key),
        _ => Err(Error::data(missing)),
    }
}

fn timestamped(filter: Document, mut value: Document) -> Model {
    let now = DateTime::now();
    value.insert("_modifiedTS", now);
    let update = doc! { "$set": value, "$setOnInsert": { "_insertedTS": now } };
    Model::Update { filter, update, upsert: true }
}

fn delete_by_key(working: &mut Working<'_>, key_ids: Option<&IdStrategy>) -> Result<Model, Error> {
    if !working.has_key() {
        return Err(no_key());
    }
    if let Some(ids) = key_ids {
        return Ok(Model::Delete { filter: doc! { "_id": ids.generate(working, None)? } });
    }
    let key = working.key()?.cloned().unwrap_or_default();
    let filter = if key.contains_key("_id") {
        key
    } else {
        doc! { "_id": key }
    };
    Ok(Model::Delete { filter })
}

fn delete_by_key_parts(working: &mut Working<'_>, ids: &IdStrategy) -> Result<Model, Error> {
    if !working.has_key() {
        return Err(no_key());
    }
    if !matches!(ids, IdStrategy::PartialKey(_)) {
        return Err(Error::connect("DeleteOneTombstoneBusinessKeyStrategy expects PartialKeyStrategy to be defined"));
    }
    match ids.generate(working, None)? {
        Bson::Document(key) => Ok(Model::Delete { filter: flatten(key) }),
        _ => Err(no_key()),
    }
}

fn no_key() -> Error {
    Error::data("Could not build the WriteModel,the key document was missing unexpectedly")
}

/// Nested documents as dotted paths; an empty one vanishes.
fn flatten(document: Document) -> Document {
    fn walk(prefix: &str, document: Document, out: &mut Document) {
        for (name, value) in document {
            let path = format!("{prefix}{name}");
            match value {
                Bson::Document(inner) => walk(&format!("{path}."), inner, out),
                other => {
                    out.insert(path, other);
                }
            }
        }
    }
    let mut out = Document::new();
    walk("", document, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flattens_nested_keys() {
        let nested = doc! {"k": {"a": 1, "b": {"c": 2}}, "l": 3, "gone": {}};
        assert_eq!(flatten(nested), doc! {"k.a": 1, "k.b.c": 2, "l": 3});
    }
}
