//! Writes that leave what was not read as it is stored (`debezium.unavailable.keep`).
//!
//! A replacement becomes a pipeline that makes the same document with the stored values in their places, an update does
//! not set them, an insert leaves them out.

use bson::{Bson, Document};
use connect_api::Error;

use crate::doc::kept::{self, Kept, expressible};
use crate::doc::{DocRef, NodeRef, Unavailable, Writer};
use crate::statement::{Kind, Model, Statement};

/// Writes a model; one without placeholders is written as ever.
pub fn write(model: Model, unavailable: &Unavailable, w: &mut Writer) -> Result<Statement, Error> {
    match model {
        Model::Replace { filter, replacement, upsert } if unavailable.within(DocRef::Tree(&replacement)) => {
            write_replacement(&filter, &replacement, upsert, unavailable, w)
        }
        Model::Insert(document) if unavailable.within(DocRef::Tree(&document)) => {
            Model::Insert(without(document, unavailable)).write(w)
        }
        Model::Update { filter, mut update, upsert } => {
            if let Some(Bson::Document(set)) = update.get_mut("$set")
                && unavailable.within(DocRef::Tree(set))
            {
                let all = std::mem::take(set);
                set_fields("", all, unavailable, set)?;
            }
            Model::Update { filter, update, upsert }.write(w)
        }
        other => other.write(w),
    }
}

fn write_replacement(
    filter: &Document,
    replacement: &Document,
    upsert: bool,
    unavailable: &Unavailable,
    w: &mut Writer,
) -> Result<Statement, Error> {
    let open = w.open();
    let at = w.literal("q");
    w.put_document_at(at, filter)?;
    let document = DocRef::Tree(replacement);
    let kept = Kept { unavailable, types: None };
    kept::write_pipeline(w, kept::has_odd_names(document), |fields, w| {
        // The server puts the id first anyway.
        if let Some(id) = document.get("_id") {
            fields.field(w, "_id", |w, at| kept::literal(w, at, |w, at| id.write(w, at)))?;
        }
        document.each(|name, node| match name {
            "_id" => Ok(()),
            name => fields.field(w, name, |w, at| kept.write(w, at, name, node)),
        })
    })?;
    if upsert {
        let at = w.literal("upsert");
        w.put_bool(at, true);
    }
    w.close(open);
    // It reads what is stored: nothing may count on it as on a replacement.
    let mut statement = Statement::new(Kind::Update);
    for name in replacement.keys() {
        statement = statement.check_name(name);
    }
    Ok(statement)
}

/// The document without placeholders, at every depth of documents.
fn without(document: Document, unavailable: &Unavailable) -> Document {
    document
        .into_iter()
        .filter(|(_, value)| !unavailable.is(NodeRef::Tree(value)))
        .map(|(name, value)| match value {
            Bson::Document(inner) => (name, Bson::Document(without(inner, unavailable))),
            value => (name, value),
        })
        .collect()
}

/// Sets the fields but for placeholders. A document with one in it is set field by field, by their paths.
fn set_fields(prefix: &str, document: Document, unavailable: &Unavailable, set: &mut Document) -> Result<(), Error> {
    for (name, value) in document {
        if unavailable.is(NodeRef::Tree(&value)) {
            continue;
        }
        if !prefix.is_empty() && !expressible(&name) {
            return Err(Error::data(format!(
                "field '{name}' within '{}' cannot be set beside a value that stays as it is: its name has a dot, or \
                 begins with a dollar sign, or is empty",
                prefix.trim_end_matches('.')
            ))
            .hint("rename the field with a transform, or use a write model strategy that replaces documents"));
        }
        match value {
            Bson::Document(inner) if unavailable.within(DocRef::Tree(&inner)) => {
                set_fields(&format!("{prefix}{name}."), inner, unavailable, set)?;
            }
            value => {
                set.insert(format!("{prefix}{name}"), value);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bson::{RawDocument, bson, doc};

    use super::*;

    fn written(model: Model) -> (Kind, Document) {
        let mut w = Writer::new();
        let statement = write(model, &Unavailable::new("gone"), &mut w).unwrap();
        assert!(statement.deferred.is_none());
        let raw = RawDocument::from_bytes(w.bytes()).expect("a whole document");
        (statement.kind, Document::try_from(raw).expect("valid BSON"))
    }

    fn replace(replacement: Document) -> Model {
        Model::Replace { filter: doc! {"_id": 1}, replacement, upsert: true }
    }

    #[test]
    fn a_replacement_reads_what_is_stored() {
        let replacement = doc! {"a": "$a", "big": "gone", "in": {"x": [1, {"$y": 2}], "big": "gone"}, "_id": 1};
        let made = doc! {
            "_id": {"$literal": 1}, "a": {"$literal": "$a"}, "big": "$big",
            "in": {"x": {"$literal": [1, {"$y": 2}]}, "big": "$in.big"},
        };
        assert_eq!(
            written(replace(replacement)),
            (Kind::Update, doc! {"q": {"_id": 1}, "u": [{"$replaceWith": made}], "upsert": true})
        );
        let plain = doc! {"_id": 1, "a": ["gone", "gone"]};
        assert_eq!(
            written(replace(plain.clone())),
            (Kind::Replace, doc! {"q": {"_id": 1}, "u": plain, "upsert": true})
        );
    }

    #[test]
    fn names_that_mean_something_in_expressions_are_pairs() {
        let pairs = |pairs: Bson| {
            let condition = doc! {"$eq": [{"$size": {"$objectToArray": "$$this"}}, 2]};
            doc! {"$arrayToObject": {"$filter": {"input": pairs, "cond": condition}}}
        };
        let name = |name: &str| doc! {"$literal": name};
        let read = |field: &str, input: Bson| doc! {"$getField": {"field": name(field), "input": input}};
        let (_, made) = written(replace(doc! {"_id": 1, "a.b": "gone", "in": {"": "gone", "c": "gone"}, "d": "gone"}));
        let inner = pairs(bson!([
            {"k": name(""), "v": read("", bson!("$in"))},
            {"k": name("c"), "v": "$in.c"},
        ]));
        let expected = pairs(bson!([
            {"k": name("_id"), "v": {"$literal": 1}},
            {"k": name("a.b"), "v": read("a.b", bson!("$$ROOT"))},
            {"k": name("in"), "v": inner},
            {"k": name("d"), "v": "$d"},
        ]));
        assert_eq!(made.get_array("u").unwrap(), bson!([{"$replaceWith": expected}]).as_array().unwrap());
        let (_, made) = written(replace(doc! {"x.y": {"z": "gone", "w": 1}}));
        let stored = read("z", Bson::from(read("x.y", bson!("$$ROOT"))));
        let inner = doc! {"z": stored, "w": {"$literal": 1}};
        let expected = pairs(bson!([{"k": name("x.y"), "v": inner}]));
        assert_eq!(made.get_array("u").unwrap(), bson!([{"$replaceWith": expected}]).as_array().unwrap());
    }

    #[test]
    fn names_that_a_replacement_must_not_have_are_refused_as_ever() {
        let mut w = Writer::new();
        let model = replace(doc! {"_id": 1, "$bad": 1, "big": "gone"});
        let statement = write(model, &Unavailable::new("gone"), &mut w).unwrap();
        assert_eq!(statement.deferred.unwrap().message(), "Invalid BSON field name $bad");
    }

    #[test]
    fn an_update_does_not_set_it_and_an_insert_leaves_it_out() {
        let update = |set: Document| Model::Update {
            filter: doc! {"_id": 1},
            update: doc! {"$set": set, "$setOnInsert": {"n": 1}},
            upsert: true,
        };
        let set =
            doc! {"a": 1, "big": "gone", "in": {"x": 1, "big": "gone", "deep": {"y": 2, "big": "gone"}}, "x.y": 3};
        assert_eq!(
            written(update(set)).1.get_document("u").unwrap(),
            &doc! {"$set": {"a": 1, "in.x": 1, "in.deep.y": 2, "x.y": 3}, "$setOnInsert": {"n": 1}}
        );
        let odd = update(doc! {"in": {"a.b": 1, "big": "gone"}});
        let error = write(odd, &Unavailable::new("gone"), &mut Writer::new()).unwrap_err();
        assert!(error.message().starts_with("field 'a.b' within 'in' cannot be set"), "{error}");
        let inserted = written(Model::Insert(doc! {"_id": 1, "big": "gone", "in": {"big": "gone", "x": 1}}));
        assert_eq!(inserted, (Kind::Insert, doc! {"_id": 1, "in": {"x": 1}}));
    }
}
