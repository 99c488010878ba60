//! Trust stores and key stores of the Java properties, turned into PEM text.
//!
//! PEM (inline or in files) and PKCS12 are read; a JKS store gets an error that says how to convert it. The kind of a file is
//! seen from its content, because Java reads PKCS12 under `type=JKS` as well.

use base64::Engine as _;
use p12_keystore::{KeyStore, KeyStoreEntry, Pkcs12ImportPolicy};

use super::{Identity, config, text};
use crate::{ClientProps, Result};

/// The first bytes of JKS and JCEKS files.
const JAVA_STORE_MAGIC: [[u8; 4]; 2] = [[0xFE, 0xED, 0xFE, 0xED], [0xCE, 0xCE, 0xCE, 0xCE]];

enum Store {
    Pem(String),
    Pkcs12(KeyStore),
}

/// The trusted authorities (`ssl.truststore.*`); `None`: those of the system.
pub(super) fn trusted(props: &ClientProps) -> Result<Option<String>> {
    if let Some(inline) = text(props, "ssl.truststore.certificates") {
        return Ok(Some(inline.to_owned()));
    }
    let Some(store) = read_store(props, "ssl.truststore")? else { return Ok(None) };
    let pem = match store {
        Store::Pem(pem) => pem,
        Store::Pkcs12(store) => store
            .entries()
            .flat_map(|(_, entry)| match entry {
                KeyStoreEntry::Certificate(certificate) => vec![certificate],
                KeyStoreEntry::PrivateKeyChain(chain) => chain.certs().iter().collect(),
                KeyStoreEntry::Secret(_) => Vec::new(),
            })
            .map(|certificate| pem_block("CERTIFICATE", certificate.as_der()))
            .collect(),
    };
    if pem.contains("-----BEGIN") {
        Ok(Some(pem))
    } else {
        Err(config("ssl.truststore.location holds no certificate".to_owned()))
    }
}

/// The client's certificate and key (`ssl.keystore.*`, `ssl.key.password`).
pub(super) fn identity(props: &ClientProps) -> Result<Option<Identity>> {
    let key_password = text(props, "ssl.key.password").map(str::to_owned);
    match (text(props, "ssl.keystore.certificate.chain"), text(props, "ssl.keystore.key")) {
        (Some(chain), Some(key)) => {
            return Ok(Some(Identity { chain_pem: chain.to_owned(), key_pem: key.to_owned(), key_password }));
        }
        (None, None) => {}
        _ => {
            return Err(config(
                "ssl.keystore.certificate.chain and ssl.keystore.key belong together: set both".to_owned(),
            ));
        }
    }
    match read_store(props, "ssl.keystore")? {
        None => Ok(None),
        Some(Store::Pem(pem)) => pem_identity(&pem, key_password).map(Some),
        Some(Store::Pkcs12(store)) => pkcs12_identity(&store).map(Some),
    }
}

fn pem_identity(pem: &str, key_password: Option<String>) -> Result<Identity> {
    let (mut chain_pem, mut key_pem) = (String::new(), String::new());
    for block in pem_blocks(pem) {
        let label = block.split("-----").nth(1).unwrap_or_default();
        let target = if label.ends_with("CERTIFICATE") { &mut chain_pem } else { &mut key_pem };
        target.push_str(block);
        target.push('\n');
    }
    if chain_pem.is_empty() || key_pem.is_empty() {
        return Err(config(
            "ssl.keystore.location must hold a private key and its certificate chain as PEM blocks".to_owned(),
        ));
    }
    Ok(Identity { chain_pem, key_pem, key_password })
}

fn pkcs12_identity(store: &KeyStore) -> Result<Identity> {
    let Some((_, chain)) = store.private_key_chain() else {
        return Err(config("ssl.keystore.location holds no private key".to_owned()));
    };
    Ok(Identity {
        chain_pem: chain.certs().iter().map(|certificate| pem_block("CERTIFICATE", certificate.as_der())).collect(),
        key_pem: pem_block("PRIVATE KEY", chain.key().as_der()),
        key_password: None,
    })
}

fn read_store(props: &ClientProps, prefix: &str) -> Result<Option<Store>> {
    let Some(path) = text(props, &format!("{prefix}.location")) else { return Ok(None) };
    let bytes = std::fs::read(path)
        .map_err(|error| config(format!("{prefix}.location '{path}' cannot be read")).with_source(error))?;
    if bytes.first_chunk::<4>().is_some_and(|magic| JAVA_STORE_MAGIC.contains(magic)) {
        return Err(config(java_store_text(prefix, path)));
    }
    if bytes.first() == Some(&0x30) {
        let password = text(props, &format!("{prefix}.password")).unwrap_or_default();
        let store = KeyStore::from_pkcs12(&bytes, password, Pkcs12ImportPolicy::Relaxed).map_err(|error| {
            config(format!("{prefix}.location '{path}' cannot be opened as PKCS12 (is {prefix}.password right?)"))
                .with_source(error)
        })?;
        return Ok(Some(Store::Pkcs12(store)));
    }
    match String::from_utf8(bytes) {
        Ok(pem) if pem.contains("-----BEGIN") => Ok(Some(Store::Pem(pem))),
        _ => Err(config(format!("{prefix}.location '{path}' is neither PEM nor PKCS12"))),
    }
}

fn java_store_text(prefix: &str, path: &str) -> String {
    let target = path.strip_suffix(".jks").unwrap_or(path);
    format!(
        "{prefix}.location '{path}' is a Java key store (JKS), which only Java reads. Convert it with: keytool \
         -importkeystore -srckeystore {path} -destkeystore {target}.p12 -deststoretype PKCS12 ; then set \
         {prefix}.location={target}.p12 and {prefix}.type=PKCS12. For PEM: openssl pkcs12 -in {target}.p12 -out {target}.pem"
    )
}

fn pem_block(label: &str, der: &[u8]) -> String {
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}

/// The PEM blocks of a text, without what is between them.
fn pem_blocks(pem: &str) -> impl Iterator<Item = &str> {
    let mut rest = pem;
    std::iter::from_fn(move || {
        let begin = rest.find("-----BEGIN ")?;
        let block = rest.get(begin..)?;
        let end = block.find("-----END ")?;
        let tail = block.get(end + "-----END ".len()..)?;
        let close = tail.find("-----")?;
        let length = end + "-----END ".len() + close + "-----".len();
        rest = block.get(length..)?;
        block.get(..length)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn props(pairs: &[(&str, &str)]) -> ClientProps {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        file
    }

    const PEM: &str = "Bag Attributes\n-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\nnoise\n\
                       -----BEGIN PRIVATE KEY-----\nREVG\n-----END PRIVATE KEY-----\n";

    #[test]
    fn a_pem_file_is_split_into_chain_and_key() {
        let store = file(PEM.as_bytes());
        let identity = identity(&props(&[("ssl.keystore.location", store.path().to_str().unwrap())])).unwrap().unwrap();
        assert_eq!(identity.chain_pem, "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n");
        assert_eq!(identity.key_pem, "-----BEGIN PRIVATE KEY-----\nREVG\n-----END PRIVATE KEY-----\n");
    }

    #[test]
    fn a_java_key_store_says_how_to_convert_it() {
        let store = file(&[0xFE, 0xED, 0xFE, 0xED, 0, 0, 0, 2]);
        let path = store.path().to_str().unwrap();
        let error = trusted(&props(&[("ssl.truststore.location", path)])).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("keytool -importkeystore"), "{text}");
        assert!(text.contains("ssl.truststore.type=PKCS12"), "{text}");
    }

    #[test]
    fn half_an_inline_identity_is_refused() {
        let Err(error) = identity(&props(&[("ssl.keystore.key", "x")])) else { panic!("expected an error") };
        assert!(error.to_string().contains("belong together"));
    }

    #[test]
    fn a_wrong_password_is_named_without_being_shown() {
        let store = file(&[0x30, 0x82, 0x01, 0x00]);
        let path = store.path().to_str().unwrap();
        let error =
            trusted(&props(&[("ssl.truststore.location", path), ("ssl.truststore.password", "hush")])).unwrap_err();
        assert!(error.to_string().contains("ssl.truststore.password"), "{error}");
        assert!(!error.to_string().contains("hush"), "{error}");
    }

    #[test]
    fn der_becomes_pem_in_lines_of_64() {
        let pem = pem_block("CERTIFICATE", &[7; 60]);
        assert_eq!(pem.lines().map(str::len).collect::<Vec<_>>(), [27, 64, 16, 25]);
    }
}
