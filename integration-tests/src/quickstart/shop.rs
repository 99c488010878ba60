//! The shop: customers, their orders, the items of these.

use std::time::Instant;

use tokio_postgres::Client;

use super::ends::Ends;
use super::screen::Screen;
use crate::testbed::{Failure, OrFail};

/// Its tables, parents first.
pub(super) const TABLES: [&str; 3] = ["customers", "orders", "order_items"];

const SCHEMA: &str = "
create type order_status as enum ('new', 'paid', 'shipped', 'returned');
create table customers (
    id bigint primary key, name text not null, email text, born date, active boolean not null,
    credit numeric(12, 2) not null, score double precision, since timestamptz not null, profile jsonb);
create table orders (
    id bigint primary key, customer_id bigint not null references customers, status order_status not null,
    total numeric(12, 2) not null, placed_at timestamp not null, reference uuid not null, note text);
create table order_items (
    order_id bigint not null references orders, line integer not null, sku varchar(20) not null,
    quantity smallint not null, price numeric(10, 2) not null, gift boolean not null, primary key (order_id, line));";

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
    for fill in [customers_from(1, customers), orders_from(customers, orders), items_from(orders, items)] {
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

/// Inserts customers `first..=last`.
pub(super) fn customers_from(first: u64, last: u64) -> String {
    format!(
        "insert into customers select i, 'Customer ' || i, case when mod(i, 5) <> 0 then 'c' || i || '@example.org' end,
           date '1950-01-01' + mod(i * 37, 20000)::int, mod(i, 7) <> 0, mod(i * 13, 1000000) / 100.0,
           case when mod(i, 3) <> 0 then mod(i, 1000) / 7.0::float8 end, timestamptz '2024-01-01 00:00:00+00' + i * interval '61 seconds',
           jsonb_build_object('tier', mod(i, 4), 'tags', jsonb_build_array('a' || mod(i, 9), 'ü'))
         from generate_series({first}::bigint, {last}) i"
    )
}

fn orders_from(customers: u64, orders: u64) -> String {
    format!(
        "insert into orders select i, 1 + mod(i * 7919, {customers}), (enum_range(null::order_status))[1 + mod(i, 4)],
           mod(i * 31, 5000000) / 100.0, timestamp '2025-01-01' + i * interval '17.25 seconds', md5(i::text)::uuid,
           case when mod(i, 4) = 0 then 'note for order ' || i || repeat('.', mod(i, 50)::int) end
         from generate_series(1::bigint, {orders}) i"
    )
}

fn items_from(orders: u64, items: u64) -> String {
    format!(
        "insert into order_items select 1 + mod(i, {orders}), 1 + (i / {orders})::int, 'SKU-' || lpad(mod(i * 17, 99999)::text, 6, '0'),
           1 + mod(i, 9), mod(i * 7, 100000) / 100.0, mod(i, 11) = 0
         from generate_series(0::bigint, {items} - 1) i"
    )
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
