//! Where a worker keeps its state: three topics, or a file (`DistributedConfig`, `StandaloneConfig`).

use crate::worker::checks::{partitions, replication_factor};

crate::config! {
    /// The topics of a distributed worker.
    pub struct StorageConfig {
        /// How long a worker tries to catch up with the config topic before it leaves the group, in milliseconds.
        "worker.sync.timeout.ms" => sync_timeout: i32 = "3000" { importance(Medium) },
        /// How long a worker that could not catch up stays out of the group, in milliseconds.
        "worker.unsync.backoff.ms" => unsync_backoff: i32 = "300000" { importance(Medium) },
        /// Topic of the offsets of source connectors.
        "offset.storage.topic" => offset_topic: String { importance(High) },
        /// Partitions of that topic when it is created; -1 is the broker's default.
        "offset.storage.partitions" => offset_partitions: i32 = "25" { validator(partitions()), importance(Low) },
        /// Replication factor of that topic when it is created; -1 is the broker's default.
        "offset.storage.replication.factor" => offset_replication: i16 = "3" { validator(replication_factor()), importance(Low) },
        /// Topic of the configurations of connectors. It has one partition.
        "config.storage.topic" => config_topic: String { importance(High) },
        /// Replication factor of that topic when it is created; -1 is the broker's default.
        "config.storage.replication.factor" => config_replication: i16 = "3" { validator(replication_factor()), importance(Low) },
        /// Topic of the states of connectors and tasks.
        "status.storage.topic" => status_topic: String { importance(High) },
        /// Partitions of that topic when it is created; -1 is the broker's default.
        "status.storage.partitions" => status_partitions: i32 = "5" { validator(partitions()), importance(Low) },
        /// Replication factor of that topic when it is created; -1 is the broker's default.
        "status.storage.replication.factor" => status_replication: i16 = "3" { validator(replication_factor()), importance(Low) },
    }
}

crate::config! {
    /// The file of a standalone worker.
    pub struct FileConfig {
        /// File of the offsets of source connectors of a standalone worker.
        "offset.storage.file.filename" => offset_file: String { importance(High) },
    }
}
