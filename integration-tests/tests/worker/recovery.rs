//! Failed tasks that are tried again by themselves: what heals, what is seen meanwhile, and what is left to people. The JVM
//! worker has none of this; `job.recovery.enabled=false` is as it is there.

use std::collections::BTreeSet;
use std::time::Duration;

use bson::doc;
use integration_tests::testbed::proxy::Fault;
use integration_tests::testbed::{
    Postgres, PostgresAddress, PostgresOptions, Proxy, Servers, Worker, WorkerSetup, eventually_async,
};
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::support::{self, ARRIVAL, payload, source, topics, unique, wait_records, with};

/// How long nothing may be tried any more.
const WATCHED: Duration = Duration::from_secs(4);
/// How long an outage may take to be seen.
const SEEN: Duration = Duration::from_secs(240);

/// A worker whose recovery is quick.
async fn worker(name: &str, changes: &[(&str, &str)]) -> Worker {
    let quick = [
        ("job.recovery.immediate.retries", "2"),
        ("job.recovery.backoff.initial.ms", "300"),
        ("job.recovery.backoff.factor", "1"),
        ("job.recovery.attempts.max", "1000"),
    ];
    let setup = WorkerSetup::new(&unique(name), &Servers::shared().kafka.bootstrap).unwrap();
    let setup = quick.iter().chain(changes).fold(setup, |setup, (key, value)| setup.with(key, value));
    Worker::start(setup).await.unwrap()
}

/// A source of a table behind a proxy, and what the table has.
struct Source {
    worker: Worker,
    proxy: Proxy,
    client: Client,
    name: String,
}

impl Source {
    async fn start(name: &str, changes: &[(&str, &str)]) -> Self {
        let (address, client) = support::database(&unique(name)).await;
        Self::start_as(name, changes, address, client).await
    }

    async fn start_as(name: &str, changes: &[(&str, &str)], address: PostgresAddress, client: Client) -> Self {
        // The connector itself has no patience here: what it meets is the worker's to see to.
        Self::start_patient(name, changes, address, client, &json!({"errors.max.retries": "0"})).await
    }

    async fn start_patient(
        name: &str,
        changes: &[(&str, &str)],
        address: PostgresAddress,
        client: Client,
        patience: &Value,
    ) -> Self {
        let worker = worker(name, changes).await;
        client.batch_execute("create table a (id bigint primary key)").await.unwrap();
        let proxy = Proxy::start(&format!("{}:{}", address.host, address.port)).await.unwrap();
        let name = address.database.clone();
        let behind = PostgresAddress { port: proxy.address().port(), ..address };
        let config = with(source(&behind, &name, "public.a"), patience);
        let source = Self { worker, proxy, client, name };
        source.insert(1, 50).await;
        source.worker.api().create(&source.name, &config).await.unwrap();
        source.worker.api().wait_running(&source.name).await.unwrap();
        wait_records(&topics(), &source.topic(), 50).await;
        source
    }

    fn topic(&self) -> String {
        format!("{}.public.a", self.name)
    }

    async fn insert(&self, first: i64, last: i64) {
        let rows = format!("insert into a select generate_series({first}, {last})");
        self.client.batch_execute(&rows).await.unwrap();
    }

    /// Its rows, as far as they have arrived.
    fn arrived(&self) -> BTreeSet<i64> {
        let records = topics().read(&self.topic()).unwrap();
        let events = records.iter().filter(|record| record.value.is_some()).map(row);
        events.collect()
    }

    async fn wait_rows(&self, last: i64) {
        let expected: BTreeSet<i64> = (1..=last).collect();
        eventually_async("every row", ARRIVAL, async || {
            let missing: Vec<i64> = expected.difference(&self.arrived()).copied().collect();
            if missing.is_empty() { Ok(()) } else { Err(format!("missing: {missing:?}")) }
        })
        .await
        .unwrap();
    }

    /// What the status topic has of the task, in order: state and trace.
    fn history(&self) -> Vec<(String, String)> {
        let records = topics().read(&self.worker.setup().properties["status.storage.topic"]).unwrap();
        let key = format!("status-task-{}-0", self.name);
        let statuses = records.iter().filter(|record| record.key.as_deref() == Some(key.as_bytes()));
        let text = |of: &Value| of.as_str().unwrap_or_default().to_owned();
        statuses.map(|record| record.json()).map(|status| (text(&status["state"]), text(&status["trace"]))).collect()
    }

    fn count(&self, state: &str) -> usize {
        self.history().iter().filter(|(of, _)| of == state).count()
    }

    /// The task's state and trace, as Connect tells them.
    async fn state(&self) -> (String, String) {
        let status = self.worker.api().status(&self.name).await.unwrap();
        let text = |key: &str| status["tasks"][0][key].as_str().unwrap_or_default().to_owned();
        (text("state"), text("trace"))
    }

    async fn wait_state(&self, wanted: &str) -> String {
        eventually_async(&format!("the task to be {wanted}"), SEEN, async || match self.state().await {
            (state, trace) if state == wanted => Ok(trace),
            (state, trace) => Err(format!("{state} {trace}")),
        })
        .await
        .unwrap()
    }

    /// Waits until the task is FAILED and stays so, with nothing tried any more. Answers its trace.
    async fn wait_given_up(&self) -> String {
        let mut known = self.history();
        eventually_async("the end of attempts", SEEN, async || {
            tokio::time::sleep(WATCHED).await;
            let before = std::mem::replace(&mut known, self.history());
            match known.last() {
                Some((state, trace)) if state == "FAILED" && known == before => Ok(trace.clone()),
                last => Err(format!("{last:?}")),
            }
        })
        .await
        .unwrap()
    }

    async fn end(self) {
        self.worker.api().remove(&self.name).await.unwrap();
    }
}

fn row(record: &integration_tests::testbed::topics::Stored) -> i64 {
    payload(&record.json())["after"]["id"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_heals_when_its_server_is_back_and_loses_no_row() {
    let source = Source::start("heals", &[]).await;
    source.proxy.set(Fault::Cut);
    source.insert(51, 100).await;
    let trace = source.wait_state("FAILED").await;
    assert!(trace.contains("org.apache.kafka.connect.errors."), "{trace}");
    eventually_async("an attempt", SEEN, async || match source.count("RESTARTING") {
        0 => Err(format!("{:?}", source.history())),
        attempts => Ok(attempts),
    })
    .await
    .unwrap();
    source.insert(101, 150).await;
    source.proxy.set(Fault::None);
    source.wait_rows(150).await;
    source.wait_state("RUNNING").await;
    let history = source.history();
    assert!(history.iter().filter(|(state, _)| state == "FAILED").all(|(_, trace)| !trace.is_empty()), "{history:?}");
    source.insert(151, 200).await;
    source.wait_rows(200).await;
    source.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_that_are_used_up_leave_the_task_failed_until_it_is_restarted() {
    let source = Source::start("budget", &[("job.recovery.attempts.max", "2")]).await;
    source.proxy.set(Fault::Cut);
    source.wait_given_up().await;
    let failures = source.count("FAILED");
    assert!(failures <= 3, "the failure and two attempts: {:?}", source.history());
    source.proxy.set(Fault::None);
    source.insert(51, 60).await;
    tokio::time::sleep(WATCHED).await;
    assert_eq!((source.state().await.0.as_str(), source.count("FAILED")), ("FAILED", failures));
    restart(&source).await;
    source.wait_state("RUNNING").await;
    source.wait_rows(60).await;
    source.end().await;
}

/// The name of the server leads to the standby for a while: the slot is not there, and not lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_meets_a_standby_heals_when_it_meets_the_primary_again() {
    let primary = Postgres::start(&unique("postgres_primary"), PostgresOptions::default()).unwrap();
    let address = primary.create_database(&unique("roles")).await.unwrap();
    let client = address.connect().await.unwrap();
    let source = Source::start_as("roles", &[], address.clone(), client).await;
    let standby =
        Postgres::start_standby(&unique("postgres_standby"), &primary.address, PostgresOptions::default()).unwrap();
    source.proxy.lead_to(&format!("{}:{}", standby.address.host, standby.address.port));
    eventually_async("the standby to be seen", SEEN, async || match source.state().await {
        (state, trace) if state == "FAILED" && trace.contains("waiting for the primary") => Ok(()),
        (state, trace) => Err(format!("{state} {trace}")),
    })
    .await
    .unwrap();
    source.insert(51, 100).await;
    source.proxy.lead_to(&format!("{}:{}", address.host, address.port));
    source.wait_rows(100).await;
    source.wait_state("RUNNING").await;
    let history = source.history();
    assert!(!history.iter().any(|(_, trace)| trace.contains("no longer available")), "{history:?}");
    source.end().await;
}

/// A task runs for long while its source tries to connect: that is no time for which it was well.
#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_used_up_also_when_the_source_itself_tries_for_longer_than_it_would_have_to_be_well() {
    let (address, client) = support::database(&unique("patient")).await;
    let changes = [("job.recovery.attempts.max", "2"), ("job.recovery.healthy.ms", "1000")];
    let patience = json!({"errors.max.retries": "10", "retriable.restart.connector.wait.ms": "250"});
    let source = Source::start_patient("patient", &changes, address, client, &patience).await;
    source.proxy.set(Fault::Cut);
    source.wait_given_up().await;
    let failures = source.count("FAILED");
    assert!(failures <= 3, "the failure and two attempts: {:?}", source.history());
    source.proxy.set(Fault::None);
    source.insert(51, 60).await;
    restart(&source).await;
    source.wait_rows(60).await;
    source.wait_state("RUNNING").await;
    source.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_not_tried_again() {
    let (address, client) = support::database(&unique("password")).await;
    let role = unique("role");
    client.batch_execute(&format!("create role {role} superuser login password 'first'")).await.unwrap();
    let address = PostgresAddress { user: role.clone(), password: "first".to_owned(), ..address };
    let source = Source::start_as("password", &[], address, client).await;
    let change = format!(
        "alter role {role} password 'second';
         select pg_terminate_backend(pid) from pg_stat_activity where usename = '{role}'"
    );
    source.client.batch_execute(&change).await.unwrap();
    let trace = source.wait_given_up().await;
    assert!(trace.contains("password authentication failed"), "{trace}");
    let refused = source.history().iter().filter(|(_, trace)| trace.contains("password authentication failed")).count();
    assert_eq!(refused, 1, "{:?}", source.history());
    source.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_recovery_a_failed_task_stays_failed_as_on_the_jvm() {
    let source = Source::start("unattended", &[("job.recovery.enabled", "false")]).await;
    source.proxy.set(Fault::Cut);
    source.wait_given_up().await;
    source.proxy.set(Fault::None);
    source.insert(51, 60).await;
    tokio::time::sleep(WATCHED).await;
    assert_eq!(source.state().await.0, "FAILED");
    assert_eq!((source.count("FAILED"), source.count("RESTARTING")), (1, 0), "{:?}", source.history());
    restart(&source).await;
    source.wait_state("RUNNING").await;
    source.wait_rows(60).await;
    source.end().await;
}

async fn restart(source: &Source) {
    let path = format!("/connectors/{}/tasks/0/restart", source.name);
    source.worker.api().post(&path, &Value::Null).await.unwrap().expect(&[204]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mongodb_sink_heals_when_its_server_is_back() {
    let (worker, topics, name) = (worker("sink_heals", &[]).await, topics(), unique("sink_heals"));
    let mongo = &Servers::shared().mongo.uri;
    let server = mongo.trim_start_matches("mongodb://").split('/').next().unwrap();
    let proxy = Proxy::start(server).await.unwrap();
    topics.create(&name, 1).await.unwrap();
    let config = json!({
        "connector.class": "com.mongodb.kafka.connect.MongoSinkConnector",
        "tasks.max": "1",
        "topics": name,
        "connection.uri": format!("mongodb://{}/?directConnection=true&serverSelectionTimeoutMS=1000", proxy.address()),
        "database": name,
        "collection": "c",
        "transient.errors.retry.timeout.ms": "600000",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schemas.enable": "false",
    });
    worker.api().create(&name, &config).await.unwrap();
    let collection = Servers::shared().mongo.client().await.unwrap().database(&name).collection::<bson::Document>("c");
    let wait_documents = async |count: u64| {
        eventually_async(&format!("{count} documents"), ARRIVAL, async || {
            match collection.count_documents(doc! {}).await.map_err(|error| error.to_string())? {
                found if found == count => Ok(()),
                found => Err(format!("{found} documents")),
            }
        })
        .await
        .unwrap();
    };
    topics.produce(&name, &["{\"_id\": 1}", "{\"_id\": 2}"]).await.unwrap();
    wait_documents(2).await;
    proxy.set(Fault::Cut);
    topics.produce(&name, &["{\"_id\": 3}", "{\"_id\": 4}"]).await.unwrap();
    // Longer than the driver looks for its server, so that writes fail.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(collection.count_documents(doc! {}).await.unwrap(), 2);
    proxy.set(Fault::None);
    wait_documents(4).await;
    worker.api().wait_running(&name).await.unwrap();
    worker.api().remove(&name).await.unwrap();
}
