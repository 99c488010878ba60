//! What stands before a value: which schema it was written with.

use bytes::Buf;
use connect_api::{Bytes, Error};

use super::failure::{ILLEGAL_ARGUMENT, SERIALIZATION};

/// The format of ids of 32 bits.
const MAGIC_ID: u8 = 0;
/// The format of ids that are the same in every registry.
const MAGIC_GUID: u8 = 1;

/// What a record says of its schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SchemaId {
    Id(u32),
    Guid([u8; 16]),
}

impl std::fmt::Display for SchemaId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Guid(bytes) => {
                for (place, byte) in bytes.iter().enumerate() {
                    if matches!(place, 4 | 6 | 8 | 10) {
                        f.write_str("-")?;
                    }
                    write!(f, "{byte:02x}")?;
                }
                Ok(())
            }
        }
    }
}

/// A record in the registry's format.
pub(crate) struct Frame {
    pub(crate) id: SchemaId,
    /// What stands behind the id.
    pub(crate) rest: Bytes,
}

impl Frame {
    /// Takes a record apart.
    pub(crate) fn read(mut payload: Bytes) -> Result<Self, Error> {
        match payload.first() {
            Some(&MAGIC_ID) => {
                let id: Option<[u8; 4]> = payload.get(1..5).and_then(|bytes| bytes.try_into().ok());
                let id = SchemaId::Id(u32::from_be_bytes(id.ok_or_else(too_short)?));
                payload.advance(5);
                Ok(Self { id, rest: payload })
            }
            Some(&MAGIC_GUID) => {
                let id: Option<[u8; 16]> = payload.get(1..17).and_then(|bytes| bytes.try_into().ok());
                let id = SchemaId::Guid(id.ok_or_else(too_short)?);
                payload.advance(17);
                Ok(Self { id, rest: payload })
            }
            Some(_) => Err(no_id(
                Error::data("Unknown magic byte!").class(ILLEGAL_ARGUMENT),
                "the record was not written by a serializer of the schema registry: name the converter that fits its format",
            )),
            None => Err(too_short()),
        }
    }
}

/// The bytes before a value: the magic byte and the id.
pub(crate) fn prefix(id: u32) -> [u8; 5] {
    let [a, b, c, d] = id.to_be_bytes();
    [MAGIC_ID, a, b, c, d]
}

fn too_short() -> Error {
    no_id(
        Error::data("").class("java.nio.BufferUnderflowException"),
        "the record is shorter than an id: name the converter that fits its format",
    )
}

fn no_id(cause: Error, hint: &'static str) -> Error {
    Error::data("Error deserializing schema ID").class(SERIALIZATION).hint(hint).caused_by(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_ids_are_known() {
        let frame = Frame::read(Bytes::from_static(&[0, 0, 0, 1, 2, 9])).unwrap();
        assert_eq!((frame.id, &frame.rest[..]), (SchemaId::Id(258), &[9][..]));
        assert_eq!(prefix(258), [0, 0, 0, 1, 2]);
        let mut guid = vec![1];
        guid.extend(1..=16);
        let frame = Frame::read(guid.into()).unwrap();
        assert_eq!(frame.id.to_string(), "01020304-0506-0708-090a-0b0c0d0e0f10");
        assert!(frame.rest.is_empty());
    }

    #[test]
    fn other_records_say_what_is_wrong() {
        let error = |bytes: &'static [u8]| Frame::read(Bytes::from_static(bytes)).err().unwrap().trace();
        assert!(error(b"{}").contains("java.lang.IllegalArgumentException: Unknown magic byte!"));
        assert!(error(b"\0\0\0\0").contains("java.nio.BufferUnderflowException"));
        assert!(
            error(b"").contains("org.apache.kafka.common.errors.SerializationException: Error deserializing schema ID")
        );
    }
}
