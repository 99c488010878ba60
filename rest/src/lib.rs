//! The Connect REST API of Apache Kafka 4.1: the only crate that knows HTTP and the JSON shapes of that API.
//!
//! A request goes through [`uri`] (what a servlet container refuses), the route table in [`routes`], content
//! negotiation in [`negotiate`], its handler, and comes back through [`cors`] and [`headers`]. Handlers read from the
//! herder's last published snapshot, which never waits, or ask the herder to do a command, which another worker may have
//! to do: then [`forward`] passes the request on.
//!
//! Beside Connect's endpoints there are those of jobs, which the JVM worker does not have, and a page for people at
//! `/portal` that uses them:
//!
//! | method and path | answer |
//! |---|---|
//! | `GET /jobs`, `GET /jobs/{job}` | the list; one job with its progress, checkpoint, error, history |
//! | `POST /jobs` | 201 and the job, `Location` |
//! | `POST /jobs/validate` | what that would say, without doing it |
//! | `PUT /jobs/{job}/start`, `pause`, `resume`, `stop`, `retry`, `restart`, `complete`, `terminate` | 202 and the job |
//! | `PUT /jobs/-/pause`, `resume` | 202 and the jobs that it changed |
//! | `DELETE /jobs/{job}` | 204 |
//! | `GET /jobs/{job}/events`, `GET /jobs/-/events` | server-sent events |
//!
//! Where it differs from the JVM worker on purpose:
//!
//! - Reads of a connector answer from the last snapshot while a rebalance is under way; the JVM answers 500. Lists wait
//!   for a worker that has not read its topics yet.
//! - What Jetty itself refuses (malformed URIs, hosts and media types) has the status it has there, and a JSON body like
//!   every other error, not Jetty's page or none.
//! - A body that does not bind is 500 as there, in other words: the JVM's name its classes.
//! - Text that is no Unicode (half of a surrogate pair, overlong UTF-8) does not bind; the JVM stores a question mark.
//! - A name with braces is created and answered with 201; the JVM creates it and fails to write the `Location`.
//! - Keys of a configuration and names of connectors come in the order given and sorted; the JVM's order is that of its
//!   hash maps. Where the order shows in messages (errors of a validation) it is the JVM's.
//! - Null for `errors.deadletterqueue.topic.name` or for a setting of the MongoDB sink is validated like any other value;
//!   the JVM fails with a null pointer.
//! - 401 for `/portal`, `/jobs` and requests of the portal carries `WWW-Authenticate`, without which no browser would ask
//!   its user for a password.

mod auth;
mod body;
mod connections;
mod cors;
mod error;
mod forward;
mod guard;
mod headers;
mod jobs;
mod json;
mod limits;
pub mod loggers;
mod media;
mod model;
mod negotiate;
mod peers;
mod portal;
mod progress;
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
