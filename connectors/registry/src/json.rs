//! `io.confluent.connect.json.JsonSchemaConverter`: JSON text behind the id of its schema.
//!
//! What was derived of a schema once is kept, as in the Avro converter.

mod from_connect;
mod options;
mod read;
pub(crate) mod records;
mod shape;
#[cfg(test)]
mod tests;
mod to_connect;
mod write;

use std::sync::Arc;
use std::time::Instant;

use connect_api::{Bytes, BytesMut, Converter, Datum, Error, Plugin, PluginKind, Props, Result, SchemaRef};

use crate::registry::{Definition, Failure, Format, Frame, Kept, Registry, SchemaId, Schemas, Stored, Words, prefix};
use crate::settings::{self, JsonConfig};
use options::Options;
use read::Reader;
use shape::Documents;
use write::Writer;

const WRITING: Words = Words {
    failed: "Converting Kafka Connect data to byte[] failed due to serialization error of topic {}: ",
    failed_for_now: "Converting Kafka Connect data to byte[] failed due to serialization error of topic {}: ",
    no_connection: "Network connection error while serializing Json data for topic {}",
};
const READING: Words = Words {
    failed: "Converting byte[] to Kafka Connect data failed due to serialization error of topic {}: ",
    failed_for_now: "Converting byte[] to Kafka Connect data failed due to serialization error of topic {}: ",
    no_connection: "Network connection error while deserializing data for topic {}",
};

/// The plugin.
pub(crate) fn plugin() -> Plugin {
    Plugin {
        class: "io.confluent.connect.json.JsonSchemaConverter",
        version: crate::CONFLUENT_VERSION,
        kind: PluginKind::Converter(|props, is_key| Ok(Box::new(JsonSchemaConverter::new(props, is_key)?)), None),
        config_def: settings::json_def,
    }
}

/// The converter.
pub(crate) struct JsonSchemaConverter {
    schemas: Schemas,
    options: Options,
    writers: Kept<usize, Prepared>,
    readers: Kept<SchemaId, Known>,
}

/// Records of one schema for one topic.
struct Prepared {
    /// Held, so that its address stays its own.
    _schema: SchemaRef,
    prefix: [u8; 5],
    writer: Writer,
}

/// Records of one id from one topic.
struct Known {
    schema: SchemaRef,
    reader: Reader,
}

impl JsonSchemaConverter {
    /// A converter of keys or values.
    pub(crate) fn new(props: &Props, is_key: bool) -> Result<Self> {
        let own = JsonConfig::parse(props).map_err(settings::first_problem)?;
        let max = settings::size(own.cache_size);
        Ok(Self {
            schemas: Schemas::new(props, is_key, Format::Json, WRITING, READING)?,
            options: Options::from(&own),
            writers: Kept::new(max),
            readers: Kept::new(max),
        })
    }

    fn prepared(&self, topic: &str, schema: &SchemaRef) -> Result<Arc<Prepared>> {
        let address = Arc::as_ptr(schema) as usize;
        self.writers.get_or(address, topic, |_| self.prepare(topic, schema))
    }

    fn prepare(&self, topic: &str, schema: &SchemaRef) -> Result<(Prepared, Option<Instant>)> {
        let definition = Definition::new(Format::Json, from_connect::convert(schema, &self.options)?);
        // Another schema of the registry changes the id alone: JSON text says all of itself.
        let compatible = |_: &Stored| Ok(());
        let chosen = self.schemas.choose(topic, schema.name.as_deref(), &definition, compatible)?;
        let writer = Writer::new(schema, &self.options);
        Ok((Prepared { _schema: Arc::clone(schema), prefix: prefix(chosen.id), writer }, chosen.until))
    }

    fn known(&self, topic: &str, id: SchemaId) -> Result<Arc<Known>> {
        self.readers.get_or(id, topic, |_| self.learn(topic, id))
    }

    fn learn(&self, topic: &str, id: SchemaId) -> Result<(Known, Option<Instant>)> {
        let registry = &self.schemas.registry;
        let fetched = self.schemas.fetch(topic, id, |stored| {
            let documents = parse(registry, stored)?;
            let title = documents.root().own("title").and_then(serde_json::Value::as_str);
            Ok(title.map(str::to_owned))
        })?;
        let documents = parse(registry, fetched.latest.as_ref().unwrap_or(&fetched.stored))
            .map_err(|failure| self.schemas.not_fetched(topic, id, failure))?;
        let version = fetched.latest.is_none().then_some(fetched.version);
        let version = version.or_else(|| fetched.latest.as_ref().and_then(|latest| latest.version));
        let schema = to_connect::convert(&documents, version, &self.options)?;
        Ok((Known { reader: Reader::new(&schema), schema }, fetched.until))
    }
}

/// A schema of the registry with those that it refers to.
fn parse(registry: &Registry, stored: &Stored) -> Result<Documents, Failure> {
    let references = registry.resolve(&stored.definition)?;
    let references = references.iter().map(|(name, of)| (name.as_str(), &*of.definition.text));
    Documents::new(&stored.definition.text, references).map_err(Failure::other)
}

impl Converter for JsonSchemaConverter {
    fn serialize(&self, topic: &str, datum: &Datum, out: &mut BytesMut) -> Result<bool> {
        let Some(schema) = &datum.schema else {
            if datum.value.is_null() {
                return Ok(false);
            }
            let cause = Error::data("a value without a schema has nothing to register")
                .hint("use org.apache.kafka.connect.json.JsonConverter with schemas.enable=false for such values");
            return Err(self.schemas.not_written(topic, cause));
        };
        if datum.value.is_null() && !schema.optional && schema.default.is_none() {
            return Ok(false);
        }
        let prepared = self.prepared(topic, schema)?;
        let start = out.len();
        out.extend_from_slice(&prepared.prefix);
        let written = prepared.writer.write(&datum.value, out).inspect_err(|_| out.truncate(start))?;
        if !written {
            out.truncate(start);
        }
        Ok(written)
    }

    fn deserialize(&self, topic: &str, payload: Option<Bytes>) -> Result<Datum> {
        let Some(payload) = payload else { return Ok(Datum::null()) };
        let frame = Frame::read(payload).map_err(|error| self.schemas.not_framed(topic, error))?;
        let known = self.known(topic, frame.id)?;
        let value = known.reader.read(&frame.rest).map_err(|error| match error.java_class() {
            // What is no JSON is found by the deserializer, what is of another shape by the converter itself.
            "org.apache.kafka.connect.errors.DataException" => error,
            _ => self.schemas.not_read(topic, frame.id, error),
        })?;
        Ok(Datum::new(Arc::clone(&known.schema), value))
    }
}
