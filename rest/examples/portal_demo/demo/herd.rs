//! The connectors of the demo's jobs, as Connect's own endpoints show them, and what their configurations need.

use std::sync::Arc;

use async_trait::async_trait;
use connect_cluster::{
    ClusterView, Command, ConnectorInfo, ConnectorStatus, ConnectorView, Herd, HerdError, Hop, PluginInfo, Reply,
    State, Target, TaskId, TaskStatus,
};
use connect_config::{ConfigDef, ConfigKey, Importance, Props, Type, Validated};

use super::world::{Actor, World, is_connector};

pub(super) const POSTGRES: &str = "io.debezium.connector.postgresql.PostgresConnector";
pub(super) const MONGODB: &str = "com.mongodb.kafka.connect.MongoSinkConnector";

pub(super) struct DemoHerd(pub(super) Arc<World>);

/// The keys of a connector that the demo looks at.
fn definition(class: &str) -> ConfigDef {
    let mut def = ConfigDef::new();
    let keys: &[(&str, Type)] = match class {
        POSTGRES => &[
            ("database.hostname", Type::String),
            ("database.user", Type::String),
            ("database.password", Type::Password),
            ("database.dbname", Type::String),
            ("topic.prefix", Type::String),
        ],
        MONGODB => &[("connection.uri", Type::Password), ("database", Type::String)],
        _ => &[("file", Type::String)],
    };
    for (name, ty) in keys {
        def.define(ConfigKey::new(name, *ty, name).importance(Importance::High));
    }
    if class == POSTGRES {
        def.define(ConfigKey::new("database.port", Type::Int, "port").default("5432"));
    }
    def
}

/// What is wrong with a configuration. Hosts called `nowhere` are not reached, and `wrong` is no password.
pub(super) fn judge(config: &Props) -> Validated {
    let text = |key: &str| config.get(key).cloned().flatten().unwrap_or_default();
    let mut judged = definition(&text("connector.class")).validate(config);
    if text("database.hostname").contains("nowhere") {
        judged.add_error(
            "database.hostname",
            "The host can't be found: is its name right, and does this machine reach it?",
        );
    } else if text("database.password") == "wrong" {
        judged.add_error("database.password", "Password authentication failed for this user");
    }
    let uri = text("connection.uri");
    if !uri.is_empty() && !uri.starts_with("mongodb://") && !uri.starts_with("mongodb+srv://") {
        judged.add_error("connection.uri", "A connection string begins with mongodb:// or mongodb+srv://");
    }
    judged
}

fn connectors(actor: &Actor) -> Vec<(Arc<str>, Arc<ConnectorView>)> {
    let both = actor.view.connectors.iter().zip(&actor.configs).enumerate();
    let shown = both.map(|(at, (connector, config))| {
        let name: Arc<str> = connector.name.as_str().into();
        let status = |state: &str, trace: Option<String>| TaskStatus {
            state: State::from_name(state).unwrap_or(State::Unassigned),
            worker_id: "connect-1.example.com:8083".into(),
            trace,
            generation: 1,
            version: None,
        };
        let trace = actor.trace.clone().filter(|_| at == 0);
        let tasks: Vec<_> = connector.tasks.iter().map(|task| (task.id, status(task.state, trace.clone()))).collect();
        let id = |task: &(u32, TaskStatus)| TaskId { connector: Arc::clone(&name), task: task.0 };
        let info = ConnectorInfo {
            name: Arc::clone(&name),
            config: config.clone(),
            tasks: tasks.iter().map(id).collect(),
            kind: connector.kind,
        };
        let whole = ConnectorStatus {
            name: Arc::clone(&name),
            connector: status(connector.state.unwrap_or("UNASSIGNED"), None),
            tasks,
            kind: connector.kind,
        };
        let view = ConnectorView {
            info,
            target: Target::Started,
            tasks: Vec::new(),
            status: Some(whole),
            topics: if is_connector(&actor.view) { vec!["lines".to_owned()] } else { Vec::new() },
        };
        (name, Arc::new(view))
    });
    shown.collect()
}

#[async_trait]
impl Herd for DemoHerd {
    fn view(&self) -> Arc<ClusterView> {
        Arc::new(ClusterView {
            connectors: self.0.each(connectors).into_iter().flatten().collect(),
            kafka_cluster_id: "demo".into(),
            loaded: true,
            ready: true,
            ..ClusterView::default()
        })
    }

    async fn ask(&self, _: Command, _: Hop) -> Result<Reply, HerdError> {
        Err(HerdError::conflict("The demo has no connectors that could be changed"))
    }

    async fn validate(&self, _: &str, config: &Props) -> Result<Validated, HerdError> {
        Ok(judge(config))
    }

    fn plugins(&self) -> Vec<PluginInfo> {
        let plugin = |class: &str, kind| PluginInfo { class: class.into(), kind, version: None };
        vec![plugin(POSTGRES, "source"), plugin(MONGODB, "sink")]
    }

    fn plugin_config(&self, plugin: &str) -> Result<ConfigDef, HerdError> {
        Ok(definition(plugin))
    }
}
