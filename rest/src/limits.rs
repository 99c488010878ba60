//! Bounds of what a client may ask of a listener.

use std::time::Duration;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::RestError;

/// How long the next request may take to begin and to send its headers: the JVM worker's idle time.
pub(crate) const HEAD_TIME: Duration = Duration::from_secs(90);
/// How long a client may take nothing of an answer.
pub(crate) const WRITE_TIME: Duration = Duration::from_secs(90);
/// How long a TLS handshake may take.
pub(crate) const HANDSHAKE_TIME: Duration = Duration::from_secs(30);
/// How long requests under way may take when the worker stops (`RestServer.GRACEFUL_SHUTDOWN_TIMEOUT_MS`).
pub(crate) const GRACE: Duration = Duration::from_secs(60);
/// The same for connections without a request under way.
pub(crate) const IDLE_GRACE: Duration = Duration::from_secs(1);
/// Bytes of a connection's read buffer. A head that does not fit is refused before it gets as far as [`heads`].
pub(crate) const READ_BUFFER: usize = 64 * 1024;
/// Bytes of a request line with its headers: Jetty's bound.
const HEAD_BYTES: usize = 8 * 1024;

/// Limits that are settings.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `rest.max.request.bytes`.
    pub max_body: usize,
    /// `rest.max.connections`, of each listener.
    pub max_connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_body: 32 * 1024 * 1024, max_connections: 1024 }
    }
}

/// Refuses large headers with 431. That of a long URI is the matter of [`crate::uri`].
pub(crate) async fn heads(request: Request, next: Next) -> Response {
    let headers = request.headers().iter();
    let bytes: usize = headers.map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum();
    if bytes > HEAD_BYTES {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return RestError::new(status, "Request Header Fields Too Large").into_response();
    }
    next.run(request).await
}
