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

    /// Reads a payload for somebody who looks only at some fields of its top level ([`crate::SinkTask::value_fields`]): in a
    /// value without a schema the others may be missing. A payload that is wrong is as wrong as for [`Self::deserialize`].
    fn deserialize_fields(&self, topic: &str, payload: Option<Bytes>, _fields: &[&'static str]) -> Result<Datum> {
        self.deserialize(topic, payload)
    }
}

/// `org.apache.kafka.connect.storage.HeaderConverter`.
pub trait HeaderConverter: Send + Sync {
    /// Appends the bytes of a header to `out`. `Ok(false)` means a null value.
    fn serialize(&self, topic: &str, key: &str, datum: &Datum, out: &mut BytesMut) -> Result<bool>;

    /// Reads a header; `None` is a null value.
    fn deserialize(&self, topic: &str, key: &str, payload: Option<Bytes>) -> Result<Datum>;
}
