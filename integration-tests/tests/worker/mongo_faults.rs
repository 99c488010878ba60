//! What the MongoDB sink does while its server fails: the task runs on as a member of its group, nothing is lost or written twice,
//! documents change in order, and no offset is committed before its write is acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bson::{Document, doc};
use connect_kafka::{Admin, TopicPartition};
use integration_tests::testbed::proxy::Fault;
use integration_tests::testbed::{Api, Mongo, Proxy, Servers, Topics, Worker, eventually_async};
use mongodb::Collection;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::{self, ARRIVAL, topics, unique, wait_records, with};

/// Longer than the session of a member lasts: who does not poll is none any more.
const SESSION: Duration = Duration::from_secs(8);

fn admin() -> Admin {
    let props = [("bootstrap.servers".to_owned(), Servers::shared().kafka.bootstrap.clone())].into_iter().collect();
    Admin::open(&props).unwrap()
}

/// A record that its offset is the whole of.
fn numbered(n: i64) -> Value {
    json!({"n": n})
}

/// A sink of one topic between the shared Kafka and a server of its own, behind a proxy.
struct Pipe {
    worker: Worker,
    topics: Topics,
    /// Of the connector, the topic and the database.
    name: String,
    mongo: Mongo,
    proxy: Proxy,
    /// Not through the proxy.
    direct: mongodb::Client,
    documents: Collection<Document>,
    produced: i64,
}

impl Pipe {
    /// With options in the connection string and settings of its own.
    async fn start(base: &str, options: &str, changes: &Value) -> Self {
        let (worker, topics, name) = (support::worker(base).await, topics(), unique(base));
        let mongo = Mongo::start(&name).unwrap();
        let server = mongo.uri.trim_start_matches("mongodb://").split('/').next().unwrap();
        let proxy = Proxy::start(server).await.unwrap();
        topics.create(&name, 1).await.unwrap();
        // The time for a connection is also what a server that was started just now has for its validation.
        let uri = format!(
            "mongodb://{}/?directConnection=true&serverSelectionTimeoutMS=1000&connectTimeoutMS=5000\
             &heartbeatFrequencyMS=1000{options}",
            proxy.address()
        );
        let config = json!({
            "connector.class": "com.mongodb.kafka.connect.MongoSinkConnector",
            "tasks.max": "1",
            "topics": name,
            "connection.uri": uri,
            "database": name,
            "collection": "c",
            "writemodel.strategy": "com.mongodb.kafka.connect.sink.writemodel.strategy.InsertOneDefaultStrategy",
            "transient.errors.retry.timeout.ms": "600000",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            "value.converter.schemas.enable": "false",
        });
        worker.api().create(&name, &with(config, changes)).await.unwrap();
        let direct = mongo.client().await.unwrap();
        let documents = direct.database(&name).collection("c");
        Self { worker, topics, name, mongo, proxy, direct, documents, produced: 0 }
    }

    /// With a record that has arrived.
    async fn start_with(base: &str, options: &str, changes: &Value, value: impl Fn(i64) -> Value) -> Self {
        let mut pipe = Self::start(base, options, changes).await;
        pipe.produce(1, value).await;
        pipe.wait_committed().await;
        pipe
    }

    /// Sends so many records more; each is made of its offset.
    async fn produce(&mut self, count: i64, value: impl Fn(i64) -> Value) {
        let values: Vec<String> =
            (self.produced..self.produced + count).map(|offset| value(offset).to_string()).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        self.topics.produce(&self.name, &values).await.unwrap();
        self.produced += count;
    }

    async fn wait_committed(&self) {
        eventually_async(&format!("{} committed records", self.produced), ARRIVAL, async || {
            let group = format!("connect-{}", self.name);
            let found = self.topics.committed(&group, &self.name, 0).map_err(|failure| failure.to_string())?;
            if found == Some(self.produced) { Ok(()) } else { Err(format!("{found:?}")) }
        })
        .await
        .unwrap();
    }

    async fn count(&self, filter: Document) -> u64 {
        self.documents.count_documents(filter).await.unwrap()
    }

    /// Waits for more documents than so many.
    async fn wait_beyond(&self, count: u64) {
        eventually_async(&format!("more than {count} documents"), ARRIVAL, async || match self.count(doc! {}).await {
            found if found > count => Ok(()),
            found => Err(format!("{found}")),
        })
        .await
        .unwrap();
    }

    /// Every record that was sent, once.
    async fn assert_each(&self) {
        assert_eq!(self.count(doc! {}).await, u64::try_from(self.produced).unwrap());
    }

    /// Has the server fail its next `times` commands of a kind.
    async fn fail(&self, command: &str, times: i32, mut data: Document) {
        data.insert("failCommands", vec![command]);
        let order = doc! {"configureFailPoint": "failCommand", "mode": {"times": times}, "data": data};
        self.direct.database("admin").run_command(order).await.unwrap();
    }

    /// Watches the task until it is told to end.
    fn watch(&self, kept: Kept) -> Watch {
        let end = Arc::new(AtomicBool::new(false));
        let watched = Watched {
            api: self.worker.api().clone(),
            admin: admin(),
            name: self.name.clone(),
            documents: self.documents.clone(),
            kept,
        };
        let ended = Arc::clone(&end);
        let watching = tokio::spawn(async move {
            let mut looks = 0;
            while !ended.load(Ordering::Relaxed) {
                watched.look().await;
                looks += 1;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            looks
        });
        Watch { end, watching }
    }

    async fn end(self) {
        self.worker.api().wait_running(&self.name).await.unwrap();
        self.worker.api().remove(&self.name).await.unwrap();
    }
}

/// What has to be in the collection of what is committed.
#[derive(Clone, Copy)]
enum Kept {
    /// A document for every record.
    Each,
    /// So many documents, that every record changes one of in turn.
    InTurn(i64),
    /// Nobody can look.
    Unknown,
}

struct Watched {
    api: Api,
    admin: Admin,
    name: String,
    documents: Collection<Document>,
    kept: Kept,
}

impl Watched {
    async fn look(&self) {
        let status = self.api.status(&self.name).await.unwrap();
        assert_eq!(status["tasks"][0]["state"], "RUNNING", "{status}");
        let group = format!("connect-{}", self.name);
        assert_eq!(self.admin.describe_group(&group).await.unwrap().members.len(), 1, "members of the group");
        let offsets = self.admin.group_offsets(&group).await.unwrap();
        let committed = offsets.get(&TopicPartition::new(self.name.as_str(), 0)).copied().unwrap_or(0);
        match self.kept {
            Kept::Each => {
                let found = self.documents.count_documents(doc! {"n": {"$lt": committed}}).await.unwrap();
                assert_eq!(i64::try_from(found).unwrap(), committed, "documents of what is committed");
            }
            Kept::InTurn(documents) => {
                let old = self.documents.count_documents(doc! {"n": {"$lt": committed - documents}}).await.unwrap();
                assert_eq!(old, 0, "documents that lack what is committed up to {committed}");
            }
            Kept::Unknown => {}
        }
    }
}

struct Watch {
    end: Arc<AtomicBool>,
    watching: JoinHandle<usize>,
}

impl Watch {
    async fn end(self) {
        self.end.store(true, Ordering::Relaxed);
        assert!(self.watching.await.unwrap() > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_the_server_that_pass_are_waited_out() {
    let mut pipe = Pipe::start_with("faults", "", &json!({}), numbered).await;
    let watch = pipe.watch(Kept::Each);
    // A node that says it is none for writes is looked at again with the next heartbeat: such codes take their time.
    let codes = [6, 50, 91, 112, 262, 10107, 11600, 11601, 13436];
    let faults = codes.map(|code| doc! {"errorCode": code}).into_iter().chain([doc! {"closeConnection": true}]);
    for data in faults {
        // More often than the drivers' own second attempt makes up for.
        pipe.fail("insert", 3, data).await;
        pipe.produce(7, numbered).await;
        pipe.wait_committed().await;
        pipe.assert_each().await;
    }
    watch.end().await;
    pipe.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_not_confirmed_in_time_is_not_done_twice() {
    let provided = "com.mongodb.kafka.connect.sink.processor.id.strategy.ProvidedInValueStrategy";
    let value = |n: i64| json!({"_id": n, "n": n});
    let mut pipe = Pipe::start_with("unconfirmed", "", &json!({"document.id.strategy": provided}), value).await;
    let watch = pipe.watch(Kept::Each);
    let late = doc! {"code": 64, "codeName": "WriteConcernFailed", "errmsg": "slow", "errInfo": {"wtimeout": true}};
    pipe.fail("insert", 3, doc! {"writeConcernError": late}).await;
    pipe.produce(7, value).await;
    pipe.wait_committed().await;
    pipe.assert_each().await;
    watch.end().await;
    pipe.end().await;
}

/// The server does the write, and the answer is lost with the connection.
async fn lose_an_answer(base: &str, options: &str) {
    let mut pipe = Pipe::start_with(base, options, &json!({}), numbered).await;
    let watch = pipe.watch(Kept::Each);
    pipe.proxy.set(Fault::StallAnswers);
    pipe.produce(10, numbered).await;
    pipe.wait_beyond(1).await;
    pipe.proxy.set(Fault::Cut);
    tokio::time::sleep(Duration::from_secs(3)).await;
    pipe.produce(10, numbered).await;
    pipe.proxy.set(Fault::None);
    pipe.wait_committed().await;
    pipe.assert_each().await;
    watch.end().await;
    pipe.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_is_lost_is_not_done_twice() {
    lose_an_answer("lost_number", "").await;
    // Without numbers for writes the server can't know it; the documents' own ids tell.
    lose_an_answer("lost_id", "&retryWrites=false").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_nothing_costs_no_membership() {
    let mut pipe = Pipe::start_with("silent", "", &json!({}), numbered).await;
    let watch = pipe.watch(Kept::Each);
    pipe.proxy.set(Fault::Stall);
    pipe.produce(10, numbered).await;
    tokio::time::sleep(SESSION + Duration::from_secs(4)).await;
    assert_eq!(pipe.count(doc! {}).await, 1);
    pipe.proxy.set(Fault::None);
    pipe.wait_committed().await;
    pipe.assert_each().await;
    watch.end().await;
    pipe.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_started_again_finds_every_document_in_its_last_state() {
    const DOCUMENTS: i64 = 20;
    let replace = "com.mongodb.kafka.connect.sink.writemodel.strategy.ReplaceOneDefaultStrategy";
    let changes = json!({"writemodel.strategy": replace, "consumer.override.max.poll.records": "50"});
    let mut pipe = Pipe::start("restarted", "", &changes).await;
    let value = |n: i64| json!({"_id": n % DOCUMENTS, "n": n});
    pipe.produce(400, value).await;
    pipe.wait_committed().await;
    let watch = pipe.watch(Kept::Unknown);
    pipe.produce(400, value).await;
    pipe.mongo.process.stop().unwrap();
    pipe.produce(400, value).await;
    tokio::time::sleep(SESSION).await;
    pipe.mongo.start_again().unwrap();
    let second = pipe.watch(Kept::InTurn(DOCUMENTS));
    pipe.produce(400, value).await;
    pipe.wait_committed().await;
    assert_eq!(pipe.count(doc! {}).await, u64::try_from(DOCUMENTS).unwrap());
    assert_eq!(pipe.count(doc! {"n": {"$gte": pipe.produced - DOCUMENTS}}).await, u64::try_from(DOCUMENTS).unwrap());
    watch.end().await;
    second.end().await;
    pipe.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_bad_records_go_to_the_dead_letter_queue() {
    let queue = unique("isolated_dead");
    let changes = json!({
        "document.id.strategy": "com.mongodb.kafka.connect.sink.processor.id.strategy.ProvidedInValueStrategy",
        "errors.isolate.bad.records": "true",
        "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": queue,
        "errors.deadletterqueue.topic.replication.factor": "1",
    });
    let mut pipe = Pipe::start("isolated", "", &changes).await;
    pipe.fail("insert", 3, doc! {"errorCode": 91}).await;
    // Every tenth record repeats the id of the one before it.
    pipe.produce(100, |n| json!({"_id": if n % 10 == 9 { n - 1 } else { n }, "n": n})).await;
    pipe.wait_committed().await;
    wait_records(&pipe.topics, &queue, 10).await;
    let letters: Vec<i64> =
        pipe.topics.read(&queue).unwrap().iter().map(|letter| letter.json()["n"].as_i64().unwrap()).collect();
    assert_eq!(letters, (0..10).map(|n| n * 10 + 9).collect::<Vec<_>>());
    assert_eq!(pipe.count(doc! {}).await, 90);
    pipe.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sink_of_a_job_waits_and_isolates_without_being_told() {
    let (worker, topics, name) = (support::worker("job_faults").await, topics(), unique("job_faults"));
    let mongo = Mongo::start(&name).unwrap();
    topics.create(&name, 1).await.unwrap();
    let sink = json!({
        "connector.class": "com.mongodb.kafka.connect.MongoSinkConnector",
        "tasks.max": "1",
        "topics": name,
        "connection.uri": mongo.uri,
        "database": name,
        "collection": "c",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schemas.enable": "false",
        "errors.isolate.bad.records": "false",
    });
    let job = json!({"name": name, "sinks": [sink]});
    worker.api().post("/jobs", &job).await.unwrap().expect(&[201]).unwrap();
    let connector = format!("{name}-sink");
    let config = worker.api().get(&format!("/connectors/{connector}/config")).await.unwrap().body;
    assert_eq!(config["transient.errors.retry.timeout.ms"], "300000");
    assert_eq!(config["errors.isolate.bad.records"], "false", "what the job says counts");
    worker.api().wait_running(&connector).await.unwrap();
    let client = mongo.client().await.unwrap();
    let order = doc! {
        "configureFailPoint": "failCommand", "mode": {"times": 3}, "data": {"failCommands": ["update"], "errorCode": 112},
    };
    client.database("admin").run_command(order).await.unwrap();
    topics.produce(&name, &["{\"_id\": 1}"]).await.unwrap();
    let documents = client.database(&name).collection::<Document>("c");
    eventually_async("the document", ARRIVAL, async || {
        let status = worker.api().status(&connector).await.map_err(|failure| failure.to_string())?;
        assert_eq!(status["tasks"][0]["state"], "RUNNING", "{status}");
        let found = documents.count_documents(doc! {}).await.map_err(|error| error.to_string())?;
        if found == 1 { Ok(()) } else { Err(format!("{found}")) }
    })
    .await
    .unwrap();
    let seen = worker.api().get(&format!("/jobs/{name}")).await.unwrap().body;
    assert_eq!((&seen["state"], &seen["recovery"]["attempt"]), (&json!("running"), &json!(0)), "{seen}");
    worker.api().delete(&format!("/jobs/{name}")).await.unwrap().expect(&[204]).unwrap();
}
