//! Passing a request on to the worker that can do it: the leader, or the owner of a connector or task.
//!
//! A request takes at most two hops: the first goes out with `forward=true`, the second with `forward=false`, and a
//! request that came with that is answered 409, because a rebalance must have taken place.

use axum::body::Body;
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION, USER_AGENT};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use connect_cluster::Hop;
use serde::de::DeserializeOwned;

use crate::body::{bind_or_null, null_body};
use crate::error::{RestError, RestResult};
use crate::negotiate::is_json;

/// Says who asks, for the history of a job. It travels with a request that is passed on.
pub(crate) const BY: HeaderName = HeaderName::from_static("x-tidegate-by");
/// Who asks when nobody is named.
const BY_API: &str = "api";
/// Longest name of who asks, in characters.
const MAX_BY: usize = 32;

const NO_LEADER: &str =
    "Cannot complete request momentarily due to no known leader URL, likely because a rebalance was underway.";
const CONFLICT: &str = "Cannot complete request because of a conflicting operation (e.g. worker rebalance)";

/// A request as it came in, kept so that it can be passed on.
pub(crate) struct Incoming {
    pub(crate) method: Method,
    /// Path as the client sent it, still encoded.
    pub(crate) path: String,
    /// Query parameters other than `forward`, still encoded.
    pub(crate) query: Vec<String>,
    pub(crate) authorization: Option<HeaderValue>,
    /// See [`Incoming::by`].
    by: Option<HeaderValue>,
    pub(crate) hop: Hop,
    pub(crate) body: axum::body::Bytes,
    /// What the client calls the body.
    media: Media,
}

/// What a request says of its body's media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Media {
    /// Nothing.
    Missing,
    Json,
    /// Something else, of which only a range (`application/*`) gets as far as this.
    Other,
}

impl Incoming {
    /// Reads what forwarding needs from a request.
    pub(crate) fn new(method: Method, uri: &axum::http::Uri, headers: &HeaderMap, body: axum::body::Bytes) -> Self {
        let mut hop = Hop::Client;
        let mut query = Vec::new();
        for pair in uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=').unwrap_or((pair, "")) {
                ("forward", value) if value.eq_ignore_ascii_case("true") => hop = Hop::MayForward,
                ("forward", _) => hop = Hop::Last,
                _ => query.push(pair.to_owned()),
            }
        }
        Self {
            method,
            path: uri.path().to_owned(),
            query,
            authorization: headers.get(AUTHORIZATION).cloned(),
            by: headers.get(BY).cloned(),
            hop,
            body,
            media: match headers.contains_key(CONTENT_TYPE) {
                false => Media::Missing,
                true if is_json(headers) => Media::Json,
                true => Media::Other,
            },
        }
    }

    /// Who asks: what `X-Tidegate-By` says where that is a plain word, else the API itself.
    pub(crate) fn by(&self) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let named = self.by.as_ref().and_then(|by| by.to_str().ok());
        let named = named.filter(|by| (1..=MAX_BY).contains(&by.len()) && by.chars().all(plain));
        named.unwrap_or(BY_API).to_owned()
    }

    /// Whether the body is said to be JSON, or there is none.
    pub(crate) fn is_json(&self) -> bool {
        self.media == Media::Json || (self.media == Media::Missing && self.body.is_empty())
    }

    /// Binds the body; 415 when it is not said to be JSON, 500 when it is null or does not bind.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> RestResult<T> {
        self.read_or_null()?.ok_or_else(null_body)
    }

    /// The same where null, which no body counts as, has a meaning.
    pub(crate) fn read_or_null<T: DeserializeOwned>(&self) -> RestResult<Option<T>> {
        match self.media {
            Media::Json | Media::Missing if self.body.is_empty() => Ok(None),
            Media::Json => bind_or_null(&self.body),
            _ => Err(RestError::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE).matched()),
        }
    }
}

/// Sends requests to other workers.
#[derive(Clone)]
pub(crate) struct Forwarder {
    client: reqwest::Client,
}

impl Forwarder {
    pub(crate) fn new(client: reqwest::Client) -> Self {
        Self { client }
    }

    /// Passes a request on, and gives the other worker's answer back as it is. The `Location` of a new connector is
    /// the caller's matter: it names the worker that the client asked.
    pub(crate) async fn forward(&self, request: Incoming, url: Option<&str>) -> RestResult {
        let next = match request.hop {
            Hop::Last => return Err(RestError::conflict(CONFLICT)),
            Hop::Client => "forward=true",
            Hop::MayForward => "forward=false",
        };
        let url = url.ok_or_else(|| RestError::conflict(NO_LEADER))?;
        let query = std::iter::once(next).chain(request.query.iter().map(String::as_str)).collect::<Vec<_>>().join("&");
        let target = format!("{}{}?{query}", url.trim_end_matches('/'), request.path);
        let failed = |error: reqwest::Error| {
            tracing::warn!(target = url, error = %error.without_url(), "a request could not be forwarded");
            RestError::internal("IO Error trying to forward REST request: the other worker did not answer")
        };
        let mut outgoing = self
            .client
            .request(request.method.clone(), &target)
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, "kafka-connect");
        if let Some(authorization) = &request.authorization {
            outgoing = outgoing.header(AUTHORIZATION, authorization);
        }
        if let Some(by) = &request.by {
            outgoing = outgoing.header(BY, by);
        }
        if !request.body.is_empty() {
            outgoing = outgoing.header(CONTENT_TYPE, "application/json").body(request.body.to_vec());
        }
        let answer = outgoing.send().await.map_err(failed)?;
        let status = answer.status();
        let content_type = answer.headers().get(CONTENT_TYPE).cloned();
        let had_location = answer.headers().contains_key(LOCATION);
        let body = answer.bytes().await.map_err(failed)?;
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::from_u16(status.as_u16()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if let Some(content_type) = content_type {
            response.headers_mut().insert(CONTENT_TYPE, content_type);
        }
        if had_location {
            // A marker that the caller replaces by its own URL.
            response.headers_mut().insert(LOCATION, HeaderValue::from_static("/"));
        }
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incoming(uri: &str) -> Incoming {
        Incoming::new(Method::PUT, &uri.parse().unwrap(), &HeaderMap::new(), axum::body::Bytes::new())
    }

    #[test]
    fn the_hop_is_read_and_other_parameters_are_kept() {
        assert_eq!(incoming("/a?x=1&y").hop, Hop::Client);
        let request = incoming("/a%20b?x=1&forward=TRUE&y=%20");
        assert_eq!((request.hop, request.path.as_str()), (Hop::MayForward, "/a%20b"));
        assert_eq!(request.query, ["x=1", "y=%20"]);
        assert_eq!(incoming("/a?forward=false").hop, Hop::Last);
    }

    #[test]
    fn who_asks_is_a_plain_word_or_the_api() {
        let by = |text: &str| {
            let headers = HeaderMap::from_iter([(BY, text.parse().unwrap())]);
            Incoming::new(Method::PUT, &"/a".parse().unwrap(), &headers, axum::body::Bytes::new()).by()
        };
        assert_eq!((incoming("/a").by().as_str(), by("portal").as_str()), ("api", "portal"));
        for strange in ["", "a b", "<b>", "é", &"x".repeat(MAX_BY + 1)] {
            assert_eq!(by(strange), "api", "{strange}");
        }
    }

    #[tokio::test]
    async fn the_third_hop_and_a_missing_leader_are_conflicts() {
        rustls::crypto::ring::default_provider().install_default().ok();
        let forwarder = Forwarder::new(reqwest::Client::new());
        let last = forwarder.forward(incoming("/a?forward=false"), Some("http://127.0.0.1:1/")).await.unwrap_err();
        assert_eq!((last.status.as_u16(), last.message.as_str()), (409, CONFLICT));
        let nobody = forwarder.forward(incoming("/a"), None).await.unwrap_err();
        assert_eq!((nobody.status.as_u16(), nobody.message.as_str()), (409, NO_LEADER));
        let away = forwarder.forward(incoming("/a"), Some("http://127.0.0.1:1/")).await.unwrap_err();
        assert_eq!(away.status.as_u16(), 500);
    }
}
