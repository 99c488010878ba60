//! Avro's bytes, read from the front.

use connect_api::{Bytes, Error, Result, Text, Value};

/// How many elements and fields of no bytes a record may have in all.
const EMPTY_ELEMENTS_MAX: usize = 1 << 20;

/// The bytes of a value.
pub(crate) struct Input {
    bytes: Bytes,
    at: usize,
    /// How many more elements of arrays and maps there may be, and fields for which there are no bytes.
    elements: usize,
}

fn end() -> Error {
    Error::data("the record ends before its value does").class("java.io.EOFException")
}

pub(crate) fn invalid(what: &str) -> Error {
    Error::data(format!("the record is damaged, or was written with another schema: {what}"))
        .class("org.apache.avro.AvroRuntimeException")
}

impl Input {
    pub(crate) fn new(bytes: Bytes) -> Self {
        // What has bytes can't be more than there are bytes; the rest has none.
        let elements = bytes.len().saturating_add(EMPTY_ELEMENTS_MAX);
        Self { bytes, at: 0, elements }
    }

    /// How many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Everything that is left.
    pub(crate) fn rest(&mut self) -> Bytes {
        let rest = self.bytes.slice(self.at..);
        self.at = self.bytes.len();
        rest
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let found = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>()).copied();
        self.at += if found.is_some() { N } else { 0 };
        found.ok_or_else(end)
    }

    pub(crate) fn boolean(&mut self) -> Result<bool> {
        Ok(self.array::<1>()? == [1])
    }

    #[inline]
    pub(crate) fn long(&mut self) -> Result<i64> {
        // Most numbers are small: lengths, and places in a union.
        match self.bytes.get(self.at) {
            Some(byte @ ..0x80) => {
                self.at += 1;
                Ok(i64::from(byte >> 1) ^ -i64::from(byte & 1))
            }
            _ => self.long_of_more(),
        }
    }

    fn long_of_more(&mut self) -> Result<i64> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let mut value = 0u64;
        for (place, byte) in rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                self.at += place + 1;
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        if rest.len() < 10 { Err(end()) } else { Err(invalid("a number has too many bytes")) }
    }

    pub(crate) fn int(&mut self) -> Result<i32> {
        i32::try_from(self.long()?).map_err(|_| invalid("a number is too large"))
    }

    pub(crate) fn float(&mut self) -> Result<f32> {
        Ok(f32::from_le_bytes(self.array()?))
    }

    pub(crate) fn double(&mut self) -> Result<f64> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    /// So many bytes; they stay part of the record.
    pub(crate) fn fixed(&mut self, size: usize) -> Result<Bytes> {
        if size > self.left() {
            return Err(end());
        }
        let found = self.bytes.slice(self.at..self.at + size);
        self.at += size;
        Ok(found)
    }

    pub(crate) fn bytes(&mut self) -> Result<Bytes> {
        let size = self.length()?;
        self.fixed(size)
    }

    fn length(&mut self) -> Result<usize> {
        usize::try_from(self.long()?).map_err(|_| invalid("a length is below zero"))
    }

    /// A text; what is no UTF-8 in it is replaced, as Java does.
    pub(crate) fn string(&mut self) -> Result<Text> {
        Ok(text(self.bytes()?))
    }

    /// The same as a value, to where it belongs.
    pub(crate) fn string_to(&mut self, to: &mut Value) -> Result<()> {
        let size = self.length()?;
        let bytes = self.bytes.get(self.at..).and_then(|rest| rest.get(..size)).ok_or_else(end)?;
        match std::str::from_utf8(bytes) {
            Ok(part) => to.set_part(&self.bytes, part),
            Err(_) => to.set(String::from_utf8_lossy(bytes).into_owned().into()),
        }
        self.at += size;
        Ok(())
    }

    pub(crate) fn skip(&mut self, size: usize) -> Result<()> {
        self.fixed(size).map(drop)
    }

    /// The number of elements in the next block, 0 at the end.
    pub(crate) fn block(&mut self) -> Result<usize> {
        let mut count = self.long()?;
        if count < 0 {
            // The size of the block in bytes, for those who skip it.
            self.long()?;
            count = count.checked_neg().ok_or_else(|| invalid("a block has no length"))?;
        }
        let count = usize::try_from(count).map_err(|_| invalid("a block is too long"))?;
        self.charge(count)?;
        Ok(count)
    }

    /// Counts values. They may have no bytes, but then there is no reason to have many.
    pub(crate) fn charge(&mut self, count: usize) -> Result<()> {
        self.elements = self.elements.checked_sub(count).ok_or_else(|| invalid("it has more elements than bytes"))?;
        Ok(())
    }

    /// How much may be reserved for so many elements: a record can't make us take more than it has itself.
    pub(crate) fn reserve(&self, count: usize) -> usize {
        count.min(self.left())
    }
}

/// Bytes as text.
pub(crate) fn text(bytes: Bytes) -> Text {
    match Text::try_from(bytes.clone()) {
        Ok(text) => text,
        Err(_) => String::from_utf8_lossy(&bytes).into_owned().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(bytes: &[u8]) -> Input {
        Input::new(Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn numbers_are_zigzag() {
        for (bytes, number) in [
            (&[0][..], 0),
            (&[1], -1),
            (&[2], 1),
            (&[0x80, 1], 64),
            (&[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], i64::MAX),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], i64::MIN),
        ] {
            assert_eq!(input(bytes).long().unwrap(), number);
        }
        assert!(input(&[0x80]).long().is_err());
        assert!(input(&[0x80; 11]).long().is_err());
        assert!(input(&[0x80, 0x80, 0x80, 0x80, 0x20]).int().is_err());
    }

    #[test]
    fn lengths_are_believed_only_as_far_as_there_are_bytes() {
        assert!(input(&[0xfe, 0xff, 0xff, 0xff, 0x0f, 1]).bytes().is_err());
        assert!(input(&[1]).bytes().is_err());
        assert!(input(&[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]).block().is_err());
        assert_eq!(input(&[3, 9, 0]).block().unwrap(), 2);
        assert_eq!(&*input(&[6, b'a', 0xff, b'b']).string().unwrap(), "a\u{fffd}b");
    }
}
