//! Content negotiation as JAX-RS does it: a request's body is JSON (415), the answer is JSON (406), and headers that are
//! no media types are refused (400), that of the body before any route is looked up.

use axum::extract::Request;
use axum::http::header::{ACCEPT, ALLOW, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::RestError;
use crate::media::MediaType;

/// What an endpoint takes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// JSON. Another `Content-Type` is refused, with a body or without.
    Json,
    /// Anything: the endpoint reads bytes, or nothing.
    Anything,
}

/// The values of a header as one list, as HTTP joins them. `None` when there is no such header.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<Result<String, ()>> {
    let mut values = headers.get_all(name).iter().peekable();
    values.peek()?;
    let texts: Result<Vec<&str>, _> = values.map(HeaderValue::to_str).collect();
    Some(texts.map(|texts| texts.join(",")).map_err(|_| ()))
}

fn content_type(headers: &HeaderMap) -> Result<Option<MediaType>, ()> {
    match joined(headers, &CONTENT_TYPE) {
        None => Ok(None),
        Some(text) => MediaType::parse(text?.trim()).map(Some).ok_or(()),
    }
}

fn accepted(headers: &HeaderMap) -> Result<Vec<MediaType>, ()> {
    let text = joined(headers, &ACCEPT).unwrap_or_else(|| Ok(String::new()))?;
    MediaType::parse_list(&text).ok_or(())
}

fn malformed(name: &str) -> RestError {
    RestError::bad_request(format!("The header {name} can't be read"))
}

/// Refuses a request whose `Content-Type` can't be read, wherever it goes.
pub(crate) fn check_content_type(headers: &HeaderMap) -> Result<(), RestError> {
    content_type(headers).map(|_| ()).map_err(|()| malformed("Content-Type"))
}

/// Whether a body of this request can be read as JSON: without a type, or with `application/*`, it can not.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    matches!(content_type(headers), Ok(Some(media)) if media.names_subtype("json"))
}

/// Refuses other media types, and labels the answer as the client asked for it.
pub(crate) async fn json_only(takes: Takes, request: Request, next: Next) -> Response {
    let fits = |media: MediaType| media.fits("application", "json");
    if takes == Takes::Json && !content_type(request.headers()).is_ok_and(|given| given.is_none_or(fits)) {
        return RestError::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE).into_response();
    }
    let Ok(ranges) = accepted(request.headers()) else { return malformed("Accept").into_response() };
    let Some(range) = ranges.iter().find(|range| range.fits("application", "json")) else {
        return RestError::plain(StatusCode::NOT_ACCEPTABLE).into_response();
    };
    let label = range.answer("application", "json").to_string();
    let mut response = next.run(request).await;
    if response.headers().contains_key(CONTENT_TYPE)
        && let Ok(value) = HeaderValue::from_str(&label)
    {
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
    response
}

/// The same for answers that are streams of events, and JSON where something is wrong.
pub(crate) async fn events_only(request: Request, next: Next) -> Response {
    let Ok(ranges) = accepted(request.headers()) else { return malformed("Accept").into_response() };
    if !ranges.iter().any(|range| range.fits("text", "event-stream")) {
        return RestError::plain(StatusCode::NOT_ACCEPTABLE).into_response();
    }
    next.run(request).await
}

/// The answer to `OPTIONS`: the methods as text for those who take text first, else nothing but the headers.
pub(crate) fn options(headers: &HeaderMap, allow: &'static str) -> Response {
    let Ok(ranges) = accepted(headers) else { return malformed("Accept").into_response() };
    let allow_header = (ALLOW, HeaderValue::from_static(allow));
    match ranges.first() {
        Some(range) if !range.fits("text", "plain") => {
            let label = HeaderValue::from_str(&range.to_string()).unwrap_or(HeaderValue::from_static("*/*"));
            ([allow_header, (CONTENT_TYPE, label)], ()).into_response()
        }
        _ => {
            let text = (CONTENT_TYPE, HeaderValue::from_static("text/plain"));
            ([allow_header, text], allow.replace(',', ", ")).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, text: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, text.parse().unwrap())])
    }

    fn label(text: &str) -> Option<String> {
        let ranges = accepted(&headers(ACCEPT, text)).unwrap();
        let range = ranges.iter().find(|range| range.fits("application", "json"))?;
        Some(range.answer("application", "json").to_string())
    }

    #[test]
    fn json_is_found_among_the_accepted_types() {
        for text in
            ["*/*", "*", "application/*", "*/json", "APPLICATION/json", "text/html, application/json;q=0.5", "*/*;q=0"]
        {
            assert_eq!(label(text).as_deref(), Some("application/json"), "{text}");
        }
        for text in ["text/plain", "text/*", "application/xml", "text", "*/xml"] {
            assert_eq!(label(text), None, "{text}");
        }
        for (text, answer) in [
            ("application/json; charset=UTF-8", "application/json;charset=utf-8"),
            ("application/json;q=0.3;charset=X", "application/json;charset=X"),
            ("application/json;b=c;a=d", "application/json;a=d;b=c"),
            ("application/json;v=1;q=0.1,*/*;q=0.9", "application/json"),
            ("*/*;charset=utf-8", "application/json"),
        ] {
            assert_eq!(label(text).as_deref(), Some(answer), "{text}");
        }
    }

    #[test]
    fn a_body_is_json_when_its_type_says_so() {
        assert!(is_json(&headers(CONTENT_TYPE, "application/json; charset=utf-8")));
        for other in ["application/*", "*/*", "text/plain", "nonsense"] {
            assert!(!is_json(&headers(CONTENT_TYPE, other)), "{other}");
        }
        assert!(!is_json(&HeaderMap::new()));
        let mut twice = headers(CONTENT_TYPE, "application/json");
        twice.append(CONTENT_TYPE, "application/json".parse().unwrap());
        assert!(check_content_type(&twice).is_err());
    }
}
