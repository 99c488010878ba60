//! What connectors, converters and transforms are to the runtime: data, errors and contracts.
//!
//! A connector knows this crate and its own system, and nothing else: no Kafka, no HTTP, no other connector.

pub mod converter;
pub mod error;
pub mod java;
pub mod metrics;
pub mod plugin;
pub mod progress;
pub mod projector;
pub mod record;
pub mod schema;
pub mod schema_builder;
pub mod sink;
pub mod source;
pub mod structure;
pub mod text;
pub mod transaction;
pub mod transform;
pub mod validate;
pub mod value;
pub mod values;

pub use bytes::{Bytes, BytesMut};
pub use connect_config::{ConfigDef, ConfigError, Props, Secret};
pub use converter::{Converter, HeaderConverter};
pub use error::{Error, ErrorKind, Result};
pub use metrics::{Measures, Metrics, Reading, Readings};
pub use plugin::{Plugin, PluginKind, PluginType};
pub use progress::{CleanUp, Phase, Progress, Retention, StreamProgress, TableProgress};
pub use record::{Datum, Header, Origin, Record, SinkOrigin, TimestampType};
pub use schema::{Field, Kind, Schema, SchemaRef};
pub use schema_builder::SchemaBuilder;
pub use sink::{Rejected, SinkConnector, SinkContext, SinkRecord, SinkTask, TopicPartition};
pub use source::{
    Between, Checkpoint, ExactlyOnce, OffsetMap, OffsetReader, SourceBatch, SourceConnector, SourceContext, SourceTask,
};
pub use text::Text;
pub use transaction::{TransactionContext, TransactionEnd};
pub use transform::{Predicate, Transform};
pub use value::{Struct, Value};
