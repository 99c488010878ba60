//! A server with jobs, and how tests ask it.

use std::sync::Arc;
use std::time::Duration;

use connect_cluster::jobs::Jobs;
use connect_config::worker::Listener;
use connect_rest::{Bind, Listeners, LogLevels, RestServer, RestSettings, peer_client, serve};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::fake::{Fake, Idle};

/// How long a test waits for what is bound to come.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Api {
    pub(crate) url: String,
    pub(crate) jobs: Arc<Fake>,
    client: reqwest::Client,
    pub(crate) cancel: CancellationToken,
    pub(crate) server: RestServer,
}

impl Api {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}, true).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut RestSettings), has_jobs: bool) -> Self {
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

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        let request = self.request(method, path);
        let request = if let Some(body) = body { request.json(&body) } else { request };
        request.send().await.unwrap()
    }

    pub(crate) async fn json(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let response = self.send(method, path, body).await;
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or(Value::Null))
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.jobs.asked.lock())
    }

    pub(crate) async fn stop(self) {
        self.cancel.cancel();
        tokio::time::timeout(LIMIT, self.server.stopped()).await.unwrap();
    }
}

pub(crate) fn error(status: u16, message: &str) -> (u16, Value) {
    (status, json!({"error_code": status, "message": message}))
}

/// The blocks of a stream of events, one after another.
pub(crate) struct Events(Response, String);

impl Events {
    pub(crate) async fn open(api: &Api, path: &str) -> Self {
        let response = api.request(Method::GET, path).header("Accept", "text/event-stream").send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream"));
        Self(response, String::new())
    }

    /// The next block; `None` at the end.
    pub(crate) async fn block(&mut self) -> Option<String> {
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
    pub(crate) async fn next(&mut self) -> Option<(String, String, Value)> {
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
