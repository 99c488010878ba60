//! Pausing and resuming one job.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use integration_tests::testbed::{Servers, Topics, eventually_async, eventually_moving};
use mongodb::bson::Document;
use serde_json::json;

use crate::support::{LIMIT, Load, Shop, act, actions, unique, wait_job, wait_state, worker};

/// How long nothing may move.
const WATCHED: Duration = Duration::from_secs(4);
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Rows that show that a job goes on.
const PROGRESS: u64 = 200;

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_lets_nothing_through_under_load_and_leaves_other_jobs_alone() {
    let worker = worker("pause").await;
    let api = worker.api();
    let (paused, other) = (Shop::new("pause", 100).await, Shop::new("other", 100).await);
    paused.start_streaming(api).await;
    other.start_streaming(api).await;
    let (load, other_load) = (Load::start(&paused, 101).await, Load::start(&other, 101).await);
    wait_job(api, &paused.name, "retention", |job| job["retention"]["slot"].is_string()).await;
    let topics = Topics::new(&Servers::shared().kafka.bootstrap).unwrap();
    let look = async || (topics.end(&paused.topic()).unwrap(), paused.count().await);
    goes_on(&paused, &load, async || {}).await;
    let answer = act(api, &paused.name, "pause").await;
    assert!(answer["warning"].as_str().is_some_and(|warning| warning.contains("paused")), "{answer}");
    let job = wait_state(api, &paused.name, "paused").await;
    assert_eq!(actions(&job), ["resume", "stop"]);
    assert_eq!(job["phases"]["STREAMING"], "paused");

    let before = look().await;
    let stands = async || assert_eq!(look().await, before, "records, documents: moved while it was paused");
    let began = Instant::now();
    goes_on(&other, &other_load, &stands).await;
    println!("the other job went on within {:?}", began.elapsed());
    while began.elapsed() < WATCHED {
        stands().await;
        tokio::time::sleep(LOOK_EVERY).await;
    }
    // Its position, slot and membership are kept.
    assert_eq!(paused.slots().await, 1);

    act(api, &paused.name, "resume").await;
    wait_state(api, &paused.name, "running").await;
    let (written, other_written) = (load.stop().await, other_load.stop().await);
    paused.wait_count(u64::try_from(written).unwrap()).await;
    other.wait_count(u64::try_from(other_written).unwrap()).await;
    paused.assert_equal().await;
    other.assert_equal().await;
}

/// Does `watch` again and again until rows that are written from now on are at the destination: the source goes on, and the sink.
async fn goes_on(shop: &Shop, load: &Load, watch: impl AsyncFn()) {
    let wanted = u64::try_from(load.written.load(Ordering::Relaxed)).unwrap() + PROGRESS;
    eventually_moving(&format!("{wanted} documents of {}", shop.name), LIMIT, async || {
        watch().await;
        let found = shop.count().await;
        if found >= wanted { Ok(()) } else { Err(found) }
    })
    .await
    .unwrap();
}

/// "When multiple queries share a topic, pausing one of them will not stop the processing for the others."
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_shares_its_topic_goes_on_while_another_is_paused() {
    let (worker, shop) = (worker("shared").await, Shop::new("shared", 10).await);
    let api = worker.api();
    let copy = unique("copy");
    let mut sink = shop.sink();
    sink["collection"] = json!("copies");
    api.post("/jobs", &json!({"name": copy, "sinks": [sink]})).await.unwrap().expect(&[201]).unwrap();
    shop.start_streaming(api).await;
    let copies = Servers::shared().mongo.client().await.unwrap().database(&shop.name).collection::<Document>("copies");
    let all_copied = async |count: u64| {
        eventually_async("the copies", LIMIT, async || match copies.count_documents(Document::new()).await {
            Ok(found) if found == count => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await
        .unwrap();
    };
    all_copied(10).await;
    act(api, &copy, "pause").await;
    wait_state(api, &copy, "paused").await;
    shop.insert(11, 20).await;
    shop.wait_count(20).await;
    assert_eq!(copies.count_documents(Document::new()).await.unwrap(), 10, "the paused one took nothing");
    act(api, &copy, "resume").await;
    all_copied(20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_job_is_paused_after_a_restart_of_the_worker_and_moves_nothing_meanwhile() {
    let (mut worker, shop) = (worker("again").await, Shop::new("again", 10).await);
    shop.start_streaming(worker.api()).await;
    shop.wait_count(10).await;
    act(worker.api(), &shop.name, "pause").await;
    wait_state(worker.api(), &shop.name, "paused").await;
    shop.insert(11, 20).await;
    worker.kill().unwrap();
    worker.start_again().await.unwrap();
    let job = wait_state(worker.api(), &shop.name, "paused").await;
    assert_eq!(job["history"].as_array().unwrap().last().unwrap()["to"], "paused", "the history survives: {job}");
    let began = Instant::now();
    while began.elapsed() < WATCHED {
        assert_eq!(shop.count().await, 10);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    act(worker.api(), &shop.name, "resume").await;
    shop.wait_count(20).await;
    assert_eq!(wait_state(worker.api(), &shop.name, "running").await["error"], json!(null));
}
