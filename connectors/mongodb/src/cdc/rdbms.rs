//! Debezium's relational sources (`cdc.debezium.rdbms.RdbmsHandler` and its Postgres and MySQL names).
//!
//! Inserts, reads and updates replace the whole document, deletes remove it. The key document is the `_id`; its
//! fields leave the body. A table without a key gets generated ids, and is later found by the whole before image.
//! Statements are written straight from the event: nothing of it is copied into a tree.
//!
//! Where Debezium's types are converted, the fields of the row are, and those of a before image that finds a document.
//! An `_id` keeps its form: documents written before stay those of their keys.

use bson::oid::ObjectId;
use connect_api::Error;

use super::{Extras, wrapped};
use crate::doc::kept::{self, Kept, expressible};
use crate::doc::write::At;
use crate::doc::{DocRef, NodeRef, Side, Unavailable, Writer};
use crate::statement::{Kind, Statement, refused_in_replacement};

/// Writes the statement for an event. Tombstones, empty events and schema changes ask for nothing.
pub fn handle(
    key: &Side<'_>,
    value: &Side<'_>,
    extras: Extras<'_>,
    w: &mut Writer,
) -> Result<Option<Statement>, Error> {
    let Some(event) = value.doc()?.filter(|event| !event.is_empty()) else { return Ok(None) };
    let operation = match event.get("op") {
        None if event.contains("ddl") => return Ok(None),
        operation => operation
            .and_then(|node| node.as_str())
            .ok_or_else(|| Error::data("Value document is missing or CDC operation is not a string"))?,
    };
    let deletes = match operation {
        "c" | "r" | "u" => false,
        "d" => true,
        other => return Err(Error::data(format!("Unknown operation type {other}"))),
    };
    let key_doc = key.doc().map_err(wrapped)?.filter(|key| !key.is_empty());
    let change = Change { key, value, key_doc, event, inserts: operation != "u", extras };
    if deletes { change.delete(w).map(Some) } else { change.replace(w).map(Some) }
}

/// One event on its way.
struct Change<'a> {
    key: &'a Side<'a>,
    value: &'a Side<'a>,
    /// The key document, unless it is missing or empty.
    key_doc: Option<DocRef<'a>>,
    event: DocRef<'a>,
    inserts: bool,
    extras: Extras<'a>,
}

/// Where the `_id` of the filter stands in the buffer, to be written once more.
enum FilterId {
    Document {
        from: usize,
        to: usize,
    },
    Generated(ObjectId),
    /// The filter is the before image: it has an `_id` only by chance.
    Before,
}

/// The `_id` of a replacement.
enum Id<'a> {
    /// A value of the event.
    Value(NodeRef<'a>),
    /// The filter's document, from and to where it stands in the buffer.
    Copy(usize, usize),
    Generated(ObjectId),
}

impl Id<'_> {
    fn write(&self, w: &mut Writer, at: At) -> Result<(), Error> {
        match self {
            Self::Value(value) => value.write(w, at)?,
            Self::Copy(from, to) => w.copy_document(at, *from, *to),
            Self::Generated(id) => w.put_object_id(at, *id),
        }
        Ok(())
    }
}

impl Change<'_> {
    fn delete(&self, w: &mut Writer) -> Result<Statement, Error> {
        let open = w.open();
        if self.key_doc.is_some() {
            self.filter(w)?;
        } else {
            self.filter_by_before(w)?;
        }
        let at = w.literal("limit");
        w.put_i32(at, 1);
        w.close(open);
        Ok(Statement::new(Kind::Delete))
    }

    fn replace(&self, w: &mut Writer) -> Result<Statement, Error> {
        let open = w.open();
        let id = self.filter(w)?;
        let after = self.event.get("after").and_then(|node| node.as_doc()).filter(|after| !after.is_empty());
        let Some(after) = after else {
            return Err(wrapped(Error::data(
                "Value document must contain non-empty 'after' field of type document for insert/update operation",
            )));
        };
        let id = self.replacement_id(after, &id);
        let keep = self.extras.keep.filter(|unavailable| unavailable.within(after));
        let (kind, refused) = match keep {
            None => (Kind::Replace, self.replacement(after, id, w)),
            // It reads what is stored: nothing may count on it as on a replacement.
            Some(unavailable) => (Kind::Update, self.kept(after, id, unavailable, w)),
        };
        let refused = refused.map_err(|error| self.value.explain(error))?;
        let at = w.literal("upsert");
        w.put_bool(at, true);
        w.close(open);
        let statement = Statement::new(kind);
        Ok(match refused {
            Some(name) => statement.check_name(name),
            None => statement,
        })
    }

    /// Writes `u` as the whole document; gives the first name that a replacement must not have.
    fn replacement<'b>(&self, after: DocRef<'b>, id: Option<Id<'_>>, w: &mut Writer) -> Result<Option<&'b str>, Error> {
        let at = w.literal("u");
        let document = w.begin(at);
        if let Some(id) = id {
            let at = w.literal("_id");
            id.write(w, at)?;
        }
        let mut refused = None;
        after.each(|name, node| {
            if name == "_id" || self.in_key(name) {
                return Ok(());
            }
            if refused_in_replacement(name) {
                refused.get_or_insert(name);
            }
            let at = w.name(name)?;
            node.write_as(w, at, name, self.extras.types)
        })?;
        w.close(document);
        Ok(refused)
    }

    /// Writes `u` as a pipeline that makes the same document with the stored values where they were not read.
    fn kept<'b>(
        &self,
        after: DocRef<'b>,
        id: Option<Id<'_>>,
        unavailable: &Unavailable,
        w: &mut Writer,
    ) -> Result<Option<&'b str>, Error> {
        let kept = Kept { unavailable, types: self.extras.types };
        let odd = after.any(|name, _| !self.in_key(name) && !expressible(name));
        let mut refused = None;
        kept::write_pipeline(w, odd, |fields, w| {
            if let Some(id) = id {
                fields.field(w, "_id", |w, at| kept::literal(w, at, |w, at| id.write(w, at)))?;
            }
            after.each(|name, node| {
                if name == "_id" || self.in_key(name) {
                    return Ok(());
                }
                if refused_in_replacement(name) {
                    refused.get_or_insert(name);
                }
                fields.field(w, name, |w, at| kept.write(w, at, name, node))
            })
        })?;
        Ok(refused)
    }

    /// The `_id` of the replacement: the row's own column of that name, else the filter's. It goes first, where the
    /// server puts it anyway.
    fn replacement_id<'b>(&'b self, after: DocRef<'b>, id: &FilterId) -> Option<Id<'b>> {
        let own = after.get("_id").filter(|_| !self.in_key("_id"));
        let before = || self.event.get("before").and_then(|node| node.as_doc()).and_then(|before| before.get("_id"));
        match (own, id) {
            (Some(own), _) => Some(Id::Value(own)),
            (None, FilterId::Document { from, to }) => Some(Id::Copy(*from, *to)),
            (None, FilterId::Generated(id)) => Some(Id::Generated(*id)),
            (None, FilterId::Before) => before().map(Id::Value),
        }
    }

    fn in_key(&self, name: &str) -> bool {
        self.key_doc.is_some_and(|key| key.contains(name))
    }

    /// Writes `q`.
    fn filter(&self, w: &mut Writer) -> Result<FilterId, Error> {
        let Some(key) = self.key_doc else {
            if !self.inserts {
                self.filter_by_before(w)?;
                return Ok(FilterId::Before);
            }
            let id = ObjectId::new();
            let at = w.literal("q");
            let filter = w.begin(at);
            let at = w.literal("_id");
            w.put_object_id(at, id);
            w.close(filter);
            return Ok(FilterId::Generated(id));
        };
        let at = w.literal("q");
        let filter = w.begin(at);
        let at = w.literal("_id");
        let from = w.len();
        let document = w.begin(at);
        key.write_fields(w).map_err(|error| wrapped(self.key.explain(error)))?;
        w.close(document);
        let to = w.len();
        w.close(filter);
        Ok(FilterId::Document { from, to })
    }

    fn filter_by_before(&self, w: &mut Writer) -> Result<(), Error> {
        let before = self.event.get("before").and_then(|node| node.as_doc()).filter(|before| !before.is_empty());
        let Some(before) = before else {
            return Err(wrapped(Error::data(
                "Value doc 'before' field is empty or has invalid type for update/delete operation.  \
                 -> defensive actions taken!",
            )));
        };
        let at = w.literal("q");
        let filter = w.begin(at);
        before.write_fields_as(w, self.extras.types).map_err(|error| self.value.explain(error))?;
        w.close(filter);
        Ok(())
    }
}
