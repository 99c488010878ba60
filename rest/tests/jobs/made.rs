//! Jobs are made, or checked without being made.

use connect_cluster::jobs::Jobs as _;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::{Api, error};

#[tokio::test]
async fn a_job_is_created() {
    let api = Api::start().await;
    let body = json!({"name": " ü? ", "source": {"connector.class": "X", "tasks.max": 1, "a": null},
        "sinks": [{"b": true}], "options": {"drop_destination_collections": true}, "start": false});
    let created =
        api.request(Method::POST, "/jobs").header("X-Tidegate-By", "portal").json(&body).send().await.unwrap();
    assert_eq!(created.status(), 201);
    assert_eq!(created.headers()["location"], format!("{}/jobs/%C3%BC%3F", api.url));
    let shown: Value = created.json().await.unwrap();
    assert_eq!(shown, api.json(Method::GET, "/jobs/%C3%BC%3F", None).await.1);
    let asked = api.asked().remove(0);
    for part in [
        r#"name: "ü?""#,
        r#""tasks.max": Some("1")"#,
        r#""a": None"#,
        r#""b": Some("true")"#,
        "drop_destination_collections",
        "start: false",
        "by portal Client",
    ] {
        assert!(asked.contains(part), "{part}: {asked}");
    }
    let again = api.json(Method::POST, "/jobs", Some(json!({"name": "ü?"}))).await;
    assert_eq!(again, error(409, "Job ü? already exists"));
    assert!(api.asked()[0].contains("start: true"), "a job starts unless it is told not to");
    api.stop().await;
}

#[tokio::test]
async fn what_does_not_bind_is_400_and_says_where() {
    let api = Api::start().await;
    let fields = "name, source, sinks, options, start";
    for (body, message) in [
        ("[]", format!("The body is a JSON object with the fields {fields}")),
        ("null", format!("The body is a JSON object with the fields {fields}")),
        ("", format!("The body is empty: it is a JSON object with the fields {fields}")),
        (r#"{"name":"a","sink":{}}"#, format!("Unknown field sink: a job has the fields {fields}")),
        (r#"{"name":"a","start":1}"#, "The field start is true or false, not a number".to_owned()),
        (
            r#"{"name":"a","sinks":[{"k":{"secret":"hunter2"}}]}"#,
            "The field sinks[0].k is a text, a number, true, false or null, not an object".to_owned(),
        ),
    ] {
        for path in ["/jobs", "/jobs/validate"] {
            let sent = api.request(Method::POST, path).header("Content-Type", "application/json").body(body).send();
            let answer = sent.await.unwrap();
            assert_eq!(answer.status(), 400, "{body}");
            assert_eq!(answer.json::<Value>().await.unwrap(), json!({"error_code": 400, "message": message}), "{body}");
        }
    }
    for name in ["", "  ", "-", "validate", "..", "a/b", "a\nb", "50%"] {
        let (status, body) = api.json(Method::POST, "/jobs", Some(json!({"name": name}))).await;
        assert_eq!(status, 400, "{name:?}: {body}");
    }
    let (status, _) = api.json(Method::POST, "/jobs", Some(json!({"source": {}}))).await;
    assert_eq!(status, 400, "a job needs a name");
    assert!(api.asked().is_empty(), "nothing of this was asked");
    let text = api.request(Method::POST, "/jobs").header("Content-Type", "text/plain").body("{}").send().await.unwrap();
    assert_eq!(text.status(), 415);
    let typeless = api.request(Method::POST, "/jobs").body(r#"{"name":"a"}"#).send().await.unwrap();
    assert_eq!(typeless.status(), 415);
    api.stop().await;
}

#[tokio::test]
async fn a_job_is_validated_without_being_made() {
    let api = Api::start().await;
    let body =
        json!({"name": "a", "source": {"connector.class": "S"}, "sinks": [{"connector.class": "M", "host": "h"}]});
    let (status, answer) = api.json(Method::POST, "/jobs/validate", Some(body)).await;
    assert_eq!((status, &answer["error_count"], &answer["problems"]), (200, &json!(1), &json!([])));
    let keys: Vec<&String> = answer.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["error_count", "problems", "source", "sinks"]);
    // The shape of an end is that of the validate endpoint.
    assert_eq!((&answer["source"]["name"], &answer["source"]["error_count"]), (&json!("S"), &json!(1)));
    let host = &answer["source"]["configs"][0];
    assert_eq!((&host["definition"]["name"], &host["value"]["name"]), (&json!("host"), &json!("host")));
    assert!(host["value"]["errors"][0].as_str().unwrap().contains("host"));
    assert_eq!((&answer["sinks"][0]["name"], &answer["sinks"][0]["error_count"]), (&json!("M"), &json!(0)));
    let (status, answer) = api.json(Method::POST, "/jobs/validate", Some(json!({"name": "-"}))).await;
    assert_eq!((status, &answer["error_count"], &answer["source"]), (200, &json!(1), &Value::Null));
    assert_eq!(answer["problems"], json!(["A job can't be called -: it stands for every job"]));
    let (_, answer) = api.json(Method::POST, "/jobs/validate", Some(json!({}))).await;
    assert_eq!(answer["problems"], json!(["A job needs a name"]));
    assert!(api.jobs.list().is_empty());
    api.stop().await;
}
