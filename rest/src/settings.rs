//! What the worker's configuration says about the REST API, parsed once.

use axum::http::{HeaderName, HeaderValue};

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

    /// Reads `response.http.headers.config`: rules `action name: value`, separated by commas, each in double quotes when
    /// it contains commas itself.
    pub fn parse_header_rules(text: &str) -> Result<Vec<HeaderRule>, SettingsError> {
        split_outside_quotes(text)
            .into_iter()
            .filter(|rule| !rule.is_empty())
            .map(|rule| parse_header_rule(&rule))
            .collect()
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

fn split_outside_quotes(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => parts.push(String::new()),
            c => {
                if let Some(part) = parts.last_mut() {
                    part.push(c);
                }
            }
        }
    }
    parts.iter().map(|part| part.trim().to_owned()).collect()
}

fn parse_header_rule(rule: &str) -> Result<HeaderRule, SettingsError> {
    let invalid = || SettingsError::Header(rule.to_owned());
    let (action, rest) = rule.split_once(char::is_whitespace).ok_or_else(invalid)?;
    let (name, value) = rest.split_once(':').ok_or_else(invalid)?;
    let name: HeaderName = name.trim().parse().map_err(|_| invalid())?;
    let value: HeaderValue = value.trim().parse().map_err(|_| invalid())?;
    // The `Date` variants take a value in milliseconds and are as good as unused; they are written as given.
    match action.to_ascii_lowercase().as_str() {
        "set" => Ok(HeaderRule::Set { name, value, only_if_absent: false }),
        "setdate" => Ok(HeaderRule::Set { name, value, only_if_absent: true }),
        "add" => Ok(HeaderRule::Add { name, value, only_if_absent: false }),
        "adddate" => Ok(HeaderRule::Add { name, value, only_if_absent: true }),
        _ => Err(invalid()),
    }
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
