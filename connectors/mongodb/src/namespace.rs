//! Namespace mappers (`namespace.mapper`): which collection a record goes to.

use std::sync::Arc;

use connect_api::Error;

use crate::doc::{DocRef, NodeRef, Side, render};

/// A database and a collection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Namespace {
    pub database: String,
    pub collection: String,
}

impl Namespace {
    /// Refuses names that the driver refuses (`MongoNamespace`).
    pub fn new(database: &str, collection: &str) -> Result<Self, Error> {
        let refused = |what: String| {
            Err(Error::data(format!("state should be: {what}")).class("java.lang.IllegalArgumentException"))
        };
        if database.is_empty() {
            return refused("databaseName is not empty".to_owned());
        }
        if let Some(c) = database.chars().find(|c| matches!(c, '\0' | '/' | '\\' | ' ' | '"' | '.')) {
            return refused(format!("databaseName does not contain '{c}'"));
        }
        if collection.is_empty() {
            return refused("collectionName is not empty".to_owned());
        }
        Ok(Self { database: database.to_owned(), collection: collection.to_owned() })
    }

    /// `database.collection`.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.database, self.collection)
    }
}

/// A path into the key or the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldPath {
    Key(String),
    Value(String),
}

/// A mapper.
#[derive(Clone, Debug)]
pub enum Mapper {
    /// Always the same.
    Fixed(Arc<Namespace>),
    /// From fields of the record, where they are texts.
    Fields { fixed: Arc<Namespace>, database: Option<FieldPath>, collection: Option<FieldPath>, strict: bool },
}

impl Mapper {
    /// The namespace of a record.
    pub fn map(&self, key: &Side<'_>, value: &Side<'_>) -> Result<Arc<Namespace>, Error> {
        let (fixed, database, collection, strict) = match self {
            Self::Fixed(namespace) => return Ok(namespace.clone()),
            Self::Fields { fixed, database, collection, strict } => (fixed, database, collection, *strict),
        };
        let find = |path: &Option<FieldPath>| match path {
            None => Ok(None),
            Some(FieldPath::Key(path)) => look_up(key, "key", path, strict),
            Some(FieldPath::Value(path)) => look_up(value, "value", path, strict),
        };
        let database = find(database)?;
        let collection = find(collection)?;
        let database = database.as_deref().unwrap_or(&fixed.database);
        let collection = collection.as_deref().unwrap_or(&fixed.collection);
        Namespace::new(database, collection).map(Arc::new)
    }
}

fn look_up(side: &Side<'_>, name: &str, path: &str, strict: bool) -> Result<Option<String>, Error> {
    let Some(document) = side.doc()? else {
        return if strict {
            Err(Error::data(format!("Invalid {name} document: no {name} is there")))
        } else {
            Ok(None)
        };
    };
    let json = |document: DocRef<'_>| document.to_tree().map(|tree| render::json(&tree)).map_err(|e| side.explain(e));
    let Some(node) = find(document, path) else {
        return if strict {
            Err(Error::data(format!("Missing document path '{path}': {}", json(document)?)))
        } else {
            Ok(None)
        };
    };
    match node.as_str() {
        Some(text) => Ok(Some(text.to_owned())),
        None if strict => Err(Error::data(format!(
            "Invalid type for {} field path '{path}', expected a String: {}",
            render::bson_type(&node.to_bson()?),
            json(document)?
        ))),
        None => Ok(None),
    }
}

/// A field by its path; one whose own name is the whole path wins over the nested one.
fn find<'a>(document: DocRef<'a>, path: &str) -> Option<NodeRef<'a>> {
    if let Some(node) = document.get(path) {
        return Some(node);
    }
    let (first, rest) = path.split_once('.').filter(|_| !path.ends_with('.'))?;
    find(document.get(first)?.as_doc()?, rest)
}
