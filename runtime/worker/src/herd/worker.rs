//! The worker as the REST API sees it.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use connect_api::{ErrorKind, PluginKind};
use connect_cluster::{ClusterView, Command, Herd, HerdError, Hop, PluginInfo, Reply};
use connect_config::{ConfigDef, Props, Validated};
use connect_plugins::{Lookup, PluginRegistry, ValidationContext, WorkerMode, plugin_config, validate_connector};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::drive::Input;
use crate::units::{Resolve, resolved};

/// How long a client waits for its answer (`ConnectorsResource.DEFAULT_REST_REQUEST_TIMEOUT_MS`).
const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);

/// How much longer it waits for a change that has begun, while it is not known what became of it.
const OUTCOME_TIMEOUT: Duration = Duration::from_secs(300);

/// Validates connector configurations, beside the loop.
pub(super) struct Validator {
    pub registry: Arc<PluginRegistry>,
    pub context: ValidationContext,
    pub resolve: Resolve,
}

impl Validator {
    /// The whole answer of a validation.
    async fn validate(&self, config: &Props) -> Result<Validated, connect_api::Error> {
        let resolved = resolved(&self.resolve, config)
            .await
            // A provider's failure is not what the client got wrong: 500, as on the JVM.
            .map_err(|error| connect_api::Error::connect(error.message().to_owned()).class(error.java_class()))?;
        let (registry, context) = (Arc::clone(&self.registry), self.context.clone());
        // In a task of its own: a connector that panics while it validates breaks this answer and nothing else.
        let mut validation = tokio::spawn(async move { validate_connector(&registry, &context, &resolved).await });
        let validated = match tokio::time::timeout(REQUEST_TIMEOUT, &mut validation).await {
            Ok(Ok(outcome)) => outcome?,
            Ok(Err(panicked)) => {
                let error = connect_api::Error::connect("the connector broke while it validated its configuration");
                return Err(error.caused_by(panicked));
            }
            Err(_) => {
                validation.abort();
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

impl Worker {
    /// A standalone worker has no others that could ask it (`StandaloneHerder.putTaskConfigs`, `fenceZombieSourceTasks`).
    fn refuse_between_workers(&self, command: &Command) -> Result<(), HerdError> {
        let what = match (&self.validator.context.mode, command) {
            (WorkerMode::Standalone, Command::PutTaskConfigs { .. }) => "externally setting task configurations",
            (WorkerMode::Standalone, Command::Fence { .. }) => "exactly-once source connectors",
            _ => return Ok(()),
        };
        Err(HerdError::internal(format!("Kafka Connect in standalone mode does not support {what}.")))
    }
}

#[async_trait]
impl Herd for Worker {
    fn view(&self) -> Arc<ClusterView> {
        self.view.load_full()
    }

    async fn ask(&self, command: Command, _hop: Hop) -> Result<Reply, HerdError> {
        self.refuse_between_workers(&command)?;
        let (answer, mut answered) = oneshot::channel();
        let ended = || HerdError::Refused { status: 503, message: "The worker is shutting down.".to_owned() };
        let deadline = tokio::time::Instant::now() + REQUEST_TIMEOUT;
        let gave_up = CancellationToken::new();
        let send = self.inbox.send(Input::Request(command, answer, gave_up.clone()));
        match tokio::time::timeout_at(deadline, send).await {
            Ok(sent) => sent.map_err(|_| ended())?,
            Err(_) => return Err(HerdError::internal("Request timed out")),
        }
        if let Ok(outcome) = tokio::time::timeout_at(deadline, &mut answered).await {
            return outcome.map_err(|_| ended())?;
        }
        // What has not begun is taken back now. For the rest it has to be known what became of it: an error must mean
        // that nothing was done.
        gave_up.cancel();
        match tokio::time::timeout(OUTCOME_TIMEOUT, answered).await {
            Ok(outcome) => outcome.map_err(|_| ended())?,
            Err(_) => Err(HerdError::internal(
                "Request timed out. Kafka does not answer, so that it is not known whether the change was made",
            )),
        }
    }

    async fn validate(&self, _plugin: &str, config: &Props) -> Result<Validated, HerdError> {
        // The JVM answers 500 here even to what a client got wrong; tools know it.
        self.validator.validate(config).await.map_err(|error| HerdError::internal(error.to_java_text()))
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
        match self.validator.registry.lookup(plugin) {
            Lookup::Found(found) => Ok(plugin_config(&self.validator.registry, found)),
            Lookup::WorkerPlugin(_) => Err(HerdError::bad_request(format!(
                "Invalid plugin class {plugin}. Valid types are sink, source, converter, header_converter, \
                 transformation, predicate."
            ))),
            Lookup::OtherClass | Lookup::Abstract(_) => Err(HerdError::internal("Instantiation error")),
            Lookup::Unknown => Err(HerdError::not_found(format!("Unknown plugin {plugin}."))),
        }
    }

    fn job_defaults(&self, class: &str) -> &'static [(&'static str, &'static str)] {
        match self.validator.registry.connector(class).map(|plugin| &plugin.kind) {
            Ok(PluginKind::Sink(sink)) => sink.job_defaults(),
            _ => &[],
        }
    }
}
