//! Errors as the API answers them: a status and `{"error_code": .., "message": ..}`.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::json::Json;

/// An error answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RestError {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    /// False when no endpoint answered: the JVM worker does not label such answers with a media type.
    matched: bool,
}

/// Marks an answer that no endpoint gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unmatched;

#[derive(Serialize)]
struct ErrorMessage<'a> {
    error_code: u16,
    message: &'a str,
}

impl RestError {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), matched: true }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// What JAX-RS says of a request that no resource serves: `HTTP 404 Not Found`.
    pub(crate) fn plain(status: StatusCode) -> Self {
        let message = format!("HTTP {} {}", status.as_u16(), status.canonical_reason().unwrap_or_default());
        Self { status, message, matched: false }
    }

    /// The same, said by an endpoint.
    pub(crate) fn matched(self) -> Self {
        Self { matched: true, ..self }
    }
}

impl IntoResponse for RestError {
    fn into_response(self) -> Response {
        let body = Json(ErrorMessage { error_code: self.status.as_u16(), message: &self.message });
        let mut response = (self.status, body).into_response();
        if !self.matched {
            response.extensions_mut().insert(Unmatched);
        }
        response
    }
}

/// What a handler answers.
pub(crate) type RestResult<T = Response> = Result<T, RestError>;
