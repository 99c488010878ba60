//! Real servers and a real worker as child processes, for the integration tests and the quickstart.
//!
//! Invariants: what is missing is fetched once into a cache that all processes of a user share; servers listen on free
//! ports of the loopback interface and keep their data in a directory of the run; nothing that was started outlives
//! the process that started it, however that ended; every wait has a limit.

pub mod agree;
pub mod api;
pub mod cache;
mod connectors;
pub mod failure;
pub mod generations;
pub mod jvm;
pub mod kafka;
mod maven;
pub mod mongo;
pub mod notice;
pub mod packages;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod proxy;
mod python;
pub mod reaper;
pub mod registry;
pub mod servers;
pub mod tls;
pub mod topics;
mod versions;
pub mod wait;
pub mod worker;

pub use api::{Answer, Api};
pub use connectors::{mongo_sink, postgres_source};
pub use failure::{Advise, Failure, OrFail};
pub use generations::{Generation, Generations};
pub use kafka::Kafka;
pub use mongo::Mongo;
pub use postgres::{Postgres, PostgresAddress, PostgresOptions};
pub use process::Process;
pub use proxy::Proxy;
pub use registry::Registry;
pub use servers::Servers;
pub use topics::Topics;
pub use wait::{eventually, eventually_async, eventually_moving};
pub use worker::{Kind, Worker, WorkerSetup};
