//! Records of JSON whose JSON Schema is at hand.

use connect_api::{Bytes, BytesMut, Props, Result, SchemaRef, Value};

use super::options::Options;
use super::read::Reader;
use super::shape::Documents;
use super::to_connect;
use super::write::Writer;
use crate::settings::{self, JsonConfig};

/// Records of one schema.
pub struct JsonRecords {
    options: Options,
    schema: SchemaRef,
    reader: Reader,
}

impl JsonRecords {
    /// Records of a schema. `references` are the schemas that it refers to, by their names, `props` the keys of the converter's
    /// mapping.
    pub fn new<'a>(
        schema: &str,
        references: impl IntoIterator<Item = (&'a str, &'a str)>,
        props: &Props,
    ) -> Result<Self> {
        let options = Options::from(&JsonConfig::parse(props).map_err(settings::first_problem)?);
        let schema = to_connect::convert(&Documents::new(schema, references)?, None, &options)?;
        Ok(Self { options, reader: Reader::new(&schema), schema })
    }

    /// The schema in Connect.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Reads what stands behind the id.
    pub fn read(&self, bytes: &Bytes) -> Result<Value> {
        self.reader.read(bytes)
    }

    /// Appends a value; false when there is nothing to write.
    pub fn write(&self, value: &Value, out: &mut BytesMut) -> Result<bool> {
        Writer::new(&self.schema, &self.options).write(value, out)
    }
}
