//! A writer of raw BSON.
//!
//! One growing buffer takes document after document; nothing is built as a tree first. An element is begun with
//! [`Writer::name`], which leaves room for its type, and finished by exactly one `put_*`, [`Writer::begin`] or
//! [`Writer::begin_array`]. A caller that gives up truncates the buffer to where it began.

use bson::Bson;
use bson::oid::ObjectId;
use connect_api::Error;

/// Element types (<https://bsonspec.org>).
const DOUBLE: u8 = 0x01;
const STRING: u8 = 0x02;
const DOCUMENT: u8 = 0x03;
const ARRAY: u8 = 0x04;
const BINARY: u8 = 0x05;
const OBJECT_ID: u8 = 0x07;
const BOOLEAN: u8 = 0x08;
const DATE: u8 = 0x09;
const NULL: u8 = 0x0A;
const INT32: u8 = 0x10;
const INT64: u8 = 0x12;
const DECIMAL128: u8 = 0x13;

/// An element whose name is written and whose value is not.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct At(usize);

/// A document or array that is still open.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Open(usize);

/// The buffer.
#[derive(Debug, Default)]
pub struct Writer {
    buf: Vec<u8>,
}

impl Writer {
    /// An empty writer.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty writer with room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { buf: Vec::with_capacity(bytes) }
    }

    /// What is written so far.
    pub fn bytes(&self) -> &[u8] {
        &self.buf
    }

    /// Takes the buffer.
    pub fn into_bytes(self) -> Vec<u8> {
        self.buf
    }

    /// The number of bytes written.
    pub fn len(&self) -> usize {
        self.buf.len()
    }

    /// True when nothing is written.
    pub fn is_empty(&self) -> bool {
        self.buf.is_empty()
    }

    /// Forgets everything from a position on.
    pub fn truncate(&mut self, len: usize) {
        self.buf.truncate(len);
    }

    /// Opens a document at the top level.
    pub fn open(&mut self) -> Open {
        let at = self.buf.len();
        self.buf.extend_from_slice(&[0; 4]);
        Open(at)
    }

    /// Closes a document or array.
    pub fn close(&mut self, open: Open) {
        self.buf.push(0);
        // A length beyond BSON's is refused by the caller's size check before anything is sent.
        let len = i32::try_from(self.buf.len() - open.0).unwrap_or(i32::MAX);
        self.buf[open.0..open.0 + 4].copy_from_slice(&len.to_le_bytes());
    }

    /// Begins an element.
    pub fn name(&mut self, name: &str) -> Result<At, Error> {
        check_name(name)?;
        Ok(self.literal(name))
    }

    /// Begins an element whose name is one of ours.
    pub fn literal(&mut self, name: &str) -> At {
        let at = At(self.buf.len());
        self.buf.reserve(name.len() + 2 + 8);
        self.buf.push(NULL);
        self.buf.extend_from_slice(name.as_bytes());
        self.buf.push(0);
        at
    }

    /// Begins an array's element.
    pub fn index(&mut self, index: usize) -> At {
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut rest = index;
        loop {
            at -= 1;
            digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        let element = At(self.buf.len());
        self.buf.push(NULL);
        self.buf.extend_from_slice(&digits[at..]);
        self.buf.push(0);
        element
    }

    fn put(&mut self, at: At, ty: u8, value: &[u8]) {
        self.buf[at.0] = ty;
        self.buf.extend_from_slice(value);
    }

    /// Opens a document as an element.
    pub fn begin(&mut self, at: At) -> Open {
        self.buf[at.0] = DOCUMENT;
        self.open()
    }

    /// Opens an array as an element.
    pub fn begin_array(&mut self, at: At) -> Open {
        self.buf[at.0] = ARRAY;
        self.open()
    }

    pub fn put_null(&mut self, at: At) {
        self.put(at, NULL, &[]);
    }

    pub fn put_bool(&mut self, at: At, value: bool) {
        self.put(at, BOOLEAN, &[value.into()]);
    }

    pub fn put_i32(&mut self, at: At, value: i32) {
        self.put(at, INT32, &value.to_le_bytes());
    }

    pub fn put_i64(&mut self, at: At, value: i64) {
        self.put(at, INT64, &value.to_le_bytes());
    }

    pub fn put_f64(&mut self, at: At, value: f64) {
        self.put(at, DOUBLE, &value.to_le_bytes());
    }

    /// Milliseconds since the epoch.
    pub fn put_date(&mut self, at: At, millis: i64) {
        self.put(at, DATE, &millis.to_le_bytes());
    }

    pub fn put_object_id(&mut self, at: At, id: ObjectId) {
        self.put(at, OBJECT_ID, &id.bytes());
    }

    pub fn put_decimal128(&mut self, at: At, value: [u8; 16]) {
        self.put(at, DECIMAL128, &value);
    }

    pub fn put_str(&mut self, at: At, value: &str) {
        // A text of two gigabytes cannot arrive: Kafka bounds records far below.
        let len = i32::try_from(value.len() + 1).unwrap_or(i32::MAX);
        self.put(at, STRING, &len.to_le_bytes());
        self.buf.extend_from_slice(value.as_bytes());
        self.buf.push(0);
    }

    /// Bytes of the generic subtype.
    pub fn put_bytes(&mut self, at: At, value: &[u8]) {
        self.put_binary(at, 0, value);
    }

    /// Bytes of a subtype.
    pub fn put_binary(&mut self, at: At, subtype: u8, value: &[u8]) {
        let len = i32::try_from(value.len()).unwrap_or(i32::MAX);
        self.put(at, BINARY, &len.to_le_bytes());
        self.buf.push(subtype);
        self.buf.extend_from_slice(value);
    }

    /// Any BSON value, by the driver's own encoder.
    pub fn put_bson(&mut self, at: At, value: &Bson) -> Result<(), Error> {
        let single = bson::RawDocumentBuf::try_from(&bson::doc! { "": value.clone() }).map_err(encode_error)?;
        let bytes = single.as_bytes();
        // Length, type, the empty name's terminator, value, terminator of the document.
        if let (Some(ty), Some(value)) = (bytes.get(4), bytes.get(6..bytes.len() - 1)) {
            self.put(at, *ty, value);
        }
        Ok(())
    }

    /// A whole document, already encoded, as an element.
    pub fn put_raw_document(&mut self, at: At, document: &[u8]) {
        self.put(at, DOCUMENT, document);
    }

    /// Writes an element's value once more under another name: the bytes from `from` to `to` are those of a document.
    pub fn copy_document(&mut self, at: At, from: usize, to: usize) {
        self.buf[at.0] = DOCUMENT;
        self.buf.extend_from_within(from..to);
    }

    /// Writes the value of another finished element once more, with its type.
    pub fn copy_value(&mut self, at: At, source: At, value: std::ops::Range<usize>) {
        self.buf[at.0] = self.buf[source.0];
        self.buf.extend_from_within(value);
    }

    /// A whole document from the driver's type, at the top level or as the value of an opened element.
    pub fn put_document(&mut self, document: &bson::Document) -> Result<(), Error> {
        let raw = bson::RawDocumentBuf::try_from(document).map_err(encode_error)?;
        self.buf.extend_from_slice(raw.as_bytes());
        Ok(())
    }

    /// A document of the driver's type as an element.
    pub fn put_document_at(&mut self, at: At, document: &bson::Document) -> Result<(), Error> {
        self.buf[at.0] = DOCUMENT;
        self.put_document(document)
    }
}

/// Refuses names that BSON cannot hold.
pub fn check_name(name: &str) -> Result<(), Error> {
    match memchr::memchr(0, name.as_bytes()) {
        None => Ok(()),
        Some(index) => Err(Error::data(format!(
            "BSON cstring '{name}' is not valid because it contains a null character at index {index}"
        ))
        .class("org.bson.BsonSerializationException")),
    }
}

fn encode_error(error: bson::error::Error) -> Error {
    Error::data(error.to_string()).class("org.bson.BsonSerializationException")
}
