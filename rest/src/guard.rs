//! What is checked once a route has been found, and before its handler runs: who asks (401), how much is sent (413), and
//! how long that takes (408). So a path that does not exist is 404 to everybody, and a body is read only for those who
//! may send one.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::auth::BasicAuth;
use crate::error::RestError;

/// How long a body may take to arrive: as long as a request may take (`DEFAULT_REST_REQUEST_TIMEOUT_MS`).
const BODY_TIME: Duration = Duration::from_secs(90);

/// What a listener's requests are checked for; it travels with each request.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    /// `None` lets everybody in.
    pub(crate) auth: Option<Arc<BasicAuth>>,
    /// Bytes of the largest body.
    pub(crate) max_body: usize,
}

/// Lets a request through with its body read, or answers it.
pub(crate) async fn admit(request: Request, next: Next) -> Response {
    let Some(guard) = request.extensions().get::<Guard>().cloned() else { return next.run(request).await };
    if let Some(auth) = &guard.auth
        && let Err(refusal) = auth.check(request.method(), request.uri().path(), request.headers())
    {
        return *refusal;
    }
    match read(request, guard.max_body, BODY_TIME).await {
        Ok(request) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// Reads the whole body, which handlers then find ready.
async fn read(request: Request, max: usize, time: Duration) -> Result<Request, RestError> {
    let too_large = || {
        RestError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("The body of the request is larger than {max} bytes (rest.max.request.bytes)"),
        )
    };
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > max)) {
        return Err(too_large());
    }
    let (parts, body) = request.into_parts();
    let collected = tokio::time::timeout(time, Limited::new(body, max).collect()).await;
    match collected {
        Ok(Ok(body)) => Ok(Request::from_parts(parts, Body::from(body.to_bytes()))),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(RestError::bad_request(format!("The body of the request can't be read: {error}"))),
        Err(_) => Err(RestError::new(
            StatusCode::REQUEST_TIMEOUT,
            format!("The body of the request did not arrive within {} seconds", time.as_secs()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn outcome(body: Body, announced: Option<&str>) -> Result<usize, u16> {
        let mut request = Request::new(body);
        if let Some(length) = announced {
            request.headers_mut().insert(CONTENT_LENGTH, length.parse().unwrap());
        }
        let read = read(request, 10, Duration::from_millis(20)).await.map_err(|refusal| refusal.status.as_u16())?;
        Ok(read.into_body().collect().await.unwrap().to_bytes().len())
    }

    #[tokio::test]
    async fn bodies_are_bounded_in_size_and_time() {
        assert_eq!(outcome(Body::from("0123456789"), None).await, Ok(10));
        assert_eq!(outcome(Body::from("0123456789a"), None).await, Err(413));
        assert_eq!(outcome(Body::empty(), Some("11")).await, Err(413));
        assert_eq!(outcome(Body::empty(), Some("99999999999999999999999")).await, Ok(0));
        let (_sender, never) = tokio::sync::oneshot::channel::<()>();
        let stream = futures_util::stream::once(async move {
            never.await.ok();
            Ok::<_, std::io::Error>("late")
        });
        assert_eq!(outcome(Body::from_stream(stream), None).await, Err(408));
    }
}
