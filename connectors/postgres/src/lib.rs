//! The Debezium-compatible Postgres source
