//! The keys that every connector has (`ConnectorConfig`, `SourceConnectorConfig`, `SinkConnectorConfig`).
//!
//! Names, groups, orders, defaults and validators are the JVM's. What depends on the plugins of a worker
//! (recommended classes, versions, defaults of converters) is added in [`crate::validate`].

use connect_config::validators::check;
use connect_config::{ClassName, ConfigDef, ConfigKey, Importance, NULL, Type};

/// What a converter class must be, in the words of the JVM's validators.
fn concrete(interface: &str) -> impl connect_config::Validator + use<> {
    // Whether a class is one is a question to the registry, which validation asks.
    check(
        format!(
            "A concrete subclass of org.apache.kafka.connect.storage.{interface}, A class with a public, no-argument \
             constructor"
        ),
        |_, _| Ok(()),
    )
}

connect_config::config! {
    /// The keys of sources and sinks alike.
    pub struct ConnectorConfig {
        /// Name of the connector. It is unique in the cluster and becomes part of group and client names.
        "name" => name: String { validator(non_empty_without_control_chars()), importance(High), group("Common"), order(1), width(Width::Medium), display("Connector name") },
        /// Class of the connector: its full Java name, its simple name, or its simple name without "Connector".
        "connector.class" => class: String { importance(High), group("Common"), order(2), width(Width::Long), display("Connector class") },
        /// Version of the connector: a single version, or a range in Maven's notation.
        "connector.plugin.version" => version: Option<String> = NULL { importance(Medium), group("Common"), order(3), width(Width::Medium), display("Connector version") },
        /// Largest number of tasks that the connector may have.
        "tasks.max" => tasks_max: i32 = "1" { validator(at_least(1)), importance(High), group("Common"), order(4), width(Width::Short), display("Tasks max") },
        /// Whether a connector that makes more tasks than "tasks.max" fails. Otherwise it gets a warning only.
        "tasks.max.enforce" => tasks_max_enforce: bool = "true" { importance(Low), group("Common"), order(5), width(Width::Short), display("Enforce tasks max") },
        /// Converter of the keys of records; the worker's when it is not given.
        "key.converter" => key_converter: Option<ClassName> = NULL { validator(concrete("Converter")), importance(Low), group("Common"), order(6), width(Width::Short), display("Key converter class") },
        /// Version of the converter of keys.
        "key.converter.plugin.version" => key_converter_version: Option<String> = NULL { importance(Low), group("Common"), order(7), width(Width::Short), display("Key converter version") },
        /// Converter of the values of records; the worker's when it is not given.
        "value.converter" => value_converter: Option<ClassName> = NULL { validator(concrete("Converter")), importance(Low), group("Common"), order(8), width(Width::Short), display("Value converter class") },
        /// Version of the converter of values.
        "value.converter.plugin.version" => value_converter_version: Option<String> = NULL { importance(Low), group("Common"), order(9), width(Width::Short), display("Value converter version") },
        /// Converter of the headers of records; the worker's when it is not given.
        "header.converter" => header_converter: Option<ClassName> = NULL { validator(concrete("HeaderConverter")), importance(Low), group("Common"), order(10), width(Width::Short), display("Header converter class") },
        /// Version of the converter of headers.
        "header.converter.plugin.version" => header_converter_version: Option<String> = NULL { importance(Low), group("Common"), order(11), width(Width::Short), display("Header converter version") },
        /// Aliases of the transformations, in the order in which they are applied.
        "transforms" => transforms: Vec<String> = "" { validator(both(non_null(), unique("transformation aliases"))), importance(Low), group("Transforms"), order(12), width(Width::Long), display("Transforms") },
        /// Aliases of the predicates that transformations may refer to.
        "predicates" => predicates: Vec<String> = "" { validator(both(non_null(), unique("predicate aliases"))), importance(Low), group("Predicates"), order(13), width(Width::Long), display("Predicates") },
        /// What happens when a configuration provider says that a value has changed: "restart" restarts the
        /// connector once the old value expires, "none" does nothing.
        "config.action.reload" => reload: String = "restart" { validator(one_of(["none", "restart"])), importance(Low), group("Common"), order(14), width(Width::Medium), display("Reload Action") },
        /// How long, in milliseconds, a failing operation is tried again. 0 never tries again, -1 tries for ever.
        "errors.retry.timeout" => retry_timeout: i64 = "0" { importance(Medium), group("Error Handling"), order(1), width(Width::Medium), display("Retry Timeout for Errors") },
        /// Longest pause between two tries, in milliseconds.
        "errors.retry.delay.max.ms" => retry_delay_max: i64 = "60000" { importance(Medium), group("Error Handling"), order(2), width(Width::Medium), display("Maximum Delay Between Retries for Errors") },
        /// What to do with a record that can not be converted or transformed: "none" fails the task, "all" skips the
        /// record.
        "errors.tolerance" => tolerance: String = "none" { validator(one_of(["none", "all"])), importance(Medium), group("Error Handling"), order(3), width(Width::Short), display("Error Tolerance") },
        /// Whether tolerated errors are logged too.
        "errors.log.enable" => log_errors: bool = "false" { importance(Medium), group("Error Handling"), order(4), width(Width::Short), display("Log Errors") },
        /// Whether the log names the record that failed. Off by default, so that no data gets into log files.
        "errors.log.include.messages" => log_messages: bool = "false" { importance(Medium), group("Error Handling"), order(5), width(Width::Short), display("Log Error Details") },
    }
}

connect_config::config! {
    /// The keys of sources beside [`ConnectorConfig`].
    pub struct SourceConnectorConfig {
        /// Names of the groups of rules for topics that the worker creates, beside the group "default".
        "topic.creation.groups" => topic_creation_groups: Vec<String> = "" { validator(both(non_null(), unique("topic creation groups"))), importance(Low), group("Topic Creation"), order(1), width(Width::Long), display("Topic Creation Groups") },
        /// "required" refuses the connector when it can not deliver exactly once, "requested" lets it run anyway.
        "exactly.once.support" => exactly_once: String = "requested" { validator(one_of_ignoring_case(["required", "requested"])), importance(Medium), group("Exactly Once Support"), order(2), width(Width::Short), display("Exactly once support") },
        /// Where transactions end: after each "poll", after an "interval", or where the "connector" says.
        "transaction.boundary" => transaction_boundary: String = "poll" { validator(one_of_ignoring_case(["interval", "poll", "connector"])), importance(Medium), group("Exactly Once Support"), order(3), width(Width::Short), display("Transaction Boundary") },
        /// Length of a transaction in milliseconds when "transaction.boundary" is "interval"; the worker's
        /// "offset.flush.interval.ms" when it is not given.
        "transaction.boundary.interval.ms" => transaction_interval: Option<i64> = NULL { validator(check("[0,...]", |name, value| match value {
            connect_config::ConfigValue::Null => Ok(()),
            given => connect_config::Validator::ensure_valid(&at_least(0), name, given),
        })), importance(Low), group("Exactly Once Support"), order(4), width(Width::Short), display("Transaction boundary interval") },
        /// Topic that keeps the connector's offsets; the worker's when it is not given.
        "offsets.storage.topic" => offsets_topic: Option<String> = NULL { validator(non_empty()), importance(Low), group("offsets.topic"), order(1), width(Width::Long), display("Offsets topic") },
    }
}

connect_config::config! {
    /// The keys of sinks beside [`ConnectorConfig`].
    pub struct SinkConnectorConfig {
        /// Topics to read, separated by commas.
        "topics" => topics: Vec<String> = "" { importance(High), group("Common"), order(4), width(Width::Long), display("Topics") },
        /// Regular expression of the topics to read. Only one of "topics" and "topics.regex" may be given.
        "topics.regex" => topics_regex: String = "" { validator(valid_regex()), importance(High), group("Common"), order(4), width(Width::Long), display("Topics regex") },
        /// Dead letter queue: the topic that gets the records which could not be handled. Empty means none.
        "errors.deadletterqueue.topic.name" => dlq_topic: String = "" { importance(Medium), group("Error Handling"), order(6), width(Width::Medium), display("Dead Letter Queue Topic Name") },
        /// Replication factor of the dead letter queue when the worker creates it.
        "errors.deadletterqueue.topic.replication.factor" => dlq_replication_factor: i16 = "3" { importance(Medium), group("Error Handling"), order(7), width(Width::Medium), display("Dead Letter Queue Topic Replication Factor") },
        /// Whether dead letters carry headers that say what went wrong. The headers begin with "__connect.errors.".
        "errors.deadletterqueue.context.headers.enable" => dlq_headers: bool = "false" { importance(Medium), group("Error Handling"), order(8), width(Width::Medium), display("Enable Error Context Headers") },
    }
}

impl SourceConnectorConfig {
    /// All keys of a source connector: the common ones first.
    pub fn full_def() -> ConfigDef {
        let mut def = ConnectorConfig::def().clone();
        def.extend(Self::def());
        def
    }
}

impl SinkConnectorConfig {
    /// All keys of a sink connector: the common ones first.
    pub fn full_def() -> ConfigDef {
        let mut def = ConnectorConfig::def().clone();
        def.extend(Self::def());
        def
    }
}

/// The two keys that every transformation has beside its own.
pub(crate) fn transformation_keys() -> [ConfigKey; 2] {
    [
        ConfigKey::new(
            "predicate",
            Type::String,
            "Alias of a predicate: the transformation applies to the records that fit it.",
        )
        .default(NULL)
        .importance(Importance::Medium),
        ConfigKey::new("negate", Type::Boolean, "Whether the transformation applies where the predicate does not fit.")
            .default("false")
            .importance(Importance::Medium),
    ]
}
