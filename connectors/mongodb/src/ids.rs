//! Id strategies (`processor.id.strategy`).

use bson::oid::ObjectId;
use bson::spec::BinarySubtype;
use bson::{Binary, Bson, Document};
use connect_api::{Error, SinkRecord};

use crate::doc::render;
use crate::process::Working;
use crate::project::Projection;

/// How `document.id.strategy.uuid.format` stores a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UuidFormat {
    String,
    Binary,
}

/// Where an `_id` comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum IdStrategy {
    BsonOid,
    KafkaMetaData,
    FullKey,
    PartialKey(Projection),
    PartialValue(Projection),
    ProvidedInKey,
    ProvidedInValue,
    Uuid(UuidFormat),
    UuidProvidedInKey,
    UuidProvidedInValue,
}

impl IdStrategy {
    /// True when the id is a part of a document: business keys made from it are flattened to paths.
    pub fn is_partial(&self) -> bool {
        matches!(self, Self::PartialKey(_) | Self::PartialValue(_))
    }

    /// True when it makes an id for each record alone, out of nothing or of its place in Kafka.
    pub fn makes_own(&self) -> bool {
        matches!(self, Self::BsonOid | Self::KafkaMetaData | Self::Uuid(_))
    }

    /// The id of a record. `record` is `None` where only the key counts.
    pub fn generate(&self, working: &mut Working<'_>, record: Option<&SinkRecord>) -> Result<Bson, Error> {
        Ok(match self {
            Self::BsonOid => Bson::ObjectId(ObjectId::new()),
            Self::KafkaMetaData => Bson::String(record.map(kafka_id).unwrap_or_default()),
            Self::FullKey => return Ok(working.key_as_id()),
            Self::PartialKey(projection) => {
                let mut key = working.key()?.cloned().unwrap_or_default();
                projection.apply(&mut key);
                Bson::Document(key)
            }
            Self::PartialValue(projection) => {
                let mut value = working.id_value().cloned().unwrap_or_default();
                projection.apply(&mut value);
                Bson::Document(value)
            }
            Self::ProvidedInKey => provided(working.key()?)?,
            Self::ProvidedInValue => provided(working.id_value())?,
            Self::Uuid(format) => random_uuid(*format),
            Self::UuidProvidedInKey => as_uuid(provided(working.key()?)?)?,
            Self::UuidProvidedInValue => as_uuid(provided(working.id_value())?)?,
        })
    }
}

/// `topic#partition#offset`.
pub fn kafka_id(record: &SinkRecord) -> String {
    let (partition, offset) = place(record);
    format!("{}#{partition}#{offset}", record.record.topic)
}

/// Partition and offset of a record.
pub fn place(record: &SinkRecord) -> (i32, i64) {
    let offset = match &record.record.origin {
        connect_api::Origin::Sink(origin) => origin.offset,
        connect_api::Origin::Source => 0,
    };
    (record.record.partition.unwrap_or(0), offset)
}

/// A random UUID in a format.
pub fn random_uuid(format: UuidFormat) -> Bson {
    let uuid = uuid::Uuid::new_v4();
    match format {
        UuidFormat::String => Bson::String(uuid.to_string()),
        UuidFormat::Binary => Bson::Binary(Binary { subtype: BinarySubtype::Uuid, bytes: uuid.as_bytes().to_vec() }),
    }
}

/// The error of a provided strategy that finds nothing.
pub fn not_provided() -> Error {
    Error::data("Provided id strategy is used but the document structure either contained no _id field or it was null")
}

/// The error of a provided strategy that finds null.
pub fn provided_null() -> Error {
    Error::data("Provided id strategy used but the document structure contained an _id of type BsonNull")
}

fn provided(document: Option<&Document>) -> Result<Bson, Error> {
    match document.and_then(|document| document.get("_id")) {
        None => Err(not_provided()),
        Some(Bson::Null) => Err(provided_null()),
        Some(id) => Ok(id.clone()),
    }
}

fn as_uuid(id: Bson) -> Result<Bson, Error> {
    let refused = |shown: &str| Error::data(format!("UUID cannot be constructed from provided value: `{shown}`"));
    match &id {
        Bson::Binary(Binary { subtype: BinarySubtype::Uuid | BinarySubtype::UuidOld, .. }) => Ok(id),
        Bson::String(text) if matches!(text.len(), 32 | 36) => uuid::Uuid::try_parse(text)
            .map(|uuid| Bson::Binary(Binary { subtype: BinarySubtype::Uuid, bytes: uuid.as_bytes().to_vec() }))
            .map_err(|_| refused(text)),
        Bson::String(text) => Err(refused(text)),
        other => Err(refused(&render::bson_value_text(other))),
    }
}
