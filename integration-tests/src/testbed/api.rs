//! A client of the worker's REST API.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;

use super::failure::{Failure, OrFail};
use super::wait::eventually_async;

const REQUEST_LIMIT: Duration = Duration::from_secs(95);
/// How long a connector may take to reach a state.
pub const STATE_LIMIT: Duration = Duration::from_secs(240);
/// What is FAILED for so long is not healed by the worker's recovery any more.
pub const FAILED_LIMIT: Duration = Duration::from_secs(60);

/// What the worker answered.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub text: String,
    /// Null when the body is no JSON.
    pub body: Value,
}

impl Answer {
    /// `message` of an error body.
    pub fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }

    /// Fails unless the status is one of `expected`.
    pub fn expect(self, expected: &[u16]) -> Result<Self, Failure> {
        if expected.contains(&self.status) {
            return Ok(self);
        }
        let text = if self.message().is_empty() { &self.text } else { self.message() };
        Err(Failure::new(format!("the worker answered {}: {text}", self.status)))
    }
}

/// Whether a conflict is over soon, by the words of both workers for it.
fn passes(message: &str) -> bool {
    message.contains("rebalance") || message.contains("stale configuration")
}

/// The REST API of one worker.
#[derive(Clone, Debug)]
pub struct Api {
    client: reqwest::Client,
    base: String,
}

impl Api {
    /// At `base`, for example `http://127.0.0.1:8083`.
    pub fn new(base: impl Into<String>) -> Result<Self, Failure> {
        // The process chooses its TLS provider once; whoever was first is right, they are all the same.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = reqwest::Client::builder()
            .timeout(REQUEST_LIMIT)
            .no_proxy()
            .build()
            .or_fail("failed to make an HTTP client")?;
        Ok(Self { client, base: base.into() })
    }

    /// The base URL.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Any request, with the exact body.
    pub async fn send(&self, method: Method, path: &str, body: Option<String>) -> Result<Answer, Failure> {
        let step = format!("failed to send {method} {path} to the worker");
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let response = request.send().await.or_fail(step.as_str())?;
        let status = response.status().as_u16();
        let text = response.text().await.or_fail(step)?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Answer { status, text, body })
    }

    pub async fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer, Failure> {
        self.retried(Method::POST, path, Some(body.to_string())).await
    }

    pub async fn put(&self, path: &str, body: Option<&Value>) -> Result<Answer, Failure> {
        self.retried(Method::PUT, path, body.map(Value::to_string)).await
    }

    pub async fn delete(&self, path: &str) -> Result<Answer, Failure> {
        self.retried(Method::DELETE, path, None).await
    }

    /// Changes are answered 409 while a rebalance is under way or another change is; clients repeat them.
    async fn retried(&self, method: Method, path: &str, body: Option<String>) -> Result<Answer, Failure> {
        eventually_async("the end of a rebalance", STATE_LIMIT, async || {
            match self.send(method.clone(), path, body.clone()).await {
                Ok(answer) if answer.status == 409 && passes(answer.message()) => Err(answer.text),
                other => Ok(other),
            }
        })
        .await?
    }

    /// `POST /connectors`; 201 is expected.
    pub async fn create(&self, name: &str, config: &Value) -> Result<(), Failure> {
        let body = serde_json::json!({"name": name, "config": config});
        self.post("/connectors", &body).await?.expect(&[201]).map(drop).or_fail(format!("failed to create {name}"))
    }

    /// `PUT /connectors/{name}/pause`, `resume` or `stop`.
    pub async fn change(&self, name: &str, verb: &str) -> Result<(), Failure> {
        let answer = self.put(&format!("/connectors/{name}/{verb}"), None).await?;
        answer.expect(&[202, 204]).map(drop).or_fail(format!("failed to {verb} {name}"))
    }

    /// `DELETE /connectors/{name}`.
    pub async fn remove(&self, name: &str) -> Result<(), Failure> {
        let answer = self.delete(&format!("/connectors/{name}")).await?;
        answer.expect(&[204]).map(drop).or_fail(format!("failed to delete {name}"))
    }

    /// `PATCH /connectors/{name}/offsets`, repeated while the group rebalances, which a JVM worker may also answer with 500.
    pub async fn alter_offsets(&self, name: &str, offsets: &Value) -> Result<(), Failure> {
        let path = format!("/connectors/{name}/offsets");
        let answer = eventually_async("the end of a rebalance", STATE_LIMIT, async || {
            match self.send(Method::PATCH, &path, Some(offsets.to_string())).await {
                Ok(answer) if matches!(answer.status, 409 | 500) => Err(answer.text),
                other => Ok(other),
            }
        });
        answer.await??.expect(&[200]).map(drop).or_fail(format!("failed to alter the offsets of {name}"))
    }

    /// `GET /connectors/{name}/status`.
    pub async fn status(&self, name: &str) -> Result<Value, Failure> {
        Ok(self.get(&format!("/connectors/{name}/status")).await?.expect(&[200])?.body)
    }

    /// Waits until the connector and its tasks, `tasks` of them, are in these states. Fails early when one stays FAILED.
    pub async fn wait_for(&self, name: &str, connector: &str, tasks: &[&str]) -> Result<Value, Failure> {
        let what = format!("{name} to be {connector} with tasks {tasks:?}");
        let unwanted = connector != "FAILED" && !tasks.contains(&"FAILED");
        let mut failed: Option<Instant> = None;
        eventually_async(&what, STATE_LIMIT, async || {
            let status = self.status(name).await.map_err(|failure| failure.to_string())?;
            let state = |of: &Value| of["state"].as_str().unwrap_or_default().to_owned();
            let mut states = vec![state(&status["connector"])];
            states.extend(status["tasks"].as_array().into_iter().flatten().map(state));
            if states[0] == connector && states[1..] == *tasks {
                return Ok(Ok(status));
            }
            if !unwanted || states.iter().all(|state| state != "FAILED") {
                failed = None;
            } else if failed.get_or_insert_with(Instant::now).elapsed() >= FAILED_LIMIT {
                return Ok(Err(Failure::new(format!("{name} failed: {status:#}"))));
            }
            Err(status.to_string())
        })
        .await?
    }

    /// Waits until the connector runs with one task.
    pub async fn wait_running(&self, name: &str) -> Result<Value, Failure> {
        self.wait_for(name, "RUNNING", &["RUNNING"]).await
    }
}
