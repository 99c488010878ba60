//! Whoever asked to be told is told.

use integration_tests::testbed::{Worker, eventually_async};
use serde_json::json;

use crate::receiver::Receiver;
use crate::support::{LIMIT, Shop, act, setup, wait_state};

#[tokio::test(flavor = "multi_thread")]
async fn state_changes_are_posted_in_order_signed_and_until_they_are_taken() {
    let (receiver, url) = Receiver::start().await;
    receiver.refuse(2);
    let worker =
        Worker::start(setup("hook").with("job.webhooks", &url).with("job.webhooks.secret", "s3cret")).await.unwrap();
    let shop = Shop::new("hook", 5).await;
    shop.start_streaming(worker.api()).await;
    act(worker.api(), &shop.name, "pause").await;
    wait_state(worker.api(), &shop.name, "paused").await;
    worker.api().delete(&format!("/jobs/{}", shop.name)).await.unwrap().expect(&[204]).unwrap();
    eventually_async("the last notice", LIMIT, async || {
        let states = receiver.states();
        if states.last().is_some_and(|(_, to)| to == "deleted") { Ok(()) } else { Err(format!("{states:?}")) }
    })
    .await
    .unwrap();
    let states = receiver.states();
    assert!(
        states.windows(2).all(|pair| pair[0].1 == pair[1].0),
        "each begins where the one before it ended: {states:?}"
    );
    assert_eq!(states[0].0, "null");
    assert!(states.iter().any(|(_, to)| to == "running") && states.iter().any(|(_, to)| to == "paused"), "{states:?}");
    let got = receiver.got.lock();
    let (body, signature) = &got[0];
    assert!(signature.as_deref().is_some_and(|text| text.starts_with("sha256=")), "{signature:?}");
    assert_eq!(body["job_id"], shop.name.as_str());
    assert!(body["timestamp"].as_str().unwrap().ends_with('Z') && body["id"].is_string(), "{body}");
    let mut ids: Vec<&str> = got.iter().map(|(body, _)| body["id"].as_str().unwrap()).collect();
    ids.dedup();
    assert_eq!(ids.len(), got.len(), "nothing comes twice without a change of leader");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jobs_own_webhook_hears_of_a_failure_with_its_message() {
    let (receiver, url) = Receiver::start().await;
    let worker = Worker::start(setup("own_hook")).await.unwrap();
    let shop = Shop::new("own_hook", 5).await;
    let mut body = shop.job();
    body["options"] = json!({"webhooks": [{"url": url, "events": ["job.state_changed"]}]});
    worker.api().post("/jobs", &body).await.unwrap().expect(&[201]).unwrap();
    wait_state(worker.api(), &shop.name, "running").await;
    // Without a position there is nothing to lose with the slot.
    shop.wait_count(5).await;
    act(worker.api(), &shop.name, "stop").await;
    wait_state(worker.api(), &shop.name, "stopped").await;
    shop.client.execute("select pg_drop_replication_slot($1)", &[&shop.name]).await.unwrap();
    act(worker.api(), &shop.name, "start").await;
    wait_state(worker.api(), &shop.name, "failed").await;
    eventually_async("the failure", LIMIT, async || {
        let got = receiver.got.lock();
        let failed = got.iter().find(|(body, _)| body["new_state"] == "failed");
        match failed {
            Some((body, None)) if body["error"].as_str().is_some_and(|error| error.contains(&shop.name)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
    .unwrap();
}
