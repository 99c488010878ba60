//! Java key stores (JKS): what `keytool` wrote before PKCS12 became its default.
//!
//! A file is a list of entries and a SHA-1 digest over password and content. Private keys are protected by a key stream
//! made of SHA-1 digests, as `sun.security.provider.KeyProtector` makes it.

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;

use crate::identity::Identity;

/// The first four bytes.
const JKS: u32 = 0xFEED_FEED;
/// Those of JCEKS, which has the same layout, other protection of keys, and entries that are secret keys.
const JCEKS: u32 = 0xCECE_CECE;
const PRIVATE_KEY: u32 = 1;
const CERTIFICATE: u32 = 2;
const DIGEST: usize = 20;
/// What is digested between the password and the content.
const WHITENER: &[u8] = b"Mighty Aphrodite";

/// What a store holds.
pub(crate) struct JavaStore {
    pub(crate) identities: Vec<Identity>,
    pub(crate) certificates: Vec<CertificateDer<'static>>,
}

/// Whether a file is a Java key store.
pub(crate) fn is_java_store(bytes: &[u8]) -> bool {
    bytes.first_chunk().is_some_and(|magic| matches!(u32::from_be_bytes(*magic), JKS | JCEKS))
}

/// Reads a store. Without a password its digest is not checked, as in Java; keys need one.
///
/// # Errors
/// What is wrong, without any secret.
pub(crate) fn read(
    bytes: &[u8],
    password: Option<&str>,
    key_password: Option<&str>,
) -> Result<JavaStore, &'static str> {
    let split = bytes.len().checked_sub(DIGEST).ok_or("the file is cut off")?;
    let (content, digest) = bytes.split_at_checked(split).ok_or("the file is cut off")?;
    if let Some(password) = password {
        let mut hash = Sha1::new();
        hash.update(utf16(password));
        hash.update(WHITENER);
        hash.update(content);
        if !bool::from(hash.finalize().as_slice().ct_eq(digest)) {
            return Err("the password is wrong, or the file was changed");
        }
    }
    let mut reader = Reader(content);
    let magic = reader.number()?;
    let version = reader.number()?;
    if !(1..=2).contains(&version) {
        return Err("the version of the store is not known");
    }
    let mut store = JavaStore { identities: Vec::new(), certificates: Vec::new() };
    for _ in 0..reader.number()? {
        let tag = reader.number()?;
        let _alias = reader.text()?;
        let _created = reader.take(8)?;
        match tag {
            PRIVATE_KEY if magic == JKS => store.identities.push(reader.identity(version, key_password.or(password))?),
            CERTIFICATE => store.certificates.push(reader.certificate(version)?),
            _ if magic == JCEKS => return Err("keys in a JCEKS store can't be read: convert it to PKCS12"),
            _ => return Err("the store has an entry of a kind that is not known"),
        }
    }
    Ok(store)
}

/// Passwords are digested as Java's characters, two bytes each.
fn utf16(password: &str) -> Vec<u8> {
    password.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or("the file is cut off")?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u32, &'static str> {
        let bytes = self.take(4)?;
        bytes.first_chunk().map(|four| u32::from_be_bytes(*four)).ok_or("the file is cut off")
    }

    /// A text with its length in two bytes.
    fn text(&mut self) -> Result<&'a [u8], &'static str> {
        let length = self.take(2)?.first_chunk().map_or(0, |two| u16::from_be_bytes(*two));
        self.take(usize::from(length))
    }

    /// Bytes with their length in four bytes.
    fn bytes(&mut self) -> Result<&'a [u8], &'static str> {
        let length = self.number()?;
        self.take(usize::try_from(length).map_err(|_| "the file is cut off")?)
    }

    fn certificate(&mut self, version: u32) -> Result<CertificateDer<'static>, &'static str> {
        if version == 2 && self.text()? != b"X.509" {
            return Err("the store has a certificate that is not X.509");
        }
        Ok(CertificateDer::from(self.bytes()?.to_vec()))
    }

    fn identity(&mut self, version: u32, password: Option<&str>) -> Result<Identity, &'static str> {
        let protected = self.bytes()?;
        let key = unprotect(protected, password.ok_or("a key needs a password: set ssl.keystore.password")?)?;
        let count = self.number()?;
        let chain = (0..count).map(|_| self.certificate(version)).collect::<Result<_, _>>()?;
        Ok(Identity { chain, key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key)) })
    }
}

/// Takes the protection from a key: salt, key xor stream, digest over password and key.
fn unprotect(info: &[u8], password: &str) -> Result<Vec<u8>, &'static str> {
    const BAD: &str = "a key is not protected in the way of JKS";
    let (tag, body, _) = tlv(info).ok_or(BAD)?;
    let (_, _, after_algorithm) = tlv(body).ok_or(BAD)?;
    let (octets, data, _) = tlv(after_algorithm).ok_or(BAD)?;
    if tag != 0x30 || octets != 0x04 {
        return Err(BAD);
    }
    let (salt, rest) = data.split_at_checked(DIGEST).ok_or(BAD)?;
    let (cipher, digest) = rest.split_at_checked(rest.len().checked_sub(DIGEST).ok_or(BAD)?).ok_or(BAD)?;
    let password = utf16(password);
    let sha1 = |second: &[u8]| Sha1::new().chain_update(&password).chain_update(second).finalize().to_vec();
    let mut stream = salt.to_vec();
    let mut key = Vec::with_capacity(cipher.len());
    for chunk in cipher.chunks(DIGEST) {
        stream = sha1(&stream);
        key.extend(chunk.iter().zip(&stream).map(|(byte, mask)| byte ^ mask));
    }
    if bool::from(sha1(&key).as_slice().ct_eq(digest)) { Ok(key) } else { Err("the password of a key is wrong") }
}

/// The first element of DER: its tag, content, and what follows.
fn tlv(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
        let length =
            digits.iter().try_fold(0usize, |sum, digit| sum.checked_mul(256)?.checked_add(usize::from(*digit)))?;
        (length, rest)
    };
    let (content, after) = rest.split_at_checked(length)?;
    Some((tag, content, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STORE: &[u8] = include_bytes!("../testdata/server.jks");

    #[test]
    fn a_store_of_keytool_gives_its_key_and_chain() {
        let store = read(STORE, Some("store-password"), Some("key-password")).unwrap();
        assert_eq!((store.identities.len(), store.certificates.len()), (1, 1));
        assert_eq!(store.identities[0].chain.len(), 1);
        assert!(store.identities[0].key_pem().starts_with("-----BEGIN PRIVATE KEY-----"));
    }

    #[test]
    fn wrong_passwords_are_told_apart() {
        let problem = |store, key| read(STORE, store, key).err().unwrap();
        assert_eq!(problem(Some("x"), None), "the password is wrong, or the file was changed");
        assert_eq!(problem(Some("store-password"), None), "the password of a key is wrong");
        assert!(problem(None, None).contains("ssl.keystore.password"));
    }

    proptest! {
        #[test]
        fn a_damaged_store_ends_without_panic(at in 0..STORE.len(), byte: u8, end in 0..STORE.len()) {
            let mut store = STORE.to_vec();
            store[at] = byte;
            let _outcome = read(&store, None, Some("key-password"));
            let _outcome = read(&store[..end], None, Some("key-password"));
        }
    }
}
