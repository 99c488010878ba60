//! From one record to one statement (`MongoProcessedSinkRecordData`).
//!
//! Change events and plain records with the default chain are written in one pass from the value to BSON; everything
//! else works on trees first.
//!
//! Where Debezium's types are converted, the fields of documents are, and ids are not: documents that were written before
//! stay reachable. Business keys are fields of documents, and have their form.

use std::sync::Arc;

use connect_api::{Error, SinkRecord};

use crate::cdc::Extras;
use crate::doc::{DocRef, Side, Which, Writer};
use crate::ids::{IdStrategy, kafka_id, not_provided, provided_null, random_uuid};
use crate::keep;
use crate::model::WriteStrategy;
use crate::namespace::Namespace;
use crate::process::{Processor, Working};
use crate::statement::{Kind, Model, Statement, refused_in_replacement};
use crate::topic::Plan;

/// Writes the statement of a record at the end of the buffer. `None` when it asks for nothing, as tombstones of
/// change events do. On an error the buffer is as it was.
pub fn write(plan: &Plan, record: &SinkRecord, w: &mut Writer) -> Result<Option<(Arc<Namespace>, Statement)>, Error> {
    let start = w.len();
    let key = Side::new(&record.record.key, Which::Key);
    let value = Side::new(&record.record.value, Which::Value);
    let namespace = plan.mapper.map(&key, &value)?;
    let extras = Extras { types: plan.types.as_ref(), keep: plan.keep.as_ref() };
    let written = match plan.handler {
        Some(handler) => handler.handle(&key, &value, extras, w),
        None if is_plain(plan) && value.present() && !keeps(plan, &value)? => {
            write_plain(plan, record, &key, &value, w).map(Some)
        }
        None => write_processed(plan, record, &key, &value, w).map(Some),
    };
    match written {
        Ok(Some(statement)) => Ok(Some((namespace, statement))),
        Ok(None) => {
            w.truncate(start);
            Ok(None)
        }
        Err(error) => {
            w.truncate(start);
            Err(error)
        }
    }
}

/// True when something in the value stays as it is stored.
fn keeps(plan: &Plan, value: &Side<'_>) -> Result<bool, Error> {
    let Some(unavailable) = &plan.keep else { return Ok(false) };
    Ok(value.doc()?.is_some_and(|document| unavailable.within(document)))
}

/// True when nothing but an `_id` is added and the document is replaced or inserted.
fn is_plain(plan: &Plan) -> bool {
    matches!(plan.processors.as_slice(), [Processor::DocumentIdAdder])
        && matches!(plan.write, WriteStrategy::ReplaceOneDefault | WriteStrategy::InsertOneDefault)
        && !matches!(
            plan.ids,
            IdStrategy::PartialKey(_)
                | IdStrategy::PartialValue(_)
                | IdStrategy::UuidProvidedInKey
                | IdStrategy::UuidProvidedInValue
        )
}

fn write_plain(
    plan: &Plan,
    record: &SinkRecord,
    key: &Side<'_>,
    value: &Side<'_>,
    w: &mut Writer,
) -> Result<Statement, Error> {
    let Some(document) = value.doc()? else { return Err(neither()) };
    let own = document.get("_id").filter(|_| !plan.overwrite_id);
    let has_own = document.contains("_id");
    let mut deferred = None;
    let open = w.open();
    let inserts = plan.write == WriteStrategy::InsertOneDefault;
    // For an insert the `_id` is the document's first field, for a replacement it is also the filter's only one.
    let filter = if inserts {
        None
    } else {
        let at = w.literal("q");
        Some(w.begin(at))
    };
    let id_at = w.literal("_id");
    let from = w.len();
    match own {
        Some(id) => id.write(w, id_at).map_err(|error| value.explain(error))?,
        None => deferred = write_id(plan, record, key, document, value, w, id_at)?,
    }
    let id_bytes = from..w.len();
    let body = filter.map(|filter| {
        w.close(filter);
        let at = w.literal("u");
        w.begin(at)
    });
    let mut refused = None;
    document
        .each(|name, node| {
            if name == "_id" {
                if !inserts {
                    let at = w.literal("_id");
                    w.copy_value(at, id_at, id_bytes.clone());
                }
                return Ok(());
            }
            if refused_in_replacement(name) {
                refused.get_or_insert(name);
            }
            let at = w.name(name)?;
            node.write_as(w, at, name, plan.types.as_ref())
        })
        .map_err(|error| value.explain(error))?;
    if !inserts && !has_own {
        let at = w.literal("_id");
        w.copy_value(at, id_at, id_bytes);
    }
    if let Some(body) = body {
        w.close(body);
        let at = w.literal("upsert");
        w.put_bool(at, true);
    }
    w.close(open);
    let mut statement = Statement::new(if inserts { Kind::Insert } else { Kind::Replace });
    statement.deferred = deferred;
    statement.own_id = own.is_none() && plan.ids.makes_own();
    Ok(match refused {
        Some(name) if !inserts => statement.check_name(name),
        _ => statement,
    })
}

/// Writes the strategy's `_id`. The error that it may give back is one that the JVM meets only when it encodes.
fn write_id(
    plan: &Plan,
    record: &SinkRecord,
    key: &Side<'_>,
    document: DocRef<'_>,
    value: &Side<'_>,
    w: &mut Writer,
    at: crate::doc::write::At,
) -> Result<Option<Error>, Error> {
    match &plan.ids {
        IdStrategy::KafkaMetaData => w.put_str(at, &kafka_id(record)),
        IdStrategy::Uuid(format) => w.put_bson(at, &random_uuid(*format))?,
        IdStrategy::FullKey => return Ok(write_key_as_id(key, w, at)),
        IdStrategy::ProvidedInKey => write_provided(key.doc()?, key, w, at)?,
        IdStrategy::ProvidedInValue => write_provided(Some(document), value, w, at)?,
        _ => w.put_object_id(at, bson::oid::ObjectId::new()),
    }
    Ok(None)
}

fn write_key_as_id(key: &Side<'_>, w: &mut Writer, at: crate::doc::write::At) -> Option<Error> {
    let start = w.len();
    let open = w.begin(at);
    let written = match key.doc() {
        Ok(Some(document)) => document.write_fields(w).map_err(|error| key.explain(error)),
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    match written {
        Ok(()) => {
            w.close(open);
            None
        }
        Err(error) => {
            w.truncate(start);
            w.put_null(at);
            Some(error)
        }
    }
}

fn write_provided(
    document: Option<DocRef<'_>>,
    side: &Side<'_>,
    w: &mut Writer,
    at: crate::doc::write::At,
) -> Result<(), Error> {
    let id = document.and_then(|document| document.get("_id")).ok_or_else(not_provided)?;
    if id.is_null() {
        return Err(provided_null());
    }
    id.write(w, at).map_err(|error| side.explain(error))
}

fn write_processed(
    plan: &Plan,
    record: &SinkRecord,
    key: &Side<'_>,
    value: &Side<'_>,
    w: &mut Writer,
) -> Result<Statement, Error> {
    let mut working = Working::new(key, value, plan)?;
    for processor in &plan.processors {
        processor.apply(&mut working, record, &plan.ids, plan.overwrite_id)?;
    }
    working.settle_id();
    let model = if working.value.is_some() {
        plan.write.model(&mut working, &plan.ids, None)
    } else if working.has_key() {
        match plan.delete {
            Some(delete) => {
                let ids = delete.by_ids.then_some(&plan.ids);
                delete.strategy.model(&mut working, &plan.ids, ids)
            }
            None => Err(Error::data("Could not create write model")),
        }
        .map_err(|error| Error::data("Could not create write model").caused_by(error))
    } else {
        Err(neither())
    }?;
    // A processor may have put something else there.
    let own_id = matches!(&model, Model::Insert(document)
        if working.own_id.is_some() && document.get("_id") == working.own_id.as_ref());
    let mut statement = match &plan.keep {
        Some(unavailable) => keep::write(model, unavailable, w)?,
        None => model.write(w)?,
    };
    statement.own_id |= own_id;
    if let Some(error) = working.deferred.take() {
        statement.deferred = Some(error);
    }
    Ok(statement)
}

fn neither() -> Error {
    Error::data("Invalid Sink Record neither key doc nor value doc were present")
}
