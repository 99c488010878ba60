//! Records of Avro whose schemas are at hand.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use connect_api::{Bytes, BytesMut, Error, Props, Result, SchemaRef, Value};

use super::decode::Reader;
use super::encode::Writer;
use super::options::Options;
use super::schema::Schema;
use super::{compatibility, text, to_connect};
use crate::settings::{self, AvroConfig};

/// Records that were written with one schema and are read into it, or into another one.
pub struct AvroRecords {
    options: Options,
    written: Arc<Schema>,
    into: Arc<Schema>,
    reader: Reader,
}

impl AvroRecords {
    /// Records of a schema that are read into it. `before` are texts of schemas whose types it uses, `props` the keys of the
    /// converter's mapping.
    pub fn new<'a>(schema: &str, before: impl IntoIterator<Item = &'a str>, props: &Props) -> Result<Self> {
        let schema = Arc::new(text::parse(schema, before).map_err(|error| Error::data(error.to_string()))?);
        Self::of(
            Arc::clone(&schema),
            schema,
            Options::from(&AvroConfig::parse(props).map_err(settings::first_problem)?),
        )
    }

    /// The same records, read into the schema of others.
    pub fn read_into(&self, other: &Self) -> Result<Self> {
        Self::of(Arc::clone(&self.written), Arc::clone(&other.into), self.options)
    }

    fn of(written: Arc<Schema>, into: Arc<Schema>, options: Options) -> Result<Self> {
        let schema = to_connect::convert(&into, None, &options, &AtomicUsize::new(0))?;
        let reader = Reader::new(&written, &into, schema)?;
        Ok(Self { options, written, into, reader })
    }

    /// The schema in Connect; none for values that had none.
    pub fn schema(&self) -> Option<&SchemaRef> {
        self.reader.schema.as_ref()
    }

    /// Says why the schema that records are read into does not fit the one that they were written with.
    pub fn compatible(&self) -> Result<()> {
        compatibility::can_read(&self.into, &self.written).map_err(Error::data)
    }

    /// Reads what stands behind the id.
    pub fn read(&self, bytes: Bytes) -> Result<Value> {
        self.reader.read(bytes)
    }

    /// Appends a value as a record of the schema that records are read into.
    pub fn write(&self, value: &Value, out: &mut BytesMut) -> Result<()> {
        Writer::new(self.schema(), &self.into, &self.options)?.write(value, out)
    }
}
