//! Failures that no retry cures: each says what happened and what to do, in the job's status and to its webhooks.

use integration_tests::testbed::{Worker, eventually_async};
use serde_json::{Value, json};

use crate::failures::own_postgres;
use crate::receiver::Receiver;
use crate::support::{LIMIT, Shop, act, history, job, setup, wait_job, wait_state};

/// A worker that tells a receiver of all its jobs.
async fn told(name: &str) -> (Worker, Receiver) {
    let (receiver, url) = Receiver::start().await;
    (Worker::start(setup(name).with("job.webhooks", &url)).await.unwrap(), receiver)
}

/// Waits until the job failed, and until its webhook has said the same.
async fn failed(worker: &Worker, receiver: &Receiver, shop: &Shop) -> Value {
    let failed = wait_state(worker.api(), &shop.name, "failed").await;
    let message = failed["error"]["message"].clone();
    receiver
        .hears("the failure, in the words of the status", |body| {
            body["job_id"] == shop.name.as_str() && body["new_state"] == "failed" && body["error"] == message
        })
        .await;
    failed
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// "replication slot not found: recreate the slot, may need a new snapshot."
#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_slot_fails_the_job_with_what_to_do_and_a_restart_cures_it() {
    let (worker, receiver) = told("slot").await;
    let shop = Shop::new("slot", 10).await;
    let (api, name) = (worker.api(), shop.name.as_str());
    shop.start_streaming(api).await;
    shop.wait_count(10).await;
    wait_job(api, name, "a checkpoint", |job| job["checkpoint"]["lsn"].is_string()).await;
    act(api, name, "stop").await;
    wait_state(api, name, "stopped").await;
    shop.client.execute("select pg_drop_replication_slot($1)", &[&name]).await.unwrap();
    shop.insert(11, 20).await;
    act(api, name, "start").await;
    let failed = failed(&worker, &receiver, &shop).await;
    let (message, remedy) = (text(&failed["error"]["message"]), text(&failed["error"]["remedy"]));
    assert!(message.contains(name) && message.contains("does not exist") && message.contains("lost"), "{message}");
    assert!(remedy.contains(&format!("PUT /jobs/{name}/restart")), "{remedy}");
    assert_eq!(failed["error"]["code"], "position_lost");
    // Trying again can't help, and whoever watches is told when it is done all the same.
    for failures in 2..=3 {
        act(api, name, "retry").await;
        wait_job(api, name, "to fail again", |job| {
            let failed = history(job).iter().filter(|state| *state == "failed").count();
            job["state"] == "failed" && failed == failures
        })
        .await;
    }
    receiver.hears("the flapping", |body| body["event"] == "job.flapping" && body["job_id"] == name).await;
    act(api, name, "restart").await;
    wait_job(api, name, "to stream again", |job| job["state"] == "running" && job["phase"] == "STREAMING").await;
    shop.wait_count(20).await;
    shop.assert_equal().await;
}

/// "permission denied: verify credentials."
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_permission_names_the_right_that_is_missing() {
    let (worker, receiver) = told("revoked").await;
    let (api, shop) = (worker.api(), Shop::new("revoked", 10).await);
    let name = shop.name.as_str();
    let role = format!("{name}_role");
    let setup = format!(
        "create role {role} with login replication password 'pw'; grant create on database {name} to {role}; \
         grant select on orders to {role}; create publication {name} for table orders"
    );
    shop.client.batch_execute(&setup).await.unwrap();
    let mut body = shop.job();
    body["source"]["database.user"] = json!(role);
    body["source"]["database.password"] = json!("pw");
    body["source"]["publication.autocreate.mode"] = json!("disabled");
    api.post("/jobs", &body).await.unwrap().expect(&[201]).unwrap();
    shop.wait_streaming(api).await;
    shop.wait_count(10).await;
    shop.client.batch_execute(&format!("revoke select on orders from {role}")).await.unwrap();
    act(api, name, "stop").await;
    wait_state(api, name, "stopped").await;
    // The stream needs no right to read the table; a new snapshot does.
    act(api, name, "restart").await;
    let failed = failed(&worker, &receiver, &shop).await;
    assert_eq!(failed["error"]["code"], "forbidden", "{failed}");
    let said = format!("{} {}", text(&failed["error"]["message"]), text(&failed["error"]["remedy"]));
    assert!(said.contains("orders") && said.contains("GRANT SELECT"), "{said}");
    shop.client.batch_execute(&format!("grant select on orders to {role}")).await.unwrap();
    act(api, name, "retry").await;
    shop.wait_streaming(api).await;
    shop.insert(11, 12).await;
    shop.wait_count(12).await;
}

/// "table not found: update the table selection."
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_dropped_under_its_snapshot_is_named() {
    let (worker, receiver) = told("dropped").await;
    // The lock below would keep others of the server from making their slots.
    let (_postgres, shop) = own_postgres("dropped", &[], 10).await;
    let made = format!(
        "create table orders_next (id int primary key); create publication {0} for table orders, orders_next",
        shop.name
    );
    shop.client.batch_execute(&made).await.unwrap();
    let slot = "select pg_create_logical_replication_slot($1, 'pgoutput')";
    shop.client.execute(slot, &[&shop.name]).await.unwrap();
    // The snapshot waits for the first table while the second one goes.
    let blocker = shop.address.connect().await.unwrap();
    blocker.batch_execute("begin; lock table orders in access exclusive mode").await.unwrap();
    let mut body = shop.job();
    body["source"]["table.include.list"] = json!("public.orders,public.orders_next");
    body["source"]["publication.autocreate.mode"] = json!("disabled");
    worker.api().post("/jobs", &body).await.unwrap().expect(&[201]).unwrap();
    wait_job(worker.api(), &shop.name, "the first table", |job| {
        job["phase"] == "SNAPSHOT" && job["tables"].as_array().is_some_and(|tables| tables.len() == 2)
    })
    .await;
    shop.client.batch_execute("drop table orders_next").await.unwrap();
    blocker.batch_execute("commit").await.unwrap();
    let failed = failed(&worker, &receiver, &shop).await;
    let (message, remedy) = (text(&failed["error"]["message"]), text(&failed["error"]["remedy"]));
    assert!(message.contains("public.orders_next") && message.contains("dropped"), "{message}");
    assert!(remedy.contains("table.include.list"), "{remedy}");
}

/// Removed WAL: while paused the slot is lost; it is told at once, and again when the job is resumed.
#[tokio::test(flavor = "multi_thread")]
async fn removed_wal_is_warned_of_while_paused_and_fails_the_job_when_it_is_resumed() {
    let settings = ["max_slot_wal_keep_size=32MB", "max_wal_size=64MB", "wal_keep_size=0"];
    let (postgres, shop) = own_postgres("wal", &settings, 10).await;
    let (worker, receiver) = told("wal").await;
    let (api, name) = (worker.api(), shop.name.as_str());
    shop.start_streaming(api).await;
    shop.wait_count(10).await;
    act(api, name, "pause").await;
    wait_state(api, name, "paused").await;
    shop.client.batch_execute("create table filler (text text)").await.unwrap();
    let warned = eventually_async("a warning", LIMIT, async || {
        let fill = "insert into filler select repeat('x', 1000) from generate_series(1, 5000); checkpoint";
        shop.client.batch_execute(fill).await.map_err(|error| error.to_string())?;
        let job = job(api, name).await;
        if job["retention"]["warning"].is_string() { Ok(job) } else { Err(job["retention"].to_string()) }
    })
    .await
    .unwrap();
    assert!(text(&warned["retention"]["warning"]).contains(name), "{warned}");
    receiver.hears("the warning", |body| body["event"] == "job.warning" && body["job_id"] == name).await;
    eventually_async("the slot to be lost", LIMIT, async || {
        let fill = "insert into filler select repeat('x', 1000) from generate_series(1, 30000); checkpoint";
        shop.client.batch_execute(fill).await.map_err(|error| error.to_string())?;
        let job = job(api, name).await;
        if job["retention"]["wal_status"] == "lost" { Ok(()) } else { Err(job["retention"].to_string()) }
    })
    .await
    .unwrap();
    act(api, name, "resume").await;
    let failed = failed(&worker, &receiver, &shop).await;
    assert_eq!(failed["error"]["code"], "position_lost", "{failed}");
    let message = text(&failed["error"]["message"]);
    assert!(message.contains(name) && message.contains("max_slot_wal_keep_size"), "{message}");
    assert!(text(&failed["error"]["remedy"]).contains("restart"), "{failed}");
    drop(postgres);
}
