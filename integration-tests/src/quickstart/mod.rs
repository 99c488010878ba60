//! `cargo quickstart`: from Postgres through Kafka to MongoDB on one worker, from nothing, with one command.
//!
//! Every number on the screen is looked up in the system it speaks of: rows in Postgres, records in Kafka, documents in
//! MongoDB. The end is a comparison of both ends, row by row and column by column.

mod changes;
mod ends;
mod fill;
mod pause;
mod pipeline;
mod screen;
mod shop;

use std::sync::OnceLock;

use clap::Parser;

use crate::testbed::agree::{Comparison, compare};
use crate::testbed::{Failure, OrFail, Worker, WorkerSetup, worker};
use ends::Ends;
use pipeline::{SINK, SOURCE};
use screen::Screen;
use shop::TABLES;

/// From Postgres through Kafka to MongoDB on one worker.
///
/// Servers that are not given are fetched and started on free ports, and end with this program.
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo quickstart", version)]
pub struct Options {
    /// Use this running Kafka: HOST:PORT.
    #[arg(long)]
    bootstrap: Option<String>,
    /// Use this running Postgres (wal_level=logical): postgres://user:password@host:port/database.
    #[arg(long)]
    postgres: Option<String>,
    /// Use this running MongoDB: mongodb://host:port.
    #[arg(long)]
    mongodb: Option<String>,
    /// End when both ends agree: 0 when they do, 1 with the differences when they do not.
    #[arg(long)]
    once: bool,
    /// Rows of the shop, about.
    #[arg(long, default_value_t = 220_000, value_parser = clap::value_parser!(u32).range(1_100..=20_000_000))]
    rows: u32,
}

/// How the quickstart ended, when nothing failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Both ends say the same.
    Agreed,
    /// They do not; the differences were shown.
    Differs,
    /// Ctrl-C came before the comparison.
    Interrupted,
}

/// Runs all steps, until Ctrl-C at most, and cleans up.
pub async fn run(options: Options) -> Result<Outcome, Failure> {
    let screen = Screen::new();
    let ends = tokio::select! {
        ends = Ends::open(&options, &screen) => ends?,
        () = interrupt() => return Ok(Outcome::Interrupted),
    };
    let compared = OnceLock::new();
    let outcome = tokio::select! {
        walked = walk(&options, &ends, &screen, &compared) => walked.and_then(|()| {
            compared.get().copied().ok_or_else(|| Failure::new("the ends were not compared"))
        }),
        () = interrupt() => Ok(compared.get().copied().unwrap_or(Outcome::Interrupted)),
    };
    // What was made in servers that were there before goes; the servers of this run go as a whole.
    ends.clean(&screen).await;
    outcome
}

async fn interrupt() {
    match tokio::signal::ctrl_c().await {
        Ok(()) => eprintln!("\nstopping what was started"),
        // Without a handler, Ctrl-C ends this process at once, and the reaper cleans up.
        Err(_) => std::future::pending().await,
    }
}

async fn walk(options: &Options, ends: &Ends, screen: &Screen, compared: &OnceLock<Outcome>) -> Result<(), Failure> {
    screen.step("load the shop");
    let rows = shop::load(ends, options.rows, screen).await?;

    screen.step("start the worker");
    let worker = start_worker(ends, screen).await?;

    screen.step("create both connectors and fill both ends");
    pipeline::create(ends, worker.api()).await?;
    fill::watch(ends, worker.api(), rows, screen).await?;

    screen.step("change rows while everything runs");
    changes::run(ends, screen).await?;

    screen.step("pause and resume");
    pause::run(ends, worker.api(), screen).await?;

    screen.step("compare both ends row by row");
    let outcome = agree(ends, screen).await?;
    compared.get_or_init(|| outcome);
    if !options.once {
        leave_running(ends, &worker, screen);
        std::future::pending::<()>().await;
    }

    for name in [SINK, SOURCE] {
        worker.api().remove(name).await?;
    }
    let mut worker = worker;
    worker.stop().or_fail("failed to stop the worker").map(drop)
}

async fn start_worker(ends: &Ends, screen: &Screen) -> Result<Worker, Failure> {
    tokio::task::spawn_blocking(worker::binary).await.or_fail("the build of the worker panicked")??;
    let setup = WorkerSetup::new(&format!("worker-{}", ends.run), &ends.bootstrap)?
        // The sink's pattern of topics should see a new table at once.
        .with("consumer.metadata.max.age.ms", "1000")
        // What the sink has committed is how this program sees that it goes on; by default that is once a minute.
        .with("offset.flush.interval.ms", "5000");
    let worker = Worker::start(setup).await?;
    let megabytes = worker.process().resident_bytes()? / (1 << 20);
    screen.say(&format!(
        "tidegate answers on {} after {} ms, with {megabytes} MB of memory",
        worker.api().base(),
        worker.started_in.as_millis()
    ));
    Ok(worker)
}

async fn agree(ends: &Ends, screen: &Screen) -> Result<Outcome, Failure> {
    let postgres = ends.shop().await?;
    let mut agreed = true;
    for table in TABLES {
        let comparison: Comparison = compare(&postgres, table, &ends.collection(table).await?).await?;
        screen.say(&format!("{table}: {comparison}"));
        agreed &= comparison.agrees();
    }
    screen.say(if agreed { "both ends agree" } else { "the ends DIFFER" });
    Ok(if agreed { Outcome::Agreed } else { Outcome::Differs })
}

fn leave_running(ends: &Ends, worker: &Worker, screen: &Screen) {
    let base = worker.api().base();
    let database = &ends.database;
    screen.say(&format!(
        "everything keeps running; try

    curl '{base}/connectors?expand=status'
    curl {base}/connectors/{SOURCE}/status
    curl -X PUT {base}/connectors/{SINK}/pause
    curl -X PUT {base}/connectors/{SINK}/resume
    curl {base}/connectors/{SOURCE}/offsets

    psql '{}' -c \"update customers set name = 'Ada' where id = 1\"
    mongosh '{}' --eval 'db.getSiblingDB(\"{database}\").getCollection(\"{}\").findOne({{_id: {{id: Long(1)}}}})'

Kafka is at {}, the worker's log is {}.
Ctrl-C ends and cleans up everything.",
        ends.postgres_url(),
        ends.mongodb,
        ends.topic("customers"),
        ends.bootstrap,
        worker.process().log().display(),
    ));
}
