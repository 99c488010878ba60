//! Certificates and keys in PEM, keys also in DER, plain or encrypted as PKCS8.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use pkcs8::EncryptedPrivateKeyInfoRef;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::TlsError;

/// Bytes of Base64 on a line.
const LINE: usize = 64;

/// The certificates in a PEM text; text around the blocks is skipped. `what` names the setting in errors.
///
/// # Errors
/// When a block can't be read, or there is none.
pub fn read_certificates(what: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let mut reader = pem;
    let certificates: Vec<_> = rustls_pemfile::certs(&mut reader)
        .collect::<Result<_, _>>()
        .map_err(|error| TlsError::new(format!("{what} can't be read as PEM certificates")).caused_by(error))?;
    if certificates.is_empty() {
        return Err(TlsError::new(format!("{what} holds no certificate in PEM form")));
    }
    Ok(certificates)
}

/// The private key in a PEM text, or a file that is a key in DER form.
pub(crate) fn read_key(what: &str, bytes: &[u8], password: Option<&str>) -> Result<PrivateKeyDer<'static>, TlsError> {
    if bytes.first() == Some(&0x30) {
        return der_key(what, bytes, password);
    }
    if let Some(der) = encrypted_block(bytes) {
        return decrypt(what, &der, password);
    }
    if has_legacy_encryption(bytes) {
        return Err(TlsError::new(format!(
            "{what} is encrypted in OpenSSL's old form, which Java does not read either: convert it with \
             'openssl pkcs8 -topk8 -in key.pem -out new.pem'"
        )));
    }
    let mut reader = bytes;
    let key = rustls_pemfile::private_key(&mut reader)
        .map_err(|error| TlsError::new(format!("{what} can't be read as a PEM private key")).caused_by(error))?;
    key.ok_or_else(|| TlsError::new(format!("{what} holds no private key in PEM form (PKCS8, PKCS1 or SEC1)")))
}

/// PKCS8 in DER, encrypted or not.
fn der_key(what: &str, der: &[u8], password: Option<&str>) -> Result<PrivateKeyDer<'static>, TlsError> {
    if EncryptedPrivateKeyInfoRef::try_from(der).is_ok() {
        return decrypt(what, der, password);
    }
    PrivateKeyDer::try_from(der.to_vec())
        .map_err(|problem| TlsError::new(format!("{what} is no private key in DER form: {problem}")))
}

fn decrypt(what: &str, der: &[u8], password: Option<&str>) -> Result<PrivateKeyDer<'static>, TlsError> {
    let Some(password) = password else {
        return Err(TlsError::new(format!(
            "{what} is encrypted, and there is no password for it: set ssl.key.password"
        )));
    };
    let info = EncryptedPrivateKeyInfoRef::try_from(der).map_err(|error| {
        TlsError::new(format!(
            "{what} is encrypted in a way that is not known (it has to be PBES2): convert it with 'openssl pkcs8 -topk8 \
             -v2 aes256 -in key.pem -out new.pem'"
        ))
        .caused_by(error.to_string())
    })?;
    let plain = info.decrypt(password).map_err(|error| {
        TlsError::new(format!("{what} can't be decrypted: is its password right?")).caused_by(error.to_string())
    })?;
    Ok(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(plain.as_bytes().to_vec())))
}

/// The content of the first `ENCRYPTED PRIVATE KEY` block.
fn encrypted_block(pem: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(pem).ok()?;
    let (_, after) = text.split_once("-----BEGIN ENCRYPTED PRIVATE KEY-----")?;
    let (body, _) = after.split_once("-----END ENCRYPTED PRIVATE KEY-----")?;
    let digits: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    BASE64.decode(digits).ok()
}

fn has_legacy_encryption(pem: &[u8]) -> bool {
    String::from_utf8_lossy(pem).contains("Proc-Type: 4,ENCRYPTED")
}

/// Certificates as PEM text.
pub fn certificates_pem(certificates: &[CertificateDer<'_>]) -> String {
    certificates.iter().map(|certificate| block("CERTIFICATE", certificate)).collect()
}

/// One PEM block.
pub(crate) fn block(label: &str, der: &[u8]) -> String {
    let body = BASE64.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn der_becomes_pem_in_lines_of_64() {
        let pem = block("CERTIFICATE", &[7; 60]);
        assert_eq!(pem.lines().map(str::len).collect::<Vec<_>>(), [27, 64, 16, 25]);
        assert_eq!(read_certificates("x", pem.as_bytes()).unwrap(), [CertificateDer::from(vec![7; 60])]);
    }

    #[test]
    fn what_is_no_key_says_so_with_its_setting() {
        let text = |bytes: &[u8]| read_key("ssl.keystore.key", bytes, None).unwrap_err().to_string();
        assert!(text(b"hello").contains("ssl.keystore.key holds no private key"));
        assert!(text(b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n").contains("openssl pkcs8 -topk8"));
        assert!(text(&[0x30, 0x02, 0x05, 0x00]).contains("DER"));
    }
}
