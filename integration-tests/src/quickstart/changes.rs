//! Inserts, updates and deletes while the pipeline runs.

use std::time::{Duration, Instant};

use bson::{Document, doc};
use mongodb::Collection;

use super::ends::Ends;
use super::screen::Screen;
use super::shop;
use crate::testbed::{Failure, OrFail, eventually_moving};

/// Without any progress for so long, the pipeline counts as stuck.
const STUCK_AFTER: Duration = Duration::from_secs(180);
/// Customers that the changes add have ids from here on.
const FIRST_NEW: u64 = 1_000_000_000;
const NEW: u64 = 1_000;

/// Changes the shop and waits until the last change arrived.
pub(super) async fn run(ends: &Ends, screen: &Screen) -> Result<(), Failure> {
    let client = ends.shop().await?;
    let before = changes_in_kafka(ends)?;
    let began = Instant::now();
    let mut changed = 0;
    // Items of an order go before orders, updates hit all tables; every line is a transaction of its own.
    for change in [
        shop::customers_from(FIRST_NEW, FIRST_NEW + NEW - 1),
        "update customers set credit = credit + 1, profile = profile || '{\"seen\": true}' where id <= 1000".to_owned(),
        "update orders set status = 'shipped', note = null where mod(id, 20) = 0".to_owned(),
        "update order_items set quantity = quantity + 1, gift = not gift where mod(order_id, 50) = 3".to_owned(),
        "delete from order_items where mod(order_id, 50) = 7".to_owned(),
        "delete from orders where mod(id, 50) = 7 and not exists (select from order_items where order_id = id)"
            .to_owned(),
    ] {
        changed += client.execute(change.as_str(), &[]).await.or_fail("failed to change the shop")?;
    }
    let customers = ends.collection("customers").await?;
    mark(ends, &customers, "the last of many changes").await?;
    settled(ends).await?;
    let all = began.elapsed();
    let records = changes_in_kafka(ends)? - before;
    screen.say(&format!(
        "{changed} rows changed in 6 transactions: {records} records (a delete has two), all in MongoDB after {:.1} s",
        all.as_secs_f64()
    ));
    let began = Instant::now();
    mark(ends, &customers, "a single change").await?;
    screen.say(&format!("a single update is in MongoDB after {} ms", began.elapsed().as_millis()));
    Ok(())
}

/// Gives customer 1 a name and waits until MongoDB has it.
pub(super) async fn mark(ends: &Ends, customers: &Collection<Document>, name: &str) -> Result<(), Failure> {
    let client = ends.shop().await?;
    client
        .execute("update customers set name = $1 where id = 1", &[&name])
        .await
        .or_fail("failed to change customer 1")?;
    let what = format!("customer 1 to be called '{name}' in MongoDB");
    eventually_moving(&what, STUCK_AFTER, async || {
        let found = customers.find_one(doc! {"_id": {"id": 1_i64}}).await.map_err(|error| error.to_string())?;
        let found = found.as_ref().and_then(|customer| customer.get_str("name").ok()).unwrap_or("not there");
        let progress =
            || lag(ends).map_or_else(|failure| failure.to_string(), |behind| format!("{behind} records left"));
        if found == name { Ok(()) } else { Err(format!("{found}, {}", progress())) }
    })
    .await
}

/// Waits until the sink has committed all records of all tables: a name that arrived says so of customers only.
pub(super) async fn settled(ends: &Ends) -> Result<(), Failure> {
    eventually_moving("the sink to have read all topics", STUCK_AFTER, async || {
        let behind = lag(ends).map_err(|failure| failure.to_string())?;
        if behind == 0 { Ok(()) } else { Err(format!("{behind} records left")) }
    })
    .await
}

/// Records of all tables.
pub(super) fn changes_in_kafka(ends: &Ends) -> Result<i64, Failure> {
    shop::TABLES.iter().map(|table| ends.topics.end(&ends.topic(table))).sum()
}

/// Records that the sink has not committed.
pub(super) fn lag(ends: &Ends) -> Result<i64, Failure> {
    let mut behind = 0;
    for table in shop::TABLES {
        let topic = ends.topic(table);
        let group = format!("connect-{}", super::SINK);
        for partition in ends.topics.partitions(&topic)? {
            let committed = ends.topics.committed(&group, &topic, partition)?.unwrap_or(0);
            behind += ends.topics.end_of(&topic, partition)? - committed;
        }
    }
    Ok(behind)
}
