//! Pause and resume: shows that nothing moves while paused, and that nothing is lost.

use std::time::{Duration, Instant};

use super::changes::{changes_in_kafka, mark, settled};
use super::ends::Ends;
use super::pipeline::{SINK, SOURCE};
use super::screen::Screen;
use super::shop;
use crate::testbed::{Api, Failure, OrFail, eventually_async};

/// How long the counts are watched while nothing may move.
const WATCHED: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(250);
const ARRIVAL_LIMIT: Duration = Duration::from_secs(240);
const FIRST_NEW: u64 = 2_000_000_000;
const NEW: u64 = 500;

/// Pauses both connectors, changes rows, and resumes one after the other.
pub(super) async fn run(ends: &Ends, api: &Api, screen: &Screen) -> Result<(), Failure> {
    for name in [SOURCE, SINK] {
        api.change(name, "pause").await?;
        api.wait_for(name, "PAUSED", &["PAUSED"]).await?;
    }
    let client = ends.shop().await?;
    let customers = ends.collection("customers").await?;
    let count = async || customers.estimated_document_count().await.or_fail("failed to count documents");
    let (records, documents) = (changes_in_kafka(ends)?, count().await?);
    let insert = shop::customers_from(FIRST_NEW, FIRST_NEW + NEW - 1);
    client.execute(insert.as_str(), &[]).await.or_fail("failed to insert customers")?;

    let began = Instant::now();
    while began.elapsed() < WATCHED {
        let moved = changes_in_kafka(ends)? - records;
        if moved != 0 {
            return Err(Failure::new(format!("the paused source produced {moved} records")));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    screen.say(&format!("both paused: {NEW} new rows in Postgres, 0 new records in Kafka in {} s", WATCHED.as_secs()));

    api.change(SOURCE, "resume").await?;
    eventually_async("the resumed source to send the new rows", ARRIVAL_LIMIT, async || {
        let moved = changes_in_kafka(ends).map_err(|failure| failure.to_string())? - records;
        if moved.unsigned_abs() == NEW { Ok(()) } else { Err(format!("{moved} records")) }
    })
    .await?;
    tokio::time::sleep(WATCHED).await;
    let moved = count().await? - documents;
    if moved != 0 {
        return Err(Failure::new(format!("the paused sink wrote {moved} documents")));
    }
    screen.say(&format!(
        "source resumed: {NEW} new records in Kafka, 0 new documents in MongoDB in {} s",
        WATCHED.as_secs()
    ));

    api.change(SINK, "resume").await?;
    mark(ends, &customers, "after the pause").await?;
    settled(ends).await?;
    let moved = count().await? - documents;
    screen.say(&format!("sink resumed: {moved} new documents in MongoDB"));
    Ok(())
}
