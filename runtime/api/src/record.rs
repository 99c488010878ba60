//! Records between a connector and Kafka (`ConnectRecord`).

use std::sync::Arc;

use crate::schema::SchemaRef;
use crate::value::Value;

/// A value with its schema; schemaless data has none.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Datum {
    pub schema: Option<SchemaRef>,
    pub value: Value,
}

impl Datum {
    /// A value with a schema.
    pub fn new(schema: SchemaRef, value: Value) -> Self {
        Self { schema: Some(schema), value }
    }

    /// A value without a schema.
    pub fn schemaless(value: Value) -> Self {
        Self { schema: None, value }
    }

    /// No schema, no value: a tombstone's value, or no key.
    pub fn null() -> Self {
        Self::default()
    }

    /// True without schema and value.
    pub fn is_null(&self) -> bool {
        self.value.is_null()
    }
}

/// One header of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    pub key: Arc<str>,
    pub datum: Datum,
}

/// Where a timestamp comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    None,
    CreateTime,
    LogAppendTime,
}

/// What a sink record knows of its place in Kafka. The original three are those before any transform.
#[derive(Clone, Debug, PartialEq)]
pub struct SinkOrigin {
    pub offset: i64,
    pub timestamp_type: TimestampType,
    pub original_topic: Arc<str>,
    pub original_partition: i32,
    pub original_offset: i64,
}

/// Which way a record goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    Source,
    Sink(SinkOrigin),
}

/// A record, as converters, transforms and connectors see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub topic: Arc<str>,
    /// `None` leaves the choice to the producer's partitioner.
    pub partition: Option<i32>,
    /// Milliseconds since the epoch.
    pub timestamp: Option<i64>,
    pub key: Datum,
    pub value: Datum,
    pub headers: Vec<Header>,
    pub origin: Origin,
}

impl Record {
    /// A source record without headers.
    pub fn source(topic: Arc<str>, key: Datum, value: Datum) -> Self {
        Self { topic, partition: None, timestamp: None, key, value, headers: Vec::new(), origin: Origin::Source }
    }
}
