//! What every worker has: brokers, converters, timing, plugins (`WorkerConfig`).

use crate::declare::ClassName;

crate::config! {
    /// The keys of every worker, except those of TLS and of the REST API.
    pub struct WorkerConfig {
        /// Kafka brokers to start from, as host:port pairs separated by commas.
        "bootstrap.servers" => bootstrap_servers: Vec<String> = "localhost:9092" { importance(High) },
        /// How a broker's name is resolved: "use_all_dns_ips" tries each of its addresses in turn.
        "client.dns.lookup" => dns_lookup: String = "use_all_dns_ips" { validator(one_of(["use_all_dns_ips", "resolve_canonical_bootstrap_servers_only"])), importance(Medium) },
        /// Converter of the keys of records for connectors that name none.
        "key.converter" => key_converter: ClassName { importance(High) },
        /// Version of the converter of keys.
        "key.converter.plugin.version" => key_converter_version: Option<String> = NULL { importance(Low) },
        /// Converter of the values of records for connectors that name none.
        "value.converter" => value_converter: ClassName { importance(High) },
        /// Version of the converter of values.
        "value.converter.plugin.version" => value_converter_version: Option<String> = NULL { importance(Low) },
        /// How long all tasks together may take to stop, in milliseconds. Tasks that are slower are given up.
        "task.shutdown.graceful.timeout.ms" => shutdown_timeout: i64 = "5000" { importance(Low) },
        /// Time between two commits of the offsets of a task, in milliseconds.
        "offset.flush.interval.ms" => offset_flush_interval: i64 = "60000" { importance(Low) },
        /// How long a commit of offsets may take before it is given up and tried again later, in milliseconds.
        "offset.flush.timeout.ms" => offset_flush_timeout: i64 = "5000" { importance(Low) },
        /// Accepted and not used: all plugins are built in.
        "plugin.path" => plugin_path: Option<Vec<String>> = NULL { importance(Low) },
        /// Accepted and not used: all plugins are built in.
        "plugin.discovery" => plugin_discovery: String = "hybrid_warn" { validator(one_of_ignoring_case(["only_scan", "service_load", "hybrid_warn", "hybrid_fail"])), importance(Low) },
        /// Length of the window over which a sample of a metric is taken, in milliseconds.
        "metrics.sample.window.ms" => metrics_window: i64 = "30000" { validator(at_least(0)), importance(Low) },
        /// Number of samples that a metric keeps.
        "metrics.num.samples" => metrics_samples: i32 = "2" { validator(at_least(1)), importance(Low) },
        /// How detailed metrics are.
        "metrics.recording.level" => metrics_level: String = "INFO" { validator(one_of(["INFO", "DEBUG"])), importance(Low) },
        /// Accepted and not used: metrics are served over HTTP.
        "metric.reporters" => metric_reporters: Vec<String> = "org.apache.kafka.common.metrics.JmxReporter" { importance(Low) },
        /// Converter of the headers of records for connectors that name none.
        "header.converter" => header_converter: ClassName = "org.apache.kafka.connect.storage.SimpleHeaderConverter" { importance(Low) },
        /// Version of the converter of headers.
        "header.converter.plugin.version" => header_converter_version: Option<String> = NULL { importance(Low) },
        /// Names of the providers that resolve "${provider:path:key}", separated by commas. Each has a
        /// "config.providers.<name>.class" and settings under "config.providers.<name>.param.".
        "config.providers" => config_providers: Vec<String> = "" { importance(Low) },
        /// Which settings of their Kafka clients connectors may override: "All", "None", "Principal" (the ones that
        /// say who the client is) or "Allowlist" (those in "connector.client.config.override.allowlist"). The JVM worker
        /// of version 4.1 does not know "Allowlist".
        "connector.client.config.override.policy" => override_policy: String = "All" { importance(Medium) },
        /// Names of the client settings that connectors may override under the policy "Allowlist", separated by commas.
        /// The JVM worker of version 4.1 has no such key.
        "connector.client.config.override.allowlist" => override_allowlist: Vec<String> = "" { importance(Medium) },
        /// Whether the worker creates the topics of source connectors that have "topic.creation." settings.
        "topic.creation.enable" => topic_creation: bool = "true" { importance(Low) },
    }
}

crate::config! {
    /// Which topics a connector uses (KIP-558).
    pub struct TopicTrackingConfig {
        /// Whether the topics that each connector uses are kept and shown.
        "topic.tracking.enable" => topic_tracking: bool = "true" { importance(Low) },
        /// Whether a user may reset the topics that a connector used.
        "topic.tracking.allow.reset" => topic_tracking_reset: bool = "true" { importance(Low) },
    }
}
