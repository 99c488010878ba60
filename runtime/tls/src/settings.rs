//! The `ssl.*` properties, and the rustls configurations that they describe.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ServerConfig};

use crate::identity::Identity;
use crate::trust::{ServerChecks, Trust};
use crate::{TlsError, store, suites};

/// Where the own certificate and key are (`ssl.keystore.*`, `ssl.key.password`).
#[derive(Clone, Default)]
pub struct KeySettings {
    pub location: Option<String>,
    pub password: Option<String>,
    pub key_password: Option<String>,
    /// PEM in the property itself.
    pub chain: Option<String>,
    /// PEM in the property itself.
    pub key: Option<String>,
}

/// Where the trusted certificates are (`ssl.truststore.*`).
#[derive(Clone, Default)]
pub struct TrustSettings {
    pub location: Option<String>,
    pub password: Option<String>,
    /// PEM in the property itself.
    pub certificates: Option<String>,
}

/// Whether a server asks its clients for certificates (`ssl.client.auth`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    #[default]
    None,
    /// A client may come without one; a bad one is refused.
    Requested,
    Required,
}

/// One set of `ssl.*` properties.
#[derive(Clone)]
pub struct TlsSettings {
    pub key_store: KeySettings,
    pub trust_store: TrustSettings,
    /// `ssl.enabled.protocols`.
    pub protocols: Vec<String>,
    /// `ssl.cipher.suites`; all when it is not given.
    pub cipher_suites: Option<Vec<String>>,
    /// Whether a server's certificate has to bear its name (`ssl.endpoint.identification.algorithm`).
    pub check_name: bool,
    pub client_auth: ClientAuth,
    /// Without a trust store, the key store is one, as Jetty has it; otherwise the system's certificates are trusted.
    pub key_store_is_trusted: bool,
}

impl fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSettings")
            .field("key_store", &self.key_store.location)
            .field("trust_store", &self.trust_store.location)
            .field("client_auth", &self.client_auth)
            .finish_non_exhaustive()
    }
}

impl TlsSettings {
    /// Reads the properties that `get` finds by their names without a prefix. No file is opened yet.
    ///
    /// # Errors
    /// For values that name nothing that is known.
    pub fn from_properties<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Result<Self, TlsError> {
        let text = |name: &str| get(name).map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned);
        let list = |name: &str| text(name).map(|value| value.split(',').map(|part| part.trim().to_owned()).collect());
        let client_auth = match text("ssl.client.auth").as_deref() {
            None | Some("none") => ClientAuth::None,
            Some("requested") => ClientAuth::Requested,
            Some("required") => ClientAuth::Required,
            Some(other) => {
                return Err(TlsError::new(format!("ssl.client.auth '{other}' is none of required, requested, none")));
            }
        };
        Ok(Self {
            key_store: KeySettings {
                location: text("ssl.keystore.location"),
                password: text("ssl.keystore.password"),
                key_password: text("ssl.key.password"),
                chain: text("ssl.keystore.certificate.chain"),
                key: text("ssl.keystore.key"),
            },
            trust_store: TrustSettings {
                location: text("ssl.truststore.location"),
                password: text("ssl.truststore.password"),
                certificates: text("ssl.truststore.certificates"),
            },
            protocols: list("ssl.enabled.protocols")
                .unwrap_or_else(|| vec!["TLSv1.2".to_owned(), "TLSv1.3".to_owned()]),
            cipher_suites: list("ssl.cipher.suites"),
            // An empty text switches the check off, so it must not be read as "not given".
            check_name: checks_name(get("ssl.endpoint.identification.algorithm").map(str::trim))?,
            client_auth,
            key_store_is_trusted: false,
        })
    }

    /// The own certificate and key; `None` when none is configured.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn identity(&self) -> Result<Option<Identity>, TlsError> {
        store::identity(&self.key_store)
    }

    /// The certificates to trust; `None` stands for those of the system.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn trusted(&self) -> Result<Option<Vec<CertificateDer<'static>>>, TlsError> {
        if let Some(trusted) = store::trusted(&self.trust_store)? {
            return Ok(Some(trusted));
        }
        if !self.key_store_is_trusted {
            return Ok(None);
        }
        if let Some(store) = store::key_store(&self.key_store)? {
            return Ok(Some(store.trusted()));
        }
        Ok(store::identity(&self.key_store)?.map(|identity| identity.chain.into_iter().take(1).collect()))
    }

    fn trust(&self) -> Result<Trust, TlsError> {
        match self.trusted()? {
            Some(certificates) => Trust::of(&certificates),
            None => Ok(Trust::system()),
        }
    }

    /// The client's side.
    ///
    /// # Errors
    /// When a store can't be read, or a setting can't be met.
    pub fn client_config(&self) -> Result<ClientConfig, TlsError> {
        let trust = self.trust()?;
        let checks = if self.check_name { ServerChecks::ChainAndName(trust) } else { ServerChecks::Chain(trust) };
        self.client_config_with(checks, self.identity()?)
    }

    /// The client's side with checks and a certificate that come from elsewhere.
    ///
    /// # Errors
    /// When a setting can't be met.
    pub fn client_config_with(
        &self,
        checks: ServerChecks,
        identity: Option<Identity>,
    ) -> Result<ClientConfig, TlsError> {
        let provider = suites::provider(self.cipher_suites.as_deref())?;
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&suites::versions(&self.protocols)?)
            .map_err(|error| unfit(error).caused_by("no cipher suite fits the versions of TLS"))?
            .dangerous()
            .with_custom_certificate_verifier(checks.verifier(&provider)?);
        match identity {
            None => Ok(builder.with_no_client_auth()),
            Some(Identity { chain, key }) => builder.with_client_auth_cert(chain, key).map_err(unfit),
        }
    }

    /// The server's side.
    ///
    /// # Errors
    /// When there is no key store, a store can't be read, or a setting can't be met.
    pub fn server_config(&self) -> Result<ServerConfig, TlsError> {
        let Some(Identity { chain, key }) = self.identity()? else {
            return Err(TlsError::new(
                "an HTTPS listener needs a certificate: set ssl.keystore.location, or ssl.keystore.certificate.chain and \
                 ssl.keystore.key",
            ));
        };
        let provider = suites::provider(self.cipher_suites.as_deref())?;
        let verifier = match self.client_auth {
            ClientAuth::None => WebPkiClientVerifier::no_client_auth(),
            ClientAuth::Requested => self.trust()?.client_verifier(&provider, false)?,
            ClientAuth::Required => self.trust()?.client_verifier(&provider, true)?,
        };
        ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&suites::versions(&self.protocols)?)
            .map_err(unfit)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(unfit)
    }
}

fn unfit(error: rustls::Error) -> TlsError {
    TlsError::new("the settings ssl.* don't fit together: certificate and key, or cipher suites and versions")
        .caused_by(error)
}

fn checks_name(algorithm: Option<&str>) -> Result<bool, TlsError> {
    match algorithm {
        None => Ok(true),
        Some("") => Ok(false),
        Some(name) if name.eq_ignore_ascii_case("https") => Ok(true),
        Some(other) => Err(TlsError::new(format!(
            "ssl.endpoint.identification.algorithm '{other}' is not supported: use https, or leave it empty to switch the \
             check of host names off"
        ))),
    }
}
