//! The two connectors.

use serde_json::json;

use super::ends::Ends;
use super::shop::TABLES;
use crate::testbed::{Advise, Api, Failure};

/// The name of the source.
pub(super) const SOURCE: &str = "shop-source";
/// The name of the sink.
pub(super) const SINK: &str = "shop-sink";

/// Creates both. They run when this returns.
pub(super) async fn create(ends: &Ends, api: &Api) -> Result<(), Failure> {
    let tables: Vec<String> = TABLES.iter().map(|table| format!("public.{table}")).collect();
    let source = json!({
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "tasks.max": "1",
        "plugin.name": "pgoutput",
        "database.hostname": ends.postgres.host,
        "database.port": ends.postgres.port.to_string(),
        "database.user": ends.postgres.user,
        // Debezium wants a password even where the server does not.
        "database.password": if ends.postgres.password.is_empty() { "none" } else { &ends.postgres.password },
        "database.dbname": ends.database,
        "topic.prefix": ends.prefix(),
        "table.include.list": tables.join(","),
        "slot.name": ends.database,
        "publication.name": ends.database,
        "publication.autocreate.mode": "filtered",
    });
    let sink = json!({
        "connector.class": "com.mongodb.kafka.connect.MongoSinkConnector",
        "tasks.max": "1",
        "topics.regex": format!("{}\\.public\\..*", ends.prefix()),
        "connection.uri": ends.mongodb,
        "database": ends.database,
        "change.data.capture.handler": "com.mongodb.kafka.connect.sink.cdc.debezium.rdbms.postgres.PostgresHandler",
    });
    for (name, config) in [(SOURCE, source), (SINK, sink)] {
        let look = format!("look at {}/connectors/{name}/status and the worker's log", api.base());
        api.create(name, &config).await.advise(look.as_str())?;
        api.wait_running(name).await.advise(look)?;
    }
    Ok(())
}
