//! The three servers that the tests of one process share.

use std::sync::{Once, OnceLock};

use super::failure::Failure;
use super::{Kafka, Mongo, Postgres, PostgresOptions, notice, reaper};

/// Kafka, Postgres and MongoDB.
#[derive(Debug)]
pub struct Servers {
    pub kafka: Kafka,
    pub postgres: Postgres,
    pub mongo: Mongo,
}

static SHARED: OnceLock<Result<Servers, String>> = OnceLock::new();

impl Servers {
    /// The servers of this process, started by the first caller. Logs stay when a test fails.
    ///
    /// # Panics
    /// When a server does not start: no test can go on then.
    pub fn shared() -> &'static Self {
        let servers = SHARED.get_or_init(|| {
            keep_logs_on_panic();
            Self::start().map_err(|failure| failure.to_string())
        });
        match servers {
            Ok(servers) => servers,
            Err(message) => panic!("{message}"),
        }
    }

    fn start() -> Result<Self, Failure> {
        let started = std::time::Instant::now();
        let gone = |_| Err(Failure::new("a server's start panicked"));
        let (kafka, postgres, mongo) = std::thread::scope(|scope| {
            let kafka = scope.spawn(|| Kafka::start("kafka"));
            let postgres = scope.spawn(|| Postgres::start("postgres", PostgresOptions::default()));
            let mongo = Mongo::start("mongodb");
            (
                kafka.join().unwrap_or_else(gone),
                postgres.join().unwrap_or_else(|_| Err(Failure::new("a server's start panicked"))),
                mongo,
            )
        });
        let servers = Self { kafka: kafka?, postgres: postgres?, mongo: mongo? };
        notice::say(&format!("servers ready after {:.1} s", started.elapsed().as_secs_f64()));
        Ok(servers)
    }
}

/// Once, however many servers of a process ask for it.
pub(crate) fn keep_logs_on_panic() {
    static ASKED: Once = Once::new();
    ASKED.call_once(hook);
}

fn hook() {
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |information| {
        previous(information);
        if let Ok(run) = reaper::run_directory() {
            reaper::keep_logs();
            eprintln!("testbed: the logs of servers and workers stay in {}", run.join("logs").display());
        }
    }));
}
