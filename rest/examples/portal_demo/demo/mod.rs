//! A worker that pretends: the real REST server, with jobs in all states whose figures move. Nothing is replicated.

mod cast;
mod herd;
mod world;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use connect_config::worker::Listener;
use connect_rest::{Bind, Listeners, LogLevels, RestServer, RestSettings, peer_client, serve};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use herd::DemoHerd;
use world::World;

/// How often figures move.
const TICK: Duration = Duration::from_millis(500);

/// The worker that pretends.
pub(crate) struct Demo {
    pub(crate) url: String,
    cancel: CancellationToken,
    server: RestServer,
    clock: JoinHandle<()>,
}

impl Demo {
    /// Listens; `pace` is how fast time goes for the jobs.
    pub(crate) async fn start(listener: &str, pace: f64) -> Result<Self, Box<dyn Error>> {
        if rustls::crypto::ring::default_provider().install_default().is_err() {
            // Somebody else in this process did it.
        }
        let world = Arc::new(World::new(cast::everybody()));
        let settings = RestSettings {
            listeners: vec![Bind { listener: Listener::parse(listener)?, tls: None }],
            ..RestSettings::default()
        };
        let listeners = Listeners::bind(&settings).await?;
        let cancel = CancellationToken::new();
        let levels = Arc::new(LogLevels::new("INFO", || 0, |_| {}));
        let herd = Arc::new(DemoHerd(Arc::clone(&world)));
        let server =
            serve(listeners, &settings, herd, Some(Arc::clone(&world) as _), levels, peer_client(None)?, &cancel);
        let url = server.addresses().first().map(|address| format!("http://{address}")).unwrap_or_default();
        let stop = cancel.clone();
        let clock = tokio::spawn(async move {
            while tokio::time::timeout(TICK, stop.cancelled()).await.is_err() {
                world.tick(TICK.as_secs_f64() * pace);
            }
        });
        Ok(Self { url, cancel, server, clock })
    }

    /// Ends it.
    pub(crate) async fn stop(self) {
        self.cancel.cancel();
        self.server.stopped().await;
        if let Err(error) = self.clock.await {
            eprintln!("the clock of the demo failed: {error}");
        }
    }
}
