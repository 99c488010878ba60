//! The worker as the REST API sees it.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use connect_api::ErrorKind;
use connect_cluster::{ClusterView, Command, Herd, HerdError, Hop, PluginInfo, Reply};
use connect_config::{ConfigDef, Props, Validated};
use connect_plugins::{PluginRegistry, ValidationContext, plugin_config, validate_connector};
use tokio::sync::{mpsc, oneshot};

use super::drive::Input;
use crate::units::Resolve;

/// How long a client waits for its answer (`ConnectorsResource.DEFAULT_REST_REQUEST_TIMEOUT_MS`).
const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);

/// Validates connector configurations, beside the loop.
pub(super) struct Validator {
    pub registry: Arc<PluginRegistry>,
    pub context: ValidationContext,
    pub resolve: Resolve,
}

impl Validator {
    /// The whole answer of a validation.
    async fn validate(&self, config: &Props) -> Result<Validated, connect_api::Error> {
        // A provider may read files.
        let (resolve, raw) = (Arc::clone(&self.resolve), config.clone());
        let resolved = tokio::task::spawn_blocking(move || resolve(&raw))
            .await
            .map_err(|error| connect_api::Error::connect("resolving the configuration broke off").caused_by(error))??;
        let validation = validate_connector(&self.registry, &self.context, &resolved);
        let validated = match tokio::time::timeout(REQUEST_TIMEOUT, validation).await {
            Ok(outcome) => outcome?,
            Err(_) => {
                return Err(connect_api::Error::new(
                    ErrorKind::Timeout,
                    "Request timed out. The worker is currently performing connector validation",
                ));
            }
        };
        Ok(validated)
    }

    /// Whether a configuration is fit to be stored, with the JVM's words when it is not.
    pub(super) async fn check(&self, config: &Props) -> Result<(), HerdError> {
        let validated = self.validate(config).await.map_err(|error| refusal(&error))?;
        let errors: Vec<&str> = validated.entries.iter().flat_map(|entry| &entry.errors).map(String::as_str).collect();
        if errors.is_empty() {
            return Ok(());
        }
        let mut message =
            format!("Connector configuration is invalid and contains the following {} error(s):", errors.len());
        for error in errors {
            message.push('\n');
            message.push_str(error);
        }
        message.push_str(
            "\nYou can also find the above list of errors at the endpoint \
             `/connector-plugins/{connectorType}/config/validate`",
        );
        Err(HerdError::bad_request(message))
    }
}

/// A configuration error is the client's; anything else is ours.
fn refusal(error: &connect_api::Error) -> HerdError {
    match error.kind() {
        ErrorKind::Config | ErrorKind::NotFound => HerdError::bad_request(error.message()),
        _ => HerdError::internal(error.message()),
    }
}

/// A running worker.
pub struct Worker {
    pub(super) inbox: mpsc::Sender<Input>,
    pub(super) view: Arc<ArcSwap<ClusterView>>,
    pub(super) validator: Arc<Validator>,
}

impl Worker {
    /// Stops all work, flushes it, writes the last statuses and leaves the group. Bounded by the graceful timeouts of
    /// tasks and of Kafka.
    pub async fn stop(&self) {
        let (done, stopped) = oneshot::channel();
        if self.inbox.send(Input::Shutdown(done)).await.is_ok() && stopped.await.is_err() {
            tracing::warn!("the herder ended before it had stopped everything");
        }
    }
}

#[async_trait]
impl Herd for Worker {
    fn view(&self) -> Arc<ClusterView> {
        self.view.load_full()
    }

    async fn ask(&self, command: Command, _hop: Hop) -> Result<Reply, HerdError> {
        let (answer, answered) = oneshot::channel();
        let ended = || HerdError::Refused { status: 503, message: "The worker is shutting down.".to_owned() };
        let asking = async {
            self.inbox.send(Input::Request(command, answer)).await.map_err(|_| ended())?;
            answered.await.map_err(|_| ended())?
        };
        match tokio::time::timeout(REQUEST_TIMEOUT, asking).await {
            Ok(outcome) => outcome,
            Err(_) => Err(HerdError::internal("Request timed out")),
        }
    }

    async fn validate(&self, _plugin: &str, config: &Props) -> Result<Validated, HerdError> {
        // The JVM answers 500 here even to what a client got wrong; tools know it.
        self.validator.validate(config).await.map_err(|error| HerdError::internal(error.message()))
    }

    fn plugins(&self) -> Vec<PluginInfo> {
        let listed = self.validator.registry.list(false).into_iter();
        listed
            .map(|plugin| PluginInfo {
                class: plugin.class.to_owned(),
                kind: plugin.kind.name(),
                version: (!plugin.version.is_empty()).then(|| plugin.version.to_owned()),
            })
            .collect()
    }

    fn plugin_config(&self, plugin: &str) -> Result<ConfigDef, HerdError> {
        let found = self.validator.registry.any(plugin);
        found
            .map(|plugin| plugin_config(&self.validator.registry, plugin))
            .ok_or_else(|| HerdError::not_found(format!("Unknown plugin {plugin}.")))
    }
}
