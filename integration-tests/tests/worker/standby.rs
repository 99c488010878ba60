//! A standby that is met while the roles of a pair change: it is waited for the primary, and nothing is lost or dropped.

use connect_api::{CleanUp, Error, ErrorKind, SourceConnector};
use connect_postgres::connector::PostgresConnector;
use integration_tests::testbed::{Postgres, PostgresOptions, eventually_async};
use serde_json::json;

use crate::support::{ARRIVAL, unique};
use crate::upkeep_rig::{props, start};

fn assert_waits(error: &Error) {
    let root = error.root();
    assert!(root.message().contains("is a standby (in recovery); waiting for the primary"), "{}", error.trace());
    assert_eq!(root.kind(), ErrorKind::Unavailable);
    assert!(error.kind().retriable() && root.remedy().is_some_and(|text| text.contains("promotion")), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_not_taken_for_a_server_that_lost_the_slot() {
    let name = unique("standby");
    let primary = Postgres::start(&unique("postgres_primary"), PostgresOptions::default()).unwrap();
    let client = primary.address.connect().await.unwrap();
    client.batch_execute("create table t (id int primary key)").await.unwrap();
    let at_primary = props(&primary.address, &name, "public.t", &json!({}));
    let task = start(&at_primary, None).await;
    task.streams().await;
    client.batch_execute("insert into t values (1)").await.unwrap();
    task.until("the row", |seen| seen.records() == 1 && seen.stored()).await;
    let offset = task.stop().await;

    let standby =
        Postgres::start_standby(&unique("postgres_standby"), &primary.address, PostgresOptions::default()).unwrap();
    let at_standby = props(&standby.address, &name, "public.t", &json!({}));
    for stored in [offset.clone(), None] {
        assert_waits(&start(&at_standby, stored).await.fails().await);
    }
    assert_waits(&PostgresConnector.retention(&at_standby).await.unwrap_err());
    assert_waits(&PostgresConnector.log_end(&at_standby).await.unwrap_err());
    assert_waits(&PostgresConnector.clean_up(&at_standby, CleanUp::Everything).await.unwrap_err());

    // The name leads to the primary again.
    let task = start(&at_primary, offset.clone()).await;
    task.streams().await;
    client.batch_execute("insert into t values (2)").await.unwrap();
    task.until("the row after", |seen| seen.records() == 1).await;
    task.stop().await;

    // A standby becomes the primary, and has no such slot: now it is lost.
    let promoted = standby.address.connect().await.unwrap();
    promoted.batch_execute("select pg_promote()").await.unwrap();
    eventually_async("the promotion", ARRIVAL, async || {
        let row = promoted.query_one("select pg_is_in_recovery()", &[]).await.map_err(|error| error.to_string())?;
        if row.get::<_, bool>(0) { Err("in recovery".to_owned()) } else { Ok(()) }
    })
    .await
    .unwrap();
    let error = start(&at_standby, offset).await.fails().await;
    assert_eq!(error.root().kind(), ErrorKind::PositionLost, "{}", error.trace());
}
