//! The connector as the worker sees it.

use async_trait::async_trait;
use connect_api::{
    CleanUp, ConfigDef, Error, ExactlyOnce, Props, Result, Retention, SourceConnector, SourceContext, SourceTask,
};
use connect_config::Validated;

use crate::config::PostgresConfig;
use crate::settings::Settings;
use crate::task::PostgresTask;
use crate::{upkeep, validate};

/// `io.debezium.connector.postgresql.PostgresConnector`.
#[derive(Clone, Copy, Debug, Default)]
pub struct PostgresConnector;

#[async_trait]
impl SourceConnector for PostgresConnector {
    fn task_class(&self) -> Option<&'static str> {
        Some("io.debezium.connector.postgresql.PostgresConnectorTask")
    }

    fn config_def(&self) -> &'static ConfigDef {
        PostgresConfig::def()
    }

    async fn validate(&self, props: &Props) -> Result<Validated> {
        Ok(validate::validate(props).await)
    }

    /// One slot is read by one task.
    async fn task_configs(&self, props: &Props, max: usize) -> Result<Vec<Props>> {
        if max == 0 {
            return Err(Error::config("tasks.max must be at least 1"));
        }
        Settings::parse(props)?;
        Ok(vec![props.clone()])
    }

    async fn start_task(&self, props: Props, context: SourceContext) -> Result<Box<dyn SourceTask>> {
        Ok(Box::new(PostgresTask::start(&props, context).await?))
    }

    /// A position says exactly what was delivered before it, as far as the server numbers its changes one by one (rows of
    /// one `COPY` share their place in the log).
    fn exactly_once(&self, _props: &Props) -> ExactlyOnce {
        ExactlyOnce::Supported
    }
    async fn retention(&self, props: &Props) -> Result<Option<Retention>> {
        upkeep::retention(&Settings::parse(props)?).await
    }

    async fn log_end(&self, props: &Props) -> Result<Option<u64>> {
        upkeep::log_end(&Settings::parse(props)?).await
    }

    async fn clean_up(&self, props: &Props, what: CleanUp) -> Result<()> {
        let connector = props.get("name").and_then(Option::as_deref);
        upkeep::clean_up(&Settings::parse(props)?, what, connector).await
    }

    async fn topics(&self, props: &Props) -> Result<Option<Vec<String>>> {
        upkeep::topics(&Settings::parse(props)?).await.map(Some)
    }
}
