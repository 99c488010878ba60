//! What the security properties of a Java client mean: TLS material and SASL credentials.
//!
//! Read once from the properties (files included) and used twice: for librdkafka's settings and for our own connections.
//! Nothing in here implements `Debug` with secrets.

use connect_tls::{Identity, TlsError, TlsSettings};
use rustls::pki_types::CertificateDer;

use crate::{ClientProps, Error, ErrorKind, Result};

pub use connect_tls::{JaasModule, parse_jaas};

/// `security.protocol`, taken apart.
#[derive(Clone, Default)]
pub struct Security {
    pub tls: Option<TlsMaterial>,
    pub sasl: Option<Sasl>,
}

/// Certificates and keys.
#[derive(Clone)]
pub struct TlsMaterial {
    pub settings: TlsSettings,
    /// Authorities to trust; `None`: those of the system.
    pub trusted: Option<Vec<CertificateDer<'static>>>,
    /// Certificate chain and key of this client.
    pub identity: Option<Identity>,
}

/// Credentials by mechanism.
#[derive(Clone)]
pub enum Sasl {
    Plain { username: String, password: String },
    ScramSha256 { username: String, password: String },
    ScramSha512 { username: String, password: String },
    OauthBearer(OauthClient),
}

/// Client-credentials grant of OAUTHBEARER.
#[derive(Clone)]
pub struct OauthClient {
    pub token_endpoint: String,
    pub client_id: String,
    pub client_secret: String,
    pub scope: Option<String>,
    /// SASL extensions, `name=value` each.
    pub extensions: Vec<(String, String)>,
}

impl Sasl {
    /// The mechanism's name on the wire.
    pub const fn mechanism(&self) -> &'static str {
        match self {
            Self::Plain { .. } => "PLAIN",
            Self::ScramSha256 { .. } => "SCRAM-SHA-256",
            Self::ScramSha512 { .. } => "SCRAM-SHA-512",
            Self::OauthBearer(_) => "OAUTHBEARER",
        }
    }
}

impl Security {
    /// Reads the security properties; reads the files they name.
    pub fn from_props(props: &ClientProps) -> Result<Self> {
        let protocol = text(props, "security.protocol").unwrap_or("PLAINTEXT");
        let (tls, sasl) = match protocol.to_ascii_uppercase().as_str() {
            "PLAINTEXT" => (false, false),
            "SSL" => (true, false),
            "SASL_PLAINTEXT" => (false, true),
            "SASL_SSL" => (true, true),
            _ => {
                return Err(config(format!(
                    "security.protocol '{protocol}' is not one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"
                )));
            }
        };
        Ok(Self {
            tls: tls.then(|| tls_material(props)).transpose()?,
            sasl: sasl.then(|| sasl_credentials(props)).transpose()?,
        })
    }
}

/// A property that is set and not blank.
pub(crate) fn text<'a>(props: &'a ClientProps, name: &str) -> Option<&'a str> {
    props.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
}

fn config(message: String) -> Error {
    Error::new(ErrorKind::Config, message)
}

fn tls_material(props: &ClientProps) -> Result<TlsMaterial> {
    let settings = TlsSettings::from_properties(|name| props.get(name).map(String::as_str)).map_err(tls_error)?;
    let trusted = settings.trusted().map_err(tls_error)?;
    let identity = settings.identity().map_err(tls_error)?;
    Ok(TlsMaterial { settings, trusted, identity })
}

/// A setting or store that TLS can't be set up with.
pub(crate) fn tls_error(error: TlsError) -> Error {
    config(error.to_string()).with_source(error)
}

fn sasl_credentials(props: &ClientProps) -> Result<Sasl> {
    let mechanism = text(props, "sasl.mechanism").unwrap_or("GSSAPI");
    match mechanism.to_ascii_uppercase().as_str() {
        "PLAIN" => {
            let (username, password) = user_and_password(props, mechanism, "PlainLoginModule")?;
            Ok(Sasl::Plain { username, password })
        }
        "SCRAM-SHA-256" => {
            let (username, password) = user_and_password(props, mechanism, "ScramLoginModule")?;
            Ok(Sasl::ScramSha256 { username, password })
        }
        "SCRAM-SHA-512" => {
            let (username, password) = user_and_password(props, mechanism, "ScramLoginModule")?;
            Ok(Sasl::ScramSha512 { username, password })
        }
        "OAUTHBEARER" => oauth_client(props).map(Sasl::OauthBearer),
        _ => Err(config(format!(
            "sasl.mechanism '{mechanism}' is not supported: use PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER"
        ))),
    }
}

fn login_module(props: &ClientProps, mechanism: &str, class: &str) -> Result<JaasModule> {
    let Some(jaas) = text(props, "sasl.jaas.config") else {
        return Err(config(format!(
            "sasl.jaas.config is missing: sasl.mechanism {mechanism} needs a {class} with credentials"
        )));
    };
    let modules = parse_jaas(jaas).map_err(|problem| config(format!("sasl.jaas.config cannot be read: {problem}")))?;
    let simple = |module: &JaasModule| module.class.rsplit('.').next().is_some_and(|name| name == class);
    let found = modules.iter().map(|module| module.class.clone()).collect::<Vec<_>>().join(", ");
    modules.into_iter().find(simple).ok_or_else(|| {
        config(format!("sasl.jaas.config names {found}, but sasl.mechanism {mechanism} needs a {class}"))
    })
}

fn user_and_password(props: &ClientProps, mechanism: &str, class: &str) -> Result<(String, String)> {
    let mut module = login_module(props, mechanism, class)?;
    let mut take = |name: &str| {
        module
            .options
            .swap_remove(name)
            .ok_or_else(|| config(format!("sasl.jaas.config has no {name}, which sasl.mechanism {mechanism} needs")))
    };
    Ok((take("username")?, take("password")?))
}

fn oauth_client(props: &ClientProps) -> Result<OauthClient> {
    let module = match text(props, "sasl.jaas.config") {
        Some(_) => Some(login_module(props, "OAUTHBEARER", "OAuthBearerLoginModule")?),
        None => None,
    };
    // Kafka 4.1 (KIP-1139) has the credentials as properties; before, they were options of the login module.
    let option = |property: &str, old: &str| {
        text(props, property).map(str::to_owned).or_else(|| module.as_ref()?.options.get(old).cloned())
    };
    let missing = |name: &str| config(format!("sasl.mechanism OAUTHBEARER needs {name}"));
    let token_endpoint = text(props, "sasl.oauthbearer.token.endpoint.url")
        .ok_or_else(|| missing("sasl.oauthbearer.token.endpoint.url"))?
        .to_owned();
    let client_id = option("sasl.oauthbearer.client.credentials.client.id", "clientId")
        .ok_or_else(|| missing("clientId in sasl.jaas.config"))?;
    let client_secret = option("sasl.oauthbearer.client.credentials.client.secret", "clientSecret")
        .ok_or_else(|| missing("clientSecret in sasl.jaas.config"))?;
    let extensions = module.iter().flat_map(|module| &module.options).filter_map(|(name, value)| {
        let name = name.strip_prefix("extension_")?;
        Some((name.to_owned(), value.clone()))
    });
    Ok(OauthClient {
        token_endpoint,
        client_id,
        client_secret,
        scope: option("sasl.oauthbearer.scope", "scope"),
        extensions: extensions.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn props(pairs: &[(&str, &str)]) -> ClientProps {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn failure(pairs: &[(&str, &str)]) -> String {
        match Security::from_props(&props(pairs)) {
            Ok(_) => panic!("expected an error"),
            Err(error) => error.to_string(),
        }
    }

    const SCRAM: &str =
        "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"ann\" password=\"p;w\";";

    #[test]
    fn plaintext_needs_nothing() {
        let security = Security::from_props(&props(&[])).unwrap();
        assert!(security.tls.is_none() && security.sasl.is_none());
    }

    #[test]
    fn scram_credentials_come_from_the_login_module() {
        let security = Security::from_props(&props(&[
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.jaas.config", SCRAM),
        ]))
        .unwrap();
        let Some(Sasl::ScramSha512 { username, password }) = security.sasl else { panic!("no SCRAM") };
        assert_eq!((username.as_str(), password.as_str()), ("ann", "p;w"));
    }

    #[test]
    fn a_login_module_of_another_mechanism_is_refused_without_showing_secrets() {
        let text =
            failure(&[("security.protocol", "SASL_SSL"), ("sasl.mechanism", "PLAIN"), ("sasl.jaas.config", SCRAM)]);
        assert!(text.contains("needs a PlainLoginModule"), "{text}");
        assert!(!text.contains("p;w"), "{text}");
    }

    #[test]
    fn oauth_takes_properties_first_and_module_options_else() {
        let security = Security::from_props(&props(&[
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "OAUTHBEARER"),
            ("sasl.oauthbearer.token.endpoint.url", "https://idp/token"),
            (
                "sasl.jaas.config",
                "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required clientId='me' \
                 clientSecret=\"s\" scope=kafka extension_logicalCluster=\"lkc-1\";",
            ),
        ]))
        .unwrap();
        let Some(Sasl::OauthBearer(client)) = security.sasl else { panic!("no OAUTHBEARER") };
        assert_eq!((client.client_id.as_str(), client.client_secret.as_str()), ("me", "s"));
        assert_eq!(client.scope.as_deref(), Some("kafka"));
        assert_eq!(client.extensions, [("logicalCluster".to_owned(), "lkc-1".to_owned())]);
    }

    #[test]
    fn host_names_are_checked_unless_the_algorithm_is_empty() {
        for (value, verify) in [("https", true), ("HTTPS", true), ("", false)] {
            let security = Security::from_props(&props(&[
                ("security.protocol", "SSL"),
                ("ssl.endpoint.identification.algorithm", value),
            ]))
            .unwrap();
            assert_eq!(security.tls.unwrap().settings.check_name, verify, "{value}");
        }
    }

    #[test]
    fn unknown_mechanisms_say_what_is_supported() {
        let text = failure(&[("security.protocol", "SASL_SSL")]);
        assert!(text.contains("'GSSAPI' is not supported: use PLAIN"), "{text}");
        let text = failure(&[("security.protocol", "TLS")]);
        assert!(text.contains("PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"), "{text}");
    }
}
