//! Requests to the nodes of a registry: one after the other, again and again, up to the configured bounds.

use std::error::Error as StdError;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use connect_api::{Error, ErrorKind, Props, Result};
use connect_config::without_prefix;
use connect_tls::{ServerChecks, TlsSettings};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::{Action, Attempt, Policy};
use reqwest::{Client, Method, Proxy, Response, Url};
use serde_json::Value as Json;

use super::credentials::Credentials;
use super::failure::{Failure, Why};
use crate::settings::{self, NAMESPACE, RegistryConfig};

/// What is read of an answer at most. Schemas of many megabytes are no schemas.
const ANSWER_MAX: usize = 32 << 20;
/// What is repeated of an answer that is no JSON.
const QUOTED_MAX: usize = 200;
const REDIRECTS_MAX: usize = 5;
const MEDIA: &str = "application/vnd.schemaregistry.v1+json";
const USER_AGENT: &str = concat!("tidegate/", env!("CARGO_PKG_VERSION"));
/// What an error is that has no code of its own.
const NO_CODE: i64 = 50005;

/// The nodes of a registry.
pub(crate) struct Http {
    client: Client,
    nodes: Vec<Node>,
    /// The node that answered last.
    current: AtomicUsize,
    headers: HeaderMap,
    retries: Retries,
}

struct Node {
    url: Url,
    auth: Option<HeaderValue>,
}

struct Retries {
    max: u32,
    wait: Duration,
    wait_max: Duration,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    method: Method,
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    body: Option<Vec<u8>>,
}

impl Request {
    pub(crate) fn get<const N: usize>(path: [&str; N]) -> Self {
        Self { method: Method::GET, path: path.map(str::to_owned).into(), query: Vec::new(), body: None }
    }

    pub(crate) fn post<const N: usize>(path: [&str; N], body: &Json) -> Self {
        Self { method: Method::POST, body: Some(body.to_string().into_bytes()), ..Self::get(path) }
    }

    pub(crate) fn query(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    fn url(&self, base: &Url) -> Url {
        let mut url = base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(&self.path);
        }
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(self.query.iter().map(|(name, value)| (*name, value)));
        }
        url
    }
}

impl Http {
    /// Reads the configuration; nothing is sent yet.
    pub(crate) fn new(props: &Props, config: &RegistryConfig) -> Result<Self> {
        let credentials = Credentials::new(props, config)?;
        let nodes = config.urls.iter().map(|url| Node::new(url, &credentials)).collect::<Result<Vec<_>>>()?;
        let mut headers = credentials.headers;
        headers.insert(ACCEPT, HeaderValue::from_static(MEDIA));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA));
        headers.insert("confluent-accept-unknown-properties", HeaderValue::from_static("true"));
        add_custom(props, &mut headers)?;
        let first = if config.randomize { rand::random_range(0..nodes.len().max(1)) } else { 0 };
        Ok(Self {
            client: client(props, config)?,
            nodes,
            current: AtomicUsize::new(first),
            headers,
            retries: Retries {
                max: u32::try_from(config.max_retries).unwrap_or(0),
                wait: millis(config.retry_wait),
                wait_max: millis(config.retry_wait_max),
            },
        })
    }

    /// Asks the nodes in turn, from the one that answered last, and all of them again after a while. What a node refuses is
    /// not asked of another.
    pub(crate) async fn ask(&self, request: &Request) -> std::result::Result<Json, Failure> {
        let mut last = None;
        for attempt in 0..=self.retries.max {
            if attempt > 0 {
                tokio::time::sleep(self.retries.delay(attempt - 1)).await;
            }
            for _ in 0..self.nodes.len() {
                let place = self.current.load(Ordering::Relaxed) % self.nodes.len();
                match self.ask_node(&self.nodes[place], request).await {
                    Err(failure) if failure.retriable() => {
                        let node = self.nodes[place].name();
                        tracing::warn!(node, reason = failure.error.message(), "the schema registry did not answer");
                        self.give_up(place);
                        last = Some(failure);
                    }
                    outcome => return outcome,
                }
            }
        }
        Err(last.unwrap_or_else(|| Failure::other(Error::config("schema.registry.url names no registry"))))
    }

    /// Lets the next request go to the node behind this one, unless another thread has moved on already.
    fn give_up(&self, place: usize) {
        let next = (place + 1) % self.nodes.len();
        self.current.compare_exchange(place, next, Ordering::Relaxed, Ordering::Relaxed).ok();
    }

    async fn ask_node(&self, node: &Node, request: &Request) -> std::result::Result<Json, Failure> {
        let mut sent =
            self.client.request(request.method.clone(), request.url(&node.url)).headers(self.headers.clone());
        if let Some(auth) = &node.auth {
            sent = sent.header(AUTHORIZATION, auth.clone());
        }
        if let Some(body) = &request.body {
            sent = sent.body(body.clone());
        }
        let response = sent.send().await.map_err(|error| node.unreachable(&error))?;
        let status = response.status().as_u16();
        let body = read(response).await.map_err(|error| node.unreachable(&error))?;
        let Some(body) = body else {
            return Err(node.unreadable("its answer is longer than anything that could be a schema"));
        };
        match (status, serde_json::from_slice::<Json>(&body)) {
            (200..=299, Ok(json)) => Ok(json),
            (200..=299, Err(_)) => {
                Err(node.unreadable("its answer is no JSON: is this the address of a schema registry?"))
            }
            (status, Ok(json)) => {
                let code = json.get("error_code").and_then(Json::as_i64).unwrap_or(i64::from(status));
                let message = json.get("message").and_then(Json::as_str).unwrap_or("the registry says no more");
                Err(Failure::answer(status, code, message))
            }
            (status, Err(_)) => {
                let text: String = String::from_utf8_lossy(&body).chars().take(QUOTED_MAX).collect();
                let message = format!("Unable to parse error message from schema registry: '({text})'");
                Err(Failure::answer(status, NO_CODE, &message))
            }
        }
    }
}

impl Node {
    fn new(text: &str, credentials: &Credentials) -> Result<Self> {
        // The address may hold a password, so it is not repeated.
        let wrong = |why: &str| {
            Error::config(format!("schema.registry.url holds an address that {why}"))
                .hint("write addresses as http://host:port or https://host:port, separated by commas")
        };
        let mut url = Url::parse(text).map_err(|error| wrong(&format!("is none: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("begins with neither http:// nor https://"));
        }
        let auth = credentials.of_url(&mut url)?;
        Ok(Self { url, auth })
    }

    /// The address without what is secret.
    fn name(&self) -> &str {
        self.url.as_str()
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let reasons: Vec<String> = causes(error).skip(1).map(ToString::to_string).collect();
        let reason = if reasons.is_empty() { "the request failed".to_owned() } else { reasons.join(": ") };
        let (why, kind, class) = if error.is_timeout() && !error.is_connect() {
            (Why::Timeout, ErrorKind::Timeout, "java.net.SocketTimeoutException")
        } else {
            (Why::Network, ErrorKind::Unavailable, "java.net.ConnectException")
        };
        let error = Error::new(kind, format!("no answer from {}: {reason}", self.name()))
            .class(class)
            .hint("check schema.registry.url, and that the registry runs and can be reached from here");
        Failure::new(why, error)
    }

    fn unreadable(&self, why: &str) -> Failure {
        Failure::other(Error::data(format!("{} can't be understood: {why}", self.name())).class("java.io.IOException"))
    }
}

impl Retries {
    /// A random part of a time that doubles, so that workers that failed together do not come back together.
    fn delay(&self, attempt: u32) -> Duration {
        let most = self.wait.saturating_mul(1u32.checked_shl(attempt).unwrap_or(u32::MAX)).min(self.wait_max);
        let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
        if most == 0 { Duration::ZERO } else { Duration::from_millis(rand::random_range(0..most) + 1) }
    }
}

fn millis(given: i32) -> Duration {
    Duration::from_millis(u64::try_from(given).unwrap_or(0))
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The body of an answer; nothing when it is too long.
async fn read(mut response: Response) -> std::result::Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > ANSWER_MAX {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// Headers that a user adds (`request.header.*`).
fn add_custom(props: &Props, headers: &mut HeaderMap) -> Result<()> {
    for (name, value) in &without_prefix(props, "request.header.") {
        let wrong = || Error::config(format!("request.header.{name} can't be sent as a header"));
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        let mut value = HeaderValue::from_str(value.as_deref().unwrap_or_default()).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(())
}

fn client(props: &Props, config: &RegistryConfig) -> Result<Client> {
    let tls = tls(props, config)?;
    let mut builder =
        Client::builder().use_preconfigured_tls(tls).user_agent(USER_AGENT).redirect(Policy::custom(follow)).no_proxy();
    // 0 is no bound at all, as in Java.
    if config.connect_timeout > 0 {
        builder = builder.connect_timeout(millis(config.connect_timeout));
    }
    if config.read_timeout > 0 {
        builder = builder.read_timeout(millis(config.read_timeout));
    }
    if !config.proxy_host.is_empty() && config.proxy_port > 0 {
        let address = format!("http://{}:{}", config.proxy_host, config.proxy_port);
        builder = builder.proxy(Proxy::all(&address).map_err(|_| Error::config("proxy.host is no name of a host"))?);
    }
    builder.build().map_err(|error| Error::config("there is no HTTP client for the schema registry").caused_by(error))
}

/// Nothing leads from one protocol, host or port to another: headers of the user go along, and may be secrets.
fn follow(attempt: Attempt<'_>) -> Action {
    let same = attempt.previous().first().is_some_and(|first| same_place(first, attempt.url()));
    if same && attempt.previous().len() <= REDIRECTS_MAX { attempt.follow() } else { attempt.stop() }
}

fn same_place(one: &Url, other: &Url) -> bool {
    let place = |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default());
    place(one) == place(other)
}

fn tls(props: &Props, config: &RegistryConfig) -> Result<impl std::any::Any + use<>> {
    let ssl = without_prefix(props, NAMESPACE);
    let get = |name: &str| match (name, ssl.get(name).and_then(Option::as_deref)) {
        ("ssl.endpoint.identification.algorithm", Some("none")) => Some(""),
        (_, value) => value,
    };
    let wrong = |error| Error::config("the settings schema.registry.ssl.* can't be used").caused_by(error);
    let settings = TlsSettings::from_properties(get).map_err(wrong)?;
    if config.urls.iter().any(|url| url.to_ascii_lowercase().starts_with("https:")) {
        return settings.client_config().map_err(wrong);
    }
    // Never used: without certificates on this machine, an address without TLS still works.
    settings.client_config_with(ServerChecks::Nothing, None).map_err(wrong)
}

/// The keys of the registry's client, short names and typed.
pub(crate) fn parse(props: &Props) -> Result<(Props, RegistryConfig)> {
    let props = settings::without_namespace(props);
    let config = RegistryConfig::parse(&props).map_err(settings::first_problem)?;
    Ok((props, config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_with_protocol_host_and_port() {
        let same = |to: &str| same_place(&"http://registry/a".parse().unwrap(), &to.parse().unwrap());
        assert!(same("http://registry:80/b"));
        for other in ["https://registry/a", "http://elsewhere/a", "http://registry:8081/a"] {
            assert!(!same(other), "{other}");
        }
    }
}
