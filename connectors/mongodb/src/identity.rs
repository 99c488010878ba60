//! Which document a statement is about, as far as the statement itself says it.
//!
//! Two statements are about the same document when the server says that their ids are equal: numbers are equal by value
//! whatever their type is, also inside documents. An identity is therefore not the raw bytes of an id but a canonical form of
//! them, in which equal values have equal bytes and different ones different bytes.

use std::ops::Range;

use bson::RawDocument;
use bson::raw::RawBsonRef;

use crate::batch::Batch;
use crate::canonical::value;
use crate::statement::Kind;

/// What identifies the document of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity<'a> {
    /// Its `_id`.
    Id(&'a [u8]),
    /// The values of some fields, of which the statement changes none: a business key. Those with other names are not
    /// comparable.
    Fields { names: &'a [u8], values: &'a [u8] },
    /// Only the server can tell.
    Unknown,
}

/// What a statement does to the document with its `_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Decides alone what the document is afterwards: a replacement that may insert, or a delete.
    Decides,
    /// Changes the document, depending on what it is.
    Changes,
    /// Fails when the document is there.
    Inserts,
    /// Asks for more than the `_id`.
    Depends,
}

#[derive(Clone, Debug)]
enum Found {
    Id(Range<usize>),
    Fields { names: Range<usize>, values: Range<usize> },
    Unknown,
}

/// The identities of a batch's statements.
#[derive(Debug, Default)]
pub struct Targets {
    bytes: Vec<u8>,
    found: Vec<(Found, Effect)>,
}

impl Targets {
    /// Reads the statements of a batch.
    pub fn of(batch: &Batch, buffer: &[u8]) -> Self {
        let mut targets = Self { bytes: Vec::new(), found: Vec::with_capacity(batch.ops.len()) };
        for op in &batch.ops {
            targets.push(op.kind, buffer.get(op.bytes.clone()).unwrap_or_default());
        }
        targets
    }

    /// Adds a statement.
    pub fn push(&mut self, kind: Kind, statement: &[u8]) {
        let start = self.bytes.len();
        let found = read(kind, statement, &mut self.bytes);
        if found.is_none() {
            self.bytes.truncate(start);
        }
        self.found.push(found.unwrap_or((Found::Unknown, Effect::Depends)));
    }

    /// How many statements there are.
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// True without a statement.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The identity of a statement.
    pub fn identity(&self, index: usize) -> Identity<'_> {
        let part = |range: &Range<usize>| self.bytes.get(range.clone()).unwrap_or_default();
        match self.found.get(index) {
            Some((Found::Id(id), _)) => Identity::Id(part(id)),
            Some((Found::Fields { names, values }, _)) => Identity::Fields { names: part(names), values: part(values) },
            Some((Found::Unknown, _)) | None => Identity::Unknown,
        }
    }

    /// What a statement does to its document.
    pub fn effect(&self, index: usize) -> Effect {
        self.found.get(index).map_or(Effect::Depends, |(_, effect)| *effect)
    }
}

fn read(kind: Kind, statement: &[u8], out: &mut Vec<u8>) -> Option<(Found, Effect)> {
    let statement = RawDocument::from_bytes(statement).ok()?;
    let start = out.len();
    if kind == Kind::Insert {
        value(statement.get("_id").ok()??, out)?;
        return Some((Found::Id(start..out.len()), Effect::Inserts));
    }
    let query = statement.get_document("q").ok()?;
    let Some(id) = query.get("_id").ok()? else {
        return fields(kind, query, statement, out).map(|found| (found, Effect::Depends));
    };
    if !is_literal(id) {
        return None;
    }
    value(id, out)?;
    let upsert = || statement.get_bool("upsert").unwrap_or(false);
    let effect = match kind {
        _ if query.iter_elements().count() != 1 => Effect::Depends,
        Kind::Delete => Effect::Decides,
        Kind::Replace if upsert() => Effect::Decides,
        _ => Effect::Changes,
    };
    Some((Found::Id(start..out.len()), effect))
}

/// True for what the server compares a field with as a whole. An array is also compared with the elements of one, a
/// regular expression is matched, a document may be one of operators.
fn is_literal(of: RawBsonRef<'_>) -> bool {
    match of {
        RawBsonRef::Array(_) | RawBsonRef::RegularExpression(_) => false,
        RawBsonRef::Document(document) => match document.iter_elements().next() {
            Some(Ok(first)) => !first.key().as_str().starts_with('$'),
            Some(Err(_)) => false,
            None => true,
        },
        _ => true,
    }
}

/// The identity of a filter without `_id`: its fields in the order of their names. A statement that would change one of them
/// may leave a document that others look for by its new values, so its target counts as unknown.
fn fields(kind: Kind, query: &RawDocument, statement: &RawDocument, out: &mut Vec<u8>) -> Option<Found> {
    let mut parts: Vec<(&str, RawBsonRef<'_>)> = Vec::new();
    for element in query.iter_elements() {
        let element = element.ok()?;
        let (name, of) = (element.key().as_str(), element.value().ok()?);
        if name.starts_with('$') || !is_literal(of) {
            return None;
        }
        parts.push((name, of));
    }
    parts.sort_by_key(|(name, _)| *name);
    if parts.is_empty() || parts.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return None;
    }
    let names = out.len();
    for (name, _) in &parts {
        out.extend_from_slice(name.as_bytes());
        out.push(0);
    }
    let values = out.len();
    for (name, of) in &parts {
        let from = out.len();
        value(*of, out)?;
        let kept = match kind {
            Kind::Replace => is_same(at_path(statement.get_document("u").ok()?, name)?, out, from),
            Kind::Update => update_keeps(statement.get_document("u").ok()?, name, out, from),
            Kind::Insert | Kind::Delete => true,
        };
        if !kept {
            return None;
        }
    }
    Some(Found::Fields { names: names..values, values: values..out.len() })
}

/// Whether a value is the one whose canonical form begins at `from`; leaves the bytes as they are.
fn is_same(of: RawBsonRef<'_>, out: &mut Vec<u8>, from: usize) -> bool {
    let end = out.len();
    let same = value(of, out).is_some() && out.get(from..end) == out.get(end..);
    out.truncate(end);
    same
}

/// The value at a path of names with dots between.
fn at_path<'a>(document: &'a RawDocument, path: &str) -> Option<RawBsonRef<'a>> {
    match path.split_once('.') {
        None => document.get(path).ok()?,
        Some((first, rest)) => at_path(document.get(first).ok()??.as_document()?, rest),
    }
}

/// Whether an update leaves a field as the filter found it.
fn update_keeps(update: &RawDocument, path: &str, out: &mut Vec<u8>, from: usize) -> bool {
    let within = |outer: &str, inner: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'));
    for operator in update.iter_elements() {
        let Ok(operator) = operator else { return false };
        let Ok(RawBsonRef::Document(changes)) = operator.value() else { return false };
        if !matches!(operator.key().as_str(), "$set" | "$setOnInsert") {
            return false;
        }
        for change in changes.iter_elements() {
            let Ok(change) = change else { return false };
            let name = change.key().as_str();
            let set = if name == path {
                change.value().ok()
            } else if within(name, path) {
                let rest = path.get(name.len() + 1..).unwrap_or_default();
                change.value().ok().and_then(|of| at_path(of.as_document()?, rest))
            } else if within(path, name) {
                None
            } else {
                continue;
            };
            if !set.is_some_and(|set| is_same(set, out, from)) {
                return false;
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use bson::{Bson, Decimal128, Document, doc};

    use super::*;
    use crate::doc::Writer;
    use crate::statement::Model;

    fn targets(models: &[Model]) -> Targets {
        let mut targets = Targets::default();
        for model in models {
            let mut w = Writer::new();
            let statement = model.write(&mut w).unwrap();
            targets.push(statement.kind, w.bytes());
        }
        targets
    }

    fn delete(filter: Document) -> Model {
        Model::Delete { filter }
    }

    fn replace(filter: Document, replacement: Document) -> Model {
        Model::Replace { filter, replacement, upsert: true }
    }

    fn update(filter: Document, update: Document) -> Model {
        Model::Update { filter, update, upsert: true }
    }

    #[test]
    fn ids_that_the_server_calls_equal_are_equal_whatever_the_statement() {
        let one = "1.0".parse::<Decimal128>().unwrap();
        let all = targets(&[
            Model::Insert(doc! {"_id": 1_i32, "a": 1}),
            delete(doc! {"_id": 1_i64}),
            update(doc! {"_id": 1.0}, doc! {"$set": {"a": 2}}),
            replace(doc! {"_id": one}, doc! {"a": 1}),
        ]);
        assert!((1..4).all(|index| all.identity(index) == all.identity(0)));
        assert_eq!(
            (0..4).map(|index| all.effect(index)).collect::<Vec<_>>(),
            [Effect::Inserts, Effect::Decides, Effect::Changes, Effect::Decides]
        );
        let documents = targets(&[delete(doc! {"_id": {"id": 1_i32}}), delete(doc! {"_id": {"id": 1_i64}})]);
        assert_eq!(documents.identity(0), documents.identity(1));
        assert_ne!(documents.identity(0), all.identity(0));
    }

    #[test]
    fn a_filter_that_asks_for_more_than_the_id_is_still_about_that_id() {
        let both = targets(&[delete(doc! {"region": "eu", "_id": 7}), delete(doc! {"_id": 7})]);
        assert_eq!(both.identity(0), both.identity(1));
        assert_eq!(both.effect(0), Effect::Depends);
        let plain = Model::Replace { filter: doc! {"_id": 7}, replacement: doc! {}, upsert: false };
        assert_eq!(targets(&[plain]).effect(0), Effect::Changes, "it does nothing when there is none");
    }

    #[test]
    fn what_only_the_server_can_find_is_unknown() {
        let regex =
            Bson::RegularExpression(bson::Regex { pattern: "^a".try_into().unwrap(), options: "".try_into().unwrap() });
        let all = targets(&[
            delete(doc! {"_id": {"$gt": 5}}),
            delete(doc! {"_id": regex}),
            delete(doc! {}),
            delete(doc! {"tags": ["a"]}),
            delete(doc! {"$or": [{"a": 1}]}),
        ]);
        assert!((0..all.len()).all(|index| all.identity(index) == Identity::Unknown));
    }

    #[test]
    fn business_keys_are_compared_by_their_fields_in_any_order() {
        let all = targets(&[
            replace(doc! {"shop": 1, "sku": "x"}, doc! {"sku": "x", "shop": 1_i64, "price": 5}),
            update(doc! {"sku": "x", "shop": 1.0}, doc! {"$set": {"shop": 1, "price": 6}, "$setOnInsert": {"at": 1}}),
            delete(doc! {"shop": 2, "sku": "x"}),
            delete(doc! {"shop": 1}),
        ]);
        assert_eq!(all.identity(0), all.identity(1));
        let names = |index| match all.identity(index) {
            Identity::Fields { names, .. } => names.to_vec(),
            other => panic!("{other:?}"),
        };
        assert_ne!(all.identity(0), all.identity(2));
        assert_eq!(names(0), names(2));
        assert_ne!(names(0), names(3));
    }

    #[test]
    fn a_statement_that_changes_its_own_business_key_is_unknown() {
        let all = targets(&[
            replace(doc! {"k.a": 1}, doc! {"k": {"a": 1}}),
            update(doc! {"k.a": 1}, doc! {"$set": {"k": {"a": 1, "b": 2}}}),
            update(doc! {"k.a": 1}, doc! {"$set": {"other": 1}}),
            replace(doc! {"k": 1}, doc! {"k": 2}),
            replace(doc! {"k": 1}, doc! {"other": 1}),
            update(doc! {"k.a": 1}, doc! {"$set": {"k": 5}}),
            update(doc! {"k": {"a": 1}}, doc! {"$set": {"k.a": 2}}),
            update(doc! {"k": 1}, doc! {"$unset": {"other": ""}}),
        ]);
        let known: Vec<_> = (0..all.len()).map(|index| all.identity(index) != Identity::Unknown).collect();
        assert_eq!(known, [true, true, true, false, false, false, false, false]);
    }
}
