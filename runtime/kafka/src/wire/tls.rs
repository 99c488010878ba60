//! TLS to the brokers by rustls, with the material of the Java properties.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Address;
use crate::security::{Identity, TlsMaterial};
use crate::{Error, ErrorKind, Result};

/// A prepared TLS configuration.
pub(crate) struct Tls {
    connector: TlsConnector,
}

impl Tls {
    /// Prepares TLS with this material.
    pub(crate) fn new(material: &TlsMaterial) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = verifier(material, &provider)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| config("TLS cannot be set up", error))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match &material.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let (chain, key) = own_identity(identity)?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| config("ssl.keystore: key and certificate do not fit", error))?
            }
        };
        Ok(Self { connector: TlsConnector::from(Arc::new(config)) })
    }

    /// Does the handshake.
    pub(crate) async fn connect(&self, address: &Address, tcp: TcpStream) -> Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(address.host.clone())
            .map_err(|error| config("the broker's host name is not one for TLS", error))?;
        self.connector.connect(name, tcp).await.map_err(|error| {
            let kind = match error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>()) {
                Some(_) => ErrorKind::Authentication,
                None => ErrorKind::Unreachable,
            };
            Error::new(kind, format!("TLS handshake with {address} failed: {error}")).with_source(error)
        })
    }
}

fn config(text: &'static str, cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Config, format!("{text}: {cause}")).with_source(cause)
}

fn verifier(material: &TlsMaterial, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>> {
    let mut roots = RootCertStore::empty();
    match &material.trusted_pem {
        Some(pem) => {
            for certificate in certificates(pem)? {
                roots.add(certificate).map_err(|error| config("ssl.truststore holds a bad certificate", error))?;
            }
        }
        None => {
            // Single unreadable certificates of the system do not matter while others can be read.
            let _counts = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| config("no trusted certificate: set ssl.truststore.location", error))?;
    if material.verify_hostname { Ok(verifier) } else { Ok(Arc::new(AnyName(verifier))) }
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>> {
    rustls_pemfile::certs(&mut pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| config("a PEM certificate cannot be read", error))
}

fn own_identity(identity: &Identity) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let key = rustls_pemfile::private_key(&mut identity.key_pem.as_bytes())
        .map_err(|error| config("ssl.keystore.key cannot be read", error))?;
    let Some(key) = key else {
        let text = if identity.key_pem.contains("ENCRYPTED") {
            "the private key is encrypted PEM, which is not supported here: use a PKCS12 key store, or decrypt the key with: \
             openssl pkey -in key.pem -out plain.pem"
        } else {
            "ssl.keystore.key holds no private key in PKCS8, PKCS1 or SEC1"
        };
        return Err(Error::new(ErrorKind::Config, text));
    };
    Ok((certificates(&identity.chain_pem)?, key))
}

/// Checks everything but the host name (`ssl.endpoint.identification.algorithm` left empty).
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // The name is checked last, so an error about it means that the rest was right.
        match self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
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
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
