//! TLS towards the server, as `database.sslmode` asks for it (libpq's meanings).
//!
//! `require` encrypts without asking who the server is, unless a root certificate is given; `verify-ca` checks the
//! chain; `verify-full` also the host's name.

use std::fs;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::error::PgError;
use crate::settings::{SslMode, Tls};

/// How much of a server's certificate is believed.
#[derive(Debug)]
enum Trust {
    Anything,
    Chain(Arc<WebPkiServerVerifier>),
}

/// A verifier that is laxer than the usual one in exactly one way.
#[derive(Debug)]
struct Verifier {
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Trust::Chain(inner) = &self.trust else { return Ok(ServerCertVerified::assertion()) };
        match inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The client side of TLS for these settings.
pub fn client_config(tls: &Tls) -> Result<Arc<ClientConfig>, PgError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| PgError::Setup(format!("TLS can't be set up: {e}")))?;
    let verifies = matches!(tls.mode, SslMode::VerifyCa | SslMode::VerifyFull);
    let builder = if !verifies && tls.root_cert.is_none() {
        let verifier = Verifier { trust: Trust::Anything, provider };
        builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
    } else {
        let roots = Arc::new(roots(tls)?);
        if tls.mode == SslMode::VerifyFull {
            builder.with_root_certificates(roots)
        } else {
            let chain = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                .build()
                .map_err(|e| PgError::Setup(format!("database.sslrootcert can't be used: {e}")))?;
            let verifier = Verifier { trust: Trust::Chain(chain), provider };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
    };
    let config = match (&tls.cert, &tls.key) {
        (Some(cert), Some(key)) => builder
            .with_client_auth_cert(certificates("database.sslcert", cert)?, private_key(key)?)
            .map_err(|e| PgError::Setup(format!("the client certificate can't be used: {e}")))?,
        _ => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

fn roots(tls: &Tls) -> Result<RootCertStore, PgError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = &tls.root_cert {
        for cert in certificates("database.sslrootcert", path)? {
            roots.add(cert).map_err(|e| PgError::Setup(format!("database.sslrootcert {path} can't be used: {e}")))?;
        }
    } else {
        let native = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(native.certs);
    }
    if roots.is_empty() {
        return Err(PgError::Setup("no root certificates found: set database.sslrootcert".to_owned()));
    }
    Ok(roots)
}

fn read(key: &str, path: &str) -> Result<Vec<u8>, PgError> {
    fs::read(path).map_err(|e| PgError::Setup(format!("{key} {path} can't be read: {e}")))
}

fn certificates(key: &str, path: &str) -> Result<Vec<CertificateDer<'static>>, PgError> {
    let pem = read(key, path)?;
    rustls_pemfile::certs(&mut pem.as_slice())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| PgError::Setup(format!("{key} {path} is not in PEM form: {e}")))
}

fn private_key(path: &str) -> Result<PrivateKeyDer<'static>, PgError> {
    let pem = read("database.sslkey", path)?;
    rustls_pemfile::private_key(&mut pem.as_slice())
        .map_err(|e| PgError::Setup(format!("database.sslkey {path} is not in PEM form: {e}")))?
        .ok_or_else(|| {
            PgError::Setup(format!(
                "database.sslkey {path} holds no private key in PEM form; convert a PKCS#8 DER key with \
                 'openssl pkcs8 -inform DER -nocrypt', and an encrypted key with 'openssl pkey'"
            ))
        })
}
