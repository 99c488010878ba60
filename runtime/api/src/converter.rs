//! Converters between Connect data and bytes. Synchronous: processor work only.

use bytes::{Bytes, BytesMut};

use crate::error::Result;
use crate::record::Datum;

/// `org.apache.kafka.connect.storage.Converter`.
pub trait Converter: Send + Sync {
    /// Appends the bytes of a datum to `out`. `Ok(false)` means a null payload, and `out` is left as it was.
    fn serialize(&self, topic: &str, datum: &Datum, out: &mut BytesMut) -> Result<bool>;

    /// Reads a payload; `None` is a null payload.
    fn deserialize(&self, topic: &str, payload: Option<Bytes>) -> Result<Datum>;
}

/// `org.apache.kafka.connect.storage.HeaderConverter`.
pub trait HeaderConverter: Send + Sync {
    /// Appends the bytes of a header to `out`. `Ok(false)` means a null value.
    fn serialize(&self, topic: &str, key: &str, datum: &Datum, out: &mut BytesMut) -> Result<bool>;

    /// Reads a header; `None` is a null value.
    fn deserialize(&self, topic: &str, key: &str, payload: Option<Bytes>) -> Result<Datum>;
}
