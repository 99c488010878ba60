//! Listening: binds the listeners and serves the routes until told to stop.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use connect_cluster::Herd;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::forward::Forwarder;
use crate::loggers::Loggers;
use crate::routes::{self, App, Table};
use crate::settings::{AdminListeners, RestSettings};
use crate::{cors, headers, uri};

/// Why the API can't be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A listener could not be opened.
    #[error("cannot listen on {address}: is the port free, and the address one of this machine?")]
    Bind {
        /// The listener as configured.
        address: String,
        #[source]
        source: std::io::Error,
    },
    /// The client for other workers could not be made.
    #[error("cannot make the HTTP client for requests between workers")]
    Client(#[from] reqwest::Error),
}

/// A served API.
#[derive(Debug)]
pub struct RestServer {
    addresses: Vec<SocketAddr>,
    servers: Vec<JoinHandle<()>>,
}

impl RestServer {
    /// The addresses of the main listeners, with the ports that were really bound.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Waits until every server has ended, which they do once the token given to [`serve`] is cancelled and the
    /// requests under way are answered.
    pub async fn stopped(self) {
        for server in self.servers {
            if let Err(error) = server.await {
                tracing::error!(%error, "a REST listener ended unexpectedly");
            }
        }
    }
}

/// Binds all listeners, then serves them until `cancel` is cancelled.
pub async fn serve(
    settings: &RestSettings,
    herd: Arc<dyn Herd>,
    loggers: Arc<dyn Loggers>,
    cancel: CancellationToken,
) -> Result<RestServer, ServeError> {
    let app = App {
        herd,
        loggers,
        forwarder: Forwarder::new()?,
        topic_tracking: settings.topic_tracking,
        topic_tracking_reset: settings.topic_tracking_reset,
    };
    let main = match settings.admin_listeners {
        AdminListeners::Main => routes::main().merge(routes::admin()),
        AdminListeners::Disabled | AdminListeners::Own(_) => routes::main(),
    };
    let mut server = RestServer { addresses: Vec::new(), servers: Vec::new() };
    let main = router(main, app.clone(), settings);
    for listener in &settings.listeners {
        let (address, task) = listen(listener, main.clone(), cancel.clone()).await?;
        server.addresses.push(address);
        server.servers.push(task);
    }
    if let AdminListeners::Own(listeners) = &settings.admin_listeners {
        let admin = router(routes::admin(), app, settings);
        for listener in listeners {
            let (_, task) = listen(listener, admin.clone(), cancel.clone()).await?;
            server.servers.push(task);
        }
    }
    Ok(server)
}

fn router(table: Table, app: App, settings: &RestSettings) -> Router {
    let mut router = table.into_router(app).layer(from_fn(uri::refuse_ambiguous));
    if let Some(cors) = &settings.cors {
        router = router.layer(from_fn_with_state(Arc::new(cors.clone()), cors::apply));
    }
    if !settings.response_headers.is_empty() {
        let rules: Arc<[_]> = settings.response_headers.clone().into();
        router = router.layer(from_fn_with_state(rules, headers::apply));
    }
    router
}

async fn listen(
    address: &str,
    router: Router,
    cancel: CancellationToken,
) -> Result<(SocketAddr, JoinHandle<()>), ServeError> {
    let failed = |source| ServeError::Bind { address: address.to_owned(), source };
    let wildcard = address.strip_prefix(':').map(|port| format!("0.0.0.0:{port}"));
    let listener = TcpListener::bind(wildcard.as_deref().unwrap_or(address)).await.map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    tracing::info!(address = %local, "REST API listening");
    let task = tokio::spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(cancel.cancelled_owned());
        if let Err(error) = served.await {
            tracing::error!(%error, "the REST listener failed");
        }
    });
    Ok((local, task))
}
