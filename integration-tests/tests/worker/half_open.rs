//! Connections of the Postgres source that are dead without an end: forgotten by a firewall, held up by a tunnel. And those
//! that are only quiet, which are left alone.

use std::time::{Duration, Instant};

use connect_api::{ErrorKind, Props};
use integration_tests::testbed::proxy::Fault;
use integration_tests::testbed::{PostgresAddress, Proxy};
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::support::{self, unique, with};
use crate::upkeep_rig::{props, start, start_slow};

/// What a busy server may take for an answer.
const SILENCE: Duration = Duration::from_secs(5);
/// How long a dead connection may stay unnoticed; without a limit of its own it is a quarter of an hour.
const NOTICED: Duration = Duration::from_secs(120);

/// A source of an empty table `t` behind a proxy.
struct Behind {
    name: String,
    client: Client,
    proxy: Proxy,
    props: Props,
}

impl Behind {
    async fn new(base: &str, changes: &Value) -> Self {
        let name = unique(base);
        let (address, client) = support::database(&name).await;
        client.batch_execute("create table t (id int primary key, filler text)").await.unwrap();
        let proxy = Proxy::start(&format!("{}:{}", address.host, address.port)).await.unwrap();
        let address = PostgresAddress { port: proxy.address().port(), ..address };
        let silence = json!({"server.silence.timeout.ms": SILENCE.as_millis().to_string()});
        let props = props(&address, &name, "public.t", &with(silence, changes));
        Self { name, client, proxy, props }
    }

    /// The server's process that sends the stream.
    async fn sender(&self) -> Option<i32> {
        let query = "select active_pid from pg_replication_slots where slot_name = $1";
        self.client.query_one(query, &[&self.name]).await.unwrap().get(0)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_forgotten_on_the_way_is_made_anew_and_a_quiet_one_is_not() {
    let source = Behind::new("forgotten", &json!({})).await;
    let task = start(&source.props, None).await;
    task.streams().await;
    source.client.batch_execute("insert into t values (1)").await.unwrap();
    task.until("the row", |seen| seen.records() == 1 && seen.stored()).await;
    let sender = source.sender().await;
    tokio::time::sleep(2 * SILENCE).await;
    assert_eq!(source.sender().await, sender, "an idle stream stays connected");
    assert!(sender.is_some());

    source.proxy.forget();
    source.client.batch_execute("insert into t values (2)").await.unwrap();
    let began = Instant::now();
    task.until("the row of the time without a connection", |seen| seen.records() == 2).await;
    assert!(began.elapsed() < NOTICED, "{:?}", began.elapsed());
    // A table that was not seen yet needs the session beside the stream.
    source.client.batch_execute("alter table t add column more text; insert into t values (3)").await.unwrap();
    task.until("the row of the changed table", |seen| seen.records() == 3).await;
    task.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_nothing_passes_through_is_a_time_out_that_may_pass() {
    for fault in [Fault::Stall, Fault::StallAnswers] {
        let source = Behind::new("stalled", &json!({"errors.max.retries": "0"})).await;
        let task = start(&source.props, None).await;
        task.streams().await;
        source.proxy.set(fault);
        let began = Instant::now();
        let error = task.fails().await;
        assert!(began.elapsed() < NOTICED, "{:?}", began.elapsed());
        let root = error.root();
        assert_eq!(root.kind(), ErrorKind::Timeout, "{}", error.trace());
        let port = source.proxy.address().port();
        let expected = format!("failed to read the stream: no answer from 127.0.0.1:{port} within {SILENCE:?}");
        assert_eq!(root.message(), expected);
    }
}

/// Nothing is read while the worker has enough to do: that is not the server's silence.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_takes_its_time_does_not_lose_the_connection() {
    // A batch and the queue hold fewer than the rows: the source has to stop reading.
    let small = json!({"max.batch.size": "20", "max.queue.size": "21"});
    let source = Behind::new("slow", &small).await;
    let task = start_slow(&source.props, None, SILENCE + SILENCE / 2).await;
    task.streams().await;
    let fill = "insert into t select n, repeat('x', 20000) from generate_series(1, 60) n";
    source.client.batch_execute(fill).await.unwrap();
    let sender = source.sender().await;
    task.until("the rows", |seen| seen.records() == 60).await;
    assert_eq!(source.sender().await, sender);
    task.stop().await;
}
