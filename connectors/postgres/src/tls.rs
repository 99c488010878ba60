//! TLS towards the server, as `database.sslmode` asks for it (libpq's meanings).
//!
//! `require` encrypts without asking who the server is, unless a root certificate is given; `verify-ca` checks the
//! chain; `verify-full` also the host's name. Without a root certificate the system's are taken, and `verify-ca` checks the
//! name as well: a public authority certifies anybody, so its chain alone says nothing. The client's key may be PEM, DER
//! (PKCS8) or, with its certificate, PKCS12, each with `database.sslpassword`. As with the JDBC driver its name says that a file
//! is PKCS12, and `database.sslcert` is not looked at then.

use std::sync::Arc;

use connect_config::Secret;
use connect_tls::{Identity, ServerChecks, TlsError, TlsSettings, Trust, is_pkcs12, read_certificates, read_identity};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha224, Sha256, Sha384, Sha512};
use x509_parser::signature_algorithm::SignatureAlgorithm;

use crate::error::PgError;
use crate::settings::{SslMode, Tls};

/// The name under which the JDBC driver looks for the key in a PKCS12 file.
const ALIAS: &str = "user";

/// The client side of TLS for these settings.
pub fn client_config(tls: &Tls) -> Result<Arc<ClientConfig>, PgError> {
    // None of Kafka's properties plays a part here: protocols and suites are the defaults.
    let settings = TlsSettings::from_properties(|_| None).map_err(|error| setup(&error))?;
    let verifies = matches!(tls.mode, SslMode::VerifyCa | SslMode::VerifyFull);
    let checks = if !verifies && tls.root_cert.is_none() {
        ServerChecks::Nothing
    } else if tls.mode == SslMode::VerifyFull || tls.root_cert.is_none() {
        ServerChecks::ChainAndName(trust(tls)?)
    } else {
        ServerChecks::Chain(trust(tls)?)
    };
    let config = settings.client_config_with(checks, identity(tls)?).map_err(|error| setup(&error))?;
    Ok(Arc::new(config))
}

/// What a password can be bound to (`tls-server-end-point`, RFC 5929): the hash of the server's certificate by the algorithm of its
/// signature. `None` where there is no such algorithm (Ed25519), for which nothing is defined.
pub fn end_point(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let algorithm = &parsed.signature_algorithm;
    let hash = match SignatureAlgorithm::try_from(algorithm).ok()? {
        SignatureAlgorithm::RSASSA_PSS(parameters) => parameters.hash_algorithm_oid().to_id_string(),
        _ => algorithm.algorithm.to_id_string(),
    };
    Some(match hash.as_str() {
        // SHA-256 stands for what is weaker.
        MD5_RSA | SHA1_RSA | SHA1_ECDSA | SHA1 | SHA256_RSA | SHA256_ECDSA | SHA256 => {
            Sha256::digest(certificate).to_vec()
        }
        SHA224_RSA | SHA224_ECDSA | SHA224 => Sha224::digest(certificate).to_vec(),
        SHA384_RSA | SHA384_ECDSA | SHA384 => Sha384::digest(certificate).to_vec(),
        SHA512_RSA | SHA512_ECDSA | SHA512 => Sha512::digest(certificate).to_vec(),
        _ => return None,
    })
}

// Signatures, and the hashes that RSASSA-PSS names.
const MD5_RSA: &str = "1.2.840.113549.1.1.4";
const SHA1_RSA: &str = "1.2.840.113549.1.1.5";
const SHA224_RSA: &str = "1.2.840.113549.1.1.14";
const SHA256_RSA: &str = "1.2.840.113549.1.1.11";
const SHA384_RSA: &str = "1.2.840.113549.1.1.12";
const SHA512_RSA: &str = "1.2.840.113549.1.1.13";
const SHA1_ECDSA: &str = "1.2.840.10045.4.1";
const SHA224_ECDSA: &str = "1.2.840.10045.4.3.1";
const SHA256_ECDSA: &str = "1.2.840.10045.4.3.2";
const SHA384_ECDSA: &str = "1.2.840.10045.4.3.3";
const SHA512_ECDSA: &str = "1.2.840.10045.4.3.4";
const SHA1: &str = "1.3.14.3.2.26";
const SHA224: &str = "2.16.840.1.101.3.4.2.4";
const SHA256: &str = "2.16.840.1.101.3.4.2.1";
const SHA384: &str = "2.16.840.1.101.3.4.2.2";
const SHA512: &str = "2.16.840.1.101.3.4.2.3";

fn trust(tls: &Tls) -> Result<Trust, PgError> {
    let trust = match &tls.root_cert {
        Some(path) => {
            let what = format!("database.sslrootcert '{path}'");
            let pem = std::fs::read(path).map_err(|error| PgError::Setup(format!("{what} can't be read: {error}")))?;
            read_certificates(&what, &pem).and_then(|certificates| Trust::of(&certificates)).map_err(|e| setup(&e))?
        }
        None => Trust::system(),
    };
    if trust.is_empty() {
        return Err(PgError::Setup("no root certificates found: set database.sslrootcert".to_owned()));
    }
    Ok(trust)
}

fn identity(tls: &Tls) -> Result<Option<Identity>, PgError> {
    let (certificate, key) = match (tls.cert.as_deref(), tls.key.as_deref()) {
        (None, None) => return Ok(None),
        (_, Some(key)) if is_pkcs12(key) => ("", key),
        (Some(certificate), Some(key)) => (certificate, key),
        (None, Some(_)) => return Err(half("database.sslkey", "database.sslcert, the certificate of that key")),
        (Some(_), None) => return Err(half("database.sslcert", "database.sslkey, the key of that certificate")),
    };
    let password = tls.key_password.as_ref().map(Secret::expose);
    let identity = read_identity(("database.sslcert", certificate), ("database.sslkey", key), ALIAS, password);
    identity.map(Some).map_err(|error| setup(&error))
}

fn half(given: &str, missing: &str) -> PgError {
    PgError::Setup(format!("{given} is set without {missing}: set both or neither"))
}

/// An error with its cause: the settings of a connector are reported in one line.
fn setup(error: &TlsError) -> PgError {
    match std::error::Error::source(error) {
        Some(cause) => PgError::Setup(format!("{error}: {cause}")),
        None => PgError::Setup(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls(mode: SslMode, key: Option<&str>, password: Option<&str>) -> Tls {
        Tls {
            mode,
            root_cert: None,
            cert: key.map(|_| testdata("server.pem")),
            key: key.map(testdata),
            key_password: password.map(Secret::new),
        }
    }

    fn testdata(name: &str) -> String {
        format!("{}/../../runtime/tls/testdata/{name}", env!("CARGO_MANIFEST_DIR"))
    }

    #[test]
    fn encrypted_keys_and_pkcs12_are_taken_with_their_password() {
        let made = |key, password| client_config(&tls(SslMode::Require, Some(key), Some(password)));
        assert!(made("server-encrypted.key", "key-password").unwrap().client_auth_cert_resolver.has_certs());
        let pkcs12 = Tls { cert: None, ..tls(SslMode::Require, Some("server.p12"), Some("store-password")) };
        assert!(client_config(&pkcs12).unwrap().client_auth_cert_resolver.has_certs());
        let with_certificate = Tls { cert: Some("/nowhere".into()), ..pkcs12 };
        assert!(client_config(&with_certificate).unwrap().client_auth_cert_resolver.has_certs(), "it is not looked at");
        let wrong = made("server-encrypted.key", "hush").unwrap_err().to_string();
        assert!(wrong.contains("is its password right?") && !wrong.contains("hush"), "{wrong}");
    }

    #[test]
    fn what_is_wrong_with_a_pkcs12_file_is_told() {
        let problem = |key: &str, password: Option<&str>| {
            let tls = Tls { cert: None, ..tls(SslMode::Require, Some(key), password) };
            let error = client_config(&tls).unwrap_err().to_string();
            assert!(error.contains(&format!("database.sslkey '{}'", testdata(key))), "{error}");
            error
        };
        let wrong = problem("server.p12", Some("hush"));
        assert!(wrong.contains("is its password right?") && !wrong.contains("hush"), "{wrong}");
        assert!(problem("server.p12", None).contains("is its password right?"));
        let keyless = problem("trust.p12", Some("store-password"));
        assert!(keyless.contains("holds no private key with its certificate chain"), "{keyless}");
        let missing = problem("nowhere.pfx", None);
        assert!(missing.contains("can't be read: No such file"), "{missing}");
    }

    #[test]
    fn a_missing_root_certificate_is_named() {
        let missing = Tls { root_cert: Some("/nowhere".into()), ..tls(SslMode::VerifyFull, None, None) };
        assert!(client_config(&missing).unwrap_err().to_string().contains("database.sslrootcert '/nowhere'"));
        assert!(client_config(&tls(SslMode::Require, None, None)).is_ok());
    }

    #[test]
    fn half_an_identity_is_refused_and_the_missing_half_named() {
        let whole = tls(SslMode::Require, Some("server-encrypted.key"), None);
        let key_only = client_config(&Tls { cert: None, ..whole.clone() }).unwrap_err().to_string();
        assert!(key_only.contains("without database.sslcert"), "{key_only}");
        let certificate_only = client_config(&Tls { key: None, ..whole }).unwrap_err().to_string();
        assert!(certificate_only.contains("without database.sslkey"), "{certificate_only}");
    }
}
