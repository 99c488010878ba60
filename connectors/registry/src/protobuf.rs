//! `io.confluent.connect.protobuf.ProtobufConverter`: messages of Protobuf behind the id of their file and the place of the
//! message in it.
//!
//! What was derived of a schema once is kept, as in the Avro converter.

mod calendar;
mod descriptor;
mod from_connect;
mod known;
mod names;
mod options;
mod read;
pub(crate) mod records;
mod sound;
#[cfg(test)]
mod tests;
mod to_connect;
mod wire;
mod write;

use std::sync::Arc;
use std::time::Instant;

use connect_api::{Bytes, BytesMut, Converter, Datum, Error, Plugin, PluginKind, Props, Result, SchemaRef};
use protox::prost_reflect::FileDescriptor;

use crate::registry::{Definition, Failure, Format, Frame, Kept, Registry, SchemaId, Schemas, Stored, Words, prefix};
use crate::settings::{self, ProtobufConfig};
use options::Options;
use read::Reader;
use wire::{Input, unzigzag, varint, zigzag};
use write::Writer;

const WRITING: Words = Words {
    failed: "Failed to serialize Protobuf data from topic {}:",
    failed_for_now: "Failed to serialize Protobuf data from topic {} :",
    no_connection: "Network connection error while serializing Protobuf data for topic {}",
};
const READING: Words = Words {
    failed: "Failed to deserialize data for topic {} to Protobuf:",
    failed_for_now: "Failed to deserialize data for topic {} to Protobuf: ",
    no_connection: "Network connection error while deserializing data for topic {}",
};
/// A message within messages at most.
const INDEXES_MAX: u64 = 256;

/// The plugin.
pub(crate) fn plugin() -> Plugin {
    Plugin {
        class: "io.confluent.connect.protobuf.ProtobufConverter",
        version: crate::CONFLUENT_VERSION,
        kind: PluginKind::Converter(|props, is_key| Ok(Box::new(ProtobufConverter::new(props, is_key)?)), None),
        config_def: settings::protobuf_def,
    }
}

/// The converter.
pub(crate) struct ProtobufConverter {
    schemas: Schemas,
    options: Options,
    writers: Kept<usize, Prepared>,
    readers: Kept<(SchemaId, Path), Known>,
}

/// Where in its file a message is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Path {
    /// The first message, as mostly.
    First,
    Other(Arc<[i32]>),
}

/// Records of one schema for one topic.
struct Prepared {
    /// Held, so that its address stays its own.
    _schema: SchemaRef,
    /// The id of the schema and the place of the message.
    prefix: Vec<u8>,
    writer: Writer,
}

/// Records of one message of one id from one topic.
struct Known {
    schema: SchemaRef,
    reader: Reader,
}

impl ProtobufConverter {
    /// A converter of keys or values.
    pub(crate) fn new(props: &Props, is_key: bool) -> Result<Self> {
        let own = ProtobufConfig::parse(props).map_err(settings::first_problem)?;
        let max = settings::size(own.cache_size);
        Ok(Self {
            schemas: Schemas::new(props, is_key, Format::Protobuf, WRITING, READING)?,
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
        let registry = &self.schemas.registry;
        let refused = |error: Error| self.schemas.not_written(topic, error);
        let own = from_connect::convert(schema, &self.options)?;
        let file = descriptor::parse(&own.text, []).map_err(refused)?;
        let definition = Definition::new(Format::Protobuf, own.text);
        let compatible = |_: &Stored| Ok(());
        let chosen = self.schemas.choose(topic, Some(&own.message), &definition, compatible)?;
        let other = chosen.other.as_ref().map(|other| parse(registry, other)).transpose();
        let file = other.map_err(|failure| self.schemas.not_asked(topic, failure))?.unwrap_or(file);
        let message = descriptor::named(&file, &own.message).ok_or_else(|| {
            refused(Error::data(format!("the schema with id {} has no message {}", chosen.id, own.message)))
        })?;
        let writer = Writer::new(schema, &message, &self.options).map_err(refused)?;
        let mut out = BytesMut::from(&prefix(chosen.id)[..]);
        write_indexes(&descriptor::indexes(&message), &mut out);
        Ok((Prepared { _schema: Arc::clone(schema), prefix: out.to_vec(), writer }, chosen.until))
    }

    fn known(&self, topic: &str, id: SchemaId, path: Path) -> Result<Arc<Known>> {
        self.readers.get_or((id, path), topic, |(_, path)| self.learn(topic, id, path))
    }

    fn learn(&self, topic: &str, id: SchemaId, path: &Path) -> Result<(Known, Option<Instant>)> {
        let registry = &self.schemas.registry;
        let indexes = match path {
            Path::First => &[0],
            Path::Other(indexes) => &indexes[..],
        };
        let fetched = self.schemas.fetch(topic, id, |stored| {
            let file = parse(registry, stored)?;
            let message = descriptor::message(&file, indexes).map_err(Failure::other)?;
            Ok(Some(message.full_name().to_owned()))
        })?;
        let parsed =
            |stored: &Stored| parse(registry, stored).map_err(|failure| self.schemas.not_fetched(topic, id, failure));
        let refused = |error: Error| self.schemas.not_read(topic, id, error);
        let mut message = descriptor::message(&parsed(&fetched.stored)?, indexes).map_err(refused)?;
        if let Some(latest) = &fetched.latest {
            let file = parsed(latest)?;
            let same = descriptor::named(&file, message.full_name());
            message = same.map_or_else(|| descriptor::message(&file, &[0]), Ok).map_err(refused)?;
        }
        let version = fetched.latest.as_ref().map_or(Some(fetched.version), |latest| latest.version);
        let schema = to_connect::convert(&message, version, &self.options)?;
        let reader = Reader::new(&schema, &message, &self.options)?;
        Ok((Known { schema, reader }, fetched.until))
    }
}

/// A schema of the registry with those that it refers to.
fn parse(registry: &Registry, stored: &Stored) -> Result<FileDescriptor, Failure> {
    let references = registry.resolve(&stored.definition)?;
    let references = references.iter().map(|(name, of)| (name.as_str(), &*of.definition.text));
    descriptor::parse(&stored.definition.text, references).map_err(Failure::other)
}

/// The place of a message behind the id: how many numbers, and the numbers; the first message is a single 0.
fn write_indexes(indexes: &[i32], out: &mut BytesMut) {
    if indexes == [0] {
        varint(0, out);
        return;
    }
    varint(zigzag(indexes.len() as i64), out);
    indexes.iter().for_each(|index| varint(zigzag(i64::from(*index)), out));
}

fn read_indexes(input: &mut Input) -> Result<Path> {
    let number = |input: &mut Input| input.varint().map(unzigzag);
    let count = number(input)?;
    if count == 0 {
        return Ok(Path::First);
    }
    let count = u64::try_from(count).ok().filter(|count| *count <= INDEXES_MAX);
    let count = count.ok_or_else(|| Error::data("the record says of no message which one it is"))?;
    let index = |_| number(input).map(|index| i32::try_from(index).unwrap_or(-1));
    let indexes: Vec<i32> = (0..count).map(index).collect::<Result<_>>()?;
    Ok(if indexes == [0] { Path::First } else { Path::Other(indexes.into()) })
}

impl Converter for ProtobufConverter {
    fn serialize(&self, topic: &str, datum: &Datum, out: &mut BytesMut) -> Result<bool> {
        if datum.value.is_null() {
            return Ok(false);
        }
        let Some(schema) = &datum.schema else {
            let cause = Error::data("a value without a schema has nothing to register")
                .hint("use org.apache.kafka.connect.json.JsonConverter with schemas.enable=false for such values");
            return Err(self.schemas.not_written(topic, cause));
        };
        let prepared = self.prepared(topic, schema)?;
        let start = out.len();
        out.extend_from_slice(&prepared.prefix);
        prepared.writer.write(&datum.value, out).inspect_err(|_| out.truncate(start))?;
        Ok(true)
    }

    fn deserialize(&self, topic: &str, payload: Option<Bytes>) -> Result<Datum> {
        let Some(payload) = payload else { return Ok(Datum::null()) };
        let frame = Frame::read(payload).map_err(|error| self.schemas.not_framed(topic, error))?;
        let mut input = Input::new(frame.rest);
        let path = read_indexes(&mut input).map_err(|error| self.schemas.not_read(topic, frame.id, error))?;
        let known = self.known(topic, frame.id, path)?;
        let value = known.reader.read(input.rest()).map_err(|error| match error.java_class() {
            "org.apache.kafka.connect.errors.DataException" => error,
            _ => self.schemas.not_read(topic, frame.id, error),
        })?;
        Ok(Datum::new(Arc::clone(&known.schema), value))
    }
}
