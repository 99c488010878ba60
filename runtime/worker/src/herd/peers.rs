//! Requests to other workers of the group.

use async_trait::async_trait;
use connect_cluster::config_record::SessionKey;
use indexmap::IndexMap;

use super::signature::sign;

/// Sends what only the leader may write.
#[async_trait]
pub trait Peers: Send + Sync {
    /// `POST <url>connectors/<name>/tasks`; signed when there is a key.
    async fn put_task_configs(
        &self,
        url: &str,
        connector: &str,
        configs: &[IndexMap<String, String>],
        key: Option<&SessionKey>,
    ) -> Result<(), String>;

    /// `PUT <url>connectors/<name>/fence`; signed when there is a key.
    async fn put_fence(&self, url: &str, connector: &str, key: Option<&SessionKey>) -> Result<(), String>;
}

/// For a worker that is alone.
pub struct NoPeers;

#[async_trait]
impl Peers for NoPeers {
    async fn put_task_configs(
        &self,
        _url: &str,
        _connector: &str,
        _configs: &[IndexMap<String, String>],
        _key: Option<&SessionKey>,
    ) -> Result<(), String> {
        Err("a worker without a group has no leader to send to".to_owned())
    }

    async fn put_fence(&self, _url: &str, _connector: &str, _key: Option<&SessionKey>) -> Result<(), String> {
        Err("a worker without a group has no leader to ask".to_owned())
    }
}

/// By HTTP.
pub struct HttpPeers {
    client: reqwest::Client,
    /// `inter.worker.signature.algorithm`.
    algorithm: String,
}

impl HttpPeers {
    /// Sends with this client, which knows how to reach the other workers, and signs with
    /// `inter.worker.signature.algorithm`.
    pub fn new(client: reqwest::Client, algorithm: String) -> Self {
        Self { client, algorithm }
    }

    /// Sends a request, signed when there is a key; anything but success is an error.
    async fn send(
        &self,
        request: reqwest::RequestBuilder,
        body: Vec<u8>,
        key: Option<&SessionKey>,
    ) -> Result<(), String> {
        let mut request = request.header("Accept", "application/json").header("User-Agent", "kafka-connect");
        if let Some(signature) = key.and_then(|key| sign(&self.algorithm, key, &body)) {
            request = request
                .header("X-Connect-Authorization", signature)
                .header("X-Connect-Request-Signature-Algorithm", &self.algorithm);
        }
        let answer = request.body(body).send().await.map_err(|error| error.without_url().to_string())?;
        if answer.status().is_success() {
            return Ok(());
        }
        Err(format!("the leader answered {}: {}", answer.status(), answer.text().await.unwrap_or_default()))
    }
}

#[async_trait]
impl Peers for HttpPeers {
    async fn put_task_configs(
        &self,
        url: &str,
        connector: &str,
        configs: &[IndexMap<String, String>],
        key: Option<&SessionKey>,
    ) -> Result<(), String> {
        let body = serde_json::to_vec(configs).map_err(|error| error.to_string())?;
        let request = self.client.post(target(url, connector, "tasks")?).header("Content-Type", "application/json");
        self.send(request, body, key).await
    }

    async fn put_fence(&self, url: &str, connector: &str, key: Option<&SessionKey>) -> Result<(), String> {
        // The JVM sends a body that is null, and signs no bytes.
        let request = self.client.put(target(url, connector, "fence")?);
        self.send(request, Vec::new(), key).await
    }
}

/// `<url>connectors/<connector>/<resource>`.
fn target(url: &str, connector: &str, resource: &str) -> Result<reqwest::Url, String> {
    let mut target = reqwest::Url::parse(url).map_err(|error| error.to_string())?;
    target
        .path_segments_mut()
        .map_err(|()| format!("the leader's URL {url} can't be extended"))?
        .pop_if_empty()
        .extend(["connectors", connector, resource]);
    Ok(target)
}
