//! Whom one side of a connection believes.
//!
//! Java's trust manager is laxer than webpki in two ways that users rely on: a certificate that is itself in the trust
//! store is trusted, whatever its extensions say (self-signed ones are often authorities), and a server whose
//! certificate names no host in its extensions is checked by its common name.

use std::collections::HashSet;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::TlsError;

/// Trusted certificates.
#[derive(Clone, Debug)]
pub struct Trust {
    roots: Arc<RootCertStore>,
    /// The same ones, to be recognized when a peer shows one of them as its own.
    exact: Arc<HashSet<Vec<u8>>>,
}

impl Trust {
    /// Trusts these and what they signed.
    ///
    /// # Errors
    /// When one of them is no certificate.
    pub fn of(certificates: &[CertificateDer<'static>]) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots
                .add(certificate.clone())
                .map_err(|error| TlsError::new("a trusted certificate can't be read").caused_by(error))?;
        }
        let exact = certificates.iter().map(|certificate| certificate.to_vec()).collect();
        Ok(Self { roots: Arc::new(roots), exact: Arc::new(exact) })
    }

    /// Trusts what this machine trusts.
    pub fn system() -> Self {
        let mut roots = RootCertStore::empty();
        // Single unreadable certificates of the system do not matter while others can be read.
        let (_added, skipped) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if skipped > 0 {
            tracing::debug!(skipped, "certificates of this machine can't be read");
        }
        Self { roots: Arc::new(roots), exact: Arc::default() }
    }

    /// Whether nobody is trusted.
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    /// Checks clients' certificates; a client without one is let in unless they are `required`.
    pub(crate) fn client_verifier(
        &self,
        provider: &Arc<CryptoProvider>,
        required: bool,
    ) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::clone(&self.roots), Arc::clone(provider));
        let builder = if required { builder } else { builder.allow_unauthenticated() };
        let inner = builder.build().map_err(|error| {
            TlsError::new("clients can't be checked without trusted certificates: set ssl.truststore.location")
                .caused_by(error)
        })?;
        Ok(Arc::new(ClientVerifier { inner, exact: Arc::clone(&self.exact) }))
    }
}

/// What is checked of a server's certificate.
#[derive(Clone, Debug)]
pub enum ServerChecks {
    /// Nothing: the connection is encrypted, and nobody knows to whom it leads.
    Nothing,
    /// That it leads to a trusted certificate.
    Chain(Trust),
    /// That, and that it names the host that was asked for.
    ChainAndName(Trust),
}

impl ServerChecks {
    pub(crate) fn verifier(self, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
        let (trust, check_name) = match self {
            Self::Nothing => return Ok(Arc::new(ServerVerifier { chain: None, provider: Arc::clone(provider) })),
            Self::Chain(trust) => (trust, false),
            Self::ChainAndName(trust) => (trust, true),
        };
        let inner = WebPkiServerVerifier::builder_with_provider(trust.roots, Arc::clone(provider)).build().map_err(
            |error| TlsError::new("no certificate is trusted: set ssl.truststore.location").caused_by(error),
        )?;
        let chain = Some(ChainChecks { inner, exact: trust.exact, check_name });
        Ok(Arc::new(ServerVerifier { chain, provider: Arc::clone(provider) }))
    }
}

#[derive(Debug)]
struct ChainChecks {
    inner: Arc<WebPkiServerVerifier>,
    exact: Arc<HashSet<Vec<u8>>>,
    check_name: bool,
}

#[derive(Debug)]
struct ServerVerifier {
    /// `None` checks nothing.
    chain: Option<ChainChecks>,
    provider: Arc<CryptoProvider>,
}

impl ChainChecks {
    fn check(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<(), Error> {
        let outcome = if self.exact.contains(end_entity.as_ref()) {
            ParsedCertificate::try_from(end_entity).and_then(|parsed| verify_server_name(&parsed, server_name))
        } else {
            let checked = self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
            checked.map(|_| ())
        };
        // The name is checked last, so an error about it means that the rest was right.
        match outcome {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.check_name || common_name_fits(end_entity, server_name) => Ok(()),
            other => other,
        }
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(chain) = &self.chain {
            chain.check(end_entity, intermediates, server_name, ocsp_response, now)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[derive(Debug)]
struct ClientVerifier {
    inner: Arc<dyn ClientCertVerifier>,
    exact: Arc<HashSet<Vec<u8>>>,
}

impl ClientCertVerifier for ClientVerifier {
    fn offer_client_auth(&self) -> bool {
        self.inner.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.exact.contains(end_entity.as_ref()) {
            return Ok(ClientCertVerified::assertion());
        }
        self.inner.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Whether the common name is the host's, for a certificate without names of hosts (`HostnameChecker.matchDNS`).
fn common_name_fits(certificate: &CertificateDer<'_>, server_name: &ServerName<'_>) -> bool {
    let ServerName::DnsName(host) = server_name else { return false };
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return false };
    let names_hosts = match parsed.subject_alternative_name() {
        Ok(Some(names)) => names.value.general_names.iter().any(|name| matches!(name, GeneralName::DNSName(_))),
        Ok(None) => false,
        Err(_) => return false,
    };
    // The last one is the most specific one.
    let common_name = parsed.subject().iter_common_name().last().and_then(|name| name.as_str().ok());
    !names_hosts && common_name.is_some_and(|name| fits(name, host.as_ref()))
}

/// A name with at most one wildcard, which stands for the whole of the first label.
fn fits(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(domain) if domain.contains('.') => {
            host.split_once('.').is_some_and(|(first, rest)| !first.is_empty() && rest.eq_ignore_ascii_case(domain))
        }
        Some(_) => false,
        None => pattern.eq_ignore_ascii_case(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_one_label() {
        assert!(fits("a.example.com", "A.example.com"));
        assert!(fits("*.example.com", "a.example.com"));
        for (pattern, host) in [
            ("*.example.com", "a.b.example.com"),
            ("*.example.com", "example.com"),
            ("*.com", "example.com"),
            ("*", "example"),
            ("a", "b"),
        ] {
            assert!(!fits(pattern, host), "{pattern} {host}");
        }
    }
}
