//! The connections of a listener: accepted while there is room, encrypted where the listener is HTTPS, served one request
//! after another, and ended without breaking off a request.
//!
//! Each connection is a task of its own, its TLS handshake included, so that nothing which one client does or does not do
//! holds up another.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::jobs::stream::Endless;
use crate::limits::{GRACE, HANDSHAKE_TIME, HEAD_TIME, IDLE_GRACE, READ_BUFFER, WRITE_TIME};
use crate::progress::{Activity, Progress};

/// Pause after a connection could not be accepted, for example because there are no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves a listener until `cancel` is cancelled and the requests under way are answered.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    max_connections: usize,
    router: Router,
    cancel: CancellationToken,
) {
    let room = Arc::new(Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS)));
    let tls = tls.map(TlsAcceptor::from);
    let connections = TaskTracker::new();
    let accepting = async {
        loop {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (tls, router, cancel) = (tls.clone(), router.clone(), cancel.clone());
                    connections.spawn(async move {
                        connection(stream, tls, router, cancel).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection to the REST API could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = cancel.cancelled() => {}
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// One connection from its handshake to its end.
async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, router: Router, cancel: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection to the REST API can't be set to send at once");
    }
    let Some(tls) = tls else { return requests(stream, router, cancel).await };
    let handshake = tokio::select! {
        handshake = tokio::time::timeout(HANDSHAKE_TIME, tls.accept(stream)) => handshake,
        () = cancel.cancelled() => return,
    };
    match handshake {
        Ok(Ok(stream)) => requests(stream, router, cancel).await,
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake with the REST API failed"),
        Err(_) => tracing::debug!("a TLS handshake with the REST API took too long"),
    }
}

/// Serves the requests of a connection. It is at work until the answer has been sent, not only until it is known.
async fn requests<S>(stream: S, router: Router, cancel: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Activity::default();
    let stream = Progress::new(stream, activity.clone(), WRITE_TIME);
    let service = {
        let activity = activity.clone();
        service_fn(move |request: hyper::Request<Incoming>| {
            let (router, answering) = (router.clone(), activity.answering());
            async move {
                let response = router.oneshot(request.map(Body::new)).await;
                let response = response.map(|response| {
                    if response.extensions().get::<Endless>().is_some() {
                        answering.never_ends();
                    }
                    response.map(|body| answering.until(body))
                });
                response as Result<_, Infallible>
            }
        })
    };
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(READ_BUFFER);
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = cancel.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let grace = if activity.is_busy() { GRACE } else { IDLE_GRACE };
            tokio::time::timeout(grace, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection to the REST API ended early");
    }
}

/// Binds an address; no host stands for all interfaces, of IPv6 as well where there is IPv6.
pub(crate) async fn bind(host: Option<&str>, port: u16) -> io::Result<TcpListener> {
    match host {
        Some(host) => TcpListener::bind((host, port)).await,
        None => match TcpListener::bind(("::", port)).await {
            Ok(listener) => Ok(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
            Err(_) => TcpListener::bind(("0.0.0.0", port)).await,
        },
    }
}
