//! What is shown of jobs, and which paths there are.

use connect_cluster::jobs::JobState;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::{Api, error};
use crate::views::{WHOLE, plain, whole};

#[tokio::test]
async fn jobs_are_listed_and_shown_as_documented() {
    let api = Api::start().await;
    assert_eq!(api.json(Method::GET, "/jobs", None).await, (200, json!([])));
    api.jobs.put(whole());
    api.jobs.put(plain("a b", JobState::Paused));
    let response = api.send(Method::GET, "/jobs/shop", None).await;
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.text().await.unwrap(), WHOLE);
    let list = api.send(Method::GET, "/jobs/", None).await.text().await.unwrap();
    assert_eq!(
        list,
        r#"[{"name":"a b","state":"paused","phase":null,"type":"connector","updated_at":null},{"name":"shop","state":"running","phase":"SNAPSHOT","type":"pipeline","updated_at":"2026-01-15T10:30:00Z"}]"#
    );
    let (_, unknown) = api.json(Method::GET, "/jobs/a%20b", None).await;
    for figure in ["phase", "updated_at", "uptime_ms", "streaming", "checkpoint", "retention", "error", "waiting_for"] {
        assert_eq!(unknown[figure], Value::Null, "{figure}");
        assert!(unknown.as_object().unwrap().contains_key(figure), "{figure}");
    }
    assert_eq!(unknown["options"], json!({}));
    assert_eq!(api.json(Method::GET, "/jobs/x", None).await, error(404, "Job x not found"));
    api.stop().await;
}

#[tokio::test]
async fn jobs_are_as_well_behaved_as_connects_endpoints() {
    let api = Api::start().await;
    for (method, path, status, message) in [
        (Method::GET, "/jobs/x/pause", 405, "HTTP 405 Method Not Allowed"),
        (Method::GET, "/jobs/validate", 405, "HTTP 405 Method Not Allowed"),
        (Method::DELETE, "/jobs", 405, "HTTP 405 Method Not Allowed"),
        (Method::PUT, "/jobs/x/dance", 404, "HTTP 404 Not Found"),
        (Method::PUT, "/jobs/x/delete", 404, "HTTP 404 Not Found"),
        (Method::GET, "/portal/nothing.js", 404, "HTTP 404 Not Found"),
    ] {
        assert_eq!(api.json(method, path, None).await, error(status, message), "{path}");
    }
    for (path, allow) in [
        ("/jobs", "HEAD,POST,GET,OPTIONS"),
        ("/jobs/x", "HEAD,DELETE,GET,OPTIONS"),
        ("/jobs/x/pause", "OPTIONS,PUT"),
        ("/jobs/-/resume/", "OPTIONS,PUT"),
        ("/portal", "HEAD,GET,OPTIONS"),
    ] {
        assert_eq!(api.send(Method::OPTIONS, path, None).await.headers()["allow"], allow, "{path}");
    }
    let html = api.request(Method::GET, "/jobs").header("Accept", "text/html").send().await.unwrap();
    assert_eq!(html.status(), 406);
    let form = api.request(Method::PUT, "/jobs/x/pause").header("Content-Type", "text/plain").send().await.unwrap();
    assert_eq!(form.status(), 415);
    assert_eq!(api.send(Method::GET, "/jobs/a%2Fb", None).await.status(), 400);
    api.stop().await;
}

#[tokio::test]
async fn a_worker_without_jobs_has_no_paths_for_them() {
    let api = Api::with(|_| {}, false).await;
    for path in ["/jobs", "/jobs/x", "/jobs/-/events", "/portal", "/portal/app.js"] {
        assert_eq!(api.json(Method::GET, path, None).await, error(404, "HTTP 404 Not Found"), "{path}");
    }
    assert_eq!(api.send(Method::OPTIONS, "/jobs", None).await.status(), 404);
    assert_eq!(api.send(Method::GET, "/connectors", None).await.status(), 200);
    api.stop().await;
}
