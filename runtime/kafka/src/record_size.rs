//! The size that Java's producer takes a record to have (`AbstractRecords.estimateSizeInBytesUpperBound`), which it compares
//! with `max.request.size`, and with `buffer.memory` (`KafkaProducer.ensureValidRecordSize`).

use crate::security::text;
use crate::{ClientProps, Error, ErrorKind, Message, Result};

/// What a batch has around its records.
const BATCH_OVERHEAD: usize = 61;
/// The most that a record has around its key, value and headers.
const RECORD_OVERHEAD: usize = 21;
/// `max.request.size` when it is not set, or is no number (which making the client complains of).
const MAX_REQUEST_DEFAULT: usize = 1 << 20;
/// `buffer.memory` in the same cases.
const BUFFER_DEFAULT: usize = 32 << 20;

/// The limits of a producer, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    request: usize,
    buffer: usize,
}

impl Limits {
    /// Those of a producer with these properties.
    pub(crate) fn of(props: &ClientProps) -> Self {
        let bytes = |key: &str, default| text(props, key).and_then(|bytes| bytes.parse().ok()).unwrap_or(default);
        Self { request: bytes("max.request.size", MAX_REQUEST_DEFAULT), buffer: bytes("buffer.memory", BUFFER_DEFAULT) }
    }
}

/// Refuses a record that is larger than a request may be, or than the buffer for all of them, in Java's words. Gives the size that
/// the record has in a batch of its own, at most.
pub(crate) fn check(message: &Message<'_>, limits: Limits) -> Result<usize> {
    let size = upper_bound(message);
    let said = if size > limits.request {
        format!(
            "The message is {size} bytes when serialized which is larger than {}, which is the value of the \
             max.request.size configuration.",
            limits.request
        )
    } else if size > limits.buffer {
        format!(
            "The message is {size} bytes when serialized which is larger than the total memory buffer you have configured \
             with the buffer.memory configuration."
        )
    } else {
        return Ok(size);
    };
    let error = Error::new(ErrorKind::TooLarge, format!("topic {}: {said}", message.topic));
    Err(error.with_java("org.apache.kafka.common.errors.RecordTooLargeException", said))
}

fn upper_bound(message: &Message<'_>) -> usize {
    let headers: usize =
        message.headers.iter().map(|(key, value)| sized(Some(key.len())) + sized(value.map(<[u8]>::len))).sum();
    let body = sized(message.key.map(<[u8]>::len)) + sized(message.value.map(<[u8]>::len));
    BATCH_OVERHEAD + RECORD_OVERHEAD + body + varint(message.headers.len()) + headers
}

/// Bytes with their length in front; `None` is a length of -1.
fn sized(length: Option<usize>) -> usize {
    length.map_or(1, |length| varint(length) + length)
}

/// The bytes of a length as a zigzag varint.
fn varint(length: usize) -> usize {
    let bits = usize::BITS - (length << 1).leading_zeros();
    (bits.max(1) as usize).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_that_java_names() {
        // Seen in a trace of the JVM's worker: a text of 400 bytes without a key.
        let value = [b'x'; 400];
        let message = Message::new("t", None, Some(&value));
        assert_eq!(upper_bound(&message), 486);
        let check = |request, buffer| check(&message, Limits { request, buffer });
        let error = check(200, 100).unwrap_err();
        let said = error.java().map(|java| &*java.message);
        assert_eq!(
            said,
            Some(
                "The message is 486 bytes when serialized which is larger than 200, which is the value of the \
                 max.request.size configuration."
            )
        );
        let error = check(486, 485).unwrap_err();
        assert!(error.java().is_some_and(|java| java.message.ends_with("with the buffer.memory configuration.")));
        assert_eq!(check(486, 486).unwrap(), 486);
    }

    #[test]
    fn lengths_take_as_many_bytes_as_in_zigzag() {
        assert_eq!([0, 63, 64, 8191, 8192].map(varint), [1, 1, 2, 2, 3]);
    }
}
