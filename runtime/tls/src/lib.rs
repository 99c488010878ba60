//! Security as Java's properties and files describe it: TLS (`SslConfigs`), made into rustls configurations, and login
//! configurations (JAAS).
//!
//! [`TlsSettings`] are read from `ssl.*` properties; [`TlsSettings::client_config`] and [`TlsSettings::server_config`]
//! make configurations of them. Stores are read in PEM, PKCS12 and JKS; which one a file is shows its content, because
//! Java reads PKCS12 under `type=JKS` as well and the other way round. Verification follows Java's trust manager where
//! webpki is stricter: a certificate that is itself in the trust store is trusted, and a certificate without names of
//! hosts is checked by its common name.
//!
//! Nothing in here prints a password or a key.

mod error;
mod identity;
mod jaas;
mod jks;
mod pem;
mod settings;
mod store;
mod suites;
mod trust;

pub use error::TlsError;
pub use identity::Identity;
pub use jaas::{JaasModule, LoginFlag, parse_jaas, parse_login_file};
pub use pem::{certificates_pem, read_certificates};
pub use settings::{ClientAuth, KeySettings, TlsSettings, TrustSettings};
pub use store::{is_pkcs12, read_identity};
pub use suites::openssl_names;
pub use trust::{ServerChecks, Trust};
