//! Certificates for one run: an authority, and a server of the loopback interface.

use std::path::PathBuf;

use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::failure::{Failure, OrFail};
use super::reaper;

/// PEM files, but where another kind is said.
#[derive(Clone, Debug)]
pub struct Certificates {
    pub authority: PathBuf,
    pub server: PathBuf,
    pub server_key: PathBuf,
    /// An authority that signed nothing here.
    pub stranger: PathBuf,
    /// Of the server's key: one that is over, and one of another name.
    pub expired: PathBuf,
    pub elsewhere: PathBuf,
    /// Of a client with the common name [`CLIENT`], with the key in PEM and as PKCS8 in DER, and both in PKCS12 with
    /// [`STORE_PASSWORD`].
    pub client: PathBuf,
    pub client_key: PathBuf,
    pub client_key_der: PathBuf,
    pub client_store: PathBuf,
}

/// The common name of the client's certificate: the role that it may be.
pub const CLIENT: &str = "certified";
/// The password of the client's PKCS12 file.
pub const STORE_PASSWORD: &str = "st0re-pass";

impl Certificates {
    /// Makes them in the run's directory.
    pub fn make(name: &str) -> Result<Self, Failure> {
        let directory = reaper::data_directory(name)?;
        let write = |file: &str, text: String| {
            let path = directory.join(file);
            std::fs::write(&path, text).or_fail(format!("failed to write {}", path.display())).map(|()| path)
        };
        let (authority, issuer) = certificate_authority("tidegate testbed authority")?;
        let (stranger, _) = certificate_authority("stranger")?;
        let key = KeyPair::generate().or_fail("failed to make a key")?;
        let signed = |names: &[&str], change: &dyn Fn(&mut CertificateParams), key: &KeyPair| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            CertificateParams::new(names)
                .and_then(|mut parameters| {
                    change(&mut parameters);
                    parameters.signed_by(key, &issuer)
                })
                .or_fail("failed to sign a certificate")
        };
        let here = ["localhost", "127.0.0.1"];
        let server = signed(&here, &|_| {}, &key)?;
        let expired = signed(&here, &|parameters| parameters.not_after = rcgen::date_time_ymd(2001, 1, 1), &key)?;
        let elsewhere = signed(&["db.example"], &|_| {}, &key)?;
        let client_key = KeyPair::generate().or_fail("failed to make a key")?;
        let named = |parameters: &mut CertificateParams| parameters.distinguished_name.push(DnType::CommonName, CLIENT);
        let client = signed(&[], &named, &client_key)?;
        let store = directory.join("client.p12");
        std::fs::write(&store, pkcs12(client.der(), &client_key)?)
            .or_fail(format!("failed to write {}", store.display()))?;
        let der = directory.join("client.pk8");
        std::fs::write(&der, client_key.serialize_der()).or_fail(format!("failed to write {}", der.display()))?;
        Ok(Self {
            authority: write("authority.pem", authority)?,
            server: write("server.pem", server.pem())?,
            server_key: write("server.key", key.serialize_pem())?,
            stranger: write("stranger.pem", stranger)?,
            expired: write("expired.pem", expired.pem())?,
            elsewhere: write("elsewhere.pem", elsewhere.pem())?,
            client: write("client.pem", client.pem())?,
            client_key: write("client.key", client_key.serialize_pem())?,
            client_key_der: der,
            client_store: store,
        })
    }
}

/// A certificate and its key under the name that the JDBC driver looks for.
fn pkcs12(certificate: &[u8], key: &KeyPair) -> Result<Vec<u8>, Failure> {
    let make = || {
        let certificate = Certificate::from_der(certificate)?;
        let chain = PrivateKeyChain::new("user", PrivateKey::from_der(&key.serialize_der())?, [certificate]);
        let mut store = KeyStore::new();
        store.add_entry("user", KeyStoreEntry::PrivateKeyChain(chain));
        store.writer(STORE_PASSWORD).write()
    };
    make().or_fail("failed to make a PKCS12 file")
}

fn certificate_authority(name: &str) -> Result<(String, Issuer<'static, KeyPair>), Failure> {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().or_fail("failed to make a key")?;
    let certificate = parameters.self_signed(&key).or_fail("failed to make an authority")?;
    Ok((certificate.pem(), Issuer::new(parameters, key)))
}
