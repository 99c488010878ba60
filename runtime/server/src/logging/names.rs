//! Java's logger names for what our modules do: who sets the level of `io.debezium` means the modules that do what that
//! package does in the JVM.

/// Modules with the loggers that they stand for. The first name of a module is the one that its lines show; all of them, and
/// the packages around them, change its level. A module that is not named has the names of the one around it.
#[rustfmt::skip]
const NAMES: &[(&str, &[&str])] = &[
    ("tidegate", &["org.apache.kafka.connect.cli.AbstractConnectCli", "org.apache.kafka.connect.cli.ConnectDistributed", "org.apache.kafka.connect.cli.ConnectStandalone", "org.apache.kafka.connect.runtime.Connect"]),
    ("connect_worker", &["org.apache.kafka.connect.runtime.Worker"]),
    ("connect_worker::acks", &["org.apache.kafka.connect.runtime.SubmittedRecords"]),
    ("connect_worker::connector", &["org.apache.kafka.connect.runtime.WorkerConnector"]),
    ("connect_worker::convert", &["org.apache.kafka.connect.runtime.TransformationChain"]),
    ("connect_worker::dead_letters", &["org.apache.kafka.connect.runtime.errors.DeadLetterQueueReporter"]),
    ("connect_worker::herd", &["org.apache.kafka.connect.runtime.distributed.DistributedHerder", "org.apache.kafka.connect.runtime.AbstractHerder", "org.apache.kafka.connect.runtime.standalone.StandaloneHerder"]),
    ("connect_worker::herd::file_log", &["org.apache.kafka.connect.storage.FileOffsetBackingStore"]),
    ("connect_worker::herd::group", &["org.apache.kafka.connect.runtime.distributed.WorkerGroupMember"]),
    ("connect_worker::herd::peers", &["org.apache.kafka.connect.runtime.rest.RestClient"]),
    ("connect_worker::herd::status_writer", &["org.apache.kafka.connect.storage.KafkaStatusBackingStore"]),
    ("connect_worker::herd::topics", &["org.apache.kafka.connect.util.TopicAdmin"]),
    ("connect_worker::offset_changes", &["org.apache.kafka.connect.runtime.Worker"]),
    ("connect_worker::offsets", &["org.apache.kafka.connect.storage.KafkaOffsetBackingStore", "org.apache.kafka.connect.storage.OffsetStorageWriter"]),
    ("connect_worker::report", &["org.apache.kafka.connect.runtime.errors.LogReporter", "org.apache.kafka.connect.runtime.errors.RetryWithToleranceOperator"]),
    ("connect_worker::sink", &["org.apache.kafka.connect.runtime.WorkerSinkTask", "org.apache.kafka.connect.runtime.WorkerTask"]),
    ("connect_worker::source", &["org.apache.kafka.connect.runtime.WorkerSourceTask", "org.apache.kafka.connect.runtime.AbstractWorkerSourceTask", "org.apache.kafka.connect.runtime.WorkerTask"]),
    ("connect_worker::task", &["org.apache.kafka.connect.runtime.WorkerTask"]),
    ("connect_worker::topic_creation", &["org.apache.kafka.connect.util.TopicAdmin"]),
    ("connect_worker::transactional_source", &["org.apache.kafka.connect.runtime.ExactlyOnceWorkerSourceTask", "org.apache.kafka.connect.runtime.AbstractWorkerSourceTask", "org.apache.kafka.connect.runtime.WorkerTask"]),
    ("connect_cluster", &["org.apache.kafka.connect.runtime.distributed.DistributedHerder"]),
    ("connect_cluster::assignor", &["org.apache.kafka.connect.runtime.distributed.IncrementalCooperativeAssignor", "org.apache.kafka.connect.runtime.distributed.EagerAssignor"]),
    ("connect_cluster::config_state", &["org.apache.kafka.connect.storage.KafkaConfigBackingStore"]),
    ("connect_cluster::status", &["org.apache.kafka.connect.storage.KafkaStatusBackingStore"]),
    ("connect_plugins", &["org.apache.kafka.connect.runtime.isolation.Plugins"]),
    ("connect_plugins::validate", &["org.apache.kafka.connect.runtime.AbstractHerder"]),
    ("connect_config", &["org.apache.kafka.common.config.AbstractConfig"]),
    ("connect_rest", &["org.apache.kafka.connect.runtime.rest.RestServer"]),
    ("connect_rest::forward", &["org.apache.kafka.connect.runtime.rest.RestClient"]),
    ("connect_kafka", &["org.apache.kafka.clients.NetworkClient"]),
    ("connect_kafka::admin", &["org.apache.kafka.clients.admin.KafkaAdminClient"]),
    ("connect_kafka::consumer", &["org.apache.kafka.clients.consumer.KafkaConsumer"]),
    ("connect_kafka::group", &["org.apache.kafka.connect.runtime.distributed.WorkerCoordinator", "org.apache.kafka.clients.consumer.internals.AbstractCoordinator"]),
    ("connect_kafka::producer", &["org.apache.kafka.clients.producer.KafkaProducer"]),
    ("connect_kafka::topic_log", &["org.apache.kafka.connect.util.KafkaBasedLog"]),
    ("connect_kafka::translate", &["org.apache.kafka.clients.CommonClientConfigs"]),
    ("librdkafka", &["org.apache.kafka.clients.NetworkClient"]),
    ("rdkafka", &["org.apache.kafka.clients.NetworkClient"]),
    ("connect_postgres", &["io.debezium.connector.postgresql.PostgresConnectorTask", "io.debezium.connector.common.BaseSourceTask"]),
    ("connect_postgres::connector", &["io.debezium.connector.postgresql.PostgresConnector"]),
    ("connect_postgres::session", &["io.debezium.pipeline.ChangeEventSourceCoordinator", "io.debezium.connector.postgresql.PostgresChangeEventSourceCoordinator"]),
    ("connect_postgres::slot", &["io.debezium.connector.postgresql.connection.PostgresReplicationConnection"]),
    ("connect_postgres::snapshot", &["io.debezium.relational.RelationalSnapshotChangeEventSource", "io.debezium.connector.postgresql.PostgresSnapshotChangeEventSource"]),
    ("connect_postgres::stream", &["io.debezium.connector.postgresql.PostgresStreamingChangeEventSource"]),
    ("connect_postgres::tls", &["io.debezium.connector.postgresql.connection.PostgresConnection"]),
    ("connect_postgres::validate", &["io.debezium.connector.postgresql.PostgresConnector"]),
    ("connect_postgres::wire", &["io.debezium.connector.postgresql.connection.PostgresConnection"]),
    ("connect_mongodb", &["com.mongodb.kafka.connect.sink.MongoSinkTask", "com.mongodb.kafka.connect.sink.StartedMongoSinkTask"]),
    ("connect_mongodb::connector", &["com.mongodb.kafka.connect.MongoSinkConnector"]),
    ("mongodb", &["org.mongodb.driver.client"]),
    ("connect_formats", &["org.apache.kafka.connect.json.JsonConverter", "org.apache.kafka.connect.converters.ByteArrayConverter", "org.apache.kafka.connect.storage.StringConverter"]),
    ("connect_registry", &["io.confluent.connect.avro.AvroConverter", "io.confluent.connect.json.JsonSchemaConverter", "io.confluent.connect.protobuf.ProtobufConverter", "io.confluent.kafka.schemaregistry.client.rest.RestService"]),
    ("connect_transforms", &["org.apache.kafka.connect.transforms.Transformation", "io.debezium.transforms.ExtractNewRecordState"]),
    ("connect_file::source", &["org.apache.kafka.connect.file.FileStreamSourceTask"]),
    ("connect_file::sink", &["org.apache.kafka.connect.file.FileStreamSinkTask"]),
    ("connect_file", &["org.apache.kafka.connect.file.FileStreamSourceConnector", "org.apache.kafka.connect.file.FileStreamSinkConnector"]),
];

/// All loggers that our modules stand for.
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    NAMES.iter().flat_map(|(_, names)| names.iter().copied())
}

/// The names of the loggers that a module stands for; none for one that is not ours.
pub(super) fn of(module: &str) -> &'static [&'static str] {
    let around = NAMES.iter().filter(|(known, _)| is_around(known, module, "::"));
    around.max_by_key(|(known, _)| known.len()).map_or(&[], |(_, names)| *names)
}

/// The name that lines of a module show: the Java one, or the module's own.
pub(super) fn shown(module: &str) -> &str {
    of(module).first().copied().unwrap_or(module)
}

/// How well a logger's name fits a module: its length, where it names the module, one around it, or a Java logger or package
/// that stands for it.
pub(super) fn fit(logger: &str, module: &str) -> Option<usize> {
    let java = of(module).iter().any(|name| is_around(logger, name, "."));
    (java || is_around(logger, module, "::")).then_some(logger.len())
}

/// True when `outer` is `inner`, or one of the levels around it.
fn is_around(outer: &str, inner: &str, separator: &str) -> bool {
    inner
        .strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(separator) || rest.starts_with('$'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_classes_and_modules_fit() {
        for (logger, module) in [
            ("io.debezium", "connect_postgres::snapshot"),
            ("io.debezium.connector.postgresql", "connect_postgres::stream"),
            ("io.debezium.connector.postgresql", "connect_postgres::wire"),
            ("com.mongodb.kafka.connect", "connect_mongodb::task"),
            ("org.apache.kafka.connect", "connect_worker::sink::commits"),
            ("org.apache.kafka.connect", "connect_rest::routes::connectors"),
            ("org.apache.kafka.connect.runtime.WorkerSinkTask", "connect_worker::sink"),
            ("org.apache.kafka.clients", "librdkafka"),
            ("org.apache.kafka.clients", "connect_kafka::wire"),
            ("org.apache.kafka", "connect_cluster::herder::turns"),
            ("connect_worker", "connect_worker::source"),
        ] {
            assert_eq!(fit(logger, module), Some(logger.len()), "{logger} {module}");
        }
        for (logger, module) in [
            ("io.debeziumx", "connect_postgres"),
            ("io.deb", "connect_postgres"),
            ("org.apache.kafka.clients", "connect_worker::sink"),
            ("org.apache.kafka.connect", "connect_postgres::stream"),
            ("connect_work", "connect_worker"),
        ] {
            assert_eq!(fit(logger, module), None, "{logger} {module}");
        }
        assert_eq!(shown("connect_worker::sink::commits"), "org.apache.kafka.connect.runtime.WorkerSinkTask");
        assert_eq!(shown("hyper::client"), "hyper::client");
    }
}
