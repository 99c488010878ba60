//! Listening: binds the listeners, and serves the routes until told to stop.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::middleware::{from_fn, from_fn_with_state};
use axum::{Extension, Router};
use connect_cluster::Herd;
use connect_cluster::jobs::Jobs;
use connect_config::worker::{Listener, Scheme};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::auth::BasicAuth;
use crate::forward::Forwarder;
use crate::guard::Guard;
use crate::loggers::Loggers;
use crate::routes::{self, App, Table};
use crate::settings::{AdminListeners, Bind, RestSettings};
use crate::{connections, cors, headers, limits, uri};

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
}

/// Listeners that are open; nobody is answered yet.
#[derive(Debug)]
pub struct Listeners {
    main: Vec<Open>,
    admin: Vec<Open>,
}

#[derive(Debug)]
struct Open {
    socket: TcpListener,
    bind: Bind,
    address: SocketAddr,
}

impl Listeners {
    /// Opens the listeners of the main API and of the admin endpoints.
    ///
    /// # Errors
    /// When one can't be opened.
    pub async fn bind(settings: &RestSettings) -> Result<Self, ServeError> {
        let admin = match &settings.admin_listeners {
            AdminListeners::Own(binds) => open_all(binds).await?,
            AdminListeners::Main | AdminListeners::Disabled => Vec::new(),
        };
        Ok(Self { main: open_all(&settings.listeners).await?, admin })
    }

    /// The listeners of the main API with the ports that they really got.
    pub fn main(&self) -> Vec<Listener> {
        let bound = |open: &Open| Listener { port: open.address.port(), ..open.bind.listener.clone() };
        self.main.iter().map(bound).collect()
    }
}

async fn open_all(binds: &[Bind]) -> Result<Vec<Open>, ServeError> {
    let mut opened = Vec::with_capacity(binds.len());
    for bind in binds {
        let Listener { scheme, host, port } = &bind.listener;
        let failed = |source| ServeError::Bind {
            address: format!("{scheme}://{}:{port}", host.as_deref().unwrap_or_default()),
            source,
        };
        let socket = connections::bind(host.as_deref(), *port).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        tracing::info!(%address, %scheme, "REST API listening");
        opened.push(Open { socket, bind: bind.clone(), address });
    }
    Ok(opened)
}

/// A served API.
#[derive(Debug)]
pub struct RestServer {
    addresses: Vec<SocketAddr>,
    admin_addresses: Vec<SocketAddr>,
    servers: Vec<JoinHandle<()>>,
}

impl RestServer {
    /// The addresses of the main listeners, with the ports that were really bound.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The addresses of the listeners that the admin endpoints have for themselves.
    pub fn admin_addresses(&self) -> &[SocketAddr] {
        &self.admin_addresses
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

/// Serves open listeners until `cancel` is cancelled. Without `jobs` there are no paths for them, nor the portal. `peers` sends requests on to other workers, see
/// [`crate::peer_client`].
pub fn serve(
    listeners: Listeners,
    settings: &RestSettings,
    herd: Arc<dyn Herd>,
    jobs: Option<Arc<dyn Jobs>>,
    loggers: Arc<dyn Loggers>,
    peers: reqwest::Client,
    cancel: &CancellationToken,
) -> RestServer {
    let app = App {
        herd,
        loggers,
        forwarder: Forwarder::new(peers),
        metrics: settings.metrics.clone(),
        topic_tracking: settings.topic_tracking,
        topic_tracking_reset: settings.topic_tracking_reset,
        jobs,
        stop: cancel.clone(),
    };
    let main = match settings.admin_listeners {
        AdminListeners::Main => routes::main().merge(routes::admin()),
        AdminListeners::Disabled | AdminListeners::Own(_) => routes::main(),
    };
    let main = if app.jobs.is_some() { main.merge(routes::jobs()) } else { main };
    let addresses = |open: &[Open]| open.iter().map(|open| open.address).collect();
    let mut server = RestServer {
        addresses: addresses(&listeners.main),
        admin_addresses: addresses(&listeners.admin),
        servers: Vec::new(),
    };
    let max = settings.limits.max_connections;
    let main = main_router(main, app.clone(), settings);
    let admin = router(routes::admin_alone(), app, settings, None);
    for (open, router) in listeners
        .main
        .into_iter()
        .map(|open| (open, main.clone()))
        .chain(listeners.admin.into_iter().map(|open| (open, admin.clone())))
    {
        let router = admitted(router, open.bind.listener.scheme);
        let served = connections::serve(open.socket, open.bind.tls, max, router, cancel.clone());
        server.servers.push(tokio::spawn(served));
    }
    server
}

/// Routes with what is checked of every request that found one.
fn router(table: Table, app: App, settings: &RestSettings, auth: Option<Arc<BasicAuth>>) -> Router {
    table.into_router(app).layer(Extension(Guard::new(auth, settings.limits.max_body)))
}

/// Routes with what concerns the main listeners only.
fn main_router(table: Table, app: App, settings: &RestSettings) -> Router {
    let mut router = router(table, app, settings, settings.auth.clone());
    if !settings.response_headers.is_empty() {
        let rules: Arc<[_]> = settings.response_headers.clone().into();
        router = router.layer(from_fn_with_state(rules, headers::apply));
    }
    if let Some(cors) = &settings.cors {
        router = router.layer(from_fn_with_state(Arc::new(cors.clone()), cors::apply));
    }
    router
}

/// What a listener does with a request before anything else: it refuses what is malformed, without marks of any kind, and
/// says what it speaks. Around the routes, not behind them: it changes the path by which they are found.
fn admitted(router: Router, scheme: Scheme) -> Router {
    let admitted = Router::new().fallback_service(router).layer(from_fn(uri::admit)).layer(from_fn(limits::heads));
    admitted.layer(Extension(scheme))
}
