//! What happens to jobs, as a stream of events.

use std::time::{Duration, Instant};

use connect_api::Phase;
use connect_cluster::jobs::{JobState, Notice};
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::{Api, Events, LIMIT};
use crate::views::{THEN, plain, whole};

#[tokio::test]
async fn events_of_a_job_begin_with_how_it_is_and_end_with_it() {
    let api = Api::start().await;
    api.jobs.put(whole());
    let mut events = Events::open(&api, "/jobs/shop/events").await;
    let (name, first_id, data) = events.next().await.unwrap();
    assert_eq!((name.as_str(), &data["event"], &data["job_id"]), ("progress", &json!("job.progress"), &json!("shop")));
    assert_eq!(data["job"]["tables"][0]["percent"], 67.0);
    let fields = data["job"].as_object().unwrap();
    assert!(!fields.contains_key("history") && !fields.contains_key("options"), "they change with the state only");
    let failed = Notice::StateChanged {
        from: Some(JobState::Running),
        to: JobState::Failed,
        phase: Some(Phase::Streaming),
        error: Some("Connection refused".into()),
        cause: "the task failed".into(),
    };
    api.jobs.tell("other", THEN, failed.clone());
    api.jobs.tell("shop", THEN, failed);
    let (name, id, data) = events.next().await.unwrap();
    assert_eq!(name, "state_changed");
    assert_ne!(id, first_id);
    assert_eq!(
        data,
        json!({"event": "job.state_changed", "job_id": "shop", "previous_state": "running", "new_state": "failed",
            "phase": "STREAMING", "error": "Connection refused", "cause": "the task failed",
            "timestamp": "2026-01-15T10:30:00Z", "id": id})
    );
    api.jobs.tell("shop", THEN, Notice::Warning { message: "line\nbreak".into() });
    let (name, _, data) = events.next().await.unwrap();
    assert_eq!(
        (name.as_str(), &data["message"], &data["event"]),
        ("warning", &json!("line\nbreak"), &json!("job.warning"))
    );
    api.jobs.tell("shop", THEN, Notice::Failing { error: None, since_ms: THEN });
    let (name, _, data) = events.next().await.unwrap();
    assert_eq!(
        (name.as_str(), &data["since"], &data["error"]),
        ("failing", &json!("2026-01-15T10:30:00Z"), &Value::Null)
    );
    api.jobs.tell("shop", THEN, Notice::Flapping { failures: 3, within_ms: 600_000 });
    let (name, _, data) = events.next().await.unwrap();
    assert_eq!((name.as_str(), &data["failures"], &data["within_ms"]), ("flapping", &json!(3), &json!(600_000)));
    let gone = Notice::StateChanged {
        from: Some(JobState::Failed),
        to: JobState::Deleted,
        phase: None,
        error: None,
        cause: "deleted by request".into(),
    };
    api.jobs.tell("shop", THEN, gone);
    assert_eq!(events.next().await.unwrap().2["new_state"], "deleted");
    assert_eq!(events.next().await, None, "the stream ends with its job");
    api.stop().await;
}

#[tokio::test]
async fn events_of_all_jobs_go_on_until_the_server_stops() {
    let api = Api::start().await;
    api.jobs.put(whole());
    let mut events = Events::open(&api, "/jobs/-/events").await;
    assert!(events.block().await.unwrap().contains("retry: 2000"));
    let gone = |from| Notice::StateChanged {
        from: Some(from),
        to: JobState::Deleted,
        phase: None,
        error: None,
        cause: String::new(),
    };
    api.jobs.tell("a", THEN, gone(JobState::Stopped));
    api.jobs.tell("b", THEN, Notice::Progress(Box::new(plain("b", JobState::Running))));
    assert_eq!(events.next().await.unwrap().2["job_id"], "a");
    assert_eq!(events.next().await.unwrap().2["job"]["name"], "b");
    // A second reader that takes nothing holds nobody up either.
    let idle = Events::open(&api, "/jobs/shop/events").await;
    let since = Instant::now();
    api.cancel.cancel();
    assert_eq!(events.next().await, None);
    tokio::time::timeout(LIMIT, api.server.stopped()).await.unwrap();
    // Sooner than with the next heartbeat.
    assert!(since.elapsed() < Duration::from_secs(14), "the server waited for readers: {:?}", since.elapsed());
    drop(idle);
}

#[tokio::test]
async fn events_are_asked_for_as_events() {
    let api = Api::start().await;
    api.jobs.put(whole());
    let accepting =
        |accept: &'static str| api.request(Method::GET, "/jobs/shop/events").header("Accept", accept).send();
    for (accept, status) in [("text/event-stream", 200), ("*/*", 200), ("text/*", 200), ("application/json", 406)] {
        assert_eq!(accepting(accept).await.unwrap().status(), status, "{accept}");
    }
    let missing =
        api.request(Method::GET, "/jobs/x/events").header("Accept", "text/event-stream").send().await.unwrap();
    assert_eq!(
        (missing.status().as_u16(), missing.headers()["content-type"].to_str().unwrap()),
        (404, "application/json")
    );
    assert_eq!(missing.json::<Value>().await.unwrap(), json!({"error_code": 404, "message": "Job x not found"}));
    api.stop().await;
}

#[tokio::test]
async fn a_quiet_stream_beats() {
    let api = Api::start().await;
    let mut events = Events::open(&api, "/jobs/-/events").await;
    events.block().await.unwrap();
    let since = Instant::now();
    assert_eq!(events.block().await.unwrap(), ": heartbeat");
    assert!(since.elapsed() >= Duration::from_secs(14), "{:?}", since.elapsed());
    api.stop().await;
}
