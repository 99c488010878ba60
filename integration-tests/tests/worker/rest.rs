//! The REST API: the main answers, and what happens on bad input.

use std::io::Write;

use integration_tests::testbed::{Answer, Postgres, PostgresOptions, Servers, Topics, Worker};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{self, file_source, source, topics, unique, wait_records, with};

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_is_created_read_changed_and_deleted() {
    let worker = support::worker("rest").await;
    let api = worker.api();
    let root = api.get("/").await.unwrap();
    assert_eq!(root.status, 200);
    assert!(root.body["kafka_cluster_id"].is_string() && root.body["version"].is_string(), "{}", root.text);
    assert_eq!(api.get("/health").await.unwrap().status, 200);
    assert_eq!(api.get("/connectors").await.unwrap().body, json!([]));

    let (name, file) = (unique("file"), tempfile::NamedTempFile::new().unwrap());
    let config = file_source(file.path(), &name);
    let body = json!({"name": name, "config": config});
    let created = api.post("/connectors", &body).await.unwrap();
    let stored = with(config.clone(), &json!({"name": name}));
    assert_eq!(created.status, 201, "{}", created.text);
    assert_eq!(created.body, json!({"name": name, "config": stored, "tasks": [], "type": "source"}));
    let again = api.post("/connectors", &body).await.unwrap();
    assert_eq!((again.status, again.message()), (409, format!("Connector {name} already exists").as_str()));

    let status = api.wait_running(&name).await.unwrap();
    assert_eq!(status["type"], "source");
    let path = format!("/connectors/{name}");
    let tasks = api.get(&format!("{path}/tasks")).await.unwrap();
    assert_eq!(tasks.body[0]["id"], json!({"connector": name, "task": 0}));
    assert_eq!(api.get(&format!("{path}/config")).await.unwrap().body, stored);
    assert_eq!(api.get("/connectors").await.unwrap().body, json!([name]));

    let changed = with(config, &json!({"batch.size": "10"}));
    let answer = api.put(&format!("{path}/config"), Some(&changed)).await.unwrap();
    assert_eq!((answer.status, &answer.body["config"]["batch.size"]), (200, &json!("10")));
    assert_eq!(api.put(&format!("{path}/pause"), None).await.unwrap().status, 202);
    api.wait_for(&name, "PAUSED", &["PAUSED"]).await.unwrap();
    assert_eq!(api.put(&format!("{path}/resume"), None).await.unwrap().status, 202);
    api.wait_running(&name).await.unwrap();
    assert_eq!(api.put(&format!("{path}/stop"), None).await.unwrap().status, 204);
    api.wait_for(&name, "STOPPED", &[]).await.unwrap();
    assert_eq!(api.delete(&path).await.unwrap().status, 204);
    refused(&api.get(&path).await.unwrap(), 404, &[&format!("Connector {name} not found")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_are_listed_and_validate() {
    let worker = support::worker("plugins").await;
    let api = worker.api();
    let plugins = api.get("/connector-plugins").await.unwrap();
    let classes: Vec<&str> =
        plugins.body.as_array().unwrap().iter().filter_map(|plugin| plugin["class"].as_str()).collect();
    for class in [
        "io.debezium.connector.postgresql.PostgresConnector",
        "com.mongodb.kafka.connect.MongoSinkConnector",
        "org.apache.kafka.connect.file.FileStreamSourceConnector",
    ] {
        assert!(classes.contains(&class), "{class} in {classes:?}");
    }
    let class = "io.debezium.connector.postgresql.PostgresConnector";
    let body = json!({"connector.class": class, "name": "v"});
    let answer = api.put(&format!("/connector-plugins/{class}/config/validate"), Some(&body)).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
    let errors_of = |key: &str| -> Value {
        let configs = answer.body["configs"].as_array().unwrap();
        configs.iter().find(|config| config["value"]["name"] == key).unwrap()["value"]["errors"].clone()
    };
    assert!(errors_of("database.hostname").to_string().contains("required"), "{}", errors_of("database.hostname"));
    assert!(answer.body["error_count"].as_i64().unwrap() >= 4, "{}", answer.body["error_count"]);
}

/// A worker with a file source whose lines must keep coming, whatever else is asked of it.
struct Witness {
    worker: Worker,
    topics: Topics,
    topic: String,
    file: tempfile::NamedTempFile,
    lines: i64,
}

impl Witness {
    async fn start() -> Self {
        let (worker, topics, topic) = (support::worker("bad_input").await, topics(), unique("witness"));
        let file = tempfile::NamedTempFile::new().unwrap();
        worker.api().create("witness", &file_source(file.path(), &topic)).await.unwrap();
        worker.api().wait_running("witness").await.unwrap();
        Self { worker, topics, topic, file, lines: 0 }
    }

    async fn goes_on(&mut self) {
        writeln!(self.file, "line").unwrap();
        self.lines += 1;
        wait_records(&self.topics, &self.topic, self.lines).await;
    }

    async fn create(&self, name: &str, config: &Value) -> Answer {
        self.worker.api().post("/connectors", &json!({"name": name, "config": config})).await.unwrap()
    }

    /// The configuration is refused, nothing of it stays, and the witness goes on.
    async fn refuses(&mut self, config: &Value, status: u16, words: &[&str]) {
        let name = unique("bad");
        let answer = self.create(&name, config).await;
        refused(&answer, status, words);
        assert_eq!(self.worker.api().get("/connectors").await.unwrap().body, json!(["witness"]));
        self.goes_on().await;
    }
}

fn refused(answer: &Answer, status: u16, words: &[&str]) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_eq!(answer.body["error_code"], status, "{}", answer.text);
    for word in words {
        assert!(answer.message().contains(word), "'{word}' in {}", answer.text);
    }
}

const INVALID: &str = "Connector configuration is invalid and contains the following";

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_make_no_sense_are_refused() {
    let mut witness = Witness::start().await;
    for body in ["{\"name\": \"a\", \"config\": {", "", "null", "[]", "{\"name\":\"a\",\"config\":{},\"unknown\":1}"] {
        let answer = witness.worker.api().send(Method::POST, "/connectors", Some(body.to_owned())).await.unwrap();
        assert_eq!(answer.status, 500, "{body}: {}", answer.text);
        assert!(!answer.message().is_empty(), "{body}: {}", answer.text);
        witness.goes_on().await;
    }
    let unknown = json!({"connector.class": "no.such.Connector"});
    let words = ["Failed to find any class that implements Connector and which name matches no.such.Connector"];
    // The class that was meant is in the list.
    let words = [words[0], "io.debezium.connector.postgresql.PostgresConnector"];
    witness.refuses(&unknown, 400, &words).await;
    witness.refuses(&json!({"topic": "t"}), 400, &["contains no connector type"]).await;
    for (method, path, message) in [
        (Method::GET, "/connectors/nobody", "Connector nobody not found"),
        (Method::PUT, "/connectors/nobody/pause", "Unknown connector nobody"),
        (Method::POST, "/connectors/nobody/restart", "Unknown connector: nobody"),
        (Method::DELETE, "/connectors/nobody", "Connector nobody not found"),
        (Method::GET, "/nowhere", "HTTP 404 Not Found"),
    ] {
        let answer = witness.worker.api().send(method, path, None).await.unwrap();
        refused(&answer, 404, &[message]);
    }
    refused(&witness.worker.api().send(Method::DELETE, "/", None).await.unwrap(), 405, &["HTTP 405"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_cannot_work_is_refused() {
    let mut witness = Witness::start().await;
    let name = unique("refused");
    let (address, client) = support::database(&name).await;
    client.batch_execute("create table t (id int primary key)").await.unwrap();
    let good = source(&address, &name, "public.t");
    let missing = with(good.clone(), &json!({"database.hostname": null}));
    witness.refuses(&missing, 400, &[INVALID, "database.hostname", "required"]).await;
    let password = with(good.clone(), &json!({"database.password": "wrong"}));
    witness.refuses(&password, 400, &[INVALID, "password authentication failed"]).await;
    let port = integration_tests::testbed::ports::free().unwrap().to_string();
    let unreachable = with(good.clone(), &json!({"database.port": port}));
    witness.refuses(&unreachable, 400, &[INVALID, &format!("127.0.0.1:{port}"), "refused"]).await;
    let database = with(good, &json!({"database.dbname": "no_such_database"}));
    witness.refuses(&database, 400, &[INVALID, "no_such_database"]).await;
}

/// Debezium does not look at `wal_level` when it validates: the task fails, and its trace names the setting.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_wal_level_fails_the_task_alone() {
    let mut witness = Witness::start().await;
    let options = PostgresOptions { wal_level: "replica", ..PostgresOptions::default() };
    let replica = Postgres::start(&unique("replica"), options).unwrap();
    let name = unique("replica");
    let client = replica.address.connect().await.unwrap();
    client.batch_execute("create table t (id int primary key)").await.unwrap();
    let answer = witness.create(&name, &source(&replica.address, &name, "public.t")).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let status = witness.worker.api().wait_for(&name, "RUNNING", &["FAILED"]).await.unwrap();
    let trace = status["tasks"][0]["trace"].as_str().unwrap();
    assert!(trace.contains("wal_level") && trace.contains("logical"), "{trace}");
    witness.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_cannot_work_is_refused() {
    let mut witness = Witness::start().await;
    let good = json!({
        "connector.class": "com.mongodb.kafka.connect.MongoSinkConnector", "topics": unique("none"),
        "connection.uri": Servers::shared().mongo.uri, "database": "d",
    });
    let missing = with(good.clone(), &json!({"topics": null}));
    witness.refuses(&missing, 400, &["topics"]).await;
    let nonsense = with(good.clone(), &json!({"connection.uri": "nonsense"}));
    witness.refuses(&nonsense, 400, &[INVALID, "connection"]).await;
    let port = integration_tests::testbed::ports::free().unwrap();
    let unreachable = format!("mongodb://127.0.0.1:{port}/?serverSelectionTimeoutMS=2000");
    witness.refuses(&with(good, &json!({"connection.uri": unreachable})), 400, &[INVALID, "connect"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_table_fails_the_task_alone() {
    let mut witness = Witness::start().await;
    let name = unique("missing");
    let (address, _client) = support::database(&name).await;
    let answer = witness.create("missing", &source(&address, &name, "public.nothing")).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let status = witness.worker.api().wait_for("missing", "RUNNING", &["FAILED"]).await.unwrap();
    let trace = status["tasks"][0]["trace"].as_str().unwrap();
    assert!(trace.contains("publication") && trace.contains(&name), "{trace}");
    witness.goes_on().await;
}
