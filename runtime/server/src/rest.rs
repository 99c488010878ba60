//! From the worker's REST settings to open listeners, and to the client for requests to other workers.

use std::net::UdpSocket;
use std::sync::Arc;

use connect_config::worker::{
    ADMIN_LISTENERS_HTTPS, LISTENERS_HTTPS, Listener, RestConfig, Scheme, TopicTrackingConfig, all_or_nothing,
};
use connect_config::{ConfigError, Props};
use connect_rest::{
    AdminListeners, BasicAuth, Bind, Cors, HeaderRule, Limits, Listeners, RestSettings, ServeError, SettingsError,
    peer_client,
};
use connect_tls::{TlsError, TlsSettings};

use crate::java_options::login_file;

/// The REST API before anybody is answered: its settings and open listeners, and how others reach them.
#[derive(Debug)]
pub struct Rest {
    pub settings: RestSettings,
    pub listeners: Listeners,
    /// Sends requests to other workers.
    pub peers: reqwest::Client,
    /// With a slash at its end.
    pub advertised_url: String,
    /// `host:port` of it: the worker's name in statuses.
    pub worker_id: String,
}

/// Why the REST settings are unfit.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The TLS of a listener, or of requests to other workers.
    #[error("Unable to initialize REST server: TLS with the settings of {prefix}")]
    Tls {
        prefix: &'static str,
        #[source]
        source: TlsError,
    },
    #[error("Unable to initialize REST server")]
    Bind(#[from] ServeError),
    #[error("Failed to retrieve JAAS configuration: {path}")]
    LoginFile {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("failed to make the HTTP client for requests between workers")]
    Client(#[from] reqwest::Error),
}

impl RestError {
    /// Whether an extension is at fault, which the JVM worker notices late.
    pub fn is_extension(&self) -> bool {
        use SettingsError::{Extension, LoginConfiguration};
        matches!(self, Self::LoginFile { .. } | Self::Settings(Extension(_) | LoginConfiguration(_)))
    }
}

impl Rest {
    /// Reads the settings and opens the listeners: the group has to be told the ports, and a port that is taken is
    /// reported before the worker joins it. `originals` are all settings of the worker.
    ///
    /// # Errors
    /// When a setting is unfit, or a listener can't be opened.
    pub async fn open(rest: &RestConfig, tracking: &TopicTrackingConfig, originals: &Props) -> Result<Self, RestError> {
        let settings = settings(rest, tracking, originals)?;
        let peers = peer_client(peer_tls(&settings, originals)?)?;
        let listeners = Listeners::bind(&settings).await?;
        let advertised_url = rest.advertised_url(&listeners.main(), &local_address());
        let worker_id = advertised_url
            .split_once("://")
            .map_or(advertised_url.as_str(), |(_, address)| address)
            .trim_end_matches('/')
            .to_owned();
        Ok(Self { settings, listeners, peers, advertised_url, worker_id })
    }
}

fn settings(rest: &RestConfig, tracking: &TopicTrackingConfig, originals: &Props) -> Result<RestSettings, RestError> {
    let login_file = if rest.rest_extensions.is_empty() { None } else { read_login_file()? };
    let bytes = |number: i32| usize::try_from(number).unwrap_or(usize::MAX);
    Ok(RestSettings {
        listeners: binds(rest.parsed_listeners()?, originals, LISTENERS_HTTPS)?,
        admin_listeners: match rest.parsed_admin_listeners()? {
            None => AdminListeners::Main,
            Some(listeners) if listeners.is_empty() => AdminListeners::Disabled,
            Some(listeners) => AdminListeners::Own(binds(listeners, originals, ADMIN_LISTENERS_HTTPS)?),
        },
        cors: Cors::parse(&rest.allow_origin, &rest.allow_methods)?,
        response_headers: HeaderRule::parse_all(&rest.response_headers)?,
        auth: BasicAuth::from_extensions(&rest.rest_extensions, login_file.as_deref())?.map(Arc::new),
        limits: Limits { max_body: bytes(rest.max_request_bytes), max_connections: bytes(rest.max_connections) },
        metrics: None,
        topic_tracking: tracking.topic_tracking,
        topic_tracking_reset: tracking.topic_tracking_reset,
    })
}

/// The settings of TLS for a prefix (`SSLUtils`). Without a trust store the key store is one, as Jetty has it.
fn tls_settings(originals: &Props, prefix: &'static str) -> Result<TlsSettings, RestError> {
    let values = all_or_nothing(originals, prefix);
    let mut settings = TlsSettings::from_properties(|name| values.get(name).map(String::as_str))
        .map_err(|source| RestError::Tls { prefix, source })?;
    settings.key_store_is_trusted = true;
    Ok(settings)
}

/// Listeners with the server's side of TLS for those that need it.
fn binds(listeners: Vec<Listener>, originals: &Props, prefix: &'static str) -> Result<Vec<Bind>, RestError> {
    let tls = if listeners.iter().any(|listener| listener.scheme == Scheme::Https) {
        let made = tls_settings(originals, prefix)?.server_config();
        Some(Arc::new(made.map_err(|source| RestError::Tls { prefix, source })?))
    } else {
        None
    };
    let bind = |listener: Listener| Bind { tls: tls.clone().filter(|_| listener.scheme == Scheme::Https), listener };
    Ok(listeners.into_iter().map(bind).collect())
}

/// The client's side of TLS for requests to other workers. Where this worker has no HTTPS listener, settings that don't
/// fit are no reason not to start: the other workers are hardly reached by HTTPS either.
fn peer_tls(settings: &RestSettings, originals: &Props) -> Result<Option<rustls::ClientConfig>, RestError> {
    let made = tls_settings(originals, LISTENERS_HTTPS).and_then(|settings| {
        settings.client_config().map_err(|source| RestError::Tls { prefix: LISTENERS_HTTPS, source })
    });
    match made {
        Ok(config) => Ok(Some(config)),
        Err(error) if settings.listeners.iter().any(|bind| bind.tls.is_some()) => Err(error),
        Err(error) => {
            let error = crate::run::one_line(&error);
            tracing::debug!(error, "workers that are reached by HTTPS can't be asked");
            Ok(None)
        }
    }
}

fn read_login_file() -> Result<Option<String>, RestError> {
    let Some(path) = login_file(|name| std::env::var(name).ok()) else { return Ok(None) };
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(source) => Err(RestError::LoginFile { path, source }),
    }
}

/// The address of this machine that others see: that of the way out. Nothing is sent.
fn local_address() -> String {
    let way_out = || {
        let socket = UdpSocket::bind(("0.0.0.0", 0))?;
        // An address that is reserved for documentation: only the route to it counts.
        socket.connect(("192.0.2.1", 9))?;
        socket.local_addr()
    };
    way_out().map_or_else(|_: std::io::Error| "127.0.0.1".to_owned(), |address| address.ip().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn open(entries: &[(&str, &str)]) -> Result<Rest, RestError> {
        if rustls::crypto::ring::default_provider().install_default().is_err() {
            // Another test did it.
        }
        let props: Props = entries.iter().map(|(k, v)| ((*k).to_owned(), Some((*v).to_owned()))).collect();
        let rest = RestConfig::parse(&props).unwrap();
        Rest::open(&rest, &TopicTrackingConfig::parse(&Props::new()).unwrap(), &props).await
    }

    fn testdata(name: &str) -> String {
        format!("{}/../tls/testdata/{name}", env!("CARGO_MANIFEST_DIR"))
    }

    #[tokio::test]
    async fn a_free_port_is_found_and_advertised() {
        let found = open(&[("listeners", "http://127.0.0.1:0")]).await.unwrap();
        assert!(!found.worker_id.ends_with(":0"), "{found:?}");
        assert_eq!(found.advertised_url, format!("http://{}/", found.worker_id));
        assert_eq!(found.worker_id, format!("127.0.0.1:{}", found.listeners.main()[0].port));
    }

    #[tokio::test]
    async fn the_advertised_address_names_the_worker() {
        let found = open(&[
            ("listeners", "http://:0"),
            ("rest.advertised.host.name", "w1"),
            ("rest.advertised.port", "80"),
            ("admin.listeners", ""),
            ("access.control.allow.origin", "http://a"),
        ])
        .await
        .unwrap();
        assert_eq!((found.worker_id.as_str(), found.advertised_url.as_str()), ("w1:80", "http://w1:80/"));
        assert!(matches!(found.settings.admin_listeners, AdminListeners::Disabled));
        assert!(found.settings.cors.is_some());
    }

    #[tokio::test]
    async fn https_listeners_take_the_settings_of_their_prefix_or_those_without() {
        let (store, key) = (testdata("server.jks"), "key-password");
        let plain = [
            ("listeners", "https://127.0.0.1:0,http://127.0.0.1:0"),
            ("ssl.keystore.location", store.as_str()),
            ("ssl.keystore.password", "store-password"),
            ("ssl.key.password", key),
        ];
        let found = open(&plain).await.unwrap();
        assert_eq!(found.settings.listeners.iter().map(|bind| bind.tls.is_some()).collect::<Vec<_>>(), [true, false]);
        assert!(found.advertised_url.starts_with("http://127.0.0.1:"), "{found:?}");
        let own = open(&[&plain[..], &[("rest.advertised.listener", "https")]].concat()).await.unwrap();
        assert!(own.advertised_url.starts_with("https://127.0.0.1:"), "{own:?}");
        // One key with the prefix hides all without it.
        let hidden = [&plain[..], &[("listeners.https.ssl.keystore.location", store.as_str())]].concat();
        let problem = crate::run::one_line(&open(&hidden).await.unwrap_err());
        assert!(problem.contains("listeners.https.") && problem.contains("ssl.keystore.password"), "{problem}");
    }

    #[tokio::test]
    async fn what_an_https_listener_lacks_is_named() {
        for (entries, expected) in [
            (vec![("listeners", "https://127.0.0.1:0")], "set ssl.keystore.location"),
            (vec![("listeners", "https://127.0.0.1:0"), ("ssl.keystore.location", "/nowhere")], "'/nowhere'"),
            (vec![("listeners", "ftp://a:1")], "Listener protocol must be either \"http\" or \"https\""),
            (vec![("listeners", "http://a")], "Listener doesn't have the right format"),
            (vec![("rest.extension.classes", "no.Such")], "Failed to find any class that implements interface"),
        ] {
            let problem = crate::run::one_line(&open(&entries).await.unwrap_err());
            assert!(problem.contains(expected), "{problem}");
        }
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_reported() {
        let first = open(&[("listeners", "http://127.0.0.1:0")]).await.unwrap();
        let url = format!("http://{}", first.worker_id);
        let problem = crate::run::one_line(&open(&[("listeners", &url)]).await.unwrap_err());
        assert!(problem.contains(&format!("cannot listen on {url}")), "{problem}");
    }
}
