//! Failures: which heal by themselves, which do not, and what is said of each.

use integration_tests::testbed::proxy::Fault;
use integration_tests::testbed::{Mongo, Postgres};
use integration_tests::testbed::{PostgresAddress, PostgresOptions, Proxy, Worker, eventually_async};
use serde_json::json;

use crate::support::{LIMIT, Shop, act, job, setup, unique, wait_job, wait_state, worker};

/// The address of a proxy in front of a server.
fn through(proxy: &Proxy, address: &PostgresAddress) -> PostgresAddress {
    PostgresAddress { host: proxy.address().ip().to_string(), port: proxy.address().port(), ..address.clone() }
}

/// "Connection lost: reconnect and resume."
#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_postgres_is_away_for_a_while_heals_without_anyone() {
    let (worker, mut shop) = (worker("away").await, Shop::new("away", 10).await);
    let direct = shop.address.clone();
    let proxy = Proxy::start(&format!("{}:{}", direct.host, direct.port)).await.unwrap();
    shop.address = through(&proxy, &direct);
    shop.start_streaming(worker.api()).await;
    proxy.set(Fault::Cut);
    let down = wait_job(worker.api(), &shop.name, "to be tried again", |job| {
        job["state"] == "starting" && job["recovery"]["attempt"].as_u64().unwrap_or(0) > 0
    })
    .await;
    assert!(down["error"]["message"].is_string() && down["error"]["remedy"].is_string(), "{down}");
    assert_eq!(down["recovery"]["kind"], "network");
    // Connect's status shows what operators know.
    eventually_async("FAILED or RESTARTING in Connect's status", LIMIT, async || {
        let status = worker.api().status(&format!("{}-source", shop.name)).await.map_err(|f| f.to_string())?;
        let state = status["tasks"][0]["state"].as_str().unwrap_or_default().to_owned();
        if ["FAILED", "RESTARTING"].contains(&state.as_str()) { Ok(()) } else { Err(state) }
    })
    .await
    .unwrap();
    proxy.set(Fault::None);
    shop.address = direct;
    wait_state(worker.api(), &shop.name, "running").await;
    shop.insert(11, 15).await;
    shop.wait_count(15).await;
    let healed = job(worker.api(), &shop.name).await;
    assert_eq!(healed["error"], json!(null), "{healed}");
    assert!(healed["reason"].as_str().unwrap().contains("recovered"), "{healed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_mongodb_is_away_for_a_while_heals_without_anyone() {
    let (worker, shop) = (worker("mongo_away").await, Shop::new("mongo_away", 10).await);
    let mongo = Mongo::start(&unique("mongo_away")).unwrap();
    let upstream = mongo.uri.trim_start_matches("mongodb://").split('/').next().unwrap().to_owned();
    let proxy = Proxy::start(&upstream).await.unwrap();
    let mut body = shop.job();
    body["sinks"][0]["connection.uri"] =
        json!(format!("mongodb://{}/?directConnection=true&serverSelectionTimeoutMS=1000", proxy.address()));
    // The sink of a job waits longer than this test: what it meets is to be seen to from outside here.
    body["sinks"][0]["transient.errors.retry.timeout.ms"] = json!("0");
    worker.api().post("/jobs", &body).await.unwrap().expect(&[201]).unwrap();
    let documents = mongo.client().await.unwrap().database(&shop.name).collection::<mongodb::bson::Document>("orders");
    let wait = async |count: u64| {
        eventually_async(&format!("{count} documents"), LIMIT, async || {
            let found = documents.count_documents(mongodb::bson::Document::new()).await.map_err(|e| e.to_string())?;
            if found == count { Ok(()) } else { Err(format!("{found}")) }
        })
        .await
        .unwrap();
    };
    wait(10).await;
    proxy.set(Fault::Cut);
    shop.insert(11, 20).await;
    wait_job(worker.api(), &shop.name, "to be tried again", |job| {
        job["recovery"]["attempt"].as_u64().unwrap_or(0) > 0 && job["state"] != "failed"
    })
    .await;
    proxy.set(Fault::None);
    wait(20).await;
    wait_state(worker.api(), &shop.name, "running").await;
}

/// "max 10 retries": the budget is respected, here with three.
#[tokio::test(flavor = "multi_thread")]
async fn the_budget_of_restarts_is_respected_and_a_retry_goes_on_from_the_checkpoint() {
    let (worker, mut shop) = (worker("budget").await, Shop::new("budget", 10).await);
    let direct = shop.address.clone();
    let proxy = Proxy::start(&format!("{}:{}", direct.host, direct.port)).await.unwrap();
    shop.address = through(&proxy, &direct);
    let mut body = shop.job();
    body["options"] = json!({"recovery.attempts.max": 3, "recovery.immediate.retries": 1});
    worker.api().post("/jobs", &body).await.unwrap().expect(&[201]).unwrap();
    wait_job(worker.api(), &shop.name, "streaming", |job| job["phase"] == "STREAMING").await;
    shop.wait_count(10).await;
    proxy.set(Fault::Cut);
    let failed = wait_state(worker.api(), &shop.name, "failed").await;
    assert_eq!(
        (&failed["recovery"]["attempt"], &failed["recovery"]["attempts_max"]),
        (&json!(3), &json!(3)),
        "{failed}"
    );
    assert_eq!(failed["recovery"]["next_attempt_at"], json!(null));
    assert_eq!(crate::support::actions(&failed), ["retry", "stop", "delete"]);
    proxy.set(Fault::None);
    shop.address = direct;
    shop.insert(11, 12).await;
    act(worker.api(), &shop.name, "retry").await;
    wait_state(worker.api(), &shop.name, "running").await;
    shop.wait_count(12).await;
    shop.assert_equal().await;
}

/// A Postgres of its own, whose roles and slots a test may spoil.
/// A Postgres of its own with these settings, and a shop in it.
pub(crate) async fn own_postgres(name: &str, settings: &[&str], rows: i64) -> (Postgres, Shop) {
    let name = unique(name);
    let options = PostgresOptions { settings, ..PostgresOptions::default() };
    let postgres = Postgres::start(&name, options).unwrap();
    let address = postgres.create_database(&name).await.unwrap();
    let shop = Shop::at(name, address, rows).await;
    (postgres, shop)
}

/// "Manual intervention: check the error message, fix the underlying issue, click Retry."
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_fails_at_once_says_so_and_is_cured_in_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let secrets = directory.path().join("secrets.properties");
    let provider = "org.apache.kafka.common.config.provider.FileConfigProvider";
    let setup = setup("password").with("config.providers", "file").with("config.providers.file.class", provider);
    let worker = Worker::start(setup).await.unwrap();
    let shop = Shop::new("password", 10).await;
    let role = format!("{}_role", shop.name);
    let grant = format!(
        "create role {role} with login superuser replication password 'right'; grant all on database {} to {role}",
        shop.name
    );
    shop.client.batch_execute(&grant).await.unwrap();
    let mut body = shop.job();
    body["source"]["database.user"] = json!(role);
    body["source"]["database.password"] = json!(format!("${{file:{}:password}}", secrets.display()));
    std::fs::write(&secrets, "password=right\n").unwrap();
    worker.api().post("/jobs", &body).await.unwrap().expect(&[201]).unwrap();
    wait_job(worker.api(), &shop.name, "streaming", |job| job["phase"] == "STREAMING").await;
    // A job that runs counts as streaming until its source has said where it is.
    shop.wait_count(10).await;

    shop.client.batch_execute(&format!("alter role {role} password 'other'")).await.unwrap();
    let cut = "select pg_terminate_backend(active_pid) from pg_replication_slots \
               where slot_name = $1 and active_pid is not null";
    eventually_async("the stream to be cut", LIMIT, async || {
        let cut = shop.client.query(cut, &[&shop.name]).await.map_err(|error| error.to_string())?;
        if cut.is_empty() { Err("nobody streams".to_owned()) } else { Ok(()) }
    })
    .await
    .unwrap();
    let failed = wait_state(worker.api(), &shop.name, "failed").await;
    assert_eq!(failed["error"]["code"], "auth", "{failed}");
    assert!(failed["error"]["remedy"].as_str().unwrap().contains("password"), "{failed}");
    assert!(!failed.to_string().contains("right"), "no secret is shown: {failed}");
    std::fs::write(&secrets, "password=other\n").unwrap();
    act(worker.api(), &shop.name, "retry").await;
    wait_state(worker.api(), &shop.name, "running").await;
    shop.insert(11, 12).await;
    shop.wait_count(12).await;
}

/// "Loss of individual brokers": nothing is done by anyone.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_on_when_the_broker_is_back() {
    let mut kafka = integration_tests::testbed::Kafka::start(&unique("broker")).unwrap();
    let mut setup = setup("broker");
    setup = setup.with("bootstrap.servers", &kafka.bootstrap);
    let worker = Worker::start(setup).await.unwrap();
    let shop = Shop::new("broker", 10).await;
    shop.start_streaming(worker.api()).await;
    shop.wait_count(10).await;
    kafka.stop().unwrap();
    shop.insert(11, 30).await;
    kafka.start_again().unwrap();
    shop.wait_count(30).await;
    wait_state(worker.api(), &shop.name, "running").await;
    shop.assert_equal().await;
}

/// One failing job never disturbs another.
#[tokio::test(flavor = "multi_thread")]
async fn a_failing_job_leaves_the_others_alone() {
    let worker = worker("apart").await;
    let api = worker.api();
    let (bad, good) = (Shop::new("bad", 5).await, Shop::new("good", 5).await);
    good.start_streaming(api).await;
    bad.start_streaming(api).await;
    wait_job(api, &bad.name, "a checkpoint", |job| job["checkpoint"]["lsn"].is_string()).await;
    act(api, &bad.name, "stop").await;
    wait_state(api, &bad.name, "stopped").await;
    bad.client.execute("select pg_drop_replication_slot($1)", &[&bad.name]).await.unwrap();
    let before = job(api, &good.name).await;
    act(api, &bad.name, "start").await;
    wait_state(api, &bad.name, "failed").await;
    good.insert(6, 10).await;
    good.wait_count(10).await;
    let after = job(api, &good.name).await;
    assert_eq!(after["history"], before["history"], "nothing happened to it");
}
