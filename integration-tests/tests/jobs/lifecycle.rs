//! A job from its definition to its end: states, actions, phases, progress, checkpoints, history.

use serde_json::json;

use crate::support::{Shop, act, actions, history, job, refused, wait_job, wait_state, worker};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_created_started_stopped_started_again_and_deleted() {
    let (worker, shop) = (worker("life").await, Shop::new("life", 100).await);
    let (api, name) = (worker.api(), shop.name.as_str());
    let mut body = shop.job();
    body["start"] = json!(false);
    let made = api.post("/jobs", &body).await.unwrap().expect(&[201]).unwrap().body;
    assert_eq!((&made["state"], &made["type"], &made["phase"]), (&json!("created"), &json!("pipeline"), &json!(null)));
    assert_eq!(actions(&made), ["start", "delete"]);
    let names: Vec<&str> = made["connectors"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(names, [format!("{name}-source"), format!("{name}-sink")]);
    assert_eq!(shop.slots().await, 0, "nothing is made before the job is started");
    assert!(refused(api, name, "pause").await.contains("Allowed: start, delete"));

    act(api, name, "start").await;
    let running =
        wait_job(api, name, "streaming", |job| job["phase"] == "STREAMING" && job["state"] == "running").await;
    assert_eq!(actions(&running), ["pause", "stop", "complete"]);
    assert_eq!(running["phases"], json!({"INIT": "completed", "SNAPSHOT": "completed", "STREAMING": "running"}));
    assert_eq!(running["reason"], "started by request");
    shop.wait_count(100).await;

    // Started again: nothing changes.
    act(api, name, "start").await;
    act(api, name, "stop").await;
    let stopped = wait_state(api, name, "stopped").await;
    assert_eq!(actions(&stopped), ["start", "delete"]);
    assert_eq!(stopped["uptime_ms"], json!(null));
    assert_eq!((shop.slots().await, shop.publications().await), (1, 1), "they are kept");
    shop.insert(101, 120).await;
    act(api, name, "start").await;
    wait_state(api, name, "running").await;
    shop.wait_count(120).await;
    let job = job(api, name).await;
    let seen = history(&job);
    let without_starts: Vec<&str> =
        seen.iter().map(String::as_str).filter(|state| !["starting", "pending"].contains(state)).collect();
    assert_eq!(without_starts, ["created", "running", "stopped", "running"], "{seen:?}");

    api.delete(&format!("/jobs/{name}")).await.unwrap().expect(&[204]).unwrap();
    api.get(&format!("/jobs/{name}")).await.unwrap().expect(&[404]).unwrap();
    assert_eq!(api.get("/connectors").await.unwrap().body, json!([]));
    assert_eq!((shop.slots().await, shop.publications().await), (0, 0), "they are dropped with the job");
    assert_eq!(shop.count().await, 120, "what was written stays");
}

/// What has begun is made to the end, whoever waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_does_not_leave_half_of_a_job() {
    let worker = worker("gone").await;
    let api = worker.api();
    // A creation is answered within milliseconds: now and then one is quicker than the look at it.
    for _ in 0..20 {
        let shop = Shop::new("gone", 10).await;
        let (name, body) = (shop.name.as_str(), shop.job());
        let (path, mut asked, mut left) = (format!("/jobs/{name}"), Box::pin(api.post("/jobs", &body)), false);
        while !left {
            tokio::select! {
                answer = &mut asked => {
                    answer.unwrap().expect(&[201]).unwrap();
                    break;
                }
                shown = api.get(&path) => left = shown.unwrap().status == 200,
            }
        }
        if left {
            // Its connection is closed here, in the middle.
            drop(asked);
            wait_state(api, name, "running").await;
            return shop.wait_count(10).await;
        }
    }
    panic!("every answer came before the job could be seen");
}

#[tokio::test(flavor = "multi_thread")]
async fn phases_tables_rates_and_checkpoints_are_shown() {
    let (worker, shop) = (worker("shown").await, Shop::new("shown", 150_000).await);
    let (api, name) = (worker.api(), shop.name.as_str());
    shop.start(api).await;
    let snapshot = wait_job(api, name, "rows of the snapshot", |job| {
        job["phase"] == "SNAPSHOT" && job["tables"][0]["rows"].as_u64().unwrap_or(0) > 0
    })
    .await;
    let table = &snapshot["tables"][0];
    assert_eq!((&table["table"], &table["rows_estimated"]), (&json!("public.orders"), &json!(150_000)));
    assert!(table["percent"].as_f64().is_some_and(|percent| (0.0..=100.0).contains(&percent)), "{table}");
    assert_eq!(actions(&snapshot), ["pause", "stop", "terminate"]);
    assert!(refused(api, name, "complete").await.contains("SNAPSHOT"));

    let running = wait_job(api, name, "the stream", |job| job["phase"] == "STREAMING").await;
    assert_eq!(running["tables"][0]["status"], "completed");
    shop.insert(150_001, 150_100).await;
    let streaming = wait_job(api, name, "figures of the stream", |job| {
        let streaming = &job["streaming"];
        streaming["last_commit_lsn"].is_string()
            && streaming["last_commit_at"].is_string()
            && streaming["lag_bytes"].is_u64()
            && streaming["events_per_second_1m"].as_f64().unwrap_or(0.0) > 0.0
    })
    .await;
    assert_eq!(streaming["streaming"]["sinks"][0]["connector"], format!("{name}-sink"));
    let saved = wait_job(api, name, "a checkpoint", |job| {
        job["checkpoint"]["lsn"].is_string() && job["checkpoint"]["saved_at"].is_string()
    })
    .await;
    assert!(saved["uptime_ms"].as_u64().is_some());
    assert_eq!(saved["retention"]["slot"], name);
}

#[tokio::test(flavor = "multi_thread")]
async fn connects_own_endpoints_and_the_job_tell_the_same_story() {
    let (worker, shop) = (worker("story").await, Shop::new("story", 10).await);
    let api = worker.api();
    // A connector that was made through Connect is a job of its name.
    let name = shop.name.as_str();
    api.create(name, &shop.source()).await.unwrap();
    let running =
        wait_job(api, name, "streaming", |job| job["state"] == "running" && job["phase"] == "STREAMING").await;
    assert_eq!(running["type"], "connector");
    let listed = api.get("/jobs").await.unwrap().body;
    assert_eq!((&listed[0]["name"], &listed[0]["type"]), (&json!(name), &json!("connector")));
    api.change(name, "pause").await.unwrap();
    let paused = wait_state(api, name, "paused").await;
    assert_eq!(paused["history"].as_array().unwrap().last().unwrap()["by"], "connect");
    act(api, name, "resume").await;
    wait_state(api, name, "running").await;
    api.wait_running(name).await.unwrap();
    act(api, name, "pause").await;
    api.wait_for(name, "PAUSED", &["PAUSED"]).await.unwrap();
    api.change(name, "stop").await.unwrap();
    wait_state(api, name, "stopped").await;
    api.remove(name).await.unwrap();
    let gone = integration_tests::testbed::eventually_async("the job to be gone", crate::support::LIMIT, async || {
        let answer = api.get(&format!("/jobs/{name}")).await.map_err(|failure| failure.to_string())?;
        if answer.status == 404 { Ok(()) } else { Err(answer.text) }
    });
    gone.await.unwrap();
    assert_eq!(shop.slots().await, 1, "a connector's deletion leaves the slot, as on the JVM");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_does_not_validate_leaves_nothing() {
    let (worker, shop) = (worker("invalid").await, Shop::new("invalid", 1).await);
    let api = worker.api();
    let mut body = shop.job();
    body["source"]["database.port"] = json!("many");
    let refused = api.post("/jobs", &body).await.unwrap().expect(&[400]).unwrap();
    assert!(refused.message().contains("database.port"), "{}", refused.text);
    let said = api.post("/jobs/validate", &body).await.unwrap().expect(&[200]).unwrap().body;
    assert!(said["error_count"].as_u64().unwrap() > 0, "{said}");
    body["options"] = json!({"drop": true});
    let refused = api.post("/jobs", &body).await.unwrap().expect(&[400]).unwrap();
    assert!(refused.message().contains("options.drop is not known"), "{}", refused.text);
    assert_eq!(api.get("/connectors").await.unwrap().body, json!([]));
    assert_eq!(api.get("/jobs").await.unwrap().body, json!([]));

    shop.start(api).await;
    let again = api.post("/jobs", &shop.job()).await.unwrap();
    assert_eq!(again.status, 409, "{}", again.text);
    let sound = api.post("/jobs/validate", &shop.job()).await.unwrap().body;
    assert!(sound["problems"].as_array().unwrap().iter().any(|p| p.as_str().unwrap().contains("already")), "{sound}");
}

#[tokio::test(flavor = "multi_thread")]
async fn restarting_forgets_the_position_and_takes_a_new_snapshot() {
    let (worker, shop) = (worker("afresh").await, Shop::new("afresh", 50).await);
    let (api, name) = (worker.api(), shop.name.as_str());
    shop.start_streaming(api).await;
    shop.wait_count(50).await;
    shop.documents().await.delete_many(mongodb::bson::Document::new()).await.unwrap();
    act(api, name, "restart").await;
    wait_job(api, name, "to stream again", |job| {
        job["waiting_for"].is_null() && job["state"] == "running" && job["phase"] == "STREAMING"
    })
    .await;
    shop.wait_count(50).await;
    shop.assert_equal().await;
    assert_eq!(shop.slots().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_with_cleanup_drops_slot_and_publication_and_a_start_begins_afresh() {
    let (worker, shop) = (worker("clean").await, Shop::new("clean", 20).await);
    let (api, name) = (worker.api(), shop.name.as_str());
    shop.start_streaming(api).await;
    act(api, name, "stop?cleanup=true").await;
    wait_job(api, name, "to be cleaned up", |job| job["state"] == "stopped" && job["waiting_for"].is_null()).await;
    assert_eq!((shop.slots().await, shop.publications().await), (0, 0));
    shop.insert(21, 30).await;
    act(api, name, "start").await;
    wait_state(api, name, "running").await;
    shop.wait_count(30).await;
    shop.assert_equal().await;
}
