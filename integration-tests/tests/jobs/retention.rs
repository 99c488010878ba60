//! How long a job can be paused.

use serde_json::json;

use crate::support::{Shop, act, wait_job, wait_state, worker};

#[tokio::test(flavor = "multi_thread")]
async fn retention_is_shown_while_running_and_while_paused() {
    let (worker, shop) = (worker("retention").await, Shop::new("retention", 10).await);
    let (api, name) = (worker.api(), shop.name.as_str());
    shop.start_streaming(api).await;
    let seen = wait_job(api, name, "retention", |job| job["retention"]["retained_bytes"].is_u64()).await;
    assert_eq!((&seen["retention"]["slot"], &seen["retention"]["wal_status"]), (&json!(name), &json!("reserved")));
    assert_eq!(seen["retention"]["safe_wal_size"], json!(null), "the server has no limit");
    assert_eq!(seen["retention"]["exhausted_in_ms"], json!(null));
    act(api, name, "pause").await;
    let paused = wait_state(api, name, "paused").await;
    let before = paused["retention"]["retained_bytes"].as_u64().unwrap();
    shop.client
        .batch_execute("create table filler as select repeat('x', 1000) from generate_series(1, 5000)")
        .await
        .unwrap();
    wait_job(api, name, "more to be kept, and its rate", |job| {
        job["retention"]["retained_bytes"].as_u64().unwrap_or(0) > before + 4_000_000
            && job["retention"]["wal_bytes_per_second"].as_f64().unwrap_or(0.0) > 0.0
    })
    .await;
}
