//! Cross-origin requests (`access.control.allow.origin`, `access.control.allow.methods`), answered as Jetty's filter
//! answers them: other origins are served too, only without the headers that a browser asks for.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD,
    ORIGIN, VARY,
};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::settings::Cors;

/// Seconds for which a browser may keep a preflight's answer.
const MAX_AGE_SECONDS: &str = "1800";

/// Answers preflights of allowed origins, and marks their other responses.
pub(crate) async fn apply(State(cors): State<Arc<Cors>>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(ORIGIN).cloned();
    let allowed = origin.filter(|origin| is_allowed(&cors, origin));
    let preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let requested_headers = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let mut response =
        if preflight && allowed.is_some() { StatusCode::OK.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = allowed else { return response };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    if preflight {
        let methods = if cors.methods.is_empty() { "GET,POST,HEAD".to_owned() } else { cors.methods.join(",") };
        if let Ok(methods) = HeaderValue::from_str(&methods) {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        }
        let names = requested_headers
            .unwrap_or_else(|| HeaderValue::from_static("X-Requested-With,Content-Type,Accept,Origin"));
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE_SECONDS));
    }
    response
}

fn is_allowed(cors: &Cors, origin: &HeaderValue) -> bool {
    let Ok(origin) = origin.to_str() else { return false };
    cors.origins.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin))
}
