//! Configurations of connectors that several suites begin with.

use serde_json::{Value, json};

use super::PostgresAddress;

/// A Debezium source of these tables; `name` is its topic prefix, slot and publication.
pub fn postgres_source(address: &PostgresAddress, name: &str, tables: &str) -> Value {
    json!({
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "tasks.max": "1",
        "plugin.name": "pgoutput",
        "database.hostname": address.host,
        "database.port": address.port.to_string(),
        "database.user": address.user,
        "database.password": address.password,
        "database.dbname": address.database,
        "topic.prefix": name,
        "slot.name": name,
        "publication.name": name,
        "publication.autocreate.mode": "filtered",
        "table.include.list": tables,
        "poll.interval.ms": "50",
    })
}

/// A MongoDB sink of Debezium's events of all tables of `prefix`, into a database of that name.
pub fn mongo_sink(uri: &str, prefix: &str) -> Value {
    json!({
        "connector.class": "com.mongodb.kafka.connect.MongoSinkConnector",
        "tasks.max": "1",
        "topics.regex": format!("{prefix}\\.public\\..*"),
        "connection.uri": uri,
        "database": prefix,
        "change.data.capture.handler": "com.mongodb.kafka.connect.sink.cdc.debezium.rdbms.postgres.PostgresHandler",
    })
}
