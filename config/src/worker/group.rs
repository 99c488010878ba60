//! The group of workers (`DistributedConfig`, `CommonClientConfigs`).

use crate::worker::checks::{algorithm, algorithms, connect_protocol};

crate::config! {
    /// Membership of the group.
    pub struct GroupConfig {
        /// Name of the group that the workers of a cluster form.
        "group.id" => group_id: String { importance(High) },
        /// How long a worker may be silent before the group goes on without it, in milliseconds.
        "session.timeout.ms" => session_timeout: i32 = "10000" { importance(High) },
        /// How long each worker may take to join the group in a rebalance, in milliseconds.
        "rebalance.timeout.ms" => rebalance_timeout: i32 = "60000" { importance(High) },
        /// Time between two heartbeats to the group, in milliseconds. At most a third of the session timeout.
        "heartbeat.interval.ms" => heartbeat_interval: i32 = "3000" { importance(High) },
        /// Whether sources deliver exactly once: "disabled", "enabled", or "preparing", the step between the two in a
        /// rolling upgrade.
        "exactly.once.source.support" => exactly_once: String = "disabled" { validator(one_of_ignoring_case(["disabled", "enabled", "preparing"])), importance(High) },
    }
}

crate::config! {
    /// The worker's own connections to brokers.
    pub struct ClientConfig {
        /// How old knowledge of the cluster may get before it is refreshed, in milliseconds.
        "metadata.max.age.ms" => metadata_max_age: i64 = "300000" { validator(at_least(0)), importance(Low) },
        /// Name of the worker's clients in the brokers' logs and quotas.
        "client.id" => client_id: String = "" { importance(Low) },
        /// Size of the TCP send buffer in bytes; -1 leaves it to the system.
        "send.buffer.bytes" => send_buffer: i32 = "131072" { validator(at_least(-1)), importance(Medium) },
        /// Size of the TCP receive buffer in bytes; -1 leaves it to the system.
        "receive.buffer.bytes" => receive_buffer: i32 = "32768" { validator(at_least(-1)), importance(Medium) },
        /// First pause before connecting again to a broker, in milliseconds.
        "reconnect.backoff.ms" => reconnect_backoff: i64 = "50" { validator(at_least(0)), importance(Low) },
        /// Longest pause before connecting again to a broker, in milliseconds.
        "reconnect.backoff.max.ms" => reconnect_backoff_max: i64 = "1000" { validator(at_least(0)), importance(Low) },
        /// First limit for setting up a connection, in milliseconds.
        "socket.connection.setup.timeout.ms" => connection_setup: i64 = "10000" { validator(at_least(0)), importance(Low) },
        /// Longest limit for setting up a connection, in milliseconds.
        "socket.connection.setup.timeout.max.ms" => connection_setup_max: i64 = "30000" { validator(at_least(0)), importance(Low) },
        /// First pause before a failed request is tried again, in milliseconds.
        "retry.backoff.ms" => retry_backoff: i64 = "100" { validator(at_least(0)), importance(Low) },
        /// Longest pause before a failed request is tried again, in milliseconds.
        "retry.backoff.max.ms" => retry_backoff_max: i64 = "1000" { validator(at_least(0)), importance(Low) },
        /// How long to wait for the answer to a request, in milliseconds.
        "request.timeout.ms" => request_timeout: i32 = "40000" { validator(at_least(0)), importance(Medium) },
        /// After how long without use a connection is closed, in milliseconds.
        "connections.max.idle.ms" => connections_max_idle: i64 = "540000" { importance(Medium) },
        /// How to talk to brokers: plain or TLS, with or without SASL.
        "security.protocol" => security_protocol: String = "PLAINTEXT" { validator(one_of_ignoring_case(["sasl_ssl", "plaintext", "ssl", "sasl_plaintext"])), importance(Medium) },
    }
}

crate::config! {
    /// How workers share out their work and trust each other.
    pub struct ProtocolConfig {
        /// How workers share out their work: "sessioned" and "compatible" move no more than they must, "eager" stops
        /// everything first.
        "connect.protocol" => connect_protocol: String = "sessioned" { validator(connect_protocol()), importance(Low) },
        /// How long the work of a lost worker waits for its return, in milliseconds.
        "scheduled.rebalance.max.delay.ms" => rebalance_delay: i32 = "300000" { validator(between(0, i32::MAX)), importance(Low) },
        /// Lifetime of the key that signs requests between workers, in milliseconds; 0 never changes it.
        "inter.worker.key.ttl.ms" => key_ttl: i32 = "3600000" { validator(between(0, i32::MAX)), importance(Low) },
        /// Algorithm that makes that key.
        "inter.worker.key.generation.algorithm" => key_algorithm: String = "HmacSHA256" { validator(algorithm("Any KeyGenerator algorithm supported by the worker JVM")), importance(Low) },
        /// Size of that key in bits; the algorithm's own when it is not given.
        "inter.worker.key.size" => key_size: Option<i32> = NULL { importance(Low) },
        /// Algorithm that signs requests between workers.
        "inter.worker.signature.algorithm" => signature_algorithm: String = "HmacSHA256" { validator(algorithm("Any MAC algorithm supported by the worker JVM")), importance(Low) },
        /// Algorithms that are accepted in requests from other workers. The signing one must be among them.
        "inter.worker.verification.algorithms" => verification_algorithms: Vec<String> = "HmacSHA256" { validator(algorithms()), importance(Low) },
        /// What to do when no known broker answers: "rebootstrap" starts again from "bootstrap.servers".
        "metadata.recovery.strategy" => recovery_strategy: String = "rebootstrap" { validator(one_of_ignoring_case(["rebootstrap", "none"])), importance(Low) },
        /// How long the cluster may be out of reach before that, in milliseconds.
        "metadata.recovery.rebootstrap.trigger.ms" => rebootstrap_trigger: i64 = "300000" { validator(at_least(0)), importance(Low) },
    }
}
