//! The job routes and the portal over a real socket, with jobs that answer what the test tells them to.

#![allow(clippy::unwrap_used)] // Helpers of tests fail by panicking.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use connect_api::Phase;
use connect_cluster::jobs::{
    Action, Checkpoint, ConnectorSummary, JobError, JobEvent, JobEvents, JobKind, JobState, JobSummary, JobTask,
    JobView, Jobs, NewJob, Notice, PhaseState, RateView, RecoveryView, RetentionView, SinkLag, Started, StreamingView,
    TableStatus, TableView, Transition, Validation,
};
use connect_cluster::{ClusterView, Command, Herd, HerdError, Hop, PluginInfo, Reply};
use connect_config::worker::Listener;
use connect_config::{ConfigDef, ConfigKey, Importance, Props, Type, Validated};
use connect_rest::{BasicAuth, Bind, Listeners, LogLevels, RestServer, RestSettings, peer_client, serve};
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// How long a test waits for what is bound to come.
const LIMIT: Duration = Duration::from_secs(60);

/// A herd without connectors.
struct Idle;

#[async_trait]
impl Herd for Idle {
    fn view(&self) -> Arc<ClusterView> {
        Arc::new(ClusterView { loaded: true, ready: true, ..ClusterView::default() })
    }

    async fn ask(&self, _: Command, _: Hop) -> Result<Reply, HerdError> {
        Ok(Reply::Done)
    }

    async fn validate(&self, _: &str, config: &Props) -> Result<Validated, HerdError> {
        Ok(ConfigDef::new().validate(config))
    }

    fn plugins(&self) -> Vec<PluginInfo> {
        Vec::new()
    }

    fn plugin_config(&self, plugin: &str) -> Result<ConfigDef, HerdError> {
        Err(HerdError::not_found(plugin))
    }
}

/// Jobs that remember what they were asked.
struct Fake {
    jobs: Mutex<BTreeMap<String, JobView>>,
    asked: Mutex<Vec<String>>,
    events: broadcast::Sender<JobEvent>,
    /// Who does what is asked, when that is another worker.
    elsewhere: Mutex<Option<Option<String>>>,
}

impl Fake {
    fn new() -> Self {
        Self {
            jobs: Mutex::default(),
            asked: Mutex::default(),
            events: broadcast::channel(64).0,
            elsewhere: Mutex::default(),
        }
    }

    fn put(&self, view: JobView) {
        self.jobs.lock().insert(view.name.clone(), view);
    }

    fn tell(&self, job: &str, at_ms: i64, notice: Notice) {
        self.events.send(JobEvent { job: job.into(), at_ms, notice }).unwrap();
    }

    fn here(&self, what: String) -> Result<(), HerdError> {
        self.asked.lock().push(what);
        match &*self.elsewhere.lock() {
            Some(url) => Err(HerdError::Elsewhere { url: url.clone() }),
            None => Ok(()),
        }
    }
}

fn line(view: &JobView) -> JobSummary {
    JobSummary {
        name: view.name.clone(),
        state: view.state,
        phase: view.phase,
        kind: view.kind,
        updated_ms: view.updated_ms,
    }
}

#[async_trait]
impl Jobs for Fake {
    fn list(&self) -> Vec<JobSummary> {
        self.jobs.lock().values().map(line).collect()
    }

    fn job(&self, name: &str) -> Option<JobView> {
        self.jobs.lock().get(name).cloned()
    }

    async fn create(&self, job: NewJob, by: &str, hop: Hop) -> Result<Started, HerdError> {
        self.here(format!("create {job:?} by {by} {hop:?}"))?;
        if self.job(&job.name).is_some() {
            return Err(HerdError::conflict(format!("Job {} already exists", job.name)));
        }
        let view = JobView { name: job.name, options: job.options, ..plain("", JobState::Pending) };
        self.put(view.clone());
        Ok(Started { job: view, warning: None })
    }

    async fn act(&self, name: &str, action: Action, cleanup: bool, by: &str, hop: Hop) -> Result<Started, HerdError> {
        self.here(format!("{} {name} cleanup={cleanup} by {by} {hop:?}", action.name()))?;
        let job = self.job(name).ok_or_else(|| HerdError::not_found(format!("Job {name} not found")))?;
        if !job.actions.contains(&action) {
            return Err(HerdError::conflict(format!(
                "Job {name} is {}: it can't {} now, but pause, stop",
                job.state.name(),
                action.name()
            )));
        }
        let warning = (name == "warned").then(|| "Resume within 6 hours".to_owned());
        Ok(Started { job, warning })
    }

    async fn act_on_all(&self, action: Action, by: &str, hop: Hop) -> Result<Vec<JobSummary>, HerdError> {
        self.here(format!("{} all by {by} {hop:?}", action.name()))?;
        Ok(self.list().into_iter().filter(|job| job.state == JobState::Running).collect())
    }

    async fn validate(&self, job: &NewJob) -> Result<Validation, HerdError> {
        let mut def = ConfigDef::new();
        def.define(ConfigKey::new("host", Type::String, "where it is").importance(Importance::High));
        Ok(Validation {
            problems: if job.name.is_empty() { vec!["A job needs a name".to_owned()] } else { Vec::new() },
            source: job.source.as_ref().map(|source| def.validate(&source.config)),
            sinks: job.sinks.iter().map(|sink| def.validate(&sink.config)).collect(),
        })
    }

    fn events(&self, job: Option<&str>) -> JobEvents {
        let wanted = job.map(str::to_owned);
        let receiver = self.events.subscribe();
        Box::pin(
            futures_util::stream::unfold(receiver, |mut receiver| async move {
                Some((receiver.recv().await.ok()?, receiver))
            })
            .filter(move |event| {
                let ours = wanted.as_deref().is_none_or(|wanted| wanted == &*event.job);
                async move { ours }
            }),
        )
    }
}

/// A job of which nothing is known.
fn plain(name: &str, state: JobState) -> JobView {
    JobView {
        name: name.to_owned(),
        kind: JobKind::Connector,
        state,
        phase: None,
        phases: Phase::ALL.map(|phase| (phase, PhaseState::Pending)),
        reason: "as it is".into(),
        updated_ms: None,
        uptime_ms: None,
        actions: vec![Action::Pause, Action::Stop, Action::Start, Action::Delete],
        tables: Vec::new(),
        streaming: None,
        checkpoint: None,
        retention: None,
        recovery: RecoveryView::default(),
        error: None,
        options: serde_json::Map::new(),
        history: Vec::new(),
        connectors: Vec::new(),
        waiting_for: None,
    }
}

/// 2026-01-15T10:30:00Z.
const THEN: i64 = 1_768_473_000_000;

/// A job of which everything is known.
fn whole() -> JobView {
    JobView {
        kind: JobKind::Pipeline,
        phase: Some(Phase::Snapshot),
        phases: [
            (Phase::Init, PhaseState::Completed),
            (Phase::Snapshot, PhaseState::Running),
            (Phase::Streaming, PhaseState::Pending),
        ],
        reason: "started by request".into(),
        updated_ms: Some(THEN),
        uptime_ms: Some(8_040_000),
        actions: vec![Action::Pause, Action::Stop, Action::Terminate],
        tables: vec![TableView {
            table: "public.orders".into(),
            status: TableStatus::Running,
            rows: 804_000,
            rows_estimated: Some(1_200_000),
            percent: Some(67.0),
            rows_per_second: Some(21_000.5),
        }],
        streaming: Some(StreamingView {
            events_per_second: RateView { one_minute: Some(1247.0), five_minutes: None },
            last_commit_ms: Some(THEN),
            last_commit_lsn: Some("0/1A3E5F8".into()),
            lag_bytes: Some(512),
            lag_ms: Some(40),
            sinks: vec![SinkLag { connector: "shop-sink".into(), lag_records: Some(12) }],
        }),
        checkpoint: Some(Checkpoint {
            lsn: Some("0/1A3E5F8".into()),
            table: Some("public.orders".into()),
            last_commit_ms: Some(THEN + 50),
            saved_ms: None,
        }),
        retention: Some(RetentionView {
            slot: "shop".into(),
            wal_status: Some("reserved".into()),
            retained_bytes: Some(1_048_576),
            safe_wal_size: Some(5_368_709_120),
            wal_bytes_per_second: Some(220_000.0),
            exhausted_in_ms: Some(24_400_000),
            warning: None,
        }),
        recovery: RecoveryView {
            attempt: 2,
            attempts_max: 10,
            first_failure_ms: Some(THEN),
            next_attempt_ms: Some(THEN + 1000),
            kind: Some("network"),
        },
        error: Some(JobError {
            code: "ECONNREFUSED".into(),
            message: "refused".into(),
            remedy: Some("start it".into()),
            connector: Some("shop-source".into()),
            task: Some(0),
            at_ms: THEN,
        }),
        options: json!({"z": 1, "a": {"b": [true]}}).as_object().unwrap().clone(),
        history: vec![
            Transition { at_ms: THEN, from: None, to: JobState::Created, cause: "created".into(), by: "portal".into() },
            Transition {
                at_ms: THEN,
                from: Some(JobState::Starting),
                to: JobState::Running,
                cause: "initialised".into(),
                by: "worker".into(),
            },
        ],
        connectors: vec![ConnectorSummary {
            name: "shop-source".into(),
            kind: "source",
            state: Some("RUNNING"),
            tasks: vec![JobTask { id: 0, state: "RUNNING", worker_id: "w:8083".into() }],
        }],
        waiting_for: Some("the sink".into()),
        ..plain("shop", JobState::Running)
    }
}

const WHOLE: &str = concat!(
    r#"{"name":"shop","type":"pipeline","state":"running","phase":"SNAPSHOT","phases":{"INIT":"completed","#,
    r#""SNAPSHOT":"running","STREAMING":"pending"},"reason":"started by request","updated_at":"2026-01-15T10:30:00Z","#,
    r#""uptime_ms":8040000,"actions":["pause","stop","terminate"],"tables":[{"table":"public.orders","status":"running","#,
    r#""rows":804000,"rows_estimated":1200000,"percent":67.0,"rows_per_second":21000.5}],"streaming":"#,
    r#"{"events_per_second_1m":1247.0,"events_per_second_5m":null,"last_commit_at":"2026-01-15T10:30:00Z","#,
    r#""last_commit_lsn":"0/1A3E5F8","lag_bytes":512,"lag_ms":40,"sinks":[{"connector":"shop-sink","lag_records":12}]},"#,
    r#""checkpoint":{"lsn":"0/1A3E5F8","table":"public.orders","last_commit_at":"2026-01-15T10:30:00.050Z","#,
    r#""saved_at":null},"retention":{"slot":"shop","wal_status":"reserved","retained_bytes":1048576,"#,
    r#""safe_wal_size":5368709120,"wal_bytes_per_second":220000.0,"exhausted_in_ms":24400000,"warning":null},"recovery":"#,
    r#"{"attempt":2,"attempts_max":10,"first_failure_at":"2026-01-15T10:30:00Z","next_attempt_at":"2026-01-15T10:30:01Z","#,
    r#""kind":"network"},"error":{"code":"ECONNREFUSED","message":"refused","remedy":"start it","connector":"shop-source","#,
    r#""task":0,"at":"2026-01-15T10:30:00Z"},"options":{"z":1,"a":{"b":[true]}},"history":[{"at":"2026-01-15T10:30:00Z","#,
    r#""from":null,"to":"created","cause":"created","by":"portal"},{"at":"2026-01-15T10:30:00Z","from":"starting","#,
    r#""to":"running","cause":"initialised","by":"worker"}],"connectors":[{"name":"shop-source","type":"source","#,
    r#""state":"RUNNING","tasks":[{"id":0,"state":"RUNNING","worker_id":"w:8083"}]}],"waiting_for":"the sink"}"#,
);

struct Api {
    url: String,
    jobs: Arc<Fake>,
    client: reqwest::Client,
    cancel: CancellationToken,
    server: RestServer,
}

impl Api {
    async fn start() -> Self {
        Self::with(|_| {}, true).await
    }

    async fn with(change: impl FnOnce(&mut RestSettings), has_jobs: bool) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let jobs = Arc::new(Fake::new());
        let cancel = CancellationToken::new();
        let listener = Listener::parse("http://127.0.0.1:0").unwrap();
        let mut settings = RestSettings { listeners: vec![Bind { listener, tls: None }], ..RestSettings::default() };
        change(&mut settings);
        let levels = Arc::new(LogLevels::new("INFO", || 1, |_| {}));
        let listeners = Listeners::bind(&settings).await.unwrap();
        let given = has_jobs.then(|| Arc::clone(&jobs) as Arc<dyn Jobs>);
        let server = serve(listeners, &settings, Arc::new(Idle), given, levels, peer_client(None).unwrap(), &cancel);
        let url = format!("http://{}", server.addresses()[0]);
        Self { url, jobs, client: reqwest::Client::new(), cancel, server }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        let request = self.request(method, path);
        let request = if let Some(body) = body { request.json(&body) } else { request };
        request.send().await.unwrap()
    }

    async fn json(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let response = self.send(method, path, body).await;
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or(Value::Null))
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.jobs.asked.lock())
    }

    async fn stop(self) {
        self.cancel.cancel();
        tokio::time::timeout(LIMIT, self.server.stopped()).await.unwrap();
    }
}

fn error(status: u16, message: &str) -> (u16, Value) {
    (status, json!({"error_code": status, "message": message}))
}

/// The blocks of a stream of events, one after another.
struct Events(Response, String);

impl Events {
    async fn open(api: &Api, path: &str) -> Self {
        let response = api.request(Method::GET, path).header("Accept", "text/event-stream").send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream"));
        Self(response, String::new())
    }

    /// The next block; `None` at the end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.1.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.1 = rest;
                return Some(block);
            }
            let chunk = tokio::time::timeout(LIMIT, self.0.chunk()).await.unwrap().unwrap()?;
            self.1.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next event with its name, its id and its data. Comments are passed over.
    async fn next(&mut self) -> Option<(String, String, Value)> {
        loop {
            let block = self.block().await?;
            let field =
                |name: &str| block.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned));
            if let Some(event) = field("event") {
                let data = serde_json::from_str(&field("data").unwrap()).unwrap();
                return Some((event, field("id").unwrap(), data));
            }
        }
    }
}

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
    assert!(since.elapsed() < Duration::from_secs(5), "the server waited for readers: {:?}", since.elapsed());
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

#[tokio::test]
async fn passwords_are_asked_for_everywhere_and_browsers_are_told_so() {
    let extension = "org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension".to_owned();
    let directory = tempfile::tempdir().unwrap();
    let users = directory.path().join("users.properties");
    std::fs::write(&users, "ann=secret\n").unwrap();
    let login = format!(
        "KafkaConnect {{\n org.apache.kafka.connect.rest.basic.auth.extension.PropertyFileLoginModule required file=\"{}\";\n}};",
        users.display()
    );
    let auth = BasicAuth::from_extensions(&[extension], Some(&login)).unwrap().map(Arc::new);
    let api = Api::with(|settings| settings.auth = auth, true).await;
    api.jobs.put(whole());
    for path in ["/jobs", "/jobs/shop", "/jobs/-/events", "/portal", "/portal/app.js"] {
        let refused = api.send(Method::GET, path, None).await;
        assert_eq!(refused.status(), 401, "{path}");
        assert!(refused.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic realm="), "{path}");
        let let_in = api.request(Method::GET, path).basic_auth("ann", Some("secret")).send().await.unwrap();
        assert_eq!(let_in.status(), 200, "{path}");
    }
    let connect = api.send(Method::GET, "/connectors", None).await;
    assert_eq!((connect.status().as_u16(), connect.headers().get("www-authenticate")), (401, None), "as on the JVM");
    let asks = api.request(Method::GET, "/connectors").header("X-Tidegate-By", "portal").send().await.unwrap();
    assert!(asks.headers().contains_key("www-authenticate"));
    api.stop().await;
}

#[tokio::test]
async fn the_portal_is_served_with_all_that_it_needs_and_a_strict_policy() {
    let api = Api::start().await;
    for (path, media) in [
        ("/portal", "text/html; charset=utf-8"),
        ("/portal/", "text/html; charset=utf-8"),
        ("/portal/app.js", "text/javascript; charset=utf-8"),
        ("/portal/style.css", "text/css; charset=utf-8"),
        ("/portal/icon.svg", "image/svg+xml"),
    ] {
        let browser = api.request(Method::GET, path).header("Accept", "text/html,application/xhtml+xml;q=0.9");
        let answer = browser.send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()),
            (200, media),
            "{path}"
        );
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        let tag = answer.headers()["etag"].clone();
        let again = api.request(Method::GET, path).header("If-None-Match", tag).send().await.unwrap();
        assert_eq!((again.status().as_u16(), again.headers()["cache-control"].to_str().unwrap()), (304, "no-cache"));
        assert!(again.bytes().await.unwrap().is_empty());
    }
    // Whatever the page names is there, whichever of its paths it was asked by.
    for (path, place) in [("/portal", "/"), ("/portal/", "/portal/")] {
        let page = api.send(Method::GET, path, None).await.text().await.unwrap();
        let named =
            page.split(['"']).filter(|text| text.ends_with(".js") || text.ends_with(".css") || text.ends_with(".svg"));
        for name in named {
            assert_eq!(api.send(Method::GET, &format!("{place}{name}"), None).await.status(), 200, "{path}: {name}");
        }
    }
    api.stop().await;
}
