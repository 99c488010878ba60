//! Notifications: what snapshots are doing, to the log and to a topic.

use std::sync::{Arc, LazyLock};

use connect_api::java::hash;
use connect_api::{Datum, Field, Kind, Record, Schema, SchemaRef, Struct, Value};

use crate::config::PostgresConfig;
use crate::event::now_us;
use crate::outlet::Outlet;
use crate::session::Session;
use crate::signals::settings::channels;

/// Notifications of the first snapshot, and of blocking ones.
pub const INITIAL: &str = "Initial Snapshot";
/// Notifications of incremental snapshots.
pub const INCREMENTAL: &str = "Incremental Snapshot";

/// Whom notifications are sent to. The channel `jmx` is accepted, and has no effect.
#[derive(Clone, Debug)]
pub struct Notifier {
    log: bool,
    /// The topic, when the channel `sink` is enabled.
    topic: Option<Arc<str>>,
    server: Arc<str>,
}

fn text(optional: bool) -> SchemaRef {
    let schema = Schema::of(Kind::String);
    if optional { schema.optional() } else { schema }.shared()
}

fn schemas() -> &'static (SchemaRef, SchemaRef) {
    static SCHEMAS: LazyLock<(SchemaRef, SchemaRef)> = LazyLock::new(|| {
        let data = Schema::of(Kind::Map(text(false), text(false))).optional().shared();
        let key = vec![Field::new("id", text(false))];
        let value = vec![
            Field::new("id", text(false)),
            Field::new("type", text(false)),
            Field::new("aggregate_type", text(false)),
            Field::new("additional_data", data),
            Field::new("timestamp", Schema::of(Kind::Int64).shared()),
        ];
        let named = |fields, name: &str| Schema::structure(fields).named(name).version(1).shared();
        (
            named(key, "io.debezium.connector.common.NotificationKey"),
            named(value, "io.debezium.connector.common.Notification"),
        )
    });
    &SCHEMAS
}

impl Session {
    /// Tells of a first or a blocking snapshot.
    pub fn notify(&mut self, kind: &str, data: &[(&str, String)]) {
        self.settings.notifications.send(&mut self.outlet, INITIAL, kind, None, data);
    }
}

impl Notifier {
    /// As configured.
    pub fn new(config: &PostgresConfig, server: &str) -> Self {
        let list = config.notification_enabled_channels.as_ref().map(|list| list.join(","));
        let channels = channels(list.as_deref());
        let enabled = |name: &str| channels.iter().any(|channel| channel == name);
        let topic = config.notification_sink_topic_name.as_deref().filter(|_| enabled("sink"));
        Self { log: enabled("log"), topic: topic.map(Into::into), server: server.into() }
    }

    /// True when notifications are records.
    pub fn writes(&self) -> bool {
        self.topic.is_some()
    }

    /// Sends one; without an id of its own it gets a new one.
    pub fn send(&self, outlet: &mut Outlet, of: &str, kind: &str, id: Option<&str>, data: &[(&str, String)]) {
        if !self.log && self.topic.is_none() {
            return;
        }
        let id = id.map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned);
        let server = ("connector_name", self.server.to_string());
        let entry = |(key, value): &(&str, String)| (Value::from(*key), Value::from(value.as_str()));
        let mut entries: Vec<(Value, Value)> = data.iter().chain([&server]).map(entry).collect();
        hash::order(&mut entries);
        if self.log {
            let shown: Vec<String> = data.iter().map(|(key, value)| format!("{key}={value}")).collect();
            tracing::info!(id, aggregate_type = of, kind, additional_data = %shown.join(", "), "notification");
        }
        let Some(topic) = &self.topic else { return };
        let (key, value) = schemas();
        let datum = |schema: &SchemaRef, fields| {
            Datum::new(SchemaRef::clone(schema), Value::Struct(Struct::new(SchemaRef::clone(schema), fields)))
        };
        let fields = vec![
            Value::from(id.as_str()),
            Value::from(kind),
            Value::from(of),
            Value::Map(entries),
            Value::Int64(now_us() / 1000),
        ];
        let record =
            Record::source(Arc::clone(topic), datum(key, vec![Value::from(id.as_str())]), datum(value, fields));
        outlet.records().push(record);
    }
}
