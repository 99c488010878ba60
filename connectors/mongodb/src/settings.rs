//! The keys of the connector, declared once.
//!
//! Names, types, defaults and order are the JVM connector's; [`ExtraConfig`] holds what it does not have.

use connect_config::parse::ConfigValue;
use connect_config::{ConfigError, Props, Secret};

use crate::checks::{
    GRANULARITIES, PROJECTIONS, TOLERANCES, UUID_FORMATS, choice, choices, class_name, class_names, connection_string,
    database_name, language_tag, never_set, not_negative, or_empty, regex, renaming, server_api, time_pattern,
    unset_or,
};

connect_config::config! {
    /// Configuration of the MongoDB sink (`MongoSinkConfig`, `MongoSinkTopicConfig`).
    pub struct SinkConfig {
        /// Topics to read, separated by commas.
        "topics" => topics: Vec<String> = "" {
            importance(High), group("Connection"), order(1), width(Width::Medium), display("The Kafka topics"),
        },
        /// A Java regular expression for the names of the topics to read; instead of `topics`.
        "topics.regex" => topics_regex: String = "" {
            importance(High), group("Connection"), order(2), width(Width::Medium), display("Topics regex"), validator(regex()),
        },
        /// The connection string of the MongoDB deployment, with every option that the drivers know.
        "connection.uri" => connection_uri: Secret = "mongodb://localhost:27017,localhost:27018,localhost:27019" {
            importance(High), group("Connection"), order(3), width(Width::Medium), display("MongoDB Connection URI"), validator(connection_string()),
        },
        /// The version of the server API to declare; empty declares none.
        "server.api.version" => server_api_version: String = "" {
            importance(Medium), group("Server Api"), order(1), width(Width::Medium), display("The server API version."), validator(or_empty(server_api())),
        },
        /// With a declared server API version: the server answers deprecated commands with an error.
        "server.api.deprecation.errors" => server_api_deprecation_errors: bool = "false" {
            importance(Medium), group("Server Api"), order(2), width(Width::Medium), display("Deprecation errors"),
        },
        /// With a declared server API version: the server refuses commands that are not part of it.
        "server.api.strict" => server_api_strict: bool = "false" {
            importance(Medium), group("Server Api"), order(3), width(Width::Medium), display("Strict"),
        },
        /// Certificates that the server may be signed with: a PEM file.
        "connection.ssl.truststore" => connection_ssl_truststore: String = "" {
            importance(Medium), group("SSL"), order(1), width(Width::Long), display("SSL TrustStore"),
        },
        /// The password of the truststore.
        "connection.ssl.truststorePassword" => connection_ssl_truststore_password: Secret = "" {
            importance(Medium), group("SSL"), order(2), width(Width::Medium), display("SSL TrustStore Password"),
        },
        /// The client's certificate and key: a PEM file.
        "connection.ssl.keystore" => connection_ssl_keystore: String = "" {
            importance(Medium), group("SSL"), order(3), width(Width::Long), display("SSL KeyStore"),
        },
        /// The password of the keystore.
        "connection.ssl.keystorePassword" => connection_ssl_keystore_password: Secret = "" {
            importance(Medium), group("SSL"), order(4), width(Width::Medium), display("SSL KeyStore Password"),
        },
        /// Any setting but `connection.uri` and `topics` may be given for one topic alone:
        /// `topic.override.<topic>.<key>`. For example `topic.override.orders.collection=shop_orders`. This
        /// key itself is never set.
        "topic.override.%s.%s" => topic_override_any: String = "" {
            importance(Low), group("Overrides"), order(1), width(Width::Medium), display("Per topic configuration overrides."), validator(never_set()),
        },
        /// Internal: a name that the driver hands to the server in its handshake.
        "provider" => provider: String = "" {
            importance(Low), group(""), internal(true),
        },
        /// The database to write to.
        "database" => database: String {
            importance(High), group("Namespace"), order(1), width(Width::Medium), display("The MongoDB database name."), validator(database_name()),
        },
        /// The collection to write to; empty means the name of the topic.
        "collection" => collection: String = "" {
            importance(High), group("Namespace"), order(2), width(Width::Medium), display("The default MongoDB collection name"),
        },
        /// The class that decides which collection a record goes to: `DefaultNamespaceMapper` takes `database`
        /// and `collection`, `FieldPathNamespaceMapper` reads fields of the record.
        "namespace.mapper" => namespace_mapper: String = "com.mongodb.kafka.connect.sink.namespace.mapping.DefaultNamespaceMapper" {
            importance(High), group("Namespace mapping"), order(1), width(Width::Long), display("The namespace mapper class"), validator(class_name()),
        },
        /// For the field path mapper: the path in the key whose text is the database.
        "namespace.mapper.key.database.field" => namespace_mapper_key_database_field: String = "" {
            importance(Medium), group("Namespace mapping"), order(2), width(Width::Medium), display("The key field to use as the destination database name."),
        },
        /// For the field path mapper: the path in the key whose text is the collection.
        "namespace.mapper.key.collection.field" => namespace_mapper_key_collection_field: String = "" {
            importance(Medium), group("Namespace mapping"), order(3), width(Width::Medium), display("The key field to use as the destination collection name."),
        },
        /// For the field path mapper: the path in the value whose text is the database.
        "namespace.mapper.value.database.field" => namespace_mapper_value_database_field: String = "" {
            importance(Medium), group("Namespace mapping"), order(4), width(Width::Medium), display("The value field to use as the destination database name."),
        },
        /// For the field path mapper: the path in the value whose text is the collection.
        "namespace.mapper.value.collection.field" => namespace_mapper_value_collection_field: String = "" {
            importance(Medium), group("Namespace mapping"), order(5), width(Width::Medium), display("The value field to use as the destination collection name."),
        },
        /// For the field path mapper: a missing field, or one that is no text, is an error of the record
        /// instead of meaning the default.
        "namespace.mapper.error.if.invalid" => namespace_mapper_error_if_invalid: bool = "false" {
            importance(Medium), group("Namespace mapping"), order(6), width(Width::Medium), display("Throw an error if the mapped field is missing or invalid."),
        },
        /// A record with a key and without a value deletes the document of that key.
        "delete.on.null.values" => delete_on_null_values: bool = "false" {
            importance(Medium), group("Writes"), order(1), width(Width::Medium), display("Delete on null values"),
        },
        /// The class that makes a write of a document.
        "writemodel.strategy" => writemodel_strategy: String = "com.mongodb.kafka.connect.sink.writemodel.strategy.DefaultWriteModelStrategy" {
            importance(Low), group("Writes"), order(2), width(Width::Medium), display("The writeModel strategy"), validator(class_name()),
        },
        /// The class that makes a write of a record without a value, when `delete.on.null.values` is set.
        "delete.writemodel.strategy" => delete_writemodel_strategy: String = "com.mongodb.kafka.connect.sink.writemodel.strategy.DeleteOneDefaultStrategy" {
            importance(Low), group("Writes"), order(3), width(Width::Medium), display("The delete writeModel strategy"), validator(class_name()),
        },
        /// How many records one bulk write has at most; 0 leaves it to the batches that arrive.
        "max.batch.size" => max_batch_size: i32 = "0" {
            importance(Medium), group("Writes"), order(4), width(Width::Medium), display("The maximum batch size"), validator(not_negative()),
        },
        /// Writes of a batch are applied in order and stop at the first error; otherwise the server may apply
        /// them in any order and tries all.
        "bulk.write.ordered" => bulk_write_ordered: bool = "true" {
            importance(Medium), group("Writes"), order(5), width(Width::Medium), display("Use ordered bulk writes"),
        },
        /// How long to wait after every `rate.limiting.every.n` batches, in milliseconds.
        "rate.limiting.timeout" => rate_limiting_timeout: i32 = "0" {
            importance(Low), group("Writes"), order(6), width(Width::Medium), display("The rate limiting timeout"), validator(not_negative()),
        },
        /// After how many batches to wait; 0 never waits.
        "rate.limiting.every.n" => rate_limiting_every_n: i32 = "0" {
            importance(Low), group("Writes"), order(7), width(Width::Medium), display("The rate limiting batch number"), validator(not_negative()),
        },
        /// The classes that change the document before it is written, in order. `DocumentIdAdder` goes first
        /// when it is missing.
        "post.processor.chain" => post_processor_chain: Vec<String> = "com.mongodb.kafka.connect.sink.processor.DocumentIdAdder" {
            importance(Low), group("Post Processing"), order(1), width(Width::Medium), display("The post processor chain"), validator(class_names()),
        },
        /// What `key.projection.list` is.
        "key.projection.type" => key_projection_type: String = "none" {
            importance(Low), group("Post Processing"), order(2), width(Width::Medium), display("The key projection type"), validator(choice(&PROJECTIONS)), recommender(choices(&PROJECTIONS)),
        },
        /// Paths of the fields of the key, separated by commas, for the key projectors.
        "key.projection.list" => key_projection_list: String = "" {
            importance(Low), group("Post Processing"), order(3), width(Width::Medium), display("The key projection list"), dependents(["key.projection.type"]),
        },
        /// What `value.projection.list` is.
        "value.projection.type" => value_projection_type: String = "none" {
            importance(Low), group("Post Processing"), order(4), width(Width::Medium), display("The type of value projection to use Use either `AllowList` or `BlockList`."), validator(choice(&PROJECTIONS)), recommender(choices(&PROJECTIONS)),
        },
        /// Paths of the fields of the value, separated by commas, for the value projectors.
        "value.projection.list" => value_projection_list: String = "" {
            importance(Low), group("Post Processing"), order(5), width(Width::Medium), display("The value projection list"), dependents(["value.projection.type"]),
        },
        /// For `RenameByMapping`: a JSON array of objects with `oldName` (a path that begins with `key` or
        /// `value`) and `newName`.
        "field.renamer.mapping" => field_renamer_mapping: String = "[]" {
            importance(Low), group("Post Processing"), order(6), width(Width::Medium), display("The field renamer mapping"), validator(renaming()),
        },
        /// For `RenameByRegExp`: a JSON array of objects with `regexp` (for whole paths), `pattern` and
        /// `replace` (for names).
        "field.renamer.regexp" => field_renamer_regexp: String = "[]" {
            importance(Low), group("Post Processing"), order(7), width(Width::Medium), display("The field renamer regex"), validator(renaming()),
        },
        /// The class that makes the `_id` of a document.
        "document.id.strategy" => document_id_strategy: String = "com.mongodb.kafka.connect.sink.processor.id.strategy.BsonOidStrategy" {
            importance(High), group("Id Strategies"), order(1), width(Width::Medium), display("The document id strategy"), validator(or_empty(class_name())),
        },
        /// The id strategy replaces an `_id` that the document already has.
        "document.id.strategy.overwrite.existing" => document_id_strategy_overwrite_existing: bool = "false" {
            importance(High), group("Id Strategies"), order(2), width(Width::Medium), display("The document id strategy overwrite existing setting"),
        },
        /// How `UuidStrategy` stores its UUIDs.
        "document.id.strategy.uuid.format" => document_id_strategy_uuid_format: String = "string" {
            importance(High), group("Id Strategies"), order(3), width(Width::Medium), display("The document id strategy uuid format"), validator(choice(&UUID_FORMATS)), recommender(choices(&UUID_FORMATS)),
        },
        /// For `PartialKeyStrategy`: what the list is. Empty takes `key.projection.type`.
        "document.id.strategy.partial.key.projection.type" => document_id_strategy_partial_key_projection_type: String = "" {
            importance(Low), group("Id Strategies"), order(4), width(Width::Medium), display("The document id strategy key projection"), validator(or_empty(choice(&PROJECTIONS))), recommender(choices(&PROJECTIONS)),
        },
        /// For `PartialKeyStrategy`: paths of the fields of the key. Empty takes `key.projection.list`.
        "document.id.strategy.partial.key.projection.list" => document_id_strategy_partial_key_projection_list: String = "" {
            importance(Low), group("Id Strategies"), order(5), width(Width::Medium), display("The document id strategy key projection list"), dependents(["document.id.strategy.partial.key.projection.type"]),
        },
        /// For `PartialValueStrategy`: what the list is. Empty takes `value.projection.type`.
        "document.id.strategy.partial.value.projection.type" => document_id_strategy_partial_value_projection_type: String = "" {
            importance(Low), group("Id Strategies"), order(6), width(Width::Medium), display("The document id strategy value projection"), validator(or_empty(choice(&PROJECTIONS))), recommender(choices(&PROJECTIONS)),
        },
        /// For `PartialValueStrategy`: paths of the fields of the value. Empty takes `value.projection.list`.
        "document.id.strategy.partial.value.projection.list" => document_id_strategy_partial_value_projection_list: String = "" {
            importance(Low), group("Id Strategies"), order(7), width(Width::Medium), display("The document id strategy value projection list"), dependents(["document.id.strategy.partial.value.projection.type"]),
        },
        /// What happens to records that cannot be written: `none` fails the task, `data` goes on after errors
        /// of data but not of the connection, `all` goes on after every error. The worker itself knows `none`
        /// and `all`.
        "errors.tolerance" => errors_tolerance: String = "none" {
            importance(Medium), group("Errors"), order(1), width(Width::Short), display("Error Tolerance"), validator(choice(&TOLERANCES)),
        },
        /// The same for the sink alone; when it is set it wins over `errors.tolerance` inside the sink.
        "mongo.errors.tolerance" => mongo_errors_tolerance: String = "none" {
            importance(Medium), group("Errors"), order(2), width(Width::Short), display("Error Tolerance"), validator(choice(&TOLERANCES)),
        },
        /// Errors that are tolerated are logged; those that are not always are.
        "errors.log.enable" => errors_log_enable: bool = "false" {
            importance(Medium), group("Errors"), order(3), width(Width::Short), display("Log Errors"),
        },
        /// The same for the sink alone; when it is set it wins over `errors.log.enable` inside the sink.
        "mongo.errors.log.enable" => mongo_errors_log_enable: bool = "false" {
            importance(Medium), group("Errors"), order(4), width(Width::Short), display("Log Errors"),
        },
        /// The class that applies change events, instead of the post processors and write models; empty for
        /// ordinary records.
        "change.data.capture.handler" => change_data_capture_handler: String = "" {
            importance(Low), group("Change Data Capture"), order(1), width(Width::Medium), display("The CDC handler"), validator(or_empty(class_name())),
        },
        /// The top-level field with the time of a measurement; setting it makes the collection a time series.
        "timeseries.timefield" => timeseries_timefield: String = "" {
            importance(Low), group("Time series"), order(1), width(Width::Medium), display("The field used for time"),
        },
        /// The top-level field that names the series of a measurement.
        "timeseries.metafield" => timeseries_metafield: String = "" {
            importance(Low), group("Time series"), order(2), width(Width::Medium), display("The field describing the series"),
        },
        /// After how many seconds measurements are deleted; 0 never deletes.
        "timeseries.expire.after.seconds" => timeseries_expire_after_seconds: i64 = "0" {
            importance(Low), group("Time series"), order(3), width(Width::Medium), display("The data expiry time in seconds"), validator(not_negative()),
        },
        /// How far apart measurements of one series are.
        "timeseries.granularity" => timeseries_granularity: String = "" {
            importance(Low), group("Time series"), order(4), width(Width::Medium), display("The data expiry time"), validator(or_empty(choice(&GRANULARITIES))),
        },
        /// Numbers (milliseconds since the epoch) and texts in the time field become dates.
        "timeseries.timefield.auto.convert" => timeseries_timefield_auto_convert: bool = "false" {
            importance(Low), group("Time series"), order(5), width(Width::Medium), display("Convert the field to a BSON datetime type."),
        },
        /// The pattern of texts in the time field, in the letters of Java's `DateTimeFormatter`. Without a time
        /// of day it is the start of the day, without an offset UTC.
        "timeseries.timefield.auto.convert.date.format" => timeseries_timefield_auto_convert_date_format: String = "yyyy-MM-dd[['T'][ ]][HH:mm:ss[[.][SSSSSS][SSS]][ ]VV[ ]'['VV']'][HH:mm:ss[[.][SSSSSS][SSS]][ ]X][HH:mm:ss[[.][SSSSSS][SSS]]]" {
            importance(Low), group("Time series"), order(6), width(Width::Medium), display("The DateTimeFormatter pattern for the date."), validator(time_pattern()),
        },
        /// The language of names in the time field, as a language tag; month names are read in English.
        "timeseries.timefield.auto.convert.locale.language.tag" => timeseries_timefield_auto_convert_locale_language_tag: String = "" {
            importance(Low), group("Time series"), order(7), width(Width::Medium), display("The DateTimeFormatter locale language tag to use: Defaults to using the neutral Locale.ROOT."), validator(or_empty(language_tag())),
        },
    }
}

connect_config::config! {
    /// What the JVM's connector does not have: off unless a job asks for it.
    pub struct ExtraConfig {
        /// How long a batch is given again after an error that passes by itself (network, elections, shutdown,
        /// time-outs, locks, rate limits, a write concern that was not met in time), in milliseconds: meanwhile the
        /// task stays in its group and its offsets stand still. 0 treats such errors as the JVM does: the task fails,
        /// or under tolerance the batch goes to the dead letter queue. Jobs set 300000.
        "transient.errors.retry.timeout.ms" => transient_retry_ms: i64 = "0" {
            importance(Medium), validator(not_negative()),
        },
        /// With `transient.errors.retry.timeout.ms`: how often a batch is given again at most. The JVM's connector had
        /// it in 1.x, with the default 1 (3 before 1.3); without the time it has no effect, as in 2.0.
        "max.num.retries" => max_num_retries: Option<i32> = NULL {
            importance(Low), validator(unset_or(not_negative())),
        },
        /// With `transient.errors.retry.timeout.ms`: how long to wait before a batch is given again, in milliseconds,
        /// instead of 300 that double up to 30 seconds. The JVM's connector had it in 1.x, with the default 5000;
        /// without the time it has no effect, as in 2.0.
        "retries.defer.timeout" => retries_defer_ms: Option<i64> = NULL {
            importance(Low), validator(unset_or(not_negative())),
        },
        /// With a tolerance, a bad record alone is rejected, also within an ordered bulk and when it cannot be
        /// encoded; what stands behind it is written, in order. Errors that no record is to blame for fail the task
        /// instead of sending the batch to the dead letter queue. Jobs set true.
        "errors.isolate.bad.records" => isolate_bad_records: bool = "false" {
            importance(Medium),
        },
        /// Values whose schemas have names of Debezium become what MongoDB has for them: dates and timestamps BSON
        /// dates, decimals of any scale Decimal128, JSON documents, shapes GeoJSON, times of day texts. The JVM stores
        /// the numbers and texts that they are.
        "debezium.types.convert" => debezium_types_convert: bool = "false" {
            importance(Medium),
        },
        /// With `debezium.types.convert`: types that stay as they are, by the last part of their names, as in
        /// `MicroTimestamp,Json`.
        "debezium.types.exclude" => debezium_types_exclude: Vec<String> = "" {
            importance(Low),
        },
        /// With `debezium.types.convert`: how UUIDs are stored. Keys are not converted, so in `binary` a reference no
        /// longer equals the `_id` that it refers to.
        "debezium.types.uuid.format" => debezium_types_uuid_format: String = "string" {
            importance(Low), validator(choice(&UUID_FORMATS)), recommender(choices(&UUID_FORMATS)),
        },
        /// A field that holds the placeholder of a value that the source did not read stays as it is stored. The JVM
        /// stores the placeholder over it.
        "debezium.unavailable.keep" => debezium_unavailable_keep: bool = "false" {
            importance(Medium),
        },
        /// The placeholder, as the source has it: a text, or `hex:` and the digits of its bytes.
        "unavailable.value.placeholder" => unavailable_value_placeholder: String = "__debezium_unavailable_value" {
            importance(Low), validator(non_empty()),
        },
        /// Over how many connections a task writes a batch at a time. All writes of one document go over one of them, in
        /// order; documents are told by `_id` or business key.
        "write.lanes" => write_lanes: i32 = "1" {
            importance(Medium), validator(between(1, 64)),
        },
        /// Of the writes of one document in a batch only the last is sent when that alone decides the document: a
        /// replacement by `_id` that may insert, or a delete by `_id`. Inserts are always sent.
        "write.collapse" => write_collapse: bool = "false" {
            importance(Medium),
        },
        /// A collection of `database` that keeps how far each partition is written. Records before that are skipped when
        /// they come again. On replica sets and sharded clusters the position is written in one transaction with the
        /// documents: each record is then written exactly once. A standalone server gets it after each batch. Empty
        /// stores nothing.
        "exactly.once.positions.collection" => positions_collection: String = "" {
            importance(Medium),
        },
    }
}

/// Settings of 1.x that anything may stand in unless they have an effect, as in the JVM's 2.0.
const OF_OLD: [&str; 2] = ["max.num.retries", "retries.defer.timeout"];

/// What a job sets unless it says otherwise.
pub const JOB_DEFAULTS: [(&str, &str); 2] =
    [("transient.errors.retry.timeout.ms", "300000"), ("errors.isolate.bad.records", "true")];

impl ExtraConfig {
    /// Parses what has an effect.
    pub fn of(props: &Props) -> Result<Self, Vec<ConfigError>> {
        Self::parse(&Self::effective(props))
    }

    /// The properties without those that have no effect.
    pub fn effective(props: &Props) -> Props {
        let waits = Self::def().parse_key("transient.errors.retry.timeout.ms", props);
        let waits = matches!(waits, Ok(ConfigValue::Long(ms)) if ms > 0);
        let counts = |key: &str| waits || !OF_OLD.contains(&key);
        props.iter().filter(|(key, _)| counts(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}
