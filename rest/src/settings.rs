//! What the worker's configuration says about the REST API, parsed once.

use axum::http::{HeaderName, HeaderValue};
use connect_config::worker::{self, HeaderAction};

/// Settings of the REST API.
#[derive(Clone, Debug, Default)]
pub struct RestSettings {
    /// `host:port` of each listener of the main API; an empty host means all interfaces, port 0 a free port.
    pub listeners: Vec<String>,
    /// Where the admin endpoints are.
    pub admin_listeners: AdminListeners,
    /// `access.control.allow.origin` and `access.control.allow.methods`, when the first is set.
    pub cors: Option<Cors>,
    /// `response.http.headers.config` (KIP-577).
    pub response_headers: Vec<HeaderRule>,
    /// False (`topic.tracking.enable=false`) refuses the topics endpoints.
    pub topic_tracking: bool,
    /// False (`topic.tracking.allow.reset=false`) refuses to reset them.
    pub topic_tracking_reset: bool,
}

/// Where `/admin` is served (`admin.listeners`, KIP-495).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AdminListeners {
    /// Beside everything else (the key is not set).
    #[default]
    Main,
    /// Nowhere (the key is empty).
    Disabled,
    /// On listeners of its own.
    Own(Vec<String>),
}

/// Who may call from a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// Allowed origins; `*` allows all.
    pub origins: Vec<String>,
    /// Allowed methods of preflight requests; empty stands for GET, POST and HEAD.
    pub methods: Vec<String>,
}

/// One header that is put on every response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderRule {
    /// Replace, or only when absent.
    Set { name: HeaderName, value: HeaderValue, only_if_absent: bool },
    /// Add another one, or only when absent.
    Add { name: HeaderName, value: HeaderValue, only_if_absent: bool },
}

/// A setting that can't be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SettingsError {
    /// A listener with an unknown or unsupported protocol, or without a port.
    #[error("Invalid value {0} for configuration listeners: a listener is http://host:port")]
    Listener(String),
    /// HTTPS listeners.
    #[error(
        "Invalid value {0} for configuration listeners: HTTPS listeners are not supported; listen on http and put a TLS \
         proxy in front"
    )]
    Https(String),
    /// A header rule that does not parse.
    #[error("Invalid value {0} for configuration response.http.headers.config: Invalid header config")]
    Header(String),
}

impl RestSettings {
    /// Reads listeners as `listeners` has them: `http://host:port`, host may be empty.
    pub fn parse_listeners(listeners: &[String]) -> Result<Vec<String>, SettingsError> {
        listeners.iter().map(|listener| parse_listener(listener.trim())).collect()
    }

    /// Reads `response.http.headers.config`, with the configuration's own parser, as headers of HTTP.
    pub fn parse_header_rules(text: &str) -> Result<Vec<HeaderRule>, SettingsError> {
        let rules = worker::HeaderRule::parse_all(text).map_err(|problem| SettingsError::Header(problem.message))?;
        rules.into_iter().map(header_rule).collect()
    }
}

fn parse_listener(listener: &str) -> Result<String, SettingsError> {
    let invalid = || SettingsError::Listener(listener.to_owned());
    let (scheme, address) = listener.split_once("://").ok_or_else(invalid)?;
    if scheme.eq_ignore_ascii_case("https") {
        return Err(SettingsError::Https(listener.to_owned()));
    }
    let (_, port) = address.rsplit_once(':').ok_or_else(invalid)?;
    if !scheme.eq_ignore_ascii_case("http") || port.parse::<u16>().is_err() {
        return Err(invalid());
    }
    Ok(address.to_owned())
}

fn header_rule(rule: worker::HeaderRule) -> Result<HeaderRule, SettingsError> {
    let invalid = || SettingsError::Header(format!("{}: {}", rule.name, rule.value));
    let name: HeaderName = rule.name.parse().map_err(|_| invalid())?;
    let value: HeaderValue = rule.value.parse().map_err(|_| invalid())?;
    // The date variants take a value in milliseconds and are as good as unused; they are written as given.
    Ok(match rule.action {
        HeaderAction::Set => HeaderRule::Set { name, value, only_if_absent: false },
        HeaderAction::SetDate => HeaderRule::Set { name, value, only_if_absent: true },
        HeaderAction::Add => HeaderRule::Add { name, value, only_if_absent: false },
        HeaderAction::AddDate => HeaderRule::Add { name, value, only_if_absent: true },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_http_with_a_port() {
        let parse = |text: &str| RestSettings::parse_listeners(&[text.to_owned()]);
        assert_eq!(parse("http://127.0.0.1:8083"), Ok(vec!["127.0.0.1:8083".to_owned()]));
        assert_eq!(parse("HTTP://:8083"), Ok(vec![":8083".to_owned()]));
        assert_eq!(parse("https://h:1"), Err(SettingsError::Https("https://h:1".to_owned())));
        for bad in ["8083", "http://h", "http://h:x", "ftp://h:1"] {
            assert_eq!(parse(bad), Err(SettingsError::Listener(bad.to_owned())));
        }
    }

    #[test]
    fn header_rules_may_be_quoted() {
        let rules =
            RestSettings::parse_header_rules("add X-Frame-Options: DENY, \"set Cache-Control: no-cache, no-store\"")
                .unwrap();
        assert_eq!(rules.len(), 2);
        assert_eq!(
            rules[1],
            HeaderRule::Set {
                name: "cache-control".parse().unwrap(),
                value: "no-cache, no-store".parse().unwrap(),
                only_if_absent: false,
            }
        );
        assert!(RestSettings::parse_header_rules("frame X: y").is_err());
    }
}
