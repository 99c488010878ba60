//! The Avro converter: schemas against the reference's texts, values against another implementation.

mod converter;
mod property;
mod reading;
mod schemas;
mod second;

use connect_api::{Bytes, BytesMut, Converter, Datum, Result, SchemaRef, Value};

use super::options::Options;
use super::{from_connect, to_connect};
use crate::settings::AvroConfig;

/// The defaults, with some keys set.
pub(super) fn options(pairs: &[(&str, &str)]) -> Options {
    let props = pairs.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect();
    Options::from(&AvroConfig::parse(&props).unwrap())
}

/// The text of what a schema becomes.
pub(super) fn text(schema: &SchemaRef, options: &Options) -> String {
    from_connect::convert(Some(schema), options).unwrap().text()
}

/// What a text becomes.
pub(super) fn connect(text: &str, options: &Options) -> Result<SchemaRef> {
    let avro = super::text::parse(text, []).unwrap();
    to_connect::convert(&avro, None, options, &Default::default()).map(Option::unwrap)
}

/// The bytes of a value under a schema, without the id.
pub(super) fn encode(schema: Option<&SchemaRef>, value: &Value, options: &Options) -> Result<Bytes> {
    let avro = from_connect::convert(schema, options)?;
    let mut out = BytesMut::new();
    super::Writer::new(schema, &avro, options)?.write(value, &mut out)?;
    Ok(out.freeze())
}

/// What a converter writes and reads again.
pub(super) fn round(converter: &impl Converter, topic: &str, datum: &Datum) -> Datum {
    let mut out = BytesMut::new();
    assert!(converter.serialize(topic, datum, &mut out).unwrap());
    converter.deserialize(topic, Some(out.freeze())).unwrap()
}
