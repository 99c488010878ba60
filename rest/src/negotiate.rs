//! Content negotiation of every endpoint: a body is JSON (415), the answer is JSON (406).

use axum::extract::Request;
use axum::http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::RestError;

const JSON: &str = "application/json";

/// Refuses other media types, and echoes a charset that the client asked for.
pub(crate) async fn json_only(request: Request, next: Next) -> Response {
    if !body_is_json(request.method(), request.headers()) {
        return RestError::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE).into_response();
    }
    let Some(answer_type) = accepted(request.headers()) else {
        return RestError::plain(StatusCode::NOT_ACCEPTABLE).into_response();
    };
    let mut response = next.run(request).await;
    if response.headers().contains_key(CONTENT_TYPE)
        && answer_type != JSON
        && let Ok(value) = HeaderValue::from_str(&answer_type)
    {
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
    response
}

fn body_is_json(method: &Method, headers: &HeaderMap) -> bool {
    if matches!(*method, Method::GET | Method::HEAD) {
        return true;
    }
    match headers.get(CONTENT_TYPE) {
        Some(value) => value.to_str().is_ok_and(|text| media_type(text).eq_ignore_ascii_case(JSON)),
        None => {
            let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
            length.is_none_or(|length| length == "0") && !headers.contains_key(TRANSFER_ENCODING)
        }
    }
}

fn media_type(text: &str) -> &str {
    text.split(';').next().unwrap_or_default().trim()
}

/// The content type to answer with, or `None` when the client takes no JSON.
fn accepted(headers: &HeaderMap) -> Option<String> {
    let mut ranges = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
    if ranges.peek().is_none() {
        return Some(JSON.to_owned());
    }
    ranges.flat_map(|value| value.split(',')).find_map(accepted_range)
}

fn accepted_range(range: &str) -> Option<String> {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default().to_ascii_lowercase();
    if !matches!(media.as_str(), JSON | "application/*" | "*/*" | "*") {
        return None;
    }
    let mut answer = JSON.to_owned();
    for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
        let (name, value) = (name.trim(), value.trim());
        if name.eq_ignore_ascii_case("q") && value.parse::<f32>().is_ok_and(|quality| quality <= 0.0) {
            return None;
        }
        if name.eq_ignore_ascii_case("charset") {
            answer = format!("{JSON};charset={value}");
        }
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(text: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, text.parse().unwrap());
        accepted(&headers)
    }

    #[test]
    fn json_is_found_among_the_accepted_types() {
        for text in ["*/*", "application/*", "application/json", "text/html, application/json;q=0.5"] {
            assert_eq!(accept(text).as_deref(), Some(JSON), "{text}");
        }
        for text in ["text/plain", "text/html", "application/xml", "application/json;q=0"] {
            assert_eq!(accept(text), None, "{text}");
        }
        assert_eq!(accept("application/json; charset=utf-8").as_deref(), Some("application/json;charset=utf-8"));
        assert_eq!(accepted(&HeaderMap::new()).as_deref(), Some(JSON));
    }

    #[test]
    fn a_body_needs_a_content_type_and_no_body_needs_none() {
        let mut headers = HeaderMap::new();
        assert!(body_is_json(&Method::PUT, &headers));
        headers.insert(CONTENT_LENGTH, "2".parse().unwrap());
        assert!(!body_is_json(&Method::POST, &headers));
        headers.insert(CONTENT_TYPE, "application/json; charset=utf-8".parse().unwrap());
        assert!(body_is_json(&Method::POST, &headers));
        headers.insert(CONTENT_TYPE, "application/x-www-form-urlencoded".parse().unwrap());
        headers.insert(CONTENT_LENGTH, "0".parse().unwrap());
        assert!(!body_is_json(&Method::PUT, &headers));
    }
}
