//! A shop in Postgres, the job that replicates it, and what the tests ask of both.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use integration_tests::testbed::agree::compare;
use integration_tests::testbed::{
    Api, PostgresAddress, Servers, Worker, WorkerSetup, eventually_async, eventually_moving, postgres_source,
};
use mongodb::Collection;
use mongodb::bson::Document;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;
use tokio_postgres::Client;

/// How long anything may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(300);

/// Rows a second of a load: more than a person sees, less than the slowest MongoDB-compatible server takes.
const LOAD_PER_SECOND: u32 = 300;

/// A name that no other test of this process uses.
pub(crate) fn unique(base: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{base}_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A worker's setup with a group of its own; recovery is quick.
pub(crate) fn setup(name: &str) -> WorkerSetup {
    let setup = WorkerSetup::new(&unique(name), &Servers::shared().kafka.bootstrap).unwrap();
    [
        ("consumer.metadata.max.age.ms", "1000"),
        ("job.recovery.backoff.initial.ms", "300"),
        ("job.recovery.backoff.factor", "1"),
        ("job.progress.interval.ms", "300"),
        ("job.retention.check.interval.ms", "500"),
        ("job.webhooks.allow.private", "true"),
        ("job.webhooks.retry.initial.ms", "200"),
    ]
    .into_iter()
    .fold(setup, |setup, (key, value)| setup.with(key, value))
}

/// A worker with a group of its own.
pub(crate) async fn worker(name: &str) -> Worker {
    Worker::start(setup(name)).await.unwrap()
}

/// A database with a table, and the job that replicates it into MongoDB.
pub(crate) struct Shop {
    pub(crate) name: String,
    pub(crate) address: PostgresAddress,
    pub(crate) client: Client,
}

impl Shop {
    /// With `rows` rows in the shared Postgres.
    pub(crate) async fn new(base: &str, rows: i64) -> Self {
        let name = unique(base);
        let address = Servers::shared().postgres.create_database(&name).await.unwrap();
        Self::at(name, address, rows).await
    }

    /// In a database that exists.
    pub(crate) async fn at(name: String, address: PostgresAddress, rows: i64) -> Self {
        let client = address.connect().await.unwrap();
        let fill = format!(
            "create table orders (id bigint primary key, note text); alter table orders replica identity full; \
             insert into orders select n, repeat('x', 200) from generate_series(1, {rows}) n; analyze orders"
        );
        client.batch_execute(&fill).await.unwrap();
        Self { name, address, client }
    }

    pub(crate) fn source(&self) -> Value {
        postgres_source(&self.address, &self.name, "public.orders")
    }

    pub(crate) fn sink(&self) -> Value {
        json!({
            "connector.class": "com.mongodb.kafka.connect.MongoSinkConnector",
            "tasks.max": "1",
            "topics": self.topic(),
            "connection.uri": Servers::shared().mongo.uri,
            "database": self.name,
            "collection": "orders",
            "change.data.capture.handler": "com.mongodb.kafka.connect.sink.cdc.debezium.rdbms.postgres.PostgresHandler",
        })
    }

    pub(crate) fn topic(&self) -> String {
        format!("{}.public.orders", self.name)
    }

    /// The body of `POST /jobs`.
    pub(crate) fn job(&self) -> Value {
        json!({"name": self.name, "source": self.source(), "sinks": [self.sink()]})
    }

    /// Makes the job and starts it.
    pub(crate) async fn start(&self, api: &Api) {
        let made = api.post("/jobs", &self.job()).await.unwrap().expect(&[201]).unwrap();
        assert_eq!(made.body["name"], self.name.as_str());
    }

    /// Makes the job and waits until it follows the changes.
    pub(crate) async fn start_streaming(&self, api: &Api) {
        self.start(api).await;
        self.wait_streaming(api).await;
    }

    /// Waits until the job follows the changes.
    pub(crate) async fn wait_streaming(&self, api: &Api) {
        wait_job(api, &self.name, "STREAMING", |job| job["state"] == "running" && job["phase"] == "STREAMING").await;
    }

    /// The documents at the other end.
    pub(crate) async fn documents(&self) -> Collection<Document> {
        Servers::shared().mongo.client().await.unwrap().database(&self.name).collection("orders")
    }

    pub(crate) async fn count(&self) -> u64 {
        self.documents().await.count_documents(Document::new()).await.unwrap()
    }

    /// Waits until there are so many documents; [`LIMIT`] is how long they may stay as many as they are.
    pub(crate) async fn wait_count(&self, count: u64) {
        eventually_moving(&format!("{count} documents of {}", self.name), LIMIT, async || match self.count().await {
            found if found == count => Ok(()),
            found => Err(found),
        })
        .await
        .unwrap();
    }

    /// Both ends, row by row.
    pub(crate) async fn assert_equal(&self) {
        let compared = compare(&self.client, "orders", &self.documents().await).await.unwrap();
        assert!(compared.agrees(), "{compared}");
    }

    pub(crate) async fn slots(&self) -> i64 {
        self.number("select count(*) from pg_replication_slots where slot_name = $1").await
    }

    pub(crate) async fn publications(&self) -> i64 {
        self.number("select count(*) from pg_publication where pubname = $1").await
    }

    async fn number(&self, query: &str) -> i64 {
        self.client.query_one(query, &[&self.name]).await.unwrap().get(0)
    }

    /// Inserts rows from `first` to `last`.
    pub(crate) async fn insert(&self, first: i64, last: i64) {
        let insert = format!("insert into orders select n, 'new' from generate_series({first}, {last}) n");
        self.client.batch_execute(&insert).await.unwrap();
    }
}

/// Inserts and updates rows without end, from number `first` on.
pub(crate) struct Load {
    over: Arc<AtomicBool>,
    pub(crate) written: Arc<AtomicI64>,
    task: tokio::task::JoinHandle<()>,
}

impl Load {
    pub(crate) async fn start(shop: &Shop, first: i64) -> Self {
        let client = shop.address.connect().await.unwrap();
        let (over, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(first - 1)));
        let (ended, last) = (Arc::clone(&over), Arc::clone(&written));
        let task = tokio::spawn(async move {
            let mut next = first;
            let mut pace = tokio::time::interval(Duration::from_secs(1) / LOAD_PER_SECOND);
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while !ended.load(Ordering::Relaxed) {
                pace.tick().await;
                let insert = format!("insert into orders values ({next}, 'load')");
                client.batch_execute(&insert).await.unwrap();
                last.store(next, Ordering::Relaxed);
                next += 1;
            }
        });
        Self { over, written, task }
    }

    /// Ends it; the number of the last row.
    pub(crate) async fn stop(self) -> i64 {
        self.over.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
        self.written.load(Ordering::Relaxed)
    }
}

/// `GET /jobs/{job}`.
pub(crate) async fn job(api: &Api, name: &str) -> Value {
    api.get(&format!("/jobs/{name}")).await.unwrap().expect(&[200]).unwrap().body
}

/// Waits until a job is as wanted; gives it.
pub(crate) async fn wait_job(api: &Api, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    eventually_async(&format!("{name}: {what}"), LIMIT, async || {
        let answer = api.get(&format!("/jobs/{name}")).await.map_err(|failure| failure.to_string())?;
        if answer.status == 200 && wanted(&answer.body) { Ok(answer.body) } else { Err(answer.text) }
    })
    .await
    .unwrap()
}

/// Waits until a job is in a state.
pub(crate) async fn wait_state(api: &Api, name: &str, state: &str) -> Value {
    wait_job(api, name, state, |job| job["state"] == state).await
}

/// An action that is taken: 202.
pub(crate) async fn act(api: &Api, name: &str, action: &str) -> Value {
    api.put(&format!("/jobs/{name}/{action}"), None).await.unwrap().expect(&[202]).unwrap().body
}

/// An action that is refused: 409, with the words for it.
pub(crate) async fn refused(api: &Api, name: &str, action: &str) -> String {
    let answer = api.send(Method::PUT, &format!("/jobs/{name}/{action}"), None).await.unwrap();
    assert_eq!(answer.status, 409, "{action}: {}", answer.text);
    answer.message().to_owned()
}

/// The actions that a job shows.
pub(crate) fn actions(job: &Value) -> Vec<String> {
    job["actions"].as_array().unwrap().iter().map(|action| action.as_str().unwrap().to_owned()).collect()
}

/// The states that a job went through.
pub(crate) fn history(job: &Value) -> Vec<String> {
    job["history"].as_array().unwrap().iter().map(|entry| entry["to"].as_str().unwrap().to_owned()).collect()
}
