//! Addresses to listen on, and the address that other workers are told (`RestServer`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use regex::Regex;

use crate::embed::without_prefix;
use crate::parse::{ConfigError, Props};
use crate::worker::rest::RestConfig;

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    Http,
    Https,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    pub scheme: Scheme,
    /// `None` listens on all interfaces.
    pub host: Option<String>,
    /// 0 lets the system choose.
    pub port: u16,
}

static LISTENER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(.*)://\[?([0-9a-zA-Z\-%._:]*)\]?:(-?[0-9]+)$").expect("the pattern of a listener is valid")
});

impl Listener {
    /// Parses `protocol://host:port`; the host may be missing or an IPv6 address in brackets.
    pub fn parse(url: &str) -> Result<Self, ConfigError> {
        let Some(parts) = LISTENER.captures(url) else {
            return Err(ConfigError::new(format!(
                "Listener doesn't have the right format (protocol://hostname:port): {url}"
            )));
        };
        let scheme = match parts[1].to_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => {
                return Err(ConfigError::new(format!("Listener protocol must be either \"http\" or \"https\": {url}")));
            }
        };
        let host = Some(parts[2].to_owned()).filter(|host| !host.is_empty());
        let port = parts[3]
            .parse()
            .map_err(|_| ConfigError::new(format!("The port of a listener is from 0 to 65535: {url}")))?;
        Ok(Self { scheme, host, port })
    }
}

impl RestConfig {
    /// Where the REST API listens.
    pub fn parsed_listeners(&self) -> Result<Vec<Listener>, ConfigError> {
        self.listeners.iter().map(|url| Listener::parse(url)).collect()
    }

    /// Where the admin endpoints listen: `None` is on the same listeners, an empty list nowhere.
    pub fn parsed_admin_listeners(&self) -> Result<Option<Vec<Listener>>, ConfigError> {
        let parse = |urls: &Vec<String>| urls.iter().map(|url| Listener::parse(url)).collect();
        self.admin_listeners.as_ref().map(parse).transpose()
    }

    /// The URL that other workers are told, with a slash at the end. `bound` are the listeners with the ports that
    /// they really got, `local` is this machine's own name or address, used where nothing else is given.
    ///
    /// The first listener of the advertised protocol gives host and port; where there is none, the port is that of the
    /// first listener, as the JVM has it. The protocol is not checked, because the JVM does not.
    pub fn advertised_url(&self, bound: &[Listener], local: &str) -> String {
        let scheme = match &self.advertised_listener {
            Some(given) => given.to_lowercase(),
            None if bound.is_empty() || bound.iter().any(|listener| listener.scheme == Scheme::Http) => {
                Scheme::Http.to_string()
            }
            None => Scheme::Https.to_string(),
        };
        let fits = |listener: &&Listener| listener.scheme.to_string() == scheme;
        let listener = bound.iter().find(fits).or(bound.first());
        let anywhere = |host: &&str| !matches!(*host, "0.0.0.0" | "::");
        let own_host = listener.and_then(|listener| listener.host.as_deref()).filter(anywhere);
        let given = self.advertised_host.as_deref().filter(|host| !host.is_empty());
        let host = given.or(own_host).unwrap_or(local);
        let given_port = self.advertised_port.and_then(|port| u16::try_from(port).ok());
        let port = given_port.or(listener.map(|listener| listener.port));
        let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() };
        match port {
            Some(port) => format!("{scheme}://{host}:{port}/"),
            None => format!("{scheme}://{host}/"),
        }
    }
}

/// The prefix of TLS settings for `listeners`, and for requests to other workers.
pub const LISTENERS_HTTPS: &str = "listeners.https.";
/// The prefix of TLS settings for `admin.listeners`.
pub const ADMIN_LISTENERS_HTTPS: &str = "admin.listeners.https.";

/// The settings that count for a prefix (`AbstractConfig.valuesWithPrefixAllOrNothing`): as soon as one key has the
/// prefix, only those that have it, without it; else all that have none. A null is left out.
pub fn all_or_nothing(originals: &Props, prefix: &str) -> BTreeMap<String, String> {
    let values = |props: Props| props.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    let prefixed = without_prefix(originals, prefix);
    if prefixed.is_empty() { values(originals.clone()) } else { values(prefixed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(entries: &[(&str, &str)]) -> RestConfig {
        let props: Props = entries.iter().map(|(k, v)| ((*k).to_owned(), Some((*v).to_owned()))).collect();
        RestConfig::parse(&props).expect("the configuration is valid")
    }

    #[test]
    fn listeners_have_a_protocol_an_optional_host_and_a_port() {
        let listener = |scheme, host: Option<&str>, port| Listener { scheme, host: host.map(Into::into), port };
        assert_eq!(Listener::parse("http://:8083"), Ok(listener(Scheme::Http, None, 8083)));
        assert_eq!(Listener::parse("HTTPS://a.b:0"), Ok(listener(Scheme::Https, Some("a.b"), 0)));
        assert_eq!(Listener::parse("http://[::1]:1"), Ok(listener(Scheme::Http, Some("::1"), 1)));
        for wrong in ["8083", "ftp://a:1", "http://a", "http://a:99999", "http://a:-1", ""] {
            assert!(Listener::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_advertised_address_is_the_given_one_then_the_listeners_then_our_own() {
        let bound = [Listener { scheme: Scheme::Http, host: None, port: 8083 }];
        assert_eq!(rest(&[]).advertised_url(&bound, "me"), "http://me:8083/");
        let hosted = [Listener { host: Some("h".into()), ..bound[0].clone() }];
        assert_eq!(rest(&[]).advertised_url(&hosted, "me"), "http://h:8083/");
        let given = rest(&[("rest.advertised.host.name", "w1"), ("rest.advertised.port", "80")]);
        assert_eq!(given.advertised_url(&hosted, "me"), "http://w1:80/");
        let https = Listener { scheme: Scheme::Https, host: Some("s".into()), port: 8443 };
        let both = [https.clone(), hosted[0].clone()];
        assert_eq!(rest(&[]).advertised_url(&both, "me"), "http://h:8083/");
        assert_eq!(rest(&[("rest.advertised.listener", "HTTPS")]).advertised_url(&both, "me"), "https://s:8443/");
        assert_eq!(rest(&[]).advertised_url(&[https], "me"), "https://s:8443/");
        // What is asked for does not exist: the JVM tells others all the same.
        assert_eq!(rest(&[("rest.advertised.listener", "https")]).advertised_url(&hosted, "me"), "https://h:8083/");
    }

    #[test]
    fn one_key_with_the_prefix_hides_all_keys_without_it() {
        let props = |entries: &[(&str, &str)]| -> Props {
            entries.iter().map(|(k, v)| ((*k).to_owned(), Some((*v).to_owned()))).collect()
        };
        let plain = [("ssl.keystore.location", "a"), ("ssl.key.password", "b")];
        let found = all_or_nothing(&props(&plain), LISTENERS_HTTPS);
        assert_eq!((found.get("ssl.keystore.location").map(String::as_str), found.len()), (Some("a"), 2));
        let mixed = [plain[0], plain[1], ("listeners.https.ssl.keystore.location", "c")];
        let found = all_or_nothing(&props(&mixed), LISTENERS_HTTPS);
        assert_eq!((found.get("ssl.keystore.location").map(String::as_str), found.len()), (Some("c"), 1));
        assert_eq!(all_or_nothing(&props(&mixed), ADMIN_LISTENERS_HTTPS).len(), 3);
    }
}
