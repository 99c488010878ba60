//! Statements: what one record asks of the server.
//!
//! A statement is written as the raw document that the `insert`, `update` or `delete` command takes. Handlers that
//! are fast write it in place; the others build a [`Model`] first.

use bson::{Bson, Document};
use connect_api::Error;

use crate::doc::Writer;

/// The driver's kinds of writes; a bulk is cut where the kind changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Insert,
    Replace,
    Update,
    Delete,
}

/// A written statement. `deferred` is an error that the JVM meets only when it encodes the bulk: it then takes the
/// whole batch down, not the record alone.
#[derive(Debug)]
pub struct Statement {
    pub kind: Kind,
    pub deferred: Option<Error>,
    /// The `_id` of the document was made here for this record alone: who finds it taken has found his own write.
    pub own_id: bool,
}

impl Statement {
    /// A statement without an error.
    pub fn new(kind: Kind) -> Self {
        Self { kind, deferred: None, own_id: false }
    }

    /// The same with the error of a field name that a replacement must not have.
    #[must_use]
    pub fn check_name(mut self, name: &str) -> Self {
        if self.deferred.is_none() && refused_in_replacement(name) {
            self.deferred = Some(
                Error::data(format!("Invalid BSON field name {name}")).class("java.lang.IllegalArgumentException"),
            );
        }
        self
    }
}

/// Names that begin with a dollar sign, but for those of a database reference.
pub fn refused_in_replacement(name: &str) -> bool {
    name.starts_with('$') && !matches!(name, "$db" | "$ref" | "$id")
}

/// A write as a tree (`com.mongodb.client.model.WriteModel`).
#[derive(Clone, Debug, PartialEq)]
pub enum Model {
    Insert(Document),
    Replace { filter: Document, replacement: Document, upsert: bool },
    Update { filter: Document, update: Document, upsert: bool },
    Delete { filter: Document },
}

impl Model {
    /// Writes the statement at the end of a buffer.
    pub fn write(&self, w: &mut Writer) -> Result<Statement, Error> {
        match self {
            Self::Insert(document) => write_insert(w, document),
            Self::Replace { filter, replacement, upsert } => {
                write_update(w, filter, replacement, *upsert)?;
                let mut statement = Statement::new(Kind::Replace);
                for name in replacement.keys() {
                    statement = statement.check_name(name);
                }
                Ok(statement)
            }
            Self::Update { filter, update, upsert } => {
                write_update(w, filter, update, *upsert)?;
                Ok(Statement::new(Kind::Update))
            }
            Self::Delete { filter } => {
                let open = w.open();
                let at = w.literal("q");
                w.put_document_at(at, filter)?;
                let at = w.literal("limit");
                w.put_i32(at, 1);
                w.close(open);
                Ok(Statement::new(Kind::Delete))
            }
        }
    }
}

/// The `_id` goes first, and is generated when there is none, as the driver does it.
fn write_insert(w: &mut Writer, document: &Document) -> Result<Statement, Error> {
    let mut statement = Statement::new(Kind::Insert);
    let open = w.open();
    let at = w.literal("_id");
    match document.get("_id") {
        Some(id) => w.put_bson(at, id)?,
        None => {
            w.put_object_id(at, bson::oid::ObjectId::new());
            statement.own_id = true;
        }
    }
    for (name, value) in document.iter().filter(|(name, _)| name.as_str() != "_id") {
        let at = w.name(name)?;
        w.put_bson(at, value)?;
    }
    w.close(open);
    Ok(statement)
}

fn write_update(w: &mut Writer, filter: &Document, update: &Document, upsert: bool) -> Result<(), Error> {
    let open = w.open();
    let at = w.literal("q");
    w.put_document_at(at, filter)?;
    let at = w.literal("u");
    w.put_document_at(at, update)?;
    if upsert {
        let at = w.literal("upsert");
        w.put_bool(at, true);
    }
    w.close(open);
    Ok(())
}

/// Keeps the fields of a document that a function accepts; it may change their values.
pub fn retain(document: &mut Document, mut keep: impl FnMut(&str, &mut Bson) -> bool) {
    *document = std::mem::take(document)
        .into_iter()
        .filter_map(|(name, mut value)| keep(&name, &mut value).then_some((name, value)))
        .collect();
}
