//! The shop: customers, their orders, the items of these.

use std::time::Instant;

use tokio_postgres::Client;

use super::ends::Ends;
use super::screen::Screen;
use crate::testbed::{Failure, OrFail};

/// Its tables, parents first.
pub(super) const TABLES: [&str; 3] = ["customers", "orders", "order_items"];

const SCHEMA: &str = include_str!("../../../docker/shop.sql");

/// Rows of each table, of about `total` in all: one part customers, three parts orders, seven parts items.
fn shares(total: u32) -> [u64; 3] {
    let part = u64::from(total / 11);
    [part, 3 * part, 7 * part]
}

/// Creates and fills the shop. Returns the rows of each table, counted.
pub(super) async fn load(ends: &Ends, total: u32, screen: &Screen) -> Result<[u64; 3], Failure> {
    let began = Instant::now();
    let server = ends.postgres.connect().await?;
    let create = format!("create database {}", ends.database);
    server.batch_execute(&create).await.or_fail("failed to create the shop's database")?;
    let client = ends.shop().await?;
    client.batch_execute(SCHEMA).await.or_fail("failed to create the shop's tables")?;
    let [customers, orders, items] = shares(total);
    for fill in [
        customers_from(1, customers),
        format!("insert into orders select * from make_orders({customers}, {orders})"),
        format!("insert into order_items select * from make_items({orders}, {items})"),
    ] {
        client.batch_execute(&fill).await.or_fail("failed to fill the shop")?;
    }
    client.batch_execute("analyze").await.or_fail("failed to analyze the shop")?;
    let counts = count(&client).await?;
    let sum: u64 = counts.iter().sum();
    let rate = sum as f64 / began.elapsed().as_secs_f64();
    screen.say(&format!("{sum} rows in customers, orders and order_items, {rate:.0} rows/s"));
    Ok(counts)
}

/// The rows of each table.
async fn count(client: &Client) -> Result<[u64; 3], Failure> {
    let mut counts = [0; 3];
    for (table, count) in TABLES.iter().zip(&mut counts) {
        let row = client.query_one(&format!("select count(*) from {table}"), &[]).await;
        let found: i64 = row.or_fail(format!("failed to count {table}"))?.get(0);
        *count = found.unsigned_abs();
    }
    Ok(counts)
}

/// Inserts customers `first` to `last`.
pub(super) fn customers_from(first: u64, last: u64) -> String {
    format!("insert into customers select * from make_customers({first}, {last})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_shop_has_more_than_200_000_rows() {
        let counts = shares(220_000);
        assert_eq!(counts, [20_000, 60_000, 140_000]);
    }
}
