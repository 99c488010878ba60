//! What is checked once a route has been found, and before its handler runs: who asks (401), how much is sent (413), and
//! how long that takes (408). So a path that does not exist is 404 to everybody, and a body is read only for those who
//! may send one.
//!
//! All bodies of a listener together are bounded, too. Those of requests between workers, which pass without a password
//! because they are signed, can't be judged before they are read: where passwords are asked for they have a bound of their
//! own, so that strangers can't use up the room of users.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::auth::{self, BasicAuth};
use crate::error::RestError;

/// How long a body may take to arrive, as long as a request may take (`DEFAULT_REST_REQUEST_TIMEOUT_MS`), and how long it
/// may wait for room among the others.
const TIMES: Times = Times { body: Duration::from_secs(90), room: Duration::from_secs(10) };

/// How many of the largest bodies there is room for.
const ROOM: usize = 4;
/// The same for bodies of requests between workers, where passwords are asked for.
const ROOM_BETWEEN_WORKERS: usize = 2;

/// What a listener's requests are checked for; it travels with each request.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    /// `None` lets everybody in.
    pub(crate) auth: Option<Arc<BasicAuth>>,
    /// Bytes of the largest body.
    max_body: usize,
    /// Room for bodies, in bytes, and for those of requests between workers.
    room: Arc<Semaphore>,
    room_between_workers: Arc<Semaphore>,
}

impl Guard {
    /// `max_body` is the size of the largest body, in bytes.
    pub(crate) fn new(auth: Option<Arc<BasicAuth>>, max_body: usize) -> Self {
        let room = |bodies: usize| {
            let bytes = max_body.saturating_mul(bodies).min(Semaphore::MAX_PERMITS);
            Arc::new(Semaphore::new(bytes))
        };
        Self { auth, max_body, room: room(ROOM), room_between_workers: room(ROOM_BETWEEN_WORKERS) }
    }

    /// Where the body of a request finds room.
    fn room(&self, request: &Request) -> Arc<Semaphore> {
        let unproved = self.auth.is_some() && auth::is_internal(request.method(), request.uri().path());
        Arc::clone(if unproved { &self.room_between_workers } else { &self.room })
    }
}

/// Lets a request through with its body read, or answers it.
pub(crate) async fn admit(request: Request, next: Next) -> Response {
    let Some(guard) = request.extensions().get::<Guard>().cloned() else {
        // Every listener has one; without it nobody was asked who they are.
        return RestError::internal("This listener does not say who may use it").into_response();
    };
    if let Some(auth) = &guard.auth
        && let Err(refusal) = auth.check(request.method(), request.uri().path(), request.headers())
    {
        return *refusal;
    }
    let room = guard.room(&request);
    match read(request, guard.max_body, TIMES, &room).await {
        Ok((request, taken)) => {
            let response = next.run(request).await;
            drop(taken);
            response
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// How long reading a body waits.
#[derive(Clone, Copy)]
struct Times {
    /// For all of it.
    body: Duration,
    /// For room.
    room: Duration,
}

/// The room that a body takes, until it is dropped.
type Taken = Option<OwnedSemaphorePermit>;

/// Reads the whole body, which handlers then find ready.
async fn read(
    request: Request,
    max: usize,
    times: Times,
    room: &Arc<Semaphore>,
) -> Result<(Request, Taken), RestError> {
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > max)) {
        return Err(too_large(max));
    }
    let (parts, body) = request.into_parts();
    let (body, taken) =
        tokio::time::timeout(times.body, collect(body, max, times.room, room)).await.map_err(|_| {
            let message = format!("The body of the request did not arrive within {} seconds", times.body.as_secs());
            RestError::new(StatusCode::REQUEST_TIMEOUT, message)
        })??;
    Ok((Request::from_parts(parts, Body::from(body)), taken))
}

/// The bytes of a body. Room is taken for what has come, not for what was announced.
async fn collect(
    body: Body,
    max: usize,
    patience: Duration,
    room: &Arc<Semaphore>,
) -> Result<(Vec<u8>, Taken), RestError> {
    let mut body = Limited::new(body, max);
    let (mut bytes, mut taken) = (Vec::new(), Taken::None);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            if error.is::<LengthLimitError>() {
                too_large(max)
            } else {
                RestError::bad_request(format!("The body of the request can't be read: {error}"))
            }
        })?;
        // What is no data are trailers.
        let Ok(data) = frame.into_data() else { continue };
        let more = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let waiting = tokio::time::timeout(patience, Arc::clone(room).acquire_many_owned(more));
        let Ok(Ok(permit)) = waiting.await else {
            return Err(RestError::new(StatusCode::SERVICE_UNAVAILABLE, "Too many bodies of requests are being read"));
        };
        match &mut taken {
            Some(taken) => taken.merge(permit),
            None => taken = Some(permit),
        }
        bytes.extend_from_slice(&data);
    }
    Ok((bytes, taken))
}

fn too_large(max: usize) -> RestError {
    let message = format!("The body of the request is larger than {max} bytes (rest.max.request.bytes)");
    RestError::new(StatusCode::PAYLOAD_TOO_LARGE, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Times = Times { body: Duration::from_millis(20), room: Duration::from_millis(5) };

    async fn outcome(body: Body, announced: Option<&str>) -> Result<usize, u16> {
        let mut request = Request::new(body);
        if let Some(length) = announced {
            request.headers_mut().insert(CONTENT_LENGTH, length.parse().unwrap());
        }
        let room = Arc::new(Semaphore::new(10));
        let read = read(request, 10, SHORT, &room).await;
        let (read, _taken) = read.map_err(|refusal| refusal.status.as_u16())?;
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

    #[tokio::test]
    async fn bodies_have_room_together() {
        let room = Arc::new(Semaphore::new(15));
        let body = || Request::new(Body::from("0123456789"));
        let (_, taken) = read(body(), 10, SHORT, &room).await.unwrap();
        assert_eq!(room.available_permits(), 5);
        assert_eq!(read(body(), 10, SHORT, &room).await.unwrap_err().status.as_u16(), 503);
        drop(taken);
        assert!(read(body(), 10, SHORT, &room).await.is_ok());
        assert_eq!(room.available_permits(), 15, "what was refused or answered takes none");
    }

    #[test]
    fn requests_between_workers_have_room_of_their_own_where_passwords_are_asked_for() {
        let auth = BasicAuth::from_extensions(&["BasicAuthSecurityRestExtension".to_owned()], None).unwrap();
        let request =
            |method: &str, path: &str| Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let (asks, open) = (Guard::new(auth.map(Arc::new), 10), Guard::new(None, 10));
        assert_eq!(asks.room(&request("POST", "/connectors/a/tasks")).available_permits(), 20);
        assert_eq!(asks.room(&request("PUT", "/connectors/a/config")).available_permits(), 40);
        assert_eq!(open.room(&request("POST", "/connectors/a/tasks")).available_permits(), 40);
    }
}
