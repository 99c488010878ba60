//! What the worker's configuration says about the REST API, parsed once.

use std::sync::Arc;

use axum::http::{HeaderName, HeaderValue};
use connect_config::worker::{self, HeaderAction, Listener};

use crate::auth::BasicAuth;
use crate::cors::Cors;
use crate::limits::Limits;
use crate::scrape::MetricsEndpoint;

/// Settings of the REST API.
#[derive(Clone, Debug, Default)]
pub struct RestSettings {
    /// Listeners of the main API.
    pub listeners: Vec<Bind>,
    /// Where the admin endpoints are.
    pub admin_listeners: AdminListeners,
    /// `access.control.allow.origin` and `access.control.allow.methods`, when the first is set.
    pub cors: Option<Cors>,
    /// `response.http.headers.config` (KIP-577).
    pub response_headers: Vec<HeaderRule>,
    /// Who may ask (`rest.extension.classes`); `None` is everybody.
    pub auth: Option<Arc<BasicAuth>>,
    /// How much may be asked.
    pub limits: Limits,
    /// `/metrics`, on the main listeners and on those of the admin endpoints.
    pub metrics: Option<MetricsEndpoint>,
    /// False (`topic.tracking.enable=false`) refuses the topics endpoints.
    pub topic_tracking: bool,
    /// False (`topic.tracking.allow.reset=false`) refuses to reset them.
    pub topic_tracking_reset: bool,
}

/// A listener to open.
#[derive(Clone, Debug)]
pub struct Bind {
    pub listener: Listener,
    /// The server's side of TLS, for HTTPS.
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

/// Where `/admin` is served (`admin.listeners`, KIP-495).
#[derive(Clone, Debug, Default)]
pub enum AdminListeners {
    /// Beside everything else (the key is not set).
    #[default]
    Main,
    /// Nowhere (the key is empty).
    Disabled,
    /// On listeners of its own, which neither ask who comes nor mark their responses, as in the JVM.
    Own(Vec<Bind>),
}

/// One header that is put on every response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderRule {
    pub action: HeaderAction,
    pub name: HeaderName,
    pub value: HeaderValue,
}

/// A setting that can't be read.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A header rule that does not parse.
    #[error("Invalid value {0} for configuration response.http.headers.config: Invalid header config")]
    Header(String),
    /// An origin that is no regular expression.
    #[error("Invalid value {origin} for configuration access.control.allow.origin: it is a regular expression")]
    Origin {
        origin: String,
        #[source]
        source: Box<regex::Error>,
    },
    /// Methods that can't stand in a header.
    #[error("Invalid value {0} for configuration access.control.allow.methods")]
    Methods(String),
    /// A class in `rest.extension.classes` that is not there.
    #[error(
        "Failed to find any class that implements interface org.apache.kafka.connect.rest.ConnectRestExtension and which \
         name matches {0}"
    )]
    Extension(String),
    /// The file that `java.security.auth.login.config` names.
    #[error("Failed to retrieve JAAS configuration: {0}")]
    LoginConfiguration(&'static str),
}

impl HeaderRule {
    /// Reads `response.http.headers.config`, with the configuration's own parser, as headers of HTTP.
    ///
    /// # Errors
    /// When a rule does not parse.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, SettingsError> {
        let rules = worker::HeaderRule::parse_all(text).map_err(|problem| SettingsError::Header(problem.message))?;
        rules.into_iter().map(Self::new).collect()
    }

    fn new(rule: worker::HeaderRule) -> Result<Self, SettingsError> {
        let invalid = || SettingsError::Header(format!("{}: {}", rule.name, rule.value));
        let name = rule.name.parse().map_err(|_| invalid())?;
        let value = rule.value.parse().map_err(|_| invalid())?;
        Ok(Self { action: rule.action, name, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_rules_may_be_quoted() {
        let rules =
            HeaderRule::parse_all("add X-Frame-Options: DENY, \"set Cache-Control: no-cache, no-store\"").unwrap();
        assert_eq!(rules.len(), 2);
        assert_eq!(
            rules[1],
            HeaderRule {
                action: HeaderAction::Set,
                name: "cache-control".parse().unwrap(),
                value: "no-cache, no-store".parse().unwrap(),
            }
        );
        assert!(HeaderRule::parse_all("frame X: y").is_err());
    }
}
