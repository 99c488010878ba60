//! TLS to the brokers by rustls, with the material of the Java properties.

use std::sync::Arc;

use connect_tls::{ServerChecks, Trust};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Address;
use crate::security::{TlsMaterial, tls_error};
use crate::{Error, ErrorKind, Result};

/// A prepared TLS configuration.
pub(crate) struct Tls {
    connector: TlsConnector,
}

impl Tls {
    /// Prepares TLS with this material.
    pub(crate) fn new(material: &TlsMaterial) -> Result<Self> {
        let trust = match &material.trusted {
            Some(certificates) => Trust::of(certificates).map_err(tls_error)?,
            None => Trust::system(),
        };
        let settings = &material.settings;
        let checks = if settings.check_name { ServerChecks::ChainAndName(trust) } else { ServerChecks::Chain(trust) };
        let config = settings.client_config_with(checks, material.identity.clone()).map_err(tls_error)?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)) })
    }

    /// Does the handshake.
    pub(crate) async fn connect(&self, address: &Address, tcp: TcpStream) -> Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(address.host.clone()).map_err(|error| {
            Error::new(ErrorKind::Config, format!("the broker's host name '{}' is not one for TLS", address.host))
                .with_source(error)
        })?;
        self.connector.connect(name, tcp).await.map_err(|error| {
            let kind = match error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>()) {
                Some(_) => ErrorKind::Authentication,
                None => ErrorKind::Unreachable,
            };
            Error::new(kind, format!("TLS handshake with {address} failed: {error}")).with_source(error)
        })
    }
}
