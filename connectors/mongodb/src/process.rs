//! Post processors (`post.processor.chain`): what happens to a record's documents before the write model.

use bson::{Bson, DateTime, Document};
use connect_api::{Error, Origin, SinkRecord, TimestampType};

use crate::doc::{Side, Types};
use crate::ids::{IdStrategy, place};
use crate::model::WriteStrategy;
use crate::project::Projection;
use crate::rename::Renamer;
use crate::statement::retain;
use crate::timefield::TimeParser;
use crate::topic::Plan;

/// One post processor.
#[derive(Clone, Debug)]
pub enum Processor {
    DocumentIdAdder,
    KafkaMetaAdder,
    NullFieldValueRemover,
    ProjectKey(Projection),
    ProjectValue(Projection),
    Rename(Renamer),
    /// Turns the time field of a time series into a date.
    TimeField(String, TimeParser),
}

/// A record's documents while processors work on them.
#[derive(Debug)]
pub struct Working<'a> {
    key: &'a Side<'a>,
    key_tree: Option<Document>,
    pub value: Option<Document>,
    /// The value as ids are made of it, where its fields have another form than its ids.
    id_value: Option<Document>,
    /// How the key is converted, where ids are compared with fields.
    key_types: Option<&'a Types>,
    /// The `_id` is the key document itself: what happens to the one happens to the other.
    id_is_key: bool,
    /// The error of a key that cannot be converted, when only the `_id` needs it.
    pub deferred: Option<Error>,
    /// The `_id` that a strategy made for this record alone.
    pub own_id: Option<Bson>,
}

impl<'a> Working<'a> {
    /// The documents of a record.
    pub fn new(key: &'a Side<'a>, value: &Side<'_>, plan: &'a Plan) -> Result<Self, Error> {
        let types = plan.types.as_ref();
        let write = if value.present() { Some(plan.write) } else { plan.delete.map(|delete| delete.strategy) };
        let key_types = types.filter(|_| write.is_some_and(WriteStrategy::finds_by_fields));
        // Ids are parts of the value, or a field may be renamed to one.
        let from_value = matches!(plan.ids, IdStrategy::PartialValue(_))
            || plan.processors.iter().any(|processor| matches!(processor, Processor::Rename(_)));
        let twin = types.is_some() && key_types.is_none() && from_value;
        Ok(Self {
            key,
            key_tree: None,
            value: value.tree_as(types)?,
            id_value: if twin { value.tree()? } else { None },
            key_types,
            id_is_key: false,
            deferred: None,
            own_id: None,
        })
    }

    /// The value that ids are made of.
    pub fn id_value(&self) -> Option<&Document> {
        self.id_value.as_ref().or(self.value.as_ref())
    }

    /// Gives the value the `_id` in the form that ids have. After the last processor.
    pub fn settle_id(&mut self) {
        let id = self.id_value.take().and_then(|mut value| value.remove("_id"));
        if let (Some(value), Some(id)) = (&mut self.value, id) {
            value.insert("_id", id);
        }
    }

    /// Everything that a change of the value changes.
    fn values(&mut self) -> impl Iterator<Item = &mut Document> {
        self.value.iter_mut().chain(&mut self.id_value)
    }

    /// True when the record has a key.
    pub fn has_key(&self) -> bool {
        self.key.present()
    }

    /// The key document, converted when first asked for.
    pub fn key(&mut self) -> Result<Option<&Document>, Error> {
        self.key_mut().map(|key| key.map(|key| &*key))
    }

    fn key_mut(&mut self) -> Result<Option<&mut Document>, Error> {
        if self.key_tree.is_none() {
            self.key_tree = self.key.tree_as(self.key_types)?;
        }
        Ok(self.key_tree.as_mut())
    }

    /// The key document as an `_id`; empty without a key. A key that cannot be converted fails only when the bulk
    /// is encoded.
    pub fn key_as_id(&mut self) -> Bson {
        match self.key_mut().map(|key| key.map(|key| key.clone())) {
            Ok(Some(key)) => {
                self.id_is_key = true;
                Bson::Document(key)
            }
            Ok(None) => Bson::Document(Document::new()),
            Err(error) => {
                self.deferred = Some(error);
                Bson::Null
            }
        }
    }

    /// Changes the key, and the `_id` with it when they are one.
    fn change_key(&mut self, change: impl FnOnce(&mut Document)) -> Result<(), Error> {
        let id_is_key = self.id_is_key;
        let Some(key) = self.key_mut()? else { return Ok(()) };
        change(key);
        if id_is_key {
            let key = Bson::Document(key.clone());
            if let Some(id) = self.id_value.as_mut().and_then(|value| value.get_mut("_id")) {
                *id = key.clone();
            }
            if let Some(id) = self.value.as_mut().and_then(|value| value.get_mut("_id")) {
                *id = key;
            }
        }
        Ok(())
    }
}

impl Processor {
    /// True for processors that look into every document of the value: they meet the error of an `_id` that is a key
    /// which cannot be converted, before the bulk is encoded.
    fn reads_every_value(&self) -> bool {
        matches!(self, Self::NullFieldValueRemover | Self::Rename(_) | Self::ProjectValue(Projection::Allow(_)))
    }

    /// Applies it.
    pub fn apply(
        &self,
        working: &mut Working<'_>,
        record: &SinkRecord,
        ids: &IdStrategy,
        overwrite: bool,
    ) -> Result<(), Error> {
        if self.reads_every_value()
            && let Some(error) = working.deferred.take()
        {
            return Err(error);
        }
        match self {
            Self::DocumentIdAdder => add_id(working, record, ids, overwrite)?,
            Self::KafkaMetaAdder => working.values().for_each(|value| add_kafka_meta(value, record)),
            Self::NullFieldValueRemover => working.values().for_each(remove_nulls),
            Self::ProjectKey(projection) => working.change_key(|key| projection.apply(key))?,
            Self::ProjectValue(projection) => working.values().for_each(|value| projection.apply(value)),
            Self::Rename(renamer) => {
                working.change_key(|key| renamer.apply("key", key))?;
                working.values().for_each(|value| renamer.apply("value", value));
            }
            Self::TimeField(field, parser) => {
                let fields = working.values().filter_map(|value| value.get_mut(field));
                fields.for_each(|value| convert_time(value, parser));
            }
        }
        Ok(())
    }
}

fn add_id(working: &mut Working<'_>, record: &SinkRecord, ids: &IdStrategy, overwrite: bool) -> Result<(), Error> {
    let Some(value) = &working.value else { return Ok(()) };
    if value.contains_key("_id") && !overwrite {
        return Ok(());
    }
    let id = ids.generate(working, Some(record))?;
    if let Some(value) = &mut working.id_value {
        value.insert("_id", id.clone());
    }
    if ids.makes_own() {
        working.own_id = Some(id.clone());
    }
    if let Some(value) = &mut working.value {
        value.insert("_id", id);
    }
    Ok(())
}

fn add_kafka_meta(value: &mut Document, record: &SinkRecord) {
    let (partition, offset) = place(record);
    value.insert("topic-partition-offset", format!("{}-{partition}-{offset}", record.record.topic));
    let timestamp_type = match &record.record.origin {
        Origin::Sink(origin) => origin.timestamp_type,
        Origin::Source => TimestampType::None,
    };
    let name = match timestamp_type {
        TimestampType::None => "NO_TIMESTAMP_TYPE",
        TimestampType::CreateTime => "CREATE_TIME",
        TimestampType::LogAppendTime => "LOG_APPEND_TIME",
    };
    if let Some(timestamp) = record.record.timestamp {
        value.insert(name, timestamp);
    }
}

/// Removes null fields at every level of documents, also of those in arrays; elements of arrays stay.
fn remove_nulls(document: &mut Document) {
    retain(document, |_, value| {
        match value {
            Bson::Null => return false,
            Bson::Document(inner) => remove_nulls(inner),
            Bson::Array(elements) => elements.iter_mut().for_each(|element| {
                if let Bson::Document(inner) = element {
                    remove_nulls(inner);
                }
            }),
            _ => {}
        }
        true
    });
}

/// What is no number and no date text stays as it is.
fn convert_time(value: &mut Bson, parser: &TimeParser) {
    let millis = match value {
        Bson::Int32(n) => Some(i64::from(*n)),
        Bson::Int64(n) => Some(*n),
        // Fractions are cut, as Java's longValue does.
        #[allow(clippy::cast_possible_truncation)]
        Bson::Double(n) => Some(*n as i64),
        Bson::String(text) => parser.millis(text),
        _ => None,
    };
    if let Some(millis) = millis {
        *value = Bson::DateTime(DateTime::from_millis(millis));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;

    #[test]
    fn removes_nulls_from_documents_but_not_from_arrays() {
        let mut document = doc! {
            "_id": 1, "a": null, "b": {"c": null, "d": {"e": null}},
            "l": [null, {"x": null, "y": 1}, [null, {"z": null}]],
        };
        remove_nulls(&mut document);
        assert_eq!(document, doc! {"_id": 1, "b": {"d": {}}, "l": [null, {"y": 1}, [null, {"z": null}]]});
    }
}
