//! A certificate chain with its private key.

use std::fmt;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::pem::{block, certificates_pem};

/// Who one side of a connection is. Its key is never printed.
pub struct Identity {
    /// The own certificate first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key of the first certificate.
    pub key: PrivateKeyDer<'static>,
}

impl Identity {
    /// The chain as PEM text.
    pub fn chain_pem(&self) -> String {
        certificates_pem(&self.chain)
    }

    /// The key as PEM text without a password.
    pub fn key_pem(&self) -> String {
        let label = match &self.key {
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        block(label, self.key.secret_der())
    }
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificates", &self.chain.len()).finish_non_exhaustive()
    }
}
