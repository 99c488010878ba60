//! What the JVM worker's servlet container does with a request before any route is looked up: it refuses ambiguous and
//! illegal paths and hosts, and takes the matrix parameters (`;a=b`) off the path.

use axum::extract::Request;
use axum::http::header::HOST;
use axum::http::uri::PathAndQuery;
use axum::http::{StatusCode, Uri, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::RestError;
use crate::negotiate::check_content_type;

/// Longest URI that is served, in bytes (Jetty's buffer for the request line and headers).
const MAX_URI: usize = 8192;
/// What a segment may hold beside letters, digits and escapes (`pchar` of RFC 3986, with `;` for parameters).
const SEGMENT: &[u8] = b"-._~!$&'()*+,;=:@";

/// Answers 400 or 414, or hands on the request without matrix parameters.
pub(crate) async fn admit(mut request: Request, next: Next) -> Response {
    match admitted(&request) {
        Ok(Some(uri)) => *request.uri_mut() = uri,
        Ok(None) => {}
        Err(refusal) => return refusal.into_response(),
    }
    next.run(request).await
}

/// The URI to go on with when it differs from the one given.
fn admitted(request: &Request) -> Result<Option<Uri>, RestError> {
    let uri = request.uri();
    if uri.path_and_query().is_some_and(|given| given.as_str().len() > MAX_URI) {
        return Err(RestError::new(StatusCode::URI_TOO_LONG, "URI Too Long"));
    }
    check_host(request).map_err(RestError::bad_request)?;
    check_path(uri.path()).map_err(RestError::bad_request)?;
    check_content_type(request.headers())?;
    if !uri.path().contains(';') {
        return Ok(None);
    }
    let path: Vec<&str> = uri.path().split('/').map(without_parameters).collect();
    let path = path.join("/");
    let whole = uri.query().map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
    let illegal = |_| RestError::bad_request("Illegal Path Character");
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(whole.parse::<PathAndQuery>().map_err(illegal)?);
    Uri::from_parts(parts).map(Some).map_err(|_| RestError::bad_request("Bad URI"))
}

fn without_parameters(segment: &str) -> &str {
    segment.split(';').next().unwrap_or_default()
}

/// A request names one host, and the same in its URI when there is one (RFC 9112).
fn check_host(request: &Request) -> Result<(), &'static str> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (None, _) if request.version() == Version::HTTP_11 => return Err("No Host"),
        (None, _) => return Ok(()),
        (Some(_), Some(_)) => return Err("Duplicate Host Header"),
        (Some(host), None) => host.to_str().map_err(|_| "Bad HostPort")?.trim(),
    };
    if host.is_empty() {
        return Err("Blank Host");
    }
    if host.parse::<axum::http::uri::Authority>().is_err() || host.contains('@') {
        return Err("Bad HostPort");
    }
    match request.uri().authority() {
        Some(authority) if !authority.as_str().eq_ignore_ascii_case(host) => Err("Authority!=Host"),
        _ => Ok(()),
    }
}

fn check_path(path: &str) -> Result<(), &'static str> {
    let Some(inner) = path.strip_prefix('/') else { return Err("Bad URI path") };
    let mut depth = 0_i32;
    let count = inner.split('/').count();
    for (at, segment) in inner.split('/').enumerate() {
        check_characters(segment)?;
        let name = without_parameters(segment);
        if name.is_empty() && at + 1 < count {
            return Err("Ambiguous URI empty segment");
        }
        let dots = match name.to_ascii_lowercase().replace("%2e", ".").as_str() {
            "." => 1,
            ".." => 2,
            _ => 0,
        };
        if dots > 0 && segment.len() != dots {
            return Err(if name.len() == dots { "Ambiguous URI path parameter" } else { "Ambiguous URI path segment" });
        }
        depth += match dots {
            0 => 1,
            1 => 0,
            _ => -1,
        };
        if depth < 0 {
            return Err("Bad Request");
        }
    }
    Ok(())
}

/// Legal characters and escapes only; an escape must not hide a separator, an escape or a control character, and the
/// whole must be UTF-8.
fn check_characters(segment: &str) -> Result<(), &'static str> {
    let mut decoded = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first != b'%' {
            if !first.is_ascii_alphanumeric() && !SEGMENT.contains(&first) {
                return Err("Illegal Path Character");
            }
            decoded.push(first);
            continue;
        }
        let [high, low, after @ ..] = tail else { return Err("Bad escape in the URI") };
        let (Some(high), Some(low)) = (hex(*high), hex(*low)) else { return Err("Bad escape in the URI") };
        rest = after;
        match high << 4 | low {
            b'/' => return Err("Ambiguous URI path separator"),
            b'%' => return Err("Ambiguous URI path encoding"),
            b'\\' | 0..=0x1f | 0x7f => return Err("Suspicious Path Character"),
            byte => decoded.push(byte),
        }
    }
    std::str::from_utf8(&decoded).map(|_| ()).map_err(|_| "Bad UTF-8 encoding in the URI")
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn refuses_what_jetty_refuses() {
        for path in [
            "/connectors/a%2Fb",
            "/a%25b",
            "/a%5Cb",
            "/a%5cb",
            "/connectors//a",
            "//a",
            "//",
            "/a//",
            "/;a/b",
            "/%zz",
            "/%2",
            "/%",
            "/%u0041",
            "/a%00",
            "/a%1f",
            "/a%7Fb",
            "/%80",
            "/%c3%28",
            "/connectors/%2e",
            "/a/%2E%2e/b",
            "/a/.%2e",
            "/a/..;x",
            "/a/.;x",
            "/..",
            "/../a",
            "/a/../..",
            "/a\"b",
            "/{a}",
            "/a|b",
            "/a^b",
            "/[a]",
            "/a\\b",
            "/é",
            "connectors",
            "*",
        ] {
            assert!(check_path(path).is_err(), "{path}");
        }
        for path in [
            "/",
            "/connectors/",
            "/connectors/a%20b",
            "/connectors/%E6%97%A5",
            "/a+b",
            "/a:b",
            "/a;x=y",
            "/a/;x",
            "/a/.",
            "/a/..",
            "/./a",
            "/a/../b",
            "/a%3Bb",
            "/a/%20",
            "/(a)",
            "/a~b!$&'*,=@",
            "/...",
            "/a%2Eb",
        ] {
            assert_eq!(check_path(path), Ok(()), "{path}");
        }
    }

    fn request(uri: &str, hosts: &[&str]) -> Request {
        let builder = hosts.iter().fold(Request::builder().uri(uri), |builder, host| builder.header(HOST, *host));
        builder.body(Body::empty()).unwrap()
    }

    #[test]
    fn matrix_parameters_are_taken_off() {
        let path = |uri: &str| admitted(&request(uri, &["h"])).unwrap().map(|uri| uri.to_string());
        assert_eq!(path("/connectors;a=b/x;c?d;e"), Some("/connectors/x?d;e".to_owned()));
        assert_eq!(path("/connectors/x?a;b"), None);
        assert_eq!(path("/a%3Bb"), None);
    }

    #[test]
    fn there_is_one_host() {
        let refusal = |uri: &str, hosts: &[&str]| admitted(&request(uri, hosts)).err().map(|error| error.message);
        assert_eq!(refusal("/", &["h:1"]), None);
        assert_eq!(refusal("http://h:1/", &["H:1"]), None);
        assert_eq!(refusal("/", &[]).as_deref(), Some("No Host"));
        assert_eq!(refusal("/", &["a", "b"]).as_deref(), Some("Duplicate Host Header"));
        assert_eq!(refusal("/", &[""]).as_deref(), Some("Blank Host"));
        assert_eq!(refusal("/", &["a b"]).as_deref(), Some("Bad HostPort"));
        assert_eq!(refusal("http://a/", &["b"]).as_deref(), Some("Authority!=Host"));
        let long = format!("/{}", "x".repeat(MAX_URI));
        assert_eq!(refusal(&long, &["h"]).as_deref(), Some("URI Too Long"));
    }

    proptest! {
        #[test]
        fn any_path_is_judged_without_a_panic(path in "/[ -~é]{0,30}") {
            if let Err(words) = check_path(&path) {
                prop_assert!(!words.is_empty());
            }
        }
    }
}
