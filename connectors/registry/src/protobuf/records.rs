//! Messages of Protobuf whose file is at hand.

use connect_api::{Bytes, BytesMut, Props, Result, SchemaRef, Value};
use protox::prost_reflect::MessageDescriptor;

use super::options::Options;
use super::read::Reader;
use super::wire::Input;
use super::write::Writer;
use super::{Path, descriptor, read_indexes, to_connect};
use crate::settings::{self, ProtobufConfig};

/// Records of one message of a file.
pub struct ProtobufRecords {
    options: Options,
    message: MessageDescriptor,
    schema: SchemaRef,
    reader: Reader,
}

impl ProtobufRecords {
    /// Records of a message. `references` are the files that the schema imports, by their names, `props` the keys of the converter's
    /// mapping; `indexes` say which message it is: the first one of the file is `[0]`, and each further number is of one within.
    pub fn new<'a>(
        schema: &str,
        references: impl IntoIterator<Item = (&'a str, &'a str)>,
        indexes: &[i32],
        props: &Props,
    ) -> Result<Self> {
        let options = Options::from(&ProtobufConfig::parse(props).map_err(settings::first_problem)?);
        let message = descriptor::message(&descriptor::parse(schema, references)?, indexes)?;
        let schema = to_connect::convert(&message, None, &options)?;
        let reader = Reader::new(&schema, &message, &options)?;
        Ok(Self { options, message, schema, reader })
    }

    /// What stands behind the id in the front of a record: the indexes of its message, and the message.
    pub fn indexes(record: Bytes) -> Result<(Vec<i32>, Bytes)> {
        let mut input = Input::new(record);
        let indexes = match read_indexes(&mut input)? {
            Path::First => vec![0],
            Path::Other(indexes) => indexes.to_vec(),
        };
        Ok((indexes, input.rest()))
    }

    /// The schema in Connect.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Reads a message.
    pub fn read(&self, bytes: Bytes) -> Result<Value> {
        self.reader.read(bytes)
    }

    /// Appends a value as a message.
    pub fn write(&self, value: &Value, out: &mut BytesMut) -> Result<()> {
        Writer::new(&self.schema, &self.message, &self.options)?.write(value, out)
    }
}
