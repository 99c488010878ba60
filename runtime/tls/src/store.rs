//! Reading a key store or trust store: from a file of any known kind, or from text in the properties.

use p12_keystore::{KeyStore, KeyStoreEntry, Pkcs12ImportPolicy};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::identity::Identity;
use crate::settings::{KeySettings, TrustSettings};
use crate::{TlsError, jks, pem};

/// What a file holds.
pub(crate) struct Store {
    pub(crate) identities: Vec<Identity>,
    pub(crate) certificates: Vec<CertificateDer<'static>>,
}

impl Store {
    /// What Java's trust manager takes from a store: its certificates, and the first one of each key's chain.
    pub(crate) fn trusted(self) -> Vec<CertificateDer<'static>> {
        let of_keys = self.identities.into_iter().filter_map(|identity| identity.chain.into_iter().next());
        self.certificates.into_iter().chain(of_keys).collect()
    }

    /// The first key that has a certificate chain. `what` names the store.
    fn identity(self, what: &str) -> Result<Identity, TlsError> {
        let found = self.identities.into_iter().find(|identity| !identity.chain.is_empty());
        found.ok_or_else(|| TlsError::new(format!("{what} holds no private key with its certificate chain")))
    }
}

/// The certificate and key of a key store; `None` when none is configured.
pub(crate) fn identity(settings: &KeySettings) -> Result<Option<Identity>, TlsError> {
    match (&settings.chain, &settings.key) {
        (Some(chain), Some(key)) => {
            return Ok(Some(Identity {
                chain: pem::read_certificates("ssl.keystore.certificate.chain", chain.as_bytes())?,
                key: pem::read_key("ssl.keystore.key", key.as_bytes(), settings.key_password.as_deref())?,
            }));
        }
        (None, None) => {}
        _ => {
            return Err(TlsError::new("ssl.keystore.certificate.chain and ssl.keystore.key belong together: set both"));
        }
    }
    let Some(store) = key_store(settings)? else { return Ok(None) };
    let what = format!("ssl.keystore.location '{}'", settings.location.as_deref().unwrap_or_default());
    store.identity(&what).map(Some)
}

/// Everything in the file of a key store; `None` when there is no file.
pub(crate) fn key_store(settings: &KeySettings) -> Result<Option<Store>, TlsError> {
    let Some(path) = &settings.location else { return Ok(None) };
    let passwords = Passwords { store: settings.password.as_deref(), key: settings.key_password.as_deref() };
    read("ssl.keystore", path, passwords, Wanted::Keys).map(Some)
}

/// The certificates of a trust store; `None` when none is configured.
pub(crate) fn trusted(settings: &TrustSettings) -> Result<Option<Vec<CertificateDer<'static>>>, TlsError> {
    if let Some(inline) = &settings.certificates {
        return pem::read_certificates("ssl.truststore.certificates", inline.as_bytes()).map(Some);
    }
    let Some(path) = &settings.location else { return Ok(None) };
    let passwords = Passwords { store: settings.password.as_deref(), key: None };
    let found = read("ssl.truststore", path, passwords, Wanted::Certificates)?.trusted();
    if found.is_empty() {
        return Err(TlsError::new(format!("ssl.truststore.location '{path}' holds no certificate")));
    }
    Ok(Some(found))
}

/// True for the names of PKCS12 files, which hold a key with its certificates: `.p12` and `.pfx`, in any case.
pub fn is_pkcs12(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    path.ends_with(".p12") || path.ends_with(".pfx")
}

/// A certificate chain and its key from files of their own, or both from one PKCS12 file given as the key.
///
/// `certificate` and `key` are each a path and the name of its setting. The key may be PEM, DER or PKCS12.
///
/// # Errors
/// When a file can't be read, or does not hold what it should.
pub fn read_identity(
    certificate: (&str, &str),
    key: (&str, &str),
    password: Option<&str>,
) -> Result<Identity, TlsError> {
    let (key_name, key_path) = key;
    let bytes = load(key_name, key_path)?;
    let what = format!("{key_name} '{key_path}'");
    if is_pkcs12(key_path) {
        return pkcs12(key_name, key_path, &bytes, password)?.identity(&what);
    }
    let key = pem::read_key(&what, &bytes, password)?;
    let (name, path) = certificate;
    let chain = pem::read_certificates(&format!("{name} '{path}'"), &load(name, path)?)?;
    Ok(Identity { chain, key })
}

#[derive(Clone, Copy)]
struct Passwords<'a> {
    store: Option<&'a str>,
    key: Option<&'a str>,
}

#[derive(Clone, Copy, PartialEq)]
enum Wanted {
    Keys,
    Certificates,
}

fn load(what: &str, path: &str) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error| TlsError::new(format!("{what} '{path}' can't be read")).caused_by(error))
}

fn read(prefix: &str, path: &str, passwords: Passwords<'_>, wanted: Wanted) -> Result<Store, TlsError> {
    let name = format!("{prefix}.location");
    let bytes = load(&name, path)?;
    if jks::is_java_store(&bytes) {
        let store = jks::read(&bytes, passwords.store, passwords.key)
            .map_err(|problem| TlsError::new(format!("{name} '{path}' can't be opened as JKS: {problem}")))?;
        return Ok(Store { identities: store.identities, certificates: store.certificates });
    }
    if bytes.first() == Some(&0x30) {
        return pkcs12(&name, path, &bytes, passwords.store);
    }
    let what = format!("{name} '{path}'");
    if !String::from_utf8_lossy(&bytes).contains("-----BEGIN") {
        return Err(TlsError::new(format!("{what} is neither PEM nor PKCS12 nor JKS")));
    }
    let chain = pem::read_certificates(&what, &bytes)?;
    Ok(match wanted {
        Wanted::Certificates => Store { identities: Vec::new(), certificates: chain },
        Wanted::Keys => {
            let key = pem::read_key(&what, &bytes, passwords.key)?;
            Store { identities: vec![Identity { chain, key }], certificates: Vec::new() }
        }
    })
}

fn pkcs12(name: &str, path: &str, bytes: &[u8], password: Option<&str>) -> Result<Store, TlsError> {
    let password = password.unwrap_or_default();
    let store = KeyStore::from_pkcs12(bytes, password, Pkcs12ImportPolicy::Relaxed).map_err(|error| {
        TlsError::new(format!("{name} '{path}' can't be opened as PKCS12: is its password right?")).caused_by(error)
    })?;
    let mut found = Store { identities: Vec::new(), certificates: Vec::new() };
    let der = |certificate: &p12_keystore::Certificate| CertificateDer::from(certificate.as_der().to_vec());
    for (_, entry) in store.entries() {
        match entry {
            KeyStoreEntry::Certificate(certificate) => found.certificates.push(der(certificate)),
            KeyStoreEntry::PrivateKeyChain(chain) => found.identities.push(Identity {
                chain: chain.certs().iter().map(der).collect(),
                key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(chain.key().as_der().to_vec())),
            }),
            KeyStoreEntry::Secret(_) => {}
        }
    }
    Ok(found)
}
