//! The API over a real socket, with a herder that keeps its connectors in memory.

#![allow(clippy::unwrap_used)] // Helpers of tests fail by panicking.

use std::sync::Arc;

use async_trait::async_trait;
use connect_cluster::{
    ClusterView, Command, ConnectorInfo, ConnectorStatus, ConnectorView, Herd, HerdError, Hop, PluginInfo, Reply,
    State, Target, TaskId, TaskInfo, TaskStatus,
};
use connect_config::worker::Listener;
use connect_config::{ConfigDef, Props, Validated};
use connect_rest::{Bind, Cors, HeaderRule, Listeners, LogLevels, RestServer, RestSettings, peer_client, serve};
use parking_lot::Mutex;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

#[derive(Default)]
struct FakeHerd {
    view: Mutex<Arc<ClusterView>>,
    asked: Mutex<Vec<String>>,
}

fn status(state: State) -> TaskStatus {
    TaskStatus { state, worker_id: "w:1".into(), trace: None, generation: 1, version: Some("4.1.1".into()) }
}

impl FakeHerd {
    fn put(&self, name: &str, config: &Props) -> ConnectorInfo {
        let id = TaskId { connector: name.into(), task: 0 };
        let info = ConnectorInfo { name: name.into(), config: config.clone(), tasks: vec![id.clone()], kind: "source" };
        let view = ConnectorView {
            info: info.clone(),
            target: Target::Started,
            tasks: vec![TaskInfo { id, config: [("a".to_owned(), "b".to_owned())].into_iter().collect() }],
            status: Some(ConnectorStatus {
                name: name.into(),
                connector: status(State::Running),
                tasks: vec![(0, status(State::Running))],
                kind: "source",
            }),
            topics: vec!["t".to_owned()],
        };
        let mut held = self.view.lock();
        let mut connectors = held.connectors.clone();
        connectors.insert(name.into(), Arc::new(view));
        *held = Arc::new(ClusterView {
            connectors,
            kafka_cluster_id: "cluster".into(),
            loaded: true,
            ready: true,
            ..ClusterView::default()
        });
        info
    }
}

#[async_trait]
impl Herd for FakeHerd {
    fn view(&self) -> Arc<ClusterView> {
        self.view.lock().clone()
    }

    async fn ask(&self, command: Command, _: Hop) -> Result<Reply, HerdError> {
        self.asked.lock().push(format!("{command:?}"));
        match command {
            Command::Create { name, config, .. } if self.view().connectors.contains_key(name.as_str()) => {
                drop(config);
                Err(HerdError::conflict(format!("Connector {name} already exists")))
            }
            Command::Create { name, config, .. } => Ok(Reply::Created(self.put(&name, &config))),
            Command::PutConfig { name, config } => Ok(Reply::Updated(self.put(&name, &config))),
            Command::Restart { name, include_tasks: true, .. } => Ok(Reply::Restarting(ConnectorStatus {
                name: name.as_str().into(),
                connector: status(State::Restarting),
                tasks: vec![(0, status(State::Restarting))],
                kind: "source",
            })),
            Command::Delete { .. } => Err(HerdError::Elsewhere { url: None }),
            Command::AlterOffsets { .. } => Ok(Reply::Message("done".into())),
            _ => Ok(Reply::Done),
        }
    }

    async fn validate(&self, _: &str, config: &Props) -> Result<Validated, HerdError> {
        Ok(ConfigDef::new().validate(config))
    }

    fn plugins(&self) -> Vec<PluginInfo> {
        let plugin = |class: &str, kind| PluginInfo { class: class.into(), kind, version: Some("4.1.1".into()) };
        vec![plugin("a.Source", "source"), plugin("a.Converter", "converter")]
    }

    fn plugin_config(&self, plugin: &str) -> Result<ConfigDef, HerdError> {
        Err(HerdError::not_found(format!("Unknown plugin {plugin}.")))
    }
}

struct Api {
    url: String,
    herd: Arc<FakeHerd>,
    client: reqwest::Client,
    cancel: CancellationToken,
    server: RestServer,
}

impl Api {
    async fn start() -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let herd = Arc::new(FakeHerd::default());
        *herd.view.lock() = Arc::new(ClusterView { loaded: true, ..ClusterView::default() });
        let cancel = CancellationToken::new();
        let listener = Listener::parse("http://127.0.0.1:0").unwrap();
        let settings = RestSettings {
            listeners: vec![Bind { listener, tls: None }],
            cors: Cors::parse("http://ui", "GET,PUT").unwrap(),
            response_headers: HeaderRule::parse_all("set X-Frame-Options: DENY").unwrap(),
            topic_tracking: true,
            ..RestSettings::default()
        };
        let levels = Arc::new(LogLevels::new("INFO", || 1, |_| {}));
        let listeners = Listeners::bind(&settings).await.unwrap();
        let peers = peer_client(None).unwrap();
        let server = serve(listeners, &settings, herd.clone(), None, levels, peers, &cancel);
        let url = format!("http://{}", server.addresses()[0]);
        Self { url, herd, client: reqwest::Client::new(), cancel, server }
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    async fn json(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let response = self.send(method, path, body).await;
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or(Value::Null))
    }

    async fn stop(self) {
        self.cancel.cancel();
        self.server.stopped().await;
    }
}

fn error(status: u16, message: &str) -> (u16, Value) {
    (status, json!({"error_code": status, "message": message}))
}

#[tokio::test]
async fn a_connector_is_created_described_and_configured() {
    let api = Api::start().await;
    let created = api
        .send(
            Method::POST,
            "/connectors",
            Some(json!({"name": " ü? ", "config": {"connector.class": "X", "tasks.max": 1}})),
        )
        .await;
    assert_eq!(created.status(), 201);
    assert_eq!(created.headers()["location"], format!("{}/connectors/%C3%BC%3F", api.url));
    assert_eq!(
        created.json::<Value>().await.unwrap(),
        json!({"name": "ü?", "config": {"connector.class": "X", "tasks.max": "1", "name": "ü?"},
               "tasks": [{"connector": "ü?", "task": 0}], "type": "source"})
    );
    let again = json!({"name": "ü?", "config": {}});
    assert_eq!(api.json(Method::POST, "/connectors/", Some(again)).await, error(409, "Connector ü? already exists"));
    let (status, body) = api.json(Method::PUT, "/connectors/%C3%BC%3F/config", Some(json!({"a": true}))).await;
    assert_eq!((status, &body["config"]), (200, &json!({"a": "true", "name": "ü?"})));
    let mismatch = api.json(Method::PUT, "/connectors/x/config", Some(json!({"name": "y"}))).await;
    assert_eq!(mismatch, error(400, "Connector name configuration (y) doesn't match connector name in the URL (x)"));
    let status = json!({"name": "ü?", "connector": {"state": "RUNNING", "worker_id": "w:1", "version": "4.1.1"},
        "tasks": [{"id": 0, "state": "RUNNING", "worker_id": "w:1", "version": "4.1.1"}], "type": "source"});
    assert_eq!(
        api.json(Method::GET, "/connectors?expand=status", None).await,
        (200, json!({"ü?": {"status": status}}))
    );
    assert_eq!(api.json(Method::GET, "/connectors?expand=x", None).await, (200, json!({"ü?": {}})));
    assert_eq!(api.json(Method::GET, "/connectors", None).await, (200, json!(["ü?"])));
    assert_eq!(
        api.json(Method::GET, "/connectors/%C3%BC%3F/topics", None).await,
        (200, json!({"ü?": {"topics": ["t"]}}))
    );
    api.stop().await;
}

#[tokio::test]
async fn what_is_unknown_or_malformed_is_answered_as_the_jvm_does() {
    let api = Api::start().await;
    let cases = [
        (Method::GET, "/nope", 404, "HTTP 404 Not Found"),
        (Method::GET, "/connectors/x/tasks/0", 404, "HTTP 404 Not Found"),
        (Method::GET, "/connectors/x/tasks/y/status", 404, "HTTP 404 Not Found"),
        (Method::GET, "/connectors/x/pause", 405, "HTTP 405 Method Not Allowed"),
        (Method::DELETE, "/connectors", 405, "HTTP 405 Method Not Allowed"),
        (Method::GET, "/connectors/x", 404, "Connector x not found"),
        (Method::GET, "/connectors/x/status", 404, "No status found for connector x"),
        (Method::GET, "/connectors/x/tasks/7/status", 404, "No status found for task x-7"),
        (Method::GET, "/connectors/x/tasks/-1/status", 404, "No status found for task x--1"),
        (Method::POST, "/connectors/x/tasks/-1/restart", 404, "Unknown connector: x"),
        (Method::GET, "/connectors/x;a=b/status;c", 404, "No status found for connector x"),
        (Method::PUT, "/connectors/x/topics/reset", 403, "Topic tracking reset is disabled."),
        (Method::GET, "/connector-plugins/N/config", 404, "Unknown plugin N."),
        (Method::GET, "/admin/loggers/n", 404, "Logger n not found."),
    ];
    for (method, path, status, message) in cases {
        assert_eq!(api.json(method, path, None).await, error(status, message), "{path}");
    }
    for path in ["/connectors/a%2Fb", "/connectors//a", "/connectors/%zz"] {
        let raw = format!("{}{path}", api.url);
        assert_eq!(api.client.get(raw).send().await.unwrap().status(), 400, "{path}");
    }
    assert_eq!(
        api.send(Method::POST, "/connectors", Some(json!({"name": "a", "config": {}, "x": 1}))).await.status(),
        500
    );
    let form = api.client.put(format!("{}/connectors/x/pause", api.url)).header("Content-Type", "text/plain");
    assert_eq!(form.send().await.unwrap().status(), 415);
    let html = api.client.get(format!("{}/connectors", api.url)).header("Accept", "text/html");
    assert_eq!(html.send().await.unwrap().status(), 406);
    api.stop().await;
}

#[tokio::test]
async fn states_change_with_the_jvms_codes() {
    let api = Api::start().await;
    let cases = [
        (Method::PUT, "/connectors/x/pause", 202),
        (Method::PUT, "/connectors/x/resume", 202),
        (Method::PUT, "/connectors/x/stop", 204),
        (Method::POST, "/connectors/x/restart?includeTasks=no", 204),
        (Method::POST, "/connectors/x/restart?includeTasks=True", 202),
        (Method::POST, "/connectors/x/tasks/0/restart", 204),
        (Method::DELETE, "/connectors/x/offsets", 200),
        // The herder says that only the leader may do it, and there is none.
        (Method::DELETE, "/connectors/x", 409),
    ];
    for (method, path, status) in cases {
        assert_eq!(api.send(method, path, None).await.status(), status, "{path}");
    }
    let empty = api.json(Method::PATCH, "/connectors/x/offsets", Some(json!({"offsets": []}))).await;
    assert_eq!(empty, error(400, "Partitions / offsets need to be provided for an alter offsets request"));
    assert!(api.herd.asked.lock().iter().any(|command| command.contains("target: Paused")));
    api.stop().await;
}

#[tokio::test]
async fn health_plugins_and_loggers_are_shown() {
    let api = Api::start().await;
    assert_eq!(api.json(Method::GET, "/health", None).await.0, 503);
    api.herd.put("x", &Props::new());
    let healthy = json!({"status": "healthy",
        "message": "Worker has completed startup and is ready to handle requests."});
    assert_eq!(api.json(Method::GET, "/health/", None).await, (200, healthy));
    let root = api.json(Method::GET, "/", None).await.1;
    assert_eq!((root["version"].as_str(), root["kafka_cluster_id"].as_str()), (Some("4.1.1"), Some("cluster")));
    assert_eq!(
        api.json(Method::GET, "/connector-plugins", None).await.1,
        json!([{"class": "a.Source", "type": "source", "version": "4.1.1"}])
    );
    assert_eq!(
        api.json(Method::GET, "/connector-plugins?connectorsOnly=false", None).await.1.as_array().unwrap().len(),
        2
    );
    let set = api.json(Method::PUT, "/admin/loggers/a.b", Some(json!({"level": "debug"}))).await;
    assert_eq!(set, (200, json!(["a.b"])));
    assert_eq!(
        api.json(Method::GET, "/admin/loggers/a.b", None).await,
        (200, json!({"level": "DEBUG", "last_modified": 1}))
    );
    let bogus = api.json(Method::PUT, "/admin/loggers/a.b", Some(json!({"level": 5}))).await;
    assert_eq!(bogus, error(404, "invalid log level '5'."));
    api.stop().await;
}

#[tokio::test]
async fn browsers_of_allowed_origins_are_let_in() {
    let api = Api::start().await;
    let get = |origin: &'static str| api.client.get(format!("{}/connectors", api.url)).header("Origin", origin).send();
    let ours = get("http://ui").await.unwrap();
    assert_eq!(ours.headers()["access-control-allow-origin"], "http://ui");
    assert_eq!(ours.headers()["x-frame-options"], "DENY");
    let other = get("http://evil").await.unwrap();
    assert_eq!((other.status().as_u16(), other.headers().get("access-control-allow-origin")), (200, None));
    let preflight = api
        .client
        .request(Method::OPTIONS, format!("{}/connectors", api.url))
        .header("Origin", "http://ui")
        .header("Access-Control-Request-Method", "PUT");
    let preflight = preflight.send().await.unwrap();
    assert_eq!(preflight.headers()["access-control-allow-methods"], "GET,PUT");
    let options = api.send(Method::OPTIONS, "/connectors/x", None).await;
    assert_eq!(options.headers()["allow"], "HEAD,DELETE,GET,OPTIONS");
    assert_eq!(api.send(Method::OPTIONS, "/nope", None).await.status(), 404);
    let head = api.send(Method::HEAD, "/connectors", None).await;
    assert_eq!(head.headers()["content-type"], "application/json");
    api.stop().await;
}

#[tokio::test]
async fn reads_wait_for_a_worker_that_has_not_read_its_topics_yet() {
    let api = Api::start().await;
    *api.herd.view.lock() = Arc::default();
    let (url, client) = (api.url.clone(), api.client.clone());
    let mut reading = tokio::spawn(async move { client.get(format!("{url}/connectors/x")).send().await.unwrap() });
    let early = tokio::time::timeout(std::time::Duration::from_millis(150), &mut reading).await;
    assert!(early.is_err(), "a connector that may be there was called missing");
    assert_eq!(api.json(Method::GET, "/connector-plugins", None).await.0, 200);
    assert_eq!(api.json(Method::GET, "/", None).await.0, 200);
    assert_eq!(api.json(Method::GET, "/health", None).await.0, 503);
    api.herd.put("x", &Props::new());
    assert_eq!(reading.await.unwrap().status(), 200);
    api.stop().await;
}

#[tokio::test]
async fn a_worker_that_lost_its_group_is_ill_and_not_starting() {
    let api = Api::start().await;
    let view =
        ClusterView { loaded: true, been_ready: true, problem: Some("no member".into()), ..ClusterView::default() };
    *api.herd.view.lock() = Arc::new(view);
    let (status, body) = api.json(Method::GET, "/health", None).await;
    assert_eq!((status, &body["status"]), (500, &json!("unhealthy")));
    assert_eq!(api.json(Method::GET, "/connectors", None).await, (200, json!([])));
    api.stop().await;
}

#[tokio::test]
async fn answers_are_labelled_as_clients_ask_for_them() {
    let api = Api::start().await;
    let label = |response: &Response| {
        response.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    };
    for (method, path, accept, status, wanted) in [
        (Method::GET, "/connectors", "application/json;charset=UTF-8", 200, "application/json;charset=utf-8"),
        (Method::GET, "/connectors", "*/json", 200, "application/json"),
        (Method::GET, "/connectors", "text/plain", 406, ""),
        (Method::GET, "/connectors/x", "*/*", 404, "application/json"),
        (Method::GET, "/nope", "*/*", 404, ""),
        (Method::GET, "/connectors", "a/b;q=2", 400, "application/json"),
        (Method::GET, "/nope", "a/b;q=2", 404, ""),
        (Method::PATCH, "/connectors", "*/*", 405, ""),
        (Method::OPTIONS, "/connectors", "*/*", 200, "text/plain"),
        (Method::OPTIONS, "/connectors", "text/html,*/*;q=0.8", 200, "text/html"),
    ] {
        let request = api.client.request(method, format!("{}{path}", api.url)).header("Accept", accept);
        let response = request.send().await.unwrap();
        assert_eq!((response.status().as_u16(), label(&response).as_str()), (status, wanted), "{path} {accept}");
        assert_eq!(response.headers().contains_key("allow"), wanted.starts_with("text/"), "{path} {accept}");
    }
    let options = api.send(Method::OPTIONS, "/connectors/x/config", None).await;
    assert_eq!(options.headers()["allow"], "HEAD,GET,OPTIONS,PUT,PATCH");
    assert_eq!(options.text().await.unwrap(), "HEAD, GET, OPTIONS, PUT, PATCH");
    api.stop().await;
}

#[tokio::test]
async fn bodies_are_json_where_they_are_read() {
    let api = Api::start().await;
    let text = r#"{"name":"x","config":{"name":null}}"#;
    for (method, path, kind, body, status) in [
        (Method::POST, "/connectors", Some("application/json"), text, 201),
        (Method::POST, "/connectors", None, text, 415),
        (Method::POST, "/connectors", None, "", 500),
        (Method::POST, "/connectors", Some("application/*"), text, 415),
        (Method::POST, "/connectors", Some("json"), text, 400),
        (Method::PATCH, "/connectors/y/config", None, "", 404),
        (Method::PATCH, "/connectors/x/config", None, "", 500),
        (Method::PUT, "/connectors/x/pause", None, text, 202),
        (Method::PUT, "/connectors/x/pause", Some("application/*"), text, 202),
        (Method::PUT, "/connectors/x/pause", Some("application/xml"), "", 415),
        (Method::GET, "/connectors", Some("text/plain"), "", 415),
        (Method::GET, "/", Some("text/plain"), "", 200),
        (Method::GET, "/health", Some("text/plain"), "", 200),
        (Method::POST, "/connectors/x/tasks", Some("text/plain"), "[]", 204),
        (Method::PUT, "/connectors/x/fence", Some("text/plain"), "", 204),
        (Method::PATCH, "/connectors/x/offsets", Some("application/json"), "{\"offsets\":[[]]}", 500),
    ] {
        let mut request = api.client.request(method, format!("{}{path}", api.url)).body(body);
        if let Some(kind) = kind {
            request = request.header("Content-Type", kind);
        }
        assert_eq!(request.send().await.unwrap().status(), status, "{path} {kind:?} {body}");
    }
    api.stop().await;
}

#[tokio::test]
async fn locations_are_written_as_by_the_jvms_uri_builder() {
    let api = Api::start().await;
    for (name, location) in [("a/b", "a/b"), ("a%20b", "a%20b"), ("50%", "50%25"), ("a b;c", "a%20b;c")] {
        let body = json!({"name": name, "config": {}});
        let created = api.send(Method::POST, "/connectors", Some(body)).await;
        assert_eq!(created.headers()["location"], format!("{}/connectors/{location}", api.url), "{name}");
    }
    api.stop().await;
}
