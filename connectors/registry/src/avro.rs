//! `io.confluent.connect.avro.AvroConverter`.
//!
//! What was derived of a schema once is kept: for writing by the schema's address and the topic, for reading by the id in front
//! of the record and the topic. Both hold `schemas.cache.config` entries at most and start afresh when full.

mod compatibility;
mod decode;
mod defaults;
mod encode;
mod from_connect;
mod input;
pub(crate) mod names;
mod options;
pub(crate) mod records;
mod schema;
#[cfg(test)]
mod tests;
mod text;
mod to_connect;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use crate::registry::{Definition, Failure, Format, Frame, Kept, Registry, SchemaId, Schemas, Stored, Words, prefix};
use crate::settings::{self, AvroConfig};
use connect_api::{Bytes, BytesMut, Converter, Datum, Error, Plugin, PluginKind, Props, Result, SchemaRef};
use decode::Reader;
use encode::Writer;
use options::Options;
use schema::Schema;

const WRITING: Words = Words {
    failed: "Failed to serialize Avro data from topic {}:",
    failed_for_now: "Failed to serialize Avro data from topic {} :",
    no_connection: "Network connection error while serializing Avro data for topic {}",
};
const READING: Words = Words {
    failed: "Failed to deserialize data for topic {} to Avro:",
    failed_for_now: "Failed to deserialize data for topic {} to Avro: ",
    no_connection: "Network connection error while deserializing data for topic {}",
};

/// The plugin.
pub(crate) fn plugin() -> Plugin {
    Plugin {
        class: "io.confluent.connect.avro.AvroConverter",
        version: crate::CONFLUENT_VERSION,
        kind: PluginKind::Converter(|props, is_key| Ok(Box::new(AvroConverter::new(props, is_key)?)), None),
        config_def: settings::avro_def,
    }
}

/// The converter.
pub(crate) struct AvroConverter {
    schemas: Schemas,
    options: Options,
    /// Numbers unions that are read, where they get numbers.
    unions: AtomicUsize,
    writers: Kept<usize, Prepared>,
    readers: Kept<SchemaId, Reader>,
}

/// Records of one schema for one topic.
struct Prepared {
    /// Held, so that its address stays its own.
    _schema: Option<SchemaRef>,
    prefix: [u8; 5],
    writer: Writer,
}

impl AvroConverter {
    /// A converter of keys or values.
    pub(crate) fn new(props: &Props, is_key: bool) -> Result<Self> {
        let own = AvroConfig::parse(props).map_err(settings::first_problem)?;
        let max = settings::size(own.cache_size);
        Ok(Self {
            schemas: Schemas::new(props, is_key, Format::Avro, WRITING, READING)?,
            options: Options::from(&own),
            unions: AtomicUsize::new(0),
            writers: Kept::new(max),
            readers: Kept::new(max),
        })
    }

    fn prepare(&self, topic: &str, schema: Option<&SchemaRef>) -> Result<(Prepared, Option<Instant>)> {
        let own = from_connect::convert(schema, &self.options)?;
        let definition = Definition::new(Format::Avro, own.text());
        let registry = &self.schemas.registry;
        let chosen = self.schemas.choose(topic, own.record_name(), &definition, |other| {
            let other = parse(registry, other).map_err(|failure| failure.error.message().to_owned())?;
            compatibility::can_read(&other, &own)
        })?;
        let other = chosen.other.as_ref().filter(|_| schema.is_some()).map(|other| parse(registry, other)).transpose();
        let other = other.map_err(|failure| self.schemas.not_asked(topic, failure))?;
        let writer = Writer::new(schema, other.as_ref().unwrap_or(&own), &self.options)
            .map_err(|error| self.schemas.not_written(topic, error))?;
        Ok((Prepared { _schema: schema.cloned(), prefix: prefix(chosen.id), writer }, chosen.until))
    }

    fn learn(&self, topic: &str, id: SchemaId) -> Result<(Reader, Option<Instant>)> {
        let registry = &self.schemas.registry;
        let fetched =
            self.schemas.fetch(topic, id, |stored| Ok(parse(registry, stored)?.record_name().map(str::to_owned)))?;
        let parsed = |stored: &Stored| {
            parse(registry, stored).map(Arc::new).map_err(|failure| self.schemas.not_fetched(topic, id, failure))
        };
        let writer = parsed(&fetched.stored)?;
        let reader = fetched.latest.as_ref().map_or_else(|| Ok(Arc::clone(&writer)), parsed)?;
        let schema = to_connect::convert(&reader, Some(fetched.version), &self.options, &self.unions)?;
        let reader = Reader::new(&writer, &reader, schema);
        Ok((reader.map_err(|error| self.schemas.not_read(topic, id, error))?, fetched.until))
    }
}

/// A schema of the registry with those that it refers to.
fn parse(registry: &Registry, stored: &Stored) -> Result<Schema, Failure> {
    let before = registry.resolve(&stored.definition)?;
    let texts = before.iter().map(|(_, of)| &*of.definition.text);
    text::parse(&stored.definition.text, texts)
        .map_err(|error| Failure::other(Error::data(error.to_string()).class("org.apache.avro.SchemaParseException")))
}

impl Converter for AvroConverter {
    fn serialize(&self, topic: &str, datum: &Datum, out: &mut BytesMut) -> Result<bool> {
        if datum.value.is_null() {
            return match &datum.schema {
                Some(schema) if !schema.optional => Err(Error::data("Found null value for non-optional schema")),
                _ => Ok(false),
            };
        }
        let schema = datum.schema.as_ref();
        let address = schema.map_or(0, |schema| Arc::as_ptr(schema) as usize);
        let start = out.len();
        let prepare = |_: &usize| self.prepare(topic, schema);
        self.writers.with(address, topic, prepare, |prepared| {
            out.extend_from_slice(&prepared.prefix);
            prepared.writer.write(&datum.value, out).inspect_err(|_| out.truncate(start))
        })?;
        Ok(true)
    }

    fn deserialize(&self, topic: &str, payload: Option<Bytes>) -> Result<Datum> {
        let Some(payload) = payload else { return Ok(Datum::null()) };
        let frame = Frame::read(payload).map_err(|error| self.schemas.not_framed(topic, error))?;
        let id = frame.id;
        let learn = |_: &SchemaId| self.learn(topic, id);
        self.readers.with(id, topic, learn, |known| {
            let value = known.read(frame.rest).map_err(|error| self.schemas.not_read(topic, id, error))?;
            if value.is_null() {
                return Ok(Datum::null());
            }
            Ok(Datum { schema: known.schema.clone(), value })
        })
    }
}
