//! Between records and bytes: converters and transforms of one task, as plain function calls.
//!
//! On the way out everything of a record is written into one buffer that is used again for the next one; the message
//! given to the producer is slices of it. On the way in, payloads stay what the consumer read.

use std::ops::Range;
use std::sync::Arc;

use bytes::BytesMut;
use connect_api::{Datum, Error, Header, Origin, Record, SinkOrigin, SinkRecord, TimestampType};
use connect_kafka as kafka;
use connect_plugins::Pipeline;
use smallvec::SmallVec;

use crate::failure::{Failed, Stage};
use crate::io::{ConsumerRecord, Message};
use crate::known_headers::KnownHeaders;

/// What a buffer begins with.
const BUFFER_FIRST: usize = 64 << 10;
/// A buffer that grew beyond this for one record is given back.
const BUFFER_KEPT: usize = 1 << 20;

/// Headers kept without an allocation of their own.
pub type Headers<'a> = SmallVec<[(&'a str, Option<&'a [u8]>); 8]>;

/// Java class names of the converters, for error reports.
#[derive(Clone, Debug)]
pub struct ConverterClasses {
    pub key: Arc<str>,
    pub value: Arc<str>,
    pub header: Arc<str>,
}

/// The converters and transforms of a task.
pub struct Converters {
    pipeline: Pipeline,
    classes: ConverterClasses,
    transform_classes: Vec<Arc<str>>,
    known_headers: KnownHeaders,
}

impl Converters {
    /// The converters and transforms of a task.
    pub fn new(pipeline: Pipeline, classes: ConverterClasses) -> Self {
        let transform_classes = pipeline.transforms.iter().map(|stage| Arc::from(stage.class)).collect();
        Self { pipeline, classes, transform_classes, known_headers: KnownHeaders::default() }
    }

    /// Applies the transforms; `None` when one drops the record.
    fn transform(&self, mut record: Record) -> Result<Option<Record>, Failed> {
        for (stage, class) in self.pipeline.transforms.iter().zip(&self.transform_classes) {
            match stage.apply(record) {
                Ok(Some(changed)) => record = changed,
                Ok(None) => return Ok(None),
                Err(error) => {
                    return Err(Failed { stage: Stage::Transformation, class: Arc::clone(class), error });
                }
            }
        }
        Ok(Some(record))
    }

    fn failed(&self, stage: Stage, error: Error) -> Failed {
        let class = match stage {
            Stage::KeyConverter => &self.classes.key,
            Stage::HeaderConverter => &self.classes.header,
            _ => &self.classes.value,
        };
        Failed { stage, class: Arc::clone(class), error }
    }

    /// True when records are changed before a sink gets them.
    pub fn transforms(&self) -> bool {
        !self.pipeline.transforms.is_empty()
    }

    /// What the consumer read, as the sink gets it; `None` when a transform drops it. Of the value only `fields` are looked at,
    /// when these are told.
    pub fn decode(&self, raw: &ConsumerRecord, fields: Option<&[&'static str]>) -> Result<Option<SinkRecord>, Failed> {
        let Pipeline { key_converter, value_converter, header_converter, .. } = &self.pipeline;
        let key =
            key_converter.deserialize(&raw.topic, raw.key.clone()).map_err(|e| self.failed(Stage::KeyConverter, e))?;
        let value = match fields {
            Some(fields) => value_converter.deserialize_fields(&raw.topic, raw.value.clone(), fields),
            None => value_converter.deserialize(&raw.topic, raw.value.clone()),
        }
        .map_err(|e| self.failed(Stage::ValueConverter, e))?;
        let mut headers = Vec::with_capacity(raw.headers.len());
        if !raw.headers.is_empty() {
            let mut known = self.known_headers.lock();
            for (place, (name, bytes)) in raw.headers.iter().enumerate() {
                let decode = || header_converter.deserialize(&raw.topic, name, bytes.clone());
                let datum = known
                    .datum(place, &raw.topic, name, bytes, decode)
                    .map_err(|e| self.failed(Stage::HeaderConverter, e))?;
                headers.push(Header { key: Arc::clone(name), datum });
            }
        }
        let (timestamp, timestamp_type) = timestamp_of(raw);
        let record = Record {
            topic: Arc::clone(&raw.topic),
            partition: Some(raw.partition),
            timestamp,
            key,
            value,
            headers,
            origin: Origin::Sink(SinkOrigin {
                offset: raw.offset,
                timestamp_type,
                original_topic: Arc::clone(&raw.topic),
                original_partition: raw.partition,
                original_offset: raw.offset,
            }),
        };
        let record = self.transform(record)?;
        Ok(record.map(|record| SinkRecord { record, raw_key: raw.key.clone(), raw_value: raw.value.clone() }))
    }
}

/// The timestamp of a record as Connect has it: none when Kafka has none.
fn timestamp_of(raw: &ConsumerRecord) -> (Option<i64>, TimestampType) {
    use kafka::consumer::TimestampType as T;
    match raw.timestamp_type {
        T::NoTimestamp => (None, TimestampType::None),
        T::CreateTime => (Some(raw.timestamp_ms), TimestampType::CreateTime),
        T::LogAppendTime => (Some(raw.timestamp_ms), TimestampType::LogAppendTime),
    }
}

/// Turns the records of a source into messages, one at a time. It is used again for each, so that a record costs no
/// allocation here.
pub struct Encoder {
    converters: Converters,
    buffer: BytesMut,
    topic: Arc<str>,
    partition: Option<i32>,
    timestamp: Option<i64>,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    headers: Vec<(Arc<str>, Option<Range<usize>>)>,
}

impl Encoder {
    /// An encoder with an empty buffer.
    pub fn new(converters: Converters) -> Self {
        Self {
            converters,
            buffer: BytesMut::with_capacity(BUFFER_FIRST),
            topic: Arc::from(""),
            partition: None,
            timestamp: None,
            key: None,
            value: None,
            headers: Vec::new(),
        }
    }

    /// Transforms and converts a record into the buffer, which then holds it until the next call. False when a transform
    /// drops it.
    pub fn encode(&mut self, record: Record) -> Result<bool, Failed> {
        if self.converters.pipeline.transforms.is_empty() {
            return self.convert(record).map(|()| true);
        }
        match self.converters.transform(record)? {
            Some(record) => self.convert(record).map(|()| true),
            None => Ok(false),
        }
    }

    fn convert(&mut self, record: Record) -> Result<(), Failed> {
        if self.buffer.capacity() > BUFFER_KEPT {
            self.buffer = BytesMut::with_capacity(BUFFER_FIRST);
        }
        self.buffer.clear();
        self.headers.clear();
        self.partition = record.partition;
        self.timestamp = record.timestamp;
        let topic = &*record.topic;
        for header in record.headers {
            let range = self.append(Stage::HeaderConverter, &header.datum, topic, Some(&header.key))?;
            self.headers.push((header.key, range));
        }
        self.key = self.append(Stage::KeyConverter, &record.key, topic, None)?;
        self.value = self.append(Stage::ValueConverter, &record.value, topic, None)?;
        self.topic = record.topic;
        Ok(())
    }

    /// The topic of the record in the buffer.
    pub fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    fn append(
        &mut self,
        stage: Stage,
        datum: &Datum,
        topic: &str,
        header: Option<&str>,
    ) -> Result<Option<Range<usize>>, Failed> {
        let start = self.buffer.len();
        let Pipeline { key_converter, value_converter, header_converter, .. } = &self.converters.pipeline;
        let written = match (stage, header) {
            (Stage::HeaderConverter, Some(name)) => header_converter.serialize(topic, name, datum, &mut self.buffer),
            (Stage::KeyConverter, _) => key_converter.serialize(topic, datum, &mut self.buffer),
            _ => value_converter.serialize(topic, datum, &mut self.buffer),
        };
        match written {
            Ok(true) => Ok(Some(start..self.buffer.len())),
            Ok(false) => {
                self.buffer.truncate(start);
                Ok(None)
            }
            Err(error) => Err(self.converters.failed(stage, error)),
        }
    }

    fn slice(&self, range: &Range<usize>) -> &[u8] {
        // Ranges come from `append`, and the buffer only grew since.
        self.buffer.get(range.clone()).unwrap_or_default()
    }

    /// The headers of the record in the buffer, to be borrowed by [`Self::message`].
    pub fn headers(&self) -> Headers<'_> {
        self.headers.iter().map(|(name, range)| (&**name, range.as_ref().map(|r| self.slice(r)))).collect()
    }

    /// The record in the buffer as a message.
    pub fn message<'a>(&'a self, headers: &'a [(&'a str, Option<&'a [u8]>)]) -> Message<'a> {
        Message {
            topic: &self.topic,
            partition: self.partition,
            timestamp_ms: self.timestamp,
            key: self.key.as_ref().map(|r| self.slice(r)),
            value: self.value.as_ref().map(|r| self.slice(r)),
            headers,
        }
    }
}
