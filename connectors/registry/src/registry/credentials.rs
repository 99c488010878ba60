//! How the registry is told who asks.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use connect_api::{Error, Props, Result};
use connect_tls::parse_jaas;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use crate::settings::{self, RegistryConfig};

const BASIC_SOURCE: &str = "basic.auth.credentials.source";
const BEARER_SOURCE: &str = "bearer.auth.credentials.source";

/// What is sent with each request.
pub(crate) struct Credentials {
    /// Takes user and password from the addresses.
    pub(crate) from_url: bool,
    /// Sent to every node.
    pub(crate) headers: HeaderMap,
}

impl Credentials {
    /// Reads what was configured. Nothing of it ever stands in an error.
    pub(crate) fn new(props: &Props, config: &RegistryConfig) -> Result<Self> {
        let basic = settings::is_given(props, BASIC_SOURCE);
        let bearer = settings::is_given(props, BEARER_SOURCE);
        if basic && bearer {
            return Err(Error::config(format!("Only one of '{BASIC_SOURCE}' and '{BEARER_SOURCE}' may be specified")));
        }
        let mut credentials = Self { from_url: false, headers: HeaderMap::new() };
        if bearer {
            credentials.bearer(config)?;
            return Ok(credentials);
        }
        match config.basic_source.as_str() {
            "USER_INFO" => credentials.basic(user_info(config)?)?,
            "SASL_INHERIT" => credentials.basic(&inherited(config)?)?,
            _ => credentials.from_url = true,
        }
        Ok(credentials)
    }

    fn basic(&mut self, user_info: &str) -> Result<()> {
        self.headers.insert(AUTHORIZATION, basic(user_info)?);
        Ok(())
    }

    fn bearer(&mut self, config: &RegistryConfig) -> Result<()> {
        let Some(token) = settings::exposed(&config.token) else {
            return Err(Error::config(format!(
                "Token must be provided via bearer.auth.token when {BEARER_SOURCE} is set to STATIC_TOKEN"
            )));
        };
        self.headers.insert(AUTHORIZATION, secret(format!("Bearer {token}"), "bearer.auth.token")?);
        let told = [
            ("bearer.auth.logical.cluster", "target-sr-cluster", &config.logical_cluster),
            ("bearer.auth.identity.pool.id", "confluent-identity-pool-id", &config.identity_pool),
        ];
        for (key, name, value) in told {
            if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
                self.headers.insert(HeaderName::from_static(name), secret(value.to_owned(), key)?);
            }
        }
        Ok(())
    }

    /// The user and password of an address, which is left without them.
    pub(crate) fn of_url(&self, url: &mut Url) -> Result<Option<HeaderValue>> {
        let (user, password) = (decoded(url.username()), url.password().map(decoded));
        let found = !user.is_empty() || password.is_some();
        // An address that has a host takes both.
        url.set_username("").and_then(|()| url.set_password(None)).ok();
        if !self.from_url || !found {
            return Ok(None);
        }
        basic(&format!("{user}:{}", password.unwrap_or_default())).map(Some)
    }
}

fn basic(user_info: &str) -> Result<HeaderValue> {
    secret(format!("Basic {}", STANDARD.encode(user_info)), "basic.auth.user.info")
}

/// A header that is never printed.
fn secret(text: String, key: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| Error::config(format!("{key} holds characters that can't be sent in a header")))?;
    value.set_sensitive(true);
    Ok(value)
}

fn user_info(config: &RegistryConfig) -> Result<&str> {
    let given = [&config.old_user_info, &config.user_info].into_iter().find_map(settings::exposed);
    given.ok_or_else(|| {
        Error::config("UserInfo must be provided when basic.auth.credentials.source is set to USER_INFO")
            .hint("set basic.auth.user.info to user:password")
    })
}

fn inherited(config: &RegistryConfig) -> Result<String> {
    let jaas = config.jaas.as_ref().and_then(settings::exposed).ok_or_else(|| {
        Error::config("basic.auth.credentials.source is SASL_INHERIT and there is no sasl.jaas.config")
            .hint("give the converter the sasl.jaas.config of the client, or use USER_INFO")
    })?;
    let modules =
        parse_jaas(jaas).map_err(|problem| Error::config(format!("sasl.jaas.config can't be read: {problem}")))?;
    let options = modules.first().map(|module| &module.options);
    let option = |name: &str| options.and_then(|options| options.get(name));
    match (option("username"), option("password")) {
        (Some(user), password) => Ok(format!("{user}:{}", password.map_or("", String::as_str))),
        (None, _) => Err(Error::config(
            "Provided SASL Login module doesn't provide username and password options and can't be inherited",
        )),
    }
}

/// The text of a part of an address, in which `%40` stands for `@`.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digits = text.get(at + 1..at + 3).filter(|_| *byte == b'%');
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(pairs: &[(&str, &str)]) -> Result<Credentials> {
        let mut props: Props =
            pairs.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect();
        props.insert("schema.registry.url".to_owned(), Some("http://a".to_owned()));
        let props = settings::without_namespace(&props);
        Credentials::new(&props, &RegistryConfig::parse(&props).map_err(settings::first_problem)?)
    }

    fn sent(pairs: &[(&str, &str)]) -> String {
        let credentials = credentials(pairs).unwrap();
        credentials.headers.get(AUTHORIZATION).map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn user_and_password_come_from_three_places() {
        let expected = format!("Basic {}", STANDARD.encode("me:it's a secret"));
        for key in ["basic.auth.user.info", "schema.registry.basic.auth.user.info"] {
            assert_eq!(sent(&[(BASIC_SOURCE, "USER_INFO"), (key, "me:it's a secret")]), expected);
        }
        let jaas = "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"me\" \
                    password=\"it's a secret\";";
        assert_eq!(
            sent(&[("schema.registry.basic.auth.credentials.source", "SASL_INHERIT"), ("sasl.jaas.config", jaas)]),
            expected
        );
        let mut url = Url::parse("http://me:it's%20a%20secret@a:8081/x").unwrap();
        let found = credentials(&[]).unwrap().of_url(&mut url).unwrap().unwrap();
        assert_eq!((found.to_str().unwrap(), url.as_str()), (expected.as_str(), "http://a:8081/x"));
        assert!(found.is_sensitive());
        let mut url = Url::parse("http://me:secret@a:8081/").unwrap();
        let other = credentials(&[(BASIC_SOURCE, "USER_INFO"), ("basic.auth.user.info", "a:b")]).unwrap();
        assert!(other.of_url(&mut url).unwrap().is_none());
        assert_eq!(url.as_str(), "http://a:8081/");
    }

    #[test]
    fn a_token_is_sent_with_what_belongs_to_it() {
        let pairs = [
            (BEARER_SOURCE, "STATIC_TOKEN"),
            ("bearer.auth.token", "abc"),
            ("bearer.auth.logical.cluster", "lsrc-1"),
            ("bearer.auth.identity.pool.id", "pool-1"),
        ];
        assert_eq!(sent(&pairs), "Bearer abc");
        let headers = credentials(&pairs).unwrap().headers;
        assert_eq!(headers["target-sr-cluster"], "lsrc-1");
        assert_eq!(headers["Confluent-Identity-Pool-Id"], "pool-1");
    }

    #[test]
    fn what_is_missing_is_said_without_secrets() {
        let error = |pairs: &[(&str, &str)]| credentials(pairs).err().unwrap().trace();
        assert!(error(&[(BASIC_SOURCE, "USER_INFO")]).contains("UserInfo must be provided"));
        assert!(error(&[(BEARER_SOURCE, "STATIC_TOKEN")]).contains("bearer.auth.token"));
        assert!(error(&[(BEARER_SOURCE, "STATIC_TOKEN"), (BASIC_SOURCE, "URL")]).contains("Only one of"));
        assert!(error(&[(BEARER_SOURCE, "OAUTHBEARER")]).contains("must be one of: STATIC_TOKEN"));
        let bad = error(&[(BASIC_SOURCE, "SASL_INHERIT"), ("sasl.jaas.config", "x required password=\"hush\"")]);
        assert!(bad.contains("sasl.jaas.config can't be read") && !bad.contains("hush"), "{bad}");
        let bad = error(&[(BEARER_SOURCE, "STATIC_TOKEN"), ("bearer.auth.token", "hu\nsh")]);
        assert!(bad.contains("bearer.auth.token holds characters") && !bad.contains("hu"), "{bad}");
    }
}
