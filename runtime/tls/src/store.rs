//! Reading a key store or trust store: from a file of any known kind, or from text in the properties.

use p12_keystore::{KeyStore, KeyStoreEntry, Pkcs12ImportPolicy};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::identity::Identity;
use crate::settings::{KeySettings, TrustSettings};
use crate::{TlsError, jks, pem};

/// What a PKCS12 file begins with, and nothing else that is a store.
const DER_SEQUENCE: u8 = 0x30;

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
/// `certificate` and `key` are each a path and the name of its setting. The key may be PEM, DER or PKCS12. Of several keys in a
/// PKCS12 file the one called `alias` is taken, in upper or lower case, else the first by name.
///
/// # Errors
/// When a file can't be read, or does not hold what it should.
pub fn read_identity(
    certificate: (&str, &str),
    key: (&str, &str),
    alias: &str,
    password: Option<&str>,
) -> Result<Identity, TlsError> {
    let (key_name, key_path) = key;
    let bytes = load(key_name, key_path)?;
    let what = format!("{key_name} '{key_path}'");
    if is_pkcs12(key_path) {
        if bytes.first() != Some(&DER_SEQUENCE) {
            return Err(TlsError::new(format!(
                "{what} is no PKCS12 file, though its name says so: rename or convert it"
            )));
        }
        return pkcs12(key_name, key_path, &bytes, password, Some(alias))?.identity(&what);
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
    if bytes.first() == Some(&DER_SEQUENCE) {
        return pkcs12(&name, path, &bytes, passwords.store, None);
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

/// What a PKCS12 file holds, by name, but the key called `first` before all others.
fn pkcs12(
    name: &str,
    path: &str,
    bytes: &[u8],
    password: Option<&str>,
    first: Option<&str>,
) -> Result<Store, TlsError> {
    let password = password.unwrap_or_default();
    let store = KeyStore::from_pkcs12(bytes, password, Pkcs12ImportPolicy::Relaxed).map_err(|error| {
        TlsError::new(format!("{name} '{path}' can't be opened as PKCS12: is its password right?")).caused_by(error)
    })?;
    let mut found = Store { identities: Vec::new(), certificates: Vec::new() };
    let der = |certificate: &p12_keystore::Certificate| CertificateDer::from(certificate.as_der().to_vec());
    for (alias, entry) in store.entries() {
        match entry {
            KeyStoreEntry::Certificate(certificate) => found.certificates.push(der(certificate)),
            KeyStoreEntry::PrivateKeyChain(chain) => {
                let wanted = first.is_some_and(|first| alias.eq_ignore_ascii_case(first));
                let at = if wanted { 0 } else { found.identities.len() };
                let chain_of = chain.certs().iter().map(der).collect();
                let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(chain.key().as_der().to_vec()));
                found.identities.insert(at, Identity { chain: chain_of, key });
            }
            KeyStoreEntry::Secret(_) => {}
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use p12_keystore::{Certificate, PrivateKey, PrivateKeyChain};
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    /// A file with a key under each of these names, whose certificates have those names as well.
    fn file(directory: &tempfile::TempDir, aliases: &[&str]) -> String {
        let mut store = KeyStore::new();
        for alias in aliases {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, *alias);
            let certificate = Certificate::from_der(params.self_signed(&key).unwrap().der()).unwrap();
            let key = PrivateKey::from_der(&key.serialize_der()).unwrap();
            let chain = PrivateKeyChain::new(alias.as_bytes(), key, [certificate]);
            store.add_entry(alias, KeyStoreEntry::PrivateKeyChain(chain));
        }
        let path = directory.path().join(format!("{}.pfx", aliases.concat()));
        std::fs::write(&path, store.writer("hush").write().unwrap()).unwrap();
        path.display().to_string()
    }

    fn name(identity: &Identity) -> String {
        let (_, certificate) = x509_parser::parse_x509_certificate(&identity.chain[0]).unwrap();
        certificate.subject().iter_common_name().next().unwrap().as_str().unwrap().to_owned()
    }

    #[test]
    fn of_several_keys_the_one_of_that_name_is_taken_else_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let taken = |aliases: &[&str]| {
            let path = file(&directory, aliases);
            name(&read_identity(("cert", ""), ("key", &path), "user", Some("hush")).unwrap())
        };
        assert_eq!(taken(&["admin", "USER", "zoe"]), "USER");
        assert_eq!(taken(&["zoe", "admin"]), "admin");
        assert_eq!(taken(&["only"]), "only");
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let problem = |path: &str, password: &str| {
            let error = read_identity(("cert", ""), ("key", path), "user", Some(password)).unwrap_err().to_string();
            assert!(error.starts_with(&format!("key '{path}' ")) && !error.contains(password), "{error}");
            error
        };
        let path = file(&directory, &["user"]);
        assert!(problem(&path, "secret").ends_with("is its password right?"));
        assert!(problem(&file(&directory, &[]), "hush").ends_with("holds no private key with its certificate chain"));
        assert!(problem("/nowhere/user.p12", "hush").ends_with("can't be read"));
        let other = directory.path().join("other.p12").display().to_string();
        std::fs::write(&other, "-----BEGIN PRIVATE KEY-----\n").unwrap();
        assert!(problem(&other, "hush").contains("is no PKCS12 file"));
    }
}
