//! Salted hashes of texts, as `column.mask.hash.*` makes them.

use std::fmt;
use std::sync::Arc;

use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512, Sha512_224, Sha512_256};

/// A hash function with its salt.
#[derive(Clone)]
pub struct Hash {
    function: fn(&[u8], &[u8]) -> String,
    name: Arc<str>,
    salt: Arc<[u8]>,
    /// The first version hashes the text as Java serializes it.
    serialized: bool,
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({}, serialized: {})", self.name, self.serialized)
    }
}

fn digest<D: Digest>(salt: &[u8], data: &[u8]) -> String {
    let mut digest = D::new();
    digest.update(salt);
    digest.update(data);
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Hash {
    /// `None` when there is no such function; names are those of Java, without regard to case.
    pub fn new(algorithm: &str, salt: &str, serialized: bool) -> Option<Self> {
        let function = match algorithm.to_ascii_uppercase().as_str() {
            "MD5" => digest::<Md5>,
            "SHA" | "SHA1" | "SHA-1" => digest::<Sha1>,
            "SHA-224" => digest::<Sha224>,
            "SHA-256" => digest::<Sha256>,
            "SHA-384" => digest::<Sha384>,
            "SHA-512" => digest::<Sha512>,
            "SHA-512/224" => digest::<Sha512_224>,
            "SHA-512/256" => digest::<Sha512_256>,
            _ => return None,
        };
        Some(Self { function, name: algorithm.into(), salt: salt.as_bytes().into(), serialized })
    }

    /// The hash of a text in hexadecimal digits.
    pub fn of(&self, text: &str) -> String {
        if self.serialized {
            (self.function)(&self.salt, &serialized(text))
        } else {
            (self.function)(&self.salt, text.as_bytes())
        }
    }
}

/// What `ObjectOutputStream.writeObject` writes of a string: a header, a tag, the length, and Java's own UTF-8, which writes
/// both halves of a surrogate pair, and zero in two bytes.
fn serialized(text: &str) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(text.len());
    for unit in text.encode_utf16() {
        let low = |shift: u16| 0x80 | (unit >> shift & 0x3f) as u8;
        match unit {
            1..0x80 => encoded.push(unit as u8),
            0 | 0x80..0x800 => encoded.extend([0xc0 | (unit >> 6) as u8, low(0)]),
            _ => encoded.extend([0xe0 | (unit >> 12) as u8, low(6), low(0)]),
        }
    }
    let mut out = vec![0xac, 0xed, 0x00, 0x05];
    match u16::try_from(encoded.len()) {
        Ok(length) => {
            out.push(0x74);
            out.extend(length.to_be_bytes());
        }
        Err(_) => {
            out.push(0x7c);
            out.extend((encoded.len() as u64).to_be_bytes());
        }
    }
    out.extend(encoded);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(algorithm: &str, salt: &str, serialized: bool) -> Hash {
        Hash::new(algorithm, salt, serialized).expect("known")
    }

    #[test]
    fn hashes_follow_the_recorded_values() {
        assert_eq!(
            hash("SHA-256", "CzQMA0cB5K", true).of("hush"),
            "33686847015fcfb7c2d7199932590e31bbef3b02d9564bfe150b56778eb19544"
        );
        let second = hash("sha-256", "CzQMA0cB5K", false);
        assert_eq!(second.of("alpha"), "c963a65ca5d3f74490b7e37ca19af75075fdcebe6fbb21e881ae2d3779116b52");
        assert_eq!(second.of("ünïcödé"), "b11b822040bae47c4c0163ad351ace24605bc89d644d9d59cb7de9b950ac4d51");
        assert_eq!(&hash("MD5", "xyz", true).of("beta")[..20], "ab4179064e2cb8a1360d");
        assert!(Hash::new("CRC32", "", false).is_none());
    }

    #[test]
    fn texts_are_serialized_as_java_does() {
        assert_eq!(serialized("a\0é"), b"\xac\xed\0\x05t\0\x05a\xc0\x80\xc3\xa9");
        assert_eq!(serialized("€😀"), b"\xac\xed\0\x05t\0\x09\xe2\x82\xac\xed\xa0\xbd\xed\xb8\x80");
        let long = serialized(&"x".repeat(70_000));
        assert_eq!(&long[..13], b"\xac\xed\0\x05\x7c\0\0\0\0\0\x01\x11\x70");
    }
}
