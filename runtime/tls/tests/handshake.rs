//! Handshakes in memory between a client and a server that are set up from Java's properties.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]

use std::collections::HashMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use connect_tls::{TlsError, TlsSettings};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};

/// Settings out of `key=value` lines.
fn settings(lines: &str) -> TlsSettings {
    let values: HashMap<&str, &str> = lines.lines().filter_map(|line| line.trim().split_once('=')).collect();
    TlsSettings::from_properties(|name| values.get(name).copied()).unwrap()
}

fn testdata(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name).display().to_string()
}

fn server(lines: &str) -> Result<ServerConfig, TlsError> {
    settings(lines).server_config()
}

/// Runs a handshake; what the first side that refuses says.
fn handshake(client: ClientConfig, server: ServerConfig, name: &str) -> Result<(), String> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    for _ in 0..20 {
        let mut sent = Vec::new();
        client.write_tls(&mut sent).unwrap();
        server.read_tls(&mut Cursor::new(sent)).unwrap();
        server.process_new_packets().map_err(|error| format!("server: {error}"))?;
        let mut sent = Vec::new();
        server.write_tls(&mut sent).unwrap();
        client.read_tls(&mut Cursor::new(sent)).unwrap();
        client.process_new_packets().map_err(|error| format!("client: {error}"))?;
        if !client.is_handshaking() && !server.is_handshaking() && !client.wants_write() && !server.wants_write() {
            return Ok(());
        }
    }
    Err("the handshake does not end".to_owned())
}

/// Files of a fresh certificate that signed itself.
struct SelfSigned {
    directory: tempfile::TempDir,
}

impl SelfSigned {
    fn new(common_name: &str, names: &[&str], authority: bool) -> Self {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, common_name);
        if authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let key = KeyPair::generate().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        std::fs::write(directory.path().join("certificate.pem"), &certificate).unwrap();
        std::fs::write(directory.path().join("store.pem"), format!("{}{certificate}", key.serialize_pem())).unwrap();
        Self { directory }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    fn store(&self) -> String {
        format!("ssl.keystore.location={}", self.path("store.pem").display())
    }

    fn trust(&self) -> String {
        format!("ssl.truststore.location={}", self.path("certificate.pem").display())
    }
}

#[test]
fn stores_of_every_kind_serve_and_are_trusted() {
    let key_stores = [
        "ssl.keystore.location=SERVER.jks\nssl.keystore.password=store-password\nssl.key.password=key-password",
        "ssl.keystore.location=SERVER.p12\nssl.keystore.password=store-password\nssl.keystore.type=PKCS12",
    ];
    let trust_stores = [
        "ssl.truststore.location=TRUST.jks\nssl.truststore.password=store-password",
        "ssl.truststore.location=TRUST.p12\nssl.truststore.password=store-password",
        "ssl.truststore.location=CA.pem\nssl.truststore.type=PEM",
    ];
    let with_paths = |lines: &str| {
        ["SERVER.jks", "SERVER.p12", "TRUST.jks", "TRUST.p12", "CA.pem"]
            .iter()
            .fold(lines.to_owned(), |text, name| text.replace(name, &testdata(&name.to_lowercase())))
    };
    for key_store in key_stores {
        for trust_store in trust_stores {
            let client = settings(&with_paths(trust_store)).client_config().unwrap();
            let server = server(&with_paths(key_store)).unwrap();
            assert_eq!(handshake(client, server, "localhost"), Ok(()), "{key_store} {trust_store}");
        }
    }
}

#[test]
fn encrypted_keys_are_read_with_their_password() {
    let chain = std::fs::read_to_string(testdata("server.pem")).unwrap();
    for file in ["server-encrypted.key", "server-des3.key"] {
        let key = std::fs::read_to_string(testdata(file)).unwrap();
        let with = |password: Option<&'static str>| {
            let values = HashMap::from([
                ("ssl.keystore.certificate.chain", chain.as_str()),
                ("ssl.keystore.key", key.as_str()),
                ("ssl.key.password", password.unwrap_or_default()),
            ]);
            TlsSettings::from_properties(|name| values.get(name).copied()).unwrap().identity()
        };
        let identity = with(Some("key-password")).unwrap().unwrap();
        assert!(identity.key_pem().starts_with("-----BEGIN PRIVATE KEY-----"), "{file}");
        assert!(!format!("{identity:?}").contains("PRIVATE"));
        let wrong = with(Some("hush")).unwrap_err().to_string();
        assert!(wrong.contains("is its password right?") && !wrong.contains("hush"), "{wrong}");
        assert!(with(None).unwrap_err().to_string().contains("set ssl.key.password"));
    }
}

#[test]
fn clients_without_a_certificate_are_refused_where_one_is_required() {
    let ours = SelfSigned::new("me", &["localhost"], false);
    let other = SelfSigned::new("you", &["localhost"], false);
    let attempt = |auth: &str, client: &str| {
        let server = server(&format!("{}\n{}\nssl.client.auth={auth}", ours.store(), ours.trust())).unwrap();
        let client = settings(&format!("{}\n{client}", ours.trust())).client_config().unwrap();
        handshake(client, server, "localhost")
    };
    assert_eq!(attempt("none", ""), Ok(()));
    assert_eq!(attempt("requested", ""), Ok(()));
    assert_eq!(attempt("required", &ours.store()), Ok(()));
    assert!(attempt("required", "").unwrap_err().starts_with("server: peer sent no certificates"));
    assert!(attempt("required", &other.store()).unwrap_err().starts_with("server: invalid peer certificate"));
    assert!(attempt("requested", &other.store()).unwrap_err().starts_with("server: invalid peer certificate"));
}

#[test]
fn a_certificate_in_the_trust_store_is_trusted_though_it_is_an_authority() {
    let authority = SelfSigned::new("x", &["localhost"], true);
    let client = settings(&authority.trust()).client_config().unwrap();
    assert_eq!(handshake(client, server(&authority.store()).unwrap(), "localhost"), Ok(()));
    let client = settings(&authority.trust()).client_config().unwrap();
    let refused = handshake(client, server(&authority.store()).unwrap(), "elsewhere");
    assert!(refused.unwrap_err().contains("not valid for name"));
}

#[test]
fn names_are_checked_by_extension_or_common_name_unless_switched_off() {
    let cases = [
        (SelfSigned::new("by.common.name", &[], false), "by.common.name", "", true),
        (SelfSigned::new("by.common.name", &["other.name"], false), "by.common.name", "", false),
        (SelfSigned::new("127.0.0.1", &[], false), "127.0.0.1", "", false),
        (SelfSigned::new("x", &["other.name"], false), "host", "ssl.endpoint.identification.algorithm=", true),
        (SelfSigned::new("x", &["other.name"], false), "host", "ssl.endpoint.identification.algorithm=HTTPS", false),
    ];
    for (certificate, host, setting, fits) in cases {
        let client = settings(&format!("{}\n{setting}", certificate.trust())).client_config().unwrap();
        let outcome = handshake(client, server(&certificate.store()).unwrap(), host);
        assert_eq!(outcome.is_ok(), fits, "{host} {setting}: {outcome:?}");
    }
}

#[test]
fn without_a_trust_store_the_key_store_may_be_one() {
    let certificate = SelfSigned::new("x", &["localhost"], true);
    let mut ours = settings(&certificate.store());
    ours.key_store_is_trusted = true;
    let outcome = handshake(ours.client_config().unwrap(), ours.server_config().unwrap(), "localhost");
    assert_eq!(outcome, Ok(()));
    ours.key_store_is_trusted = false;
    assert!(handshake(ours.client_config().unwrap(), ours.server_config().unwrap(), "localhost").is_err());
}

#[test]
fn versions_and_suites_of_both_sides_have_to_meet() {
    let certificate = SelfSigned::new("x", &["localhost"], false);
    let attempt = |client: &str, at_server: &str| {
        let client = settings(&format!("{}\n{client}", certificate.trust())).client_config().unwrap();
        handshake(client, server(&format!("{}\n{at_server}", certificate.store())).unwrap(), "localhost")
    };
    assert_eq!(attempt("ssl.enabled.protocols=TLSv1.2", ""), Ok(()));
    assert!(attempt("ssl.enabled.protocols=TLSv1.2", "ssl.enabled.protocols=TLSv1.3").is_err());
    assert_eq!(attempt("", "ssl.cipher.suites=TLS_AES_128_GCM_SHA256"), Ok(()));
    assert!(attempt("ssl.cipher.suites=TLS_AES_256_GCM_SHA384", "ssl.cipher.suites=TLS_AES_128_GCM_SHA256").is_err());
}

#[test]
fn a_chain_is_followed_to_its_authority() {
    let authority_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(params, authority_key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let (chain, key, trusted) = (leaf.pem(), key.serialize_pem(), authority.pem());
    let own = HashMap::from([("ssl.keystore.certificate.chain", chain.as_str()), ("ssl.keystore.key", key.as_str())]);
    let server = TlsSettings::from_properties(|name| own.get(name).copied()).unwrap().server_config().unwrap();
    let trust = HashMap::from([("ssl.truststore.certificates", trusted.as_str())]);
    let client = TlsSettings::from_properties(|name| trust.get(name).copied()).unwrap().client_config().unwrap();
    assert_eq!(handshake(client, server, "localhost"), Ok(()));
}

#[test]
fn what_is_missing_is_named() {
    let problem = |lines: &str| server(lines).unwrap_err().to_string();
    assert!(problem("").contains("set ssl.keystore.location"));
    assert!(problem("ssl.keystore.location=/nowhere/x").contains("'/nowhere/x' can't be read"));
    let wrong = problem(&format!("ssl.keystore.location={}\nssl.keystore.password=hush", testdata("server.p12")));
    assert!(wrong.contains("is its password right?") && !wrong.contains("hush"), "{wrong}");
    let wrong = problem(&format!("ssl.keystore.location={}\nssl.keystore.password=hush", testdata("server.jks")));
    assert!(wrong.contains("the password is wrong") && !wrong.contains("hush"), "{wrong}");
    assert!(problem("ssl.keystore.key=x").contains("belong together"));
    assert!(problem(&format!("ssl.keystore.location={}", testdata("ca.pem"))).contains("no private key"));
    let garbage = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(garbage.path(), "hello").unwrap();
    let text = problem(&format!("ssl.keystore.location={}", garbage.path().display()));
    assert!(text.contains("neither PEM nor PKCS12 nor JKS"), "{text}");
}
