//! How a job ends: completed from the stream, cancelled from the snapshot.

use std::time::{Duration, Instant};

use integration_tests::testbed::Worker;
use serde_json::json;

use crate::support::{Load, Shop, act, actions, refused, setup, wait_job, wait_state, worker};

/// How long `complete` and `terminate` may take: on a machine of its own a minute and half of that.
const COMPLETED: Duration = Duration::from_secs(240);
const CANCELLED: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn completing_under_load_ends_with_both_ends_equal_and_cleans_up() {
    let (worker, shop) = (worker("complete").await, Shop::new("complete", 500).await);
    let (api, name) = (worker.api(), shop.name.as_str());
    shop.start_streaming(api).await;
    let load = Load::start(&shop, 501).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let began = Instant::now();
    // What was written before it is asked is at both ends when it is done.
    let written = load.written.load(std::sync::atomic::Ordering::Relaxed);
    act(api, name, "complete").await;
    let completed = wait_state(api, name, "completed").await;
    let took = began.elapsed();
    println!("completed in {took:?}");
    assert!(took < COMPLETED, "{took:?}");
    load.stop().await;
    assert_eq!((&completed["reason"], &completed["waiting_for"]), (&json!("CDC Completed"), &json!(null)));
    assert_eq!(completed["phases"], json!({"INIT": "completed", "SNAPSHOT": "completed", "STREAMING": "completed"}));
    assert_eq!(actions(&completed), ["delete"]);
    assert_eq!((shop.slots().await, shop.publications().await), (0, 0));

    // Nothing is missing up to the drain, and nothing moves after it.
    let kept = shop.count().await;
    assert!(kept >= u64::try_from(written).unwrap(), "{kept} of {written}");
    shop.client.execute("delete from orders where id > $1", &[&i64::try_from(kept).unwrap()]).await.unwrap();
    shop.assert_equal().await;
    assert!(refused(api, name, "start").await.contains("Allowed: delete"));
    assert!(refused(api, name, "resume").await.contains("completed"));
    // Asked again, it is done already.
    act(api, name, "complete").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn completing_an_idle_job_does_not_wait_for_a_change() {
    let (worker, shop) = (worker("idle").await, Shop::new("idle", 10).await);
    let (api, name) = (worker.api(), shop.name.as_str());
    shop.start_streaming(api).await;
    let began = Instant::now();
    act(api, name, "complete").await;
    wait_state(api, name, "completed").await;
    println!("completed in {:?}", began.elapsed());
    assert!(began.elapsed() < COMPLETED);
    shop.assert_equal().await;
}

/// Each transaction of an exactly-once source ends with a marker, which takes an offset and is no record.
#[tokio::test(flavor = "multi_thread")]
async fn completing_behind_an_exactly_once_source_ends_with_both_ends_equal() {
    let setup = setup("complete_eos").with("exactly.once.source.support", "enabled");
    let (worker, shop) = (Worker::start(setup).await.unwrap(), Shop::new("complete_eos", 500).await);
    let (api, name) = (worker.api(), shop.name.as_str());
    shop.start_streaming(api).await;
    shop.insert(501, 520).await;
    shop.wait_count(520).await;
    // What is left behind the last record is a marker: nothing is to be read any more.
    wait_job(api, name, "a sink that is at the end", |job| job["streaming"]["sinks"][0]["lag_records"] == 0).await;

    let load = Load::start(&shop, 521).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let began = Instant::now();
    let written = load.written.load(std::sync::atomic::Ordering::Relaxed);
    act(api, name, "complete").await;
    let completed = wait_state(api, name, "completed").await;
    println!("completed in {:?}", began.elapsed());
    assert!(began.elapsed() < COMPLETED, "{:?}", began.elapsed());
    load.stop().await;
    assert_eq!((&completed["reason"], &completed["waiting_for"]), (&json!("CDC Completed"), &json!(null)));
    let kept = shop.count().await;
    assert!(kept >= u64::try_from(written).unwrap(), "{kept} of {written}");
    shop.client.execute("delete from orders where id > $1", &[&i64::try_from(kept).unwrap()]).await.unwrap();
    shop.assert_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn terminating_a_snapshot_cancels_it_within_seconds_and_leaves_what_was_written() {
    let (worker, shop) = (worker("cancel").await, Shop::new("cancel", 400_000).await);
    let (api, name) = (worker.api(), shop.name.as_str());
    shop.start(api).await;
    wait_job(api, name, "rows of the snapshot", |job| {
        job["phase"] == "SNAPSHOT" && job["tables"][0]["rows"].as_u64().unwrap_or(0) > 1_000
    })
    .await;
    let began = Instant::now();
    act(api, name, "terminate").await;
    let cancelled = wait_state(api, name, "cancelled").await;
    println!("cancelled in {:?}", began.elapsed());
    assert!(began.elapsed() < CANCELLED, "{:?}", began.elapsed());
    assert_eq!(cancelled["reason"], "Snapshot cancelled");
    assert_eq!(cancelled["phases"]["SNAPSHOT"], "cancelled");
    assert_eq!(actions(&cancelled), ["delete"]);
    assert_eq!((shop.slots().await, shop.publications().await), (0, 0));
    assert!(refused(api, name, "start").await.contains("cancelled"));
}

/// "After a sync job is stopped, you can create a new job and select the option to drop destination collections."
#[tokio::test(flavor = "multi_thread")]
async fn a_new_job_drops_the_destination_once_before_its_snapshot() {
    let (worker, shop) = (worker("drop").await, Shop::new("drop", 10).await);
    let (api, name) = (worker.api(), shop.name.as_str());
    let stale = mongodb::bson::doc! {"_id": "left behind"};
    shop.documents().await.insert_one(stale.clone()).await.unwrap();
    let mut body = shop.job();
    body["options"] = json!({"drop_destination_collections": true});
    api.post("/jobs", &body).await.unwrap().expect(&[201]).unwrap();
    wait_state(api, name, "running").await;
    shop.wait_count(10).await;
    shop.assert_equal().await;
    // Never again: not on a resume, and not on a start.
    shop.documents().await.insert_one(stale).await.unwrap();
    act(api, name, "stop").await;
    wait_state(api, name, "stopped").await;
    act(api, name, "start").await;
    wait_state(api, name, "running").await;
    shop.insert(11, 12).await;
    shop.wait_count(13).await;
}
