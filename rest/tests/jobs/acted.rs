//! Actions on jobs, here and on the worker that leads.

use connect_cluster::jobs::{Action, JobState, JobView};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::api::{Api, error};
use crate::views::{plain, whole};

#[tokio::test]
async fn actions_are_accepted_or_refused_in_the_jobs_words() {
    let api = Api::start().await;
    let every = ["start", "pause", "resume", "stop", "retry", "restart", "complete", "terminate"];
    api.jobs.put(JobView { actions: Action::ALL.to_vec(), ..plain("able", JobState::Running) });
    api.jobs.put(JobView { actions: Action::ALL.to_vec(), ..plain("warned", JobState::Running) });
    api.jobs.put(plain("x", JobState::Running));
    for action in every {
        let (status, body) = api.json(Method::PUT, &format!("/jobs/able/{action}"), None).await;
        assert_eq!((status, body["name"].as_str()), (202, Some("able")), "{action}");
        assert_eq!(body.get("warning"), (action == "pause").then_some(&Value::Null), "{action}");
        assert_eq!(api.asked(), [format!("{action} able cleanup=false by api Client")]);
    }
    let (_, paused) = api.json(Method::PUT, "/jobs/warned/pause", None).await;
    assert_eq!(paused["warning"], "Resume within 6 hours");
    assert_eq!(
        api.json(Method::PUT, "/jobs/x/complete", None).await,
        error(409, "Job x is running: it can't complete now, but pause, stop")
    );
    assert_eq!(api.json(Method::PUT, "/jobs/nobody/pause", None).await, error(404, "Job nobody not found"));
    api.asked();
    for (query, cleanup) in [("?cleanup=true", true), ("?cleanup=FALSE", false), ("?x=y", false)] {
        assert_eq!(api.send(Method::PUT, &format!("/jobs/x/stop{query}"), None).await.status(), 202);
        assert_eq!(api.asked(), [format!("stop x cleanup={cleanup} by api Client")]);
    }
    let unclear = api.json(Method::PUT, "/jobs/x/stop?cleanup=yes", None).await;
    assert_eq!(unclear, error(400, "cleanup is true or false, not yes"));
    assert_eq!(api.send(Method::DELETE, "/jobs/x", None).await.status(), 204);
    assert_eq!(api.send(Method::DELETE, "/jobs/nobody", None).await.status(), 404);
    api.stop().await;
}

#[tokio::test]
async fn all_jobs_are_paused_and_resumed_at_once() {
    let api = Api::start().await;
    api.jobs.put(whole());
    api.jobs.put(plain("x", JobState::Stopped));
    for action in ["pause", "resume"] {
        let (status, body) = api.json(Method::PUT, &format!("/jobs/-/{action}"), None).await;
        assert_eq!(status, 202);
        assert_eq!(
            body,
            json!([{"name": "shop", "state": "running", "phase": "SNAPSHOT", "type": "pipeline",
                "updated_at": "2026-01-15T10:30:00Z"}])
        );
    }
    for (method, path) in [(Method::PUT, "/jobs/-/stop"), (Method::DELETE, "/jobs/-")] {
        let (status, body) = api.json(method, path, None).await;
        assert_eq!(status, 400, "{path}");
        assert!(body["message"].as_str().unwrap().contains("paused and resumed only"), "{body}");
    }
    assert_eq!(api.asked(), ["pause all by api Client", "resume all by api Client"]);
    api.stop().await;
}

#[tokio::test]
async fn another_worker_is_asked_with_what_came() {
    let (first, second) = (Api::start().await, Api::start().await);
    second.jobs.put(plain("x", JobState::Running));
    *first.jobs.elsewhere.lock() = Some(Some(format!("{}/", second.url)));
    let by = |request: RequestBuilder| request.header("X-Tidegate-By", "portal").send();
    let paused = by(first.request(Method::PUT, "/jobs/x/pause?forward=true")).await.unwrap();
    assert_eq!((paused.status().as_u16(), paused.json::<Value>().await.unwrap()["warning"].take()), (202, Value::Null));
    let stopped = by(first.request(Method::PUT, "/jobs/x/stop?cleanup=true")).await.unwrap();
    assert_eq!(stopped.status(), 202);
    let created = by(first.request(Method::POST, "/jobs").json(&json!({"name": "new"}))).await.unwrap();
    assert_eq!(created.status(), 201);
    assert_eq!(created.headers()["location"], format!("{}/jobs/new", first.url), "the place is that of the one asked");
    assert_eq!(by(first.request(Method::PUT, "/jobs/-/pause")).await.unwrap().status(), 202);
    assert_eq!(by(first.request(Method::DELETE, "/jobs/x")).await.unwrap().status(), 204);
    let conflict = first.json(Method::PUT, "/jobs/x/complete", None).await;
    assert_eq!(conflict, error(409, "Job x is running: it can't complete now, but pause, stop"));
    let asked = second.asked();
    assert_eq!(asked[0], "pause x cleanup=false by portal Last");
    assert_eq!(asked[1], "stop x cleanup=true by portal MayForward");
    assert!(asked[2].contains("by portal MayForward"), "{asked:?}");
    assert_eq!(
        asked[3..],
        [
            "pause all by portal MayForward",
            "delete x cleanup=false by portal MayForward",
            "complete x cleanup=false by api MayForward"
        ]
    );
    assert_eq!(first.send(Method::PUT, "/jobs/x/pause?forward=false", None).await.status(), 409, "no third hop");
    *first.jobs.elsewhere.lock() = Some(None);
    assert_eq!(first.send(Method::PUT, "/jobs/x/pause", None).await.status(), 409, "no leader");
    first.stop().await;
    second.stop().await;
}
