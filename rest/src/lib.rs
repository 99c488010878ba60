//! The Connect REST API of Apache Kafka 4.1: the only crate that knows HTTP and the JSON shapes of that API.
//!
//! A request goes through [`uri`] (what a servlet container refuses), the route table in [`routes`], content
//! negotiation in [`negotiate`], its handler, and comes back through [`cors`] and [`headers`]. Handlers read from the
//! herder's last published snapshot, which never waits, or ask the herder to do a command, which another worker may have
//! to do: then [`forward`] passes the request on.

mod auth;
mod body;
mod connections;
mod cors;
mod error;
mod forward;
mod guard;
mod headers;
mod json;
mod limits;
pub mod loggers;
mod media;
mod model;
mod negotiate;
mod peers;
mod routes;
mod scrape;
mod serve;
mod settings;
mod uri;

pub use auth::BasicAuth;
pub use cors::Cors;
pub use limits::Limits;
pub use loggers::{LogLevels, Loggers};
pub use peers::peer_client;
pub use scrape::{MetricsAccess, MetricsEndpoint, Scrape, serve_metrics};
pub use serve::{Listeners, RestServer, ServeError, serve};
pub use settings::{AdminListeners, Bind, HeaderRule, RestSettings, SettingsError};

/// The version that `GET /` reports: that of the API that this worker implements, because tools choose by it.
pub const API_VERSION: &str = "4.1.1";
/// The commit of that version, which `GET /` reports beside it.
pub const API_COMMIT: &str = "be816b82d25370ce";
