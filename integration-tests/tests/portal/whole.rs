//! The whole life of a job in the portal of a real worker, between a real Postgres and a MongoDB server.

use fantoccini::key::Key;
use integration_tests::testbed::agree::compare;
use integration_tests::testbed::{Postgres, PostgresOptions, Servers, Worker, eventually_async};
use mongodb::Collection;
use mongodb::bson::Document;
use serde_json::Value;

use crate::browser::{Browser, LIMIT};
use crate::shop::{Shop, job, setup, wait_job};
use crate::{REASON, line};

const ROWS: i64 = 5_000;
/// Each row of the snapshot takes so long that a reader sees it move, until he has seen it: as long as this lock is held.
const SLOWLY: &str = "snapshot.select.statement.overrides=public.orders\n\
    snapshot.select.statement.overrides.public.orders=select * from orders where \
    pg_sleep(case when pg_try_advisory_xact_lock_shared(7) then 0 else 0.02 end) is not null";
const LOCK: &str = "select pg_advisory_lock(7)";
const UNLOCK: &str = "select pg_advisory_unlock(7)";
/// Half of it is a warning.
const BUDGET: &str = "max_slot_wal_keep_size=96MB";
const MORE_THAN_HALF: &str =
    "create table filler as select repeat(md5(n::text), 32) from generate_series(1, 56000) n; select pg_switch_wal()";

/// "A person who never used curl creates a job, watches the snapshot, pauses it with the warning, resumes, sees a failure
/// with its remedy, retries, completes."
#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_created_watched_paused_resumed_failed_retried_and_completed() {
    let settings = [BUDGET, "wal_keep_size=0", "max_wal_size=1GB"];
    let options = PostgresOptions { settings: &settings, ..PostgresOptions::default() };
    let postgres = Postgres::start("portal-postgres", options).unwrap();
    let address = postgres.create_database("webshop").await.unwrap();
    let mut shop = Shop::at("webshop".to_owned(), address, ROWS).await;
    let role = "create role replicator with login replication superuser password 'hunter2'";
    shop.client.batch_execute(role).await.unwrap();
    shop.address.user = "replicator".to_owned();
    shop.address.password = "hunter2".to_owned();
    let worker = Worker::start(setup("portal")).await.unwrap();
    let browser = Browser::open(worker.api().base()).await;
    browser.resize(1280, 1100).await;

    shop.client.batch_execute(LOCK).await.unwrap();
    create(&browser, &shop).await;
    watch_the_snapshot(&browser, &shop).await;
    pause_until_it_warns(&browser, &shop).await;
    browser.press_button("main", "Resume").await;
    browser.sees(REASON, &["Running"]).await;
    fail(&browser, &shop).await;
    retry(&browser, &shop).await;
    complete(&browser, &shop, &worker).await;
    browser.close().await;
}

async fn create(browser: &Browser, shop: &Shop) {
    browser.sees("main", &["New job"]).await;
    browser.click("nav a[data-page=new]").await;
    let (host, port) = (shop.address.host.as_str(), shop.address.port.to_string());
    for (field, text) in [
        ("#name", shop.name.as_str()),
        ("#host", host),
        ("#port", &port),
        ("#dbname", &shop.address.database),
        ("#user", &shop.address.user),
        ("#password", "wrong"),
        ("#tables", "public.orders"),
        ("#uri", &Servers::shared().mongo.uri),
        ("#database", &shop.name),
    ] {
        browser.fill(field, text).await;
    }
    browser.sees("#judged-sink", &["this works"]).await;
    browser.sees("#f-host", &["password"]).await;
    browser.fill("#password", &shop.address.password).await;
    browser.click("#source-more-details summary").await;
    browser.fill("#source-more", SLOWLY).await;
    browser.sees("#judged-source", &["this works"]).await;
    picture(browser, "worker-create").await;
    browser.click("#submit").await;
    browser.sees("h1", &[&shop.name]).await;
}

async fn watch_the_snapshot(browser: &Browser, shop: &Shop) {
    browser.sees("[data-phase=SNAPSHOT]", &["Running"]).await;
    let table = "tr[data-table='public.orders']";
    browser.sees(table, &["Running", "%", "of about"]).await;
    let first = percent(&browser.sees("#overall", &["%"]).await);
    eventually_async("the snapshot to be further", LIMIT, async || {
        let now = browser.text("#overall").await.unwrap_or_default();
        if percent(&now) > first { Ok(()) } else { Err(now) }
    })
    .await
    .unwrap();
    picture(browser, "worker-snapshot").await;
    shop.client.batch_execute(UNLOCK).await.unwrap();
    browser.sees(table, &["Completed", "100 %", "5,000"]).await;
    browser.sees("[data-phase=STREAMING]", &["Running"]).await;
}

/// The portal's jobs name collections like topics.
async fn documents(shop: &Shop) -> Collection<Document> {
    Servers::shared().mongo.client().await.unwrap().database(&shop.name).collection(&shop.topic())
}

/// What popped up in between would hide what a picture is of.
async fn picture(browser: &Browser, name: &str) {
    browser.run("document.querySelectorAll('#toasts button').forEach((button) => button.click())").await;
    browser.picture(name).await;
}

fn percent(text: &str) -> u32 {
    text.split_once('%').and_then(|(figure, _)| figure.trim().parse::<f64>().ok()).map_or(0, |figure| figure as u32)
}

async fn pause_until_it_warns(browser: &Browser, shop: &Shop) {
    browser.sees("section[data-key=retention]", &[" of ", "MiB"]).await;
    browser.press_button("main", "Pause").await;
    browser.sees("dialog", &["Pause webshop?", "You must resume the job"]).await;
    picture(browser, "worker-pause").await;
    browser.press_button("dialog", "Pause CDC").await;
    browser.sees(REASON, &["Paused"]).await;
    let before = documents(shop).await.count_documents(Document::new()).await.unwrap();
    shop.insert(ROWS + 1, ROWS + 100).await;
    shop.client.batch_execute(MORE_THAN_HALF).await.unwrap();
    browser.sees(".notes", &["Log retention", "max_slot_wal_keep_size"]).await;
    picture(browser, "worker-warning").await;
    browser.go("#/").await;
    browser.sees(&line(&shop.name), &["Paused", "log retention"]).await;
    assert_eq!(
        documents(shop).await.count_documents(Document::new()).await.unwrap(),
        before,
        "a paused job lets nothing through"
    );
    browser.click(&format!("{} a", line(&shop.name))).await;
}

/// The password is changed at the server, and its sessions end.
async fn fail(browser: &Browser, shop: &Shop) {
    let change = "alter role replicator password 'changed'; \
                  select pg_terminate_backend(pid) from pg_stat_activity where usename = 'replicator'";
    shop.client.batch_execute(change).await.unwrap();
    browser.sees(REASON, &["Failed"]).await;
    browser.sees(".failure", &["This job failed", "password", "What to do", "database.password"]).await;
    browser.sees("section[data-key=connectors]", &["Failed"]).await;
    let page = browser.run("return document.documentElement.outerHTML").await;
    assert!(!page.as_str().unwrap().contains("hunter2"), "the page has a secret");
    picture(browser, "worker-failed").await;
}

async fn retry(browser: &Browser, shop: &Shop) {
    shop.client.batch_execute("alter role replicator password 'hunter2'").await.unwrap();
    browser.press_button("main", "Retry").await;
    browser.sees(REASON, &["Running"]).await;
    browser.gone(".failure").await;
    shop.insert(ROWS + 101, ROWS + 200).await;
    browser.sees("section[data-key=streaming]", &["Events per second", "Lag", "webshop-sink"]).await;
}

async fn complete(browser: &Browser, shop: &Shop, worker: &Worker) {
    browser.press_button("main", "Complete CDC").await;
    browser.keys(&char::from(Key::Escape).to_string()).await;
    browser.gone("dialog").await;
    browser.press_button("main", "Complete CDC").await;
    browser.press_button("dialog", "Complete CDC").await;
    browser.sees(REASON, &["CDC Completed"]).await;
    for phase in ["INIT", "SNAPSHOT", "STREAMING"] {
        browser.sees(&format!("[data-phase={phase}]"), &["Completed"]).await;
    }
    browser.sees("section[data-key=history]", &["CDC Completed", "by portal", "Failed"]).await;
    picture(browser, "worker-completed").await;
    let told: Value = job(worker.api(), &shop.name).await;
    assert_eq!((&told["state"], &told["reason"]), (&"completed".into(), &"CDC Completed".into()), "{told}");
    let compared = compare(&shop.client, "orders", &documents(shop).await).await.unwrap();
    assert!(compared.agrees(), "{compared}");
    assert_eq!((shop.slots().await, shop.publications().await), (0, 0), "slot and publication are gone");
    wait_job(worker.api(), &shop.name, "its last word", |job| job["waiting_for"].is_null()).await;
}
