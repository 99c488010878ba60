//! Protobuf's bytes.

use bytes::BufMut;
use connect_api::{Bytes, BytesMut, Error, Result};

/// How the bytes of a field end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Length = 2,
    Group = 3,
    GroupEnd = 4,
    Fixed32 = 5,
}

/// Groups within groups at most.
const GROUPS_MAX: usize = 64;

pub(crate) fn varint(mut number: u64, out: &mut BytesMut) {
    while number >= 0x80 {
        // The lowest seven bits, and that more follow.
        out.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    out.put_u8(number as u8);
}

pub(crate) fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

pub(crate) fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// Writes what has its length in front of it, which is known only afterwards.
pub(crate) fn delimited(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut) -> Result<()>) -> Result<()> {
    let start = out.len();
    // Mostly one byte will do.
    out.put_u8(0);
    write(out)?;
    let length = out.len() - start - 1;
    let mut prefix = [0; 10];
    let mut used = 0;
    let mut left = length;
    for byte in &mut prefix {
        used += 1;
        *byte = (left & 0x7f) as u8;
        left >>= 7;
        if left == 0 {
            break;
        }
        *byte |= 0x80;
    }
    if used > 1 {
        out.put_bytes(0, used - 1);
        out.copy_within(start + 1..start + 1 + length, start + used);
    }
    out[start..start + used].copy_from_slice(&prefix[..used]);
    Ok(())
}

/// A message, read from the front.
pub(crate) struct Input {
    bytes: Bytes,
    at: usize,
}

fn truncated() -> Error {
    Error::data(
        "While parsing a protocol message, the input ended unexpectedly in the middle of a field. This could mean either that \
         the input has been truncated or that an embedded message misreported its own length.",
    )
    .class(INVALID)
}

const INVALID: &str = "com.google.protobuf.InvalidProtocolBufferException";

impl Input {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub(crate) fn rest(&self) -> Bytes {
        self.bytes.slice(self.at.min(self.bytes.len())..)
    }

    pub(crate) fn varint(&mut self) -> Result<u64> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let mut value = 0u64;
        for (place, byte) in rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                self.at += place + 1;
                return Ok(value);
            }
        }
        if rest.len() < 10 {
            return Err(truncated());
        }
        Err(Error::data("CodedInputStream encountered a malformed varint.").class(INVALID))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let found = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>()).copied();
        self.at += if found.is_some() { N } else { 0 };
        found.ok_or_else(truncated)
    }

    pub(crate) fn fixed32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn fixed64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// What has its length in front; it stays part of the record.
    pub(crate) fn bytes(&mut self) -> Result<Bytes> {
        let length = usize::try_from(self.varint()?).map_err(|_| truncated())?;
        if length > self.bytes.len() - self.at {
            return Err(truncated());
        }
        let found = self.bytes.slice(self.at..self.at + length);
        self.at += length;
        Ok(found)
    }

    /// The number of the next field, and how it ends.
    pub(crate) fn tag(&mut self) -> Result<(u32, Wire)> {
        let tag = self.varint()?;
        let wire = match tag & 7 {
            0 => Wire::Varint,
            1 => Wire::Fixed64,
            2 => Wire::Length,
            3 => Wire::Group,
            4 => Wire::GroupEnd,
            5 => Wire::Fixed32,
            _ => return Err(Error::data("Protocol message tag had invalid wire type.").class(INVALID)),
        };
        let number = u32::try_from(tag >> 3).ok().filter(|number| *number > 0);
        Ok((
            number.ok_or_else(|| Error::data("Protocol message contained an invalid tag (zero).").class(INVALID))?,
            wire,
        ))
    }

    /// Steps over a field that nobody knows.
    pub(crate) fn skip(&mut self, wire: Wire) -> Result<()> {
        self.skip_at(wire, 0)
    }

    fn skip_at(&mut self, wire: Wire, depth: usize) -> Result<()> {
        match wire {
            Wire::Varint => self.varint().map(drop),
            Wire::Fixed64 => self.fixed64().map(drop),
            Wire::Fixed32 => self.fixed32().map(drop),
            Wire::Length => self.bytes().map(drop),
            Wire::Group if depth < GROUPS_MAX => loop {
                match self.tag()? {
                    (_, Wire::GroupEnd) => return Ok(()),
                    (_, inner) => self.skip_at(inner, depth + 1)?,
                }
            },
            Wire::Group | Wire::GroupEnd => {
                Err(Error::data("Protocol message end-group tag did not match expected tag.").class(INVALID))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_put_in_front() {
        for length in [0, 1, 127, 128, 20_000] {
            let mut out = BytesMut::from(&b"x"[..]);
            delimited(&mut out, |out| {
                out.put_bytes(7, length);
                Ok(())
            })
            .unwrap();
            let mut input = Input::new(out.freeze().slice(1..));
            let bytes = input.bytes().unwrap();
            assert!(bytes.len() == length && bytes.iter().all(|byte| *byte == 7) && input.is_empty());
        }
    }

    #[test]
    fn numbers_go_there_and_back() {
        for number in [0, 1, -1, 300, i64::MAX, i64::MIN] {
            assert_eq!(unzigzag(zigzag(number)), number);
            let mut out = BytesMut::new();
            varint(number as u64, &mut out);
            assert_eq!(Input::new(out.freeze()).varint().unwrap() as i64, number);
        }
    }

    #[test]
    fn damaged_messages_are_refused() {
        let input = |bytes: &[u8]| Input::new(Bytes::copy_from_slice(bytes));
        assert!(input(&[0x80]).varint().is_err());
        assert!(input(&[0x80; 11]).varint().is_err());
        assert!(input(&[5, 1]).bytes().is_err());
        assert!(input(&[0]).tag().is_err() && input(&[0x0e]).tag().is_err());
        assert!(input(&[1, 2]).fixed32().is_err());
        let mut groups = input(&[0x0b; 100]);
        let (_, wire) = groups.tag().unwrap();
        assert!(groups.skip(wire).is_err());
        let mut group = input(&[0x0b, 0x10, 5, 0x0c, 9]);
        let (_, wire) = group.tag().unwrap();
        group.skip(wire).unwrap();
        assert_eq!(group.rest(), &[9][..]);
    }
}
