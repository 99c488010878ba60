//! TLS towards the server, as `database.sslmode` asks for it (libpq's meanings).
//!
//! `require` encrypts without asking who the server is, unless a root certificate is given; `verify-ca` checks the
//! chain; `verify-full` also the host's name. Without a root certificate the system's are taken, and `verify-ca` checks the
//! name as well: a public authority certifies anybody, so its chain alone says nothing. The client's key may be PEM, DER
//! (PKCS8) or, with its certificate, PKCS12, each with `database.sslpassword`.

use std::sync::Arc;

use connect_config::Secret;
use connect_tls::{Identity, ServerChecks, TlsError, TlsSettings, Trust, is_pkcs12, read_certificates, read_identity};
use rustls::ClientConfig;

use crate::error::PgError;
use crate::settings::{SslMode, Tls};

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
        (Some(certificate), Some(key)) => (certificate, key),
        (None, Some(key)) if is_pkcs12(key) => ("", key),
        (None, Some(_)) => return Err(half("database.sslkey", "database.sslcert, the certificate of that key")),
        (Some(_), None) => return Err(half("database.sslcert", "database.sslkey, the key of that certificate")),
    };
    let password = tls.key_password.as_ref().map(Secret::expose);
    let identity = read_identity(("database.sslcert", certificate), ("database.sslkey", key), password);
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
        let wrong = made("server-encrypted.key", "hush").unwrap_err().to_string();
        assert!(wrong.contains("is its password right?") && !wrong.contains("hush"), "{wrong}");
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
