//! All keys of the connector, declared once, in the order, with the types, defaults and display data of
//! Debezium's `PostgresConnectorConfig`. What they mean to the code is read in [`crate::settings`]; their checks, which
//! have Debezium's own wording, are in [`crate::validate`]. [`ExtraConfig`] holds what Debezium does not have.

use connect_api::Secret;
use connect_config::declare::ClassName;

connect_config::config! {
    /// Configuration of the Postgres source.
    pub struct PostgresConfig {
        /// Name of this source: the first part of its topics' names and of its schemas. Must be unique among all
        /// connectors of a cluster and never change.
        "topic.prefix" => topic_prefix: Option<String> = NULL
            { importance(High), group("Postgres"), order(1), width(Width::Medium), display("Topic prefix") },
        /// Host name or address of the database server.
        "database.hostname" => database_hostname: Option<String> = NULL
            { importance(High), group("Postgres"), order(2), width(Width::Medium), display("Hostname") },
        /// Port of the database server.
        "database.port" => database_port: i32 = "5432"
            { importance(High), group("Postgres"), order(3), width(Width::Short), display("Port") },
        /// User that reads the tables and the replication stream.
        "database.user" => database_user: Option<String> = NULL
            { importance(High), group("Postgres"), order(4), width(Width::Short), display("User") },
        /// Password of that user.
        "database.password" => database_password: Option<Secret> = NULL
            { importance(High), group("Postgres"), order(5), width(Width::Short), display("Password") },
        /// Database to capture.
        "database.dbname" => database_dbname: Option<String> = NULL
            { importance(High), group("Postgres"), order(6), width(Width::Medium), display("Database") },
        /// Longest time a catalogue query may take, in milliseconds; 0 is no limit.
        "database.query.timeout.ms" => database_query_timeout_ms: i32 = "600000"
            { importance(Low), group("Postgres"), order(7), display("Query timeout") },
        /// Output plugin of the replication slot. Only `pgoutput`, which every server since 10 has, is supported.
        "plugin.name" => plugin_name: String = "decoderbufs"
            { importance(Medium), group("Postgres"), order(8), width(Width::Medium), display("Plugin") },
        /// Name of the logical replication slot; one per connector.
        "slot.name" => slot_name: String = "debezium"
            { importance(Medium), group("Postgres"), order(9), width(Width::Medium), display("Slot") },
        /// Name of the publication that the stream is read through.
        "publication.name" => publication_name: String = "dbz_publication"
            { importance(Medium), group("Postgres"), order(10), width(Width::Medium), display("Publication") },
        /// What to do about the publication: `all_tables` makes one of all tables, `filtered` one of the captured
        /// tables, `no_tables` an empty one, `disabled` needs it to exist.
        "publication.autocreate.mode" => publication_autocreate_mode: String = "all_tables"
            { importance(Medium), group("Postgres"), order(11), width(Width::Medium), display("Publication Auto Create Mode") },
        /// Replica identities to set at start: `schema.table:FULL`, `DEFAULT`, `NOTHING` or `INDEX name`, in upper case,
        /// separated by commas; the tables are regular expressions. A table that fits two of them, or that the role does not
        /// own, stays as it is, with an error in the log.
        "replica.identity.autoset.values" => replica_identity_autoset_values: Option<String> = NULL
            { importance(Medium), group("Postgres"), order(12), width(Width::Long), display("Replica Identity Auto Set Values") },
        /// Drops the slot when the task stops in order; changes made meanwhile are then lost.
        "slot.drop.on.stop" => slot_drop_on_stop: bool = "false"
            { importance(Medium), group("Postgres"), order(13), display("Drop slot on stop") },
        /// Makes the slot a failover slot (Postgres 17 and later), also one that exists.
        "slot.failover" => slot_failover: bool = "false"
            { importance(Medium), group("Postgres"), order(14), display("Create failover slot") },
        /// Options passed on to the output plugin: `name=value`, separated by semicolons.
        "slot.stream.params" => slot_stream_params: Option<String> = NULL
            { importance(Low), group("Postgres"), order(15), width(Width::Long), display("Optional parameters to pass to the logical decoder when the stream is started.") },
        /// Statements to run on each database session, separated by semicolons (doubled where one is meant as a
        /// character).
        "database.initial.statements" => database_initial_statements: Option<String> = NULL
            { importance(Low), group("Postgres"), order(16), width(Width::Long), display("Initial statements") },
        /// How TLS is used: `disable`, `allow`, `prefer`, `require`, `verify-ca` or `verify-full`.
        "database.sslmode" => database_sslmode: String = "prefer"
            { importance(Medium), group("Postgres"), order(17), width(Width::Medium), display("SSL mode") },
        /// File with the client's certificate (PEM). A key in PKCS12 has it with it.
        "database.sslcert" => database_sslcert: Option<String> = NULL
            { importance(Medium), group("Postgres"), order(18), width(Width::Long), display("SSL Client Certificate") },
        /// Password of the client's key, where that is encrypted or PKCS12.
        "database.sslpassword" => database_sslpassword: Option<Secret> = NULL
            { importance(Medium), group("Postgres"), order(19), width(Width::Medium), display("SSL Client Key Password") },
        /// File with the certificates that the server's is checked against (PEM). Without it, `verify-ca` and `verify-full`
        /// take those of the system, and `verify-ca` checks the host's name as well.
        "database.sslrootcert" => database_sslrootcert: Option<String> = NULL
            { importance(Medium), group("Postgres"), order(20), width(Width::Long), display("SSL Root Certificate") },
        /// File with the client's private key: PEM, PKCS8 in DER, or with its certificate PKCS12 (`.p12`, `.pfx`).
        "database.sslkey" => database_sslkey: Option<String> = NULL
            { importance(Medium), group("Postgres"), order(21), width(Width::Long), display("SSL Client Key") },
        /// How often to retry taking the slot while another session has it.
        "slot.max.retries" => slot_max_retries: i32 = "6"
            { importance(Low), group("Postgres"), order(22), display("Retry count") },
        /// Wait between two such attempts, in milliseconds.
        "slot.retry.delay.ms" => slot_retry_delay_ms: i64 = "10000"
            { importance(Low), group("Postgres"), order(23), display("Retry delay") },
        /// Java class that makes TLS sockets. Two of the driver's are known: `org.postgresql.ssl.LibPQFactory`, the default, and
        /// `org.postgresql.ssl.NonValidatingFactory`, which takes any certificate, as is done here without
        /// `database.sslrootcert` anyway unless `database.sslmode` begins with `verify`. Others are refused.
        "database.sslfactory" => database_sslfactory: Option<String> = NULL
            { importance(Medium), group("Postgres"), order(24), width(Width::Long), display("SSL Root Certificate") },
        /// How often the server is told the confirmed position, in milliseconds.
        "status.update.interval.ms" => status_update_interval_ms: i32 = "10000"
            { importance(Medium), group("Postgres"), order(25), width(Width::Short), display("Status update interval (ms)") },
        /// Longest time that sending the confirmation of a position may take, in milliseconds.
        "lsn.flush.timeout.ms" => lsn_flush_timeout_ms: i64 = "30000"
            { importance(Medium), group("Postgres"), order(26), width(Width::Short), display("LSN flush timeout (ms)") },
        /// What to do when that time is exceeded: `fail` makes the connection again, `warn` and `ignore` go on and send
        /// the rest later.
        "lsn.flush.timeout.action" => lsn_flush_timeout_action: String = "fail"
            { importance(Medium), group("Postgres"), order(27), width(Width::Medium), display("LSN flush timeout action") },
        /// Sends TCP keep-alive probes on idle connections.
        "database.tcpKeepAlive" => database_tcp_keep_alive: bool = "true"
            { importance(Medium), group("Postgres"), order(28), width(Width::Short), display("TCP keep-alive probe") },
        /// How often the slot's xmin is read into the source block, in milliseconds; 0 is never.
        "xmin.fetch.interval.ms" => xmin_fetch_interval_ms: i64 = "0"
            { importance(Medium), group("Postgres"), order(29), width(Width::Short), display("Xmin fetch interval (ms)") },
        /// Operations that give no record: `c`, `u`, `d`, `t`, or `none`.
        "skipped.operations" => skipped_operations: Vec<String> = "t"
            { importance(Low), group("Postgres"), order(30), width(Width::Short), display("Skipped Operations") },
        /// Whether positions are confirmed to the server at all; without, WAL is kept until something else does.
        "flush.lsn.source" => flush_lsn_source: bool = "true"
            { importance(Low), group("Postgres"), order(31), width(Width::Short), display("Boolean to determine if Debezium should flush LSN in the source database") },
        /// What to do about a row or event that no record can be made of: `fail`, or leave it out with a warning (`warn`)
        /// or without (`skip`, `ignore`).
        "event.processing.failure.handling.mode" => event_processing_failure_handling_mode: String = "fail"
            { importance(Medium), group("Connector"), order(1), width(Width::Short), display("Event deserialization failure handling") },
        /// Records in one batch, at most.
        "max.batch.size" => max_batch_size: i32 = "2048"
            { importance(Medium), group("Connector"), order(2), width(Width::Short), display("Change event batch size") },
        /// Records read ahead of the producer, at most; must be above `max.batch.size`.
        "max.queue.size" => max_queue_size: i32 = "8192"
            { importance(Medium), group("Connector"), order(3), width(Width::Short), display("Change event buffer size") },
        /// Wait between two looks for records, in milliseconds. Batches here are handed over as they come.
        "poll.interval.ms" => poll_interval_ms: i64 = "500"
            { importance(Medium), group("Connector"), order(4), width(Width::Short), display("Poll interval (ms)") },
        /// Bytes read ahead of the producer, at most; 0 leaves only the limit by number.
        "max.queue.size.in.bytes" => max_queue_size_in_bytes: i64 = "0"
            { importance(Medium), group("Connector"), order(5), width(Width::Long), display("Change event buffer size in bytes") },
        /// Adds a `transaction` block to records and writes transaction bounds to a topic of their own.
        "provide.transaction.metadata" => provide_transaction_metadata: bool = "false"
            { importance(Low), group("Connector"), order(6), width(Width::Short), display("Store transaction metadata information in a dedicated topic.") },
        /// Wait before the snapshot, in milliseconds.
        "snapshot.delay.ms" => snapshot_delay_ms: i64 = "0"
            { importance(Low), group("Connector"), order(7), width(Width::Medium), display("Snapshot Delay (milliseconds)") },
        /// Wait between the snapshot and the stream, in milliseconds.
        "streaming.delay.ms" => streaming_delay_ms: i64 = "0"
            { importance(Low), group("Connector"), order(8), width(Width::Medium), display("Streaming Delay (milliseconds)") },
        /// Tables to snapshot, of those captured; regular expressions, in the order wanted.
        "snapshot.include.collection.list" => snapshot_include_collection_list: Option<Vec<String>> = NULL
            { importance(Medium), group("Connector"), order(9), width(Width::Long), display("Snapshot mode include data collection") },
        /// Rows that the reference fetches at a time in a snapshot; here rows are streamed by COPY.
        "snapshot.fetch.size" => snapshot_fetch_size: Option<i32> = NULL
            { importance(Medium), group("Connector"), order(10), width(Width::Medium), display("Snapshot fetch size") },
        /// Tables to snapshot at the same time, each over a session of its own. Their rows mix. From Postgres 14 on, large tables
        /// are read in several parts, whose rows mix as well.
        "snapshot.max.threads" => snapshot_max_threads: i32 = "1"
            { importance(Medium), group("Connector"), order(11), width(Width::Short), display("Snapshot maximum threads") },
        /// Name of a snapshotter (Java) for `snapshot.mode=custom`, which is refused.
        "snapshot.mode.custom.name" => snapshot_mode_custom_name: Option<String> = NULL
            { importance(Medium), group("Connector"), order(12), width(Width::Medium), display("Snapshot Mode Custom Name") },
        /// With `snapshot.mode=configuration_based`: whether rows are read.
        "snapshot.mode.configuration.based.snapshot.data" => snapshot_mode_configuration_based_snapshot_data: bool = "false"
            { importance(Medium), group("Connector"), order(13), width(Width::Medium), display("Snapshot mode property based snapshot data") },
        /// With `snapshot.mode=configuration_based`: whether schemas are read.
        "snapshot.mode.configuration.based.snapshot.schema" => snapshot_mode_configuration_based_snapshot_schema: bool = "false"
            { importance(Medium), group("Connector"), order(14), width(Width::Medium), display("Snapshot mode property based snapshot schema") },
        /// With `snapshot.mode=configuration_based`: whether the stream follows.
        "snapshot.mode.configuration.based.start.stream" => snapshot_mode_configuration_based_start_stream: bool = "false"
            { importance(Medium), group("Connector"), order(15), width(Width::Medium), display("Snapshot mode property based start stream") },
        /// With `snapshot.mode=configuration_based`: whether a lost schema history leads to a snapshot.
        "snapshot.mode.configuration.based.snapshot.on.schema.error" => snapshot_mode_configuration_based_snapshot_on_schema_error: bool = "false"
            { importance(Medium), group("Connector"), order(16), width(Width::Medium), display("Snapshot mode property based snapshot on schema error") },
        /// With `snapshot.mode=configuration_based`: whether a lost position leads to a snapshot.
        "snapshot.mode.configuration.based.snapshot.on.data.error" => snapshot_mode_configuration_based_snapshot_on_data_error: bool = "false"
            { importance(Medium), group("Connector"), order(17), width(Width::Medium), display("Snapshot mode property based snapshot on data error") },
        /// Wait before reconnecting after a failure that may pass, in milliseconds. Not for the three attempts that are made
        /// at once when `errors.max.retries` is not given.
        "retriable.restart.connector.wait.ms" => retriable_restart_connector_wait_ms: i64 = "10000"
            { importance(Low), group("Connector"), order(18), width(Width::Medium), display("Retriable restart wait (ms)") },
        /// Rows that the reference fetches at a time in other queries; has no meaning here.
        "query.fetch.size" => query_fetch_size: i32 = "0"
            { importance(Medium), group("Connector"), order(19), width(Width::Medium), display("Query fetch size") },
        /// Reconnections in a row before the task fails; -1 is no limit, 0 none. When this is not given, the task connects
        /// again three times at once, and then fails for the worker to start it again (`job.recovery.*`); with recovery
        /// switched off it connects again without limit.
        "errors.max.retries" => errors_max_retries: i32 = "-1"
            { importance(Low), group("Connector"), order(20), width(Width::Medium), display("The maximum number of retries") },
        /// How windows of incremental snapshots are marked: `INSERT_INSERT` or `INSERT_DELETE`.
        "incremental.snapshot.watermarking.strategy" => incremental_snapshot_watermarking_strategy: String = "INSERT_INSERT"
            { importance(Low), group("Connector"), order(21), width(Width::Medium), display("Incremental snapshot watermarking strategy") },
        /// Whether the stored position is checked against the slot at start.
        "internal.log.position.check.enable" => internal_log_position_check_enable: bool = "true"
            { importance(Medium), group("Connector"), order(22), width(Width::Medium), display("Enable/Disable log position check") },
        /// More metrics in the reference; has no meaning here.
        "internal.advanced.metrics.enable" => internal_advanced_metrics_enable: bool = "false"
            { importance(Medium), group("Connector"), order(23), width(Width::Medium), display("Enable/Disable advance metrics") },
        /// Longest time the live checks of a validation may take, in milliseconds.
        "connection.validation.timeout.ms" => connection_validation_timeout_ms: i64 = "60000"
            { importance(Low), group("Connector"), order(24), width(Width::Short), display("Connection validation timeout (ms)") },
        /// Longest time a stop may take, in milliseconds.
        "executor.shutdown.timeout.ms" => executor_shutdown_timeout_ms: i64 = "4000"
            { importance(Medium), group("Connector"), order(25), width(Width::Medium), display("Executor shutdown timeout (ms)") },
        /// Sends lineage events; not supported.
        "openlineage.integration.enabled" => openlineage_integration_enabled: bool = "false"
            { importance(Low), group("Connector"), order(26), width(Width::Short), display("Enables OpenLineage integration") },
        /// Configuration file of lineage events.
        "openlineage.integration.config.file.path" => openlineage_integration_config_file_path: String = "./openlineage.yml"
            { importance(Low), group("Connector"), order(27), width(Width::Long), display("Path to OpenLineage file configuration") },
        /// Namespace of the lineage job.
        "openlineage.integration.job.namespace" => openlineage_integration_job_namespace: Option<String> = NULL
            { importance(Low), group("Connector"), order(28), width(Width::Long), display("Namespace used for Debezium job") },
        /// Description of the lineage job.
        "openlineage.integration.job.description" => openlineage_integration_job_description: String = "Debezium change data capture job"
            { importance(Low), group("Connector"), order(29), width(Width::Long), display("Description used for Debezium job") },
        /// Tags of the lineage job.
        "openlineage.integration.job.tags" => openlineage_integration_job_tags: Option<Vec<String>> = NULL
            { importance(Low), group("Connector"), order(30), width(Width::Long), display("Debezium job tags") },
        /// Owners of the lineage job.
        "openlineage.integration.job.owners" => openlineage_integration_job_owners: Option<Vec<String>> = NULL
            { importance(Low), group("Connector"), order(31), width(Width::Long), display("Debezium job owners") },
        /// Kafka servers named in lineage events.
        "openlineage.integration.dataset.kafka.bootstrap.servers" => openlineage_integration_dataset_kafka_bootstrap_servers: Option<String> = NULL
            { importance(Low), group("Connector"), order(32), width(Width::Long), display("Kafka bootstrap server used in Kafka Connect deployment") },
        /// Adds the `__debezium.context.*` headers to each record.
        "extended.headers.enabled" => extended_headers_enabled: bool = "true"
            { importance(Low), group("Connector"), order(33), width(Width::Short), display("Enable/Disable extended headers") },
        /// Number of captured tables above which the guardrail acts; 0 is no limit.
        "guardrail.collections.max" => guardrail_collections_max: i32 = "0"
            { importance(Medium), group("Connector"), order(34), width(Width::Short), display("Maximum number of collections or tables") },
        /// What the guardrail does: `warn` or `fail`.
        "guardrail.collections.limit.action" => guardrail_collections_limit_action: String = "warn"
            { importance(Medium), group("Connector"), order(35), width(Width::Short), display("Guardrail collections limit action") },
        /// How numeric columns appear: `precise` (Decimal), `double` or `string`.
        "decimal.handling.mode" => decimal_handling_mode: String = "precise"
            { importance(Medium), group("Connector"), order(36), width(Width::Short), display("Decimal Handling") },
        /// How times appear: `adaptive`, `adaptive_time_microseconds`, `connect`, `isostring`, `microseconds` or
        /// `nanoseconds`.
        "time.precision.mode" => time_precision_mode: String = "adaptive"
            { importance(Medium), group("Connector"), order(37), width(Width::Short), display("Time Precision") },
        /// Longest wait for table locks of a snapshot, in milliseconds.
        "snapshot.lock.timeout.ms" => snapshot_lock_timeout_ms: i64 = "10000"
            { importance(Medium), group("Connector"), order(38), width(Width::Long), display("Snapshot lock timeout (ms)") },
        /// When rows are read: `initial` (when there is no position), `always`, `initial_only`, `no_data`,
        /// `when_needed` (also when the position is lost), `configuration_based`.
        "snapshot.mode" => snapshot_mode: String = "initial"
            { importance(Medium), group("Connector"), order(39), width(Width::Short), display("Snapshot mode") },
        /// Isolation of the snapshot's transaction; a snapshot that belongs to a new slot is always repeatable.
        "snapshot.isolation.mode" => snapshot_isolation_mode: String = "serializable"
            { importance(Low), group("Connector"), order(40), width(Width::Short), display("Snapshot isolation mode") },
        /// How rows are selected: `select_all`; `custom` (Java) is not supported.
        "snapshot.query.mode" => snapshot_query_mode: String = "select_all"
            { importance(Low), group("Connector"), order(41), width(Width::Short), display("Snapshot query mode") },
        /// Name of a custom query builder (Java); not supported.
        "snapshot.query.mode.custom.name" => snapshot_query_mode_custom_name: Option<String> = NULL
            { importance(Medium), group("Connector"), order(42), width(Width::Medium), display("Snapshot Query Mode Custom Name") },
        /// Name of a custom locker (Java); not supported.
        "snapshot.locking.mode.custom.name" => snapshot_locking_mode_custom_name: Option<String> = NULL
            { importance(Medium), group("Connector"), order(43), width(Width::Medium), display("Snapshot Locking Mode Custom Name") },
        /// Locks of a snapshot: `none`, or `shared` against changes of the tables' columns; `custom` (Java) is not supported.
        "snapshot.locking.mode" => snapshot_locking_mode: String = "none"
            { importance(Low), group("Connector"), order(44), width(Width::Short), display("Snapshot locking mode") },
        /// How hstore columns appear: `json` text or `map`.
        "hstore.handling.mode" => hstore_handling_mode: String = "json"
            { importance(Low), group("Connector"), order(45), width(Width::Medium), display("HStore Handling") },
        /// How bytea columns appear: `bytes`, `base64`, `base64-url-safe` or `hex`.
        "binary.handling.mode" => binary_handling_mode: String = "bytes"
            { importance(Low), group("Connector"), order(46), width(Width::Medium), display("Binary Handling") },
        /// How schema names are made fit for other systems: `none`, `avro` or `avro_unicode`.
        "schema.name.adjustment.mode" => schema_name_adjustment_mode: String = "none"
            { importance(Low), group("Connector"), order(47), width(Width::Medium), display("Schema Name Adjustment") },
        /// How interval columns appear: `numeric` (microseconds) or `string` (ISO 8601).
        "interval.handling.mode" => interval_handling_mode: String = "numeric"
            { importance(Low), group("Connector"), order(48), width(Width::Medium), display("Interval Handling") },
        /// When the reference reloads a table's schema; here a changed Relation message always does.
        "schema.refresh.mode" => schema_refresh_mode: String = "columns_diff"
            { importance(Medium), group("Connector"), order(49), width(Width::Short), display("Schema refresh mode") },
        /// Rows of a chunk of an incremental snapshot.
        "incremental.snapshot.chunk.size" => incremental_snapshot_chunk_size: i32 = "1024"
            { importance(Medium), group("Connector"), order(50), width(Width::Medium), display("Incremental snapshot chunk size") },
        /// What stands for a large value that Postgres did not send because it did not change; `hex:` before it
        /// gives bytes.
        "unavailable.value.placeholder" => unavailable_value_placeholder: String = "__debezium_unavailable_value"
            { importance(Medium), group("Connector"), order(51), width(Width::Medium), display("Unavailable value placeholder") },
        /// Prefixes of logical messages to capture; regular expressions.
        "message.prefix.include.list" => message_prefix_include_list: Option<Vec<String>> = NULL
            { importance(Medium), group("Connector"), order(52), width(Width::Long), display("Include Logical Decoding Message Prefixes") },
        /// Prefixes of logical messages to leave out; regular expressions.
        "message.prefix.exclude.list" => message_prefix_exclude_list: Option<Vec<String>> = NULL
            { importance(Medium), group("Connector"), order(53), width(Width::Long), display("Exclude Logical Decoding Message Prefixes") },
        /// Whether a publication made here publishes changes of partitions as those of their root.
        "publish.via.partition.root" => publish_via_partition_root: bool = "false"
            { importance(Medium), group("Connector"), order(54), width(Width::Short), display("Publish via partition root") },
        /// Names of custom converters (Java classes): refused.
        "converters" => converters: Option<String> = NULL
            { importance(Low), group("Events"), order(1), width(Width::Medium), display("List of prefixes defining custom values converters.") },
        /// Names of post processors, separated by commas. Their options stand behind `post.processors.<name>.`; see
        /// [Reselecting columns](#reselecting-columns).
        "post.processors" => post_processors: Option<String> = NULL
            { importance(Low), group("Events"), order(2), width(Width::Medium), display("List of change event post processors.") },
        /// Follows each delete by a record with a null value, so that compaction removes the key.
        "tombstones.on.delete" => tombstones_on_delete: bool = "true"
            { importance(Medium), group("Events"), order(3), width(Width::Short), display("Change the behaviour of Debezium with regards to delete operations") },
        /// Interval of heartbeat records, in milliseconds; 0 is none.
        "heartbeat.interval.ms" => heartbeat_interval_ms: i32 = "0"
            { importance(Medium), group("Events"), order(4), width(Width::Medium), display("Connector heartbeat interval (milli-seconds)") },
        /// First part of the heartbeat topic's name.
        "heartbeat.topics.prefix" => heartbeat_topics_prefix: String = "__debezium-heartbeat"
            { importance(Low), group("Events"), order(5), width(Width::Medium), display("A prefix used for naming of heartbeat topics") },
        /// Table through which signals are sent.
        "signal.data.collection" => signal_data_collection: Option<String> = NULL
            { importance(Medium), group("Events"), order(6), width(Width::Medium), display("Signaling data collection") },
        /// Interval between two looks for signals, in milliseconds.
        "signal.poll.interval.ms" => signal_poll_interval_ms: i64 = "5000"
            { importance(Medium), group("Events"), order(7), width(Width::Short), display("Signal processor poll interval") },
        /// Channels that signals are read from.
        "signal.enabled.channels" => signal_enabled_channels: Vec<String> = "source"
            { importance(Medium), group("Events"), order(8), width(Width::Long), display("Enabled channels names") },
        /// Java class that names topics; the two of the reference are known.
        "topic.naming.strategy" => topic_naming_strategy: ClassName = "io.debezium.schema.SchemaTopicNamingStrategy"
            { importance(Medium), group("Events"), order(9), width(Width::Medium), display("Topic naming strategy class") },
        /// Channels that notifications are written to.
        "notification.enabled.channels" => notification_enabled_channels: Option<Vec<String>> = NULL
            { importance(Medium), group("Events"), order(10), width(Width::Long), display("Enabled notification channels names") },
        /// Topic of notifications.
        "notification.sink.topic.name" => notification_sink_topic_name: Option<String> = NULL
            { importance(High), group("Events"), order(11), width(Width::Long), display("Notification topic name") },
        /// Java class that makes transaction metadata; any but the default is refused.
        "transaction.metadata.factory" => transaction_metadata_factory: ClassName = "io.debezium.pipeline.txmetadata.DefaultTransactionMetadataFactory"
            { importance(Low), group("Events"), order(12), width(Width::Medium), display("Factory class to create transaction context & transaction struct maker classes") },
        /// Tags of metrics.
        "custom.metric.tags" => custom_metric_tags: Option<Vec<String>> = NULL
            { importance(Low), group("Events"), order(13), width(Width::Medium), display("Customize metric tags") },
        /// Columns to capture: regular expressions for `schema.table.column`.
        "column.include.list" => column_include_list: Option<Vec<String>> = NULL
            { importance(Medium), group("Events"), order(14), width(Width::Long), display("Include Columns") },
        /// Columns to leave out: regular expressions for `schema.table.column`.
        "column.exclude.list" => column_exclude_list: Option<Vec<String>> = NULL
            { importance(Medium), group("Events"), order(15), width(Width::Long), display("Exclude Columns") },
        /// Tables to capture: regular expressions for `schema.table`.
        "table.include.list" => table_include_list: Option<Vec<String>> = NULL
            { importance(High), group("Events"), order(16), width(Width::Long), display("Include Tables") },
        /// Tables to leave out: regular expressions for `schema.table`.
        "table.exclude.list" => table_exclude_list: Option<Vec<String>> = NULL
            { importance(Medium), group("Events"), order(17), width(Width::Long), display("Exclude Tables") },
        /// Whether system tables are left out.
        "table.ignore.builtin" => table_ignore_builtin: bool = "true"
            { importance(Low), group("Events"), order(18), width(Width::Short), display("Ignore system databases") },
        /// Schemas to capture: regular expressions.
        "schema.include.list" => schema_include_list: Option<Vec<String>> = NULL
            { importance(High), group("Events"), order(19), width(Width::Long), display("Include Schemas"), dependents(["table.include.list"]) },
        /// Schemas to leave out: regular expressions.
        "schema.exclude.list" => schema_exclude_list: Option<Vec<String>> = NULL
            { importance(Medium), group("Events"), order(20), width(Width::Long), display("Exclude Schemas") },
        /// Columns that make the key instead of the primary key: `schema.table:column,column`, separated by
        /// semicolons.
        "message.key.columns" => message_key_columns: Option<String> = NULL
            { importance(Medium), group("Events"), order(21), width(Width::Long), display("Columns PK mapping") },
        /// Tables whose snapshot uses a statement of its own, given in
        /// `snapshot.select.statement.overrides.<schema.table>`.
        "snapshot.select.statement.overrides" => snapshot_select_statement_overrides: Option<String> = NULL
            { importance(Medium), group("Events"), order(22), width(Width::Long), display("List of tables where the default select statement used during snapshotting should be overridden.") },
        /// Columns whose text is replaced by its salted hash.
        "column.mask.hash.([^.]+).with.salt.(.+)" => column_mask_hash: Option<String> = NULL
            { importance(Medium), group("Events"), order(23), width(Width::Long), display("Mask Columns Using Hash and Salt") },
        /// Columns whose text is replaced by so many asterisks.
        "column.mask.with.(d+).chars" => column_mask: Option<String> = NULL
            { importance(Medium), group("Events"), order(24), display("Mask Columns With n Asterisks") },
        /// Columns whose text is cut to so many characters.
        "column.truncate.to.(d+).chars" => column_truncate: Option<i32> = NULL
            { importance(Medium), group("Events"), order(25), display("Truncate Columns To n Characters") },
        /// Puts comments of tables and columns into schemas. The reference finds none in Postgres: this has no effect.
        "include.schema.comments" => include_schema_comments: bool = "false"
            { importance(Medium), group("Events"), order(26), width(Width::Short), display("Include Table and Column Comments") },
        /// Columns whose database type is put into the schema's parameters: regular expressions.
        "column.propagate.source.type" => column_propagate_source_type: Option<Vec<String>> = NULL
            { importance(Medium), group("Events"), order(27), display("Propagate Source Types by Columns") },
        /// Types whose columns get the same: regular expressions for `schema.table.type` names.
        "datatype.propagate.source.type" => datatype_propagate_source_type: Option<Vec<String>> = NULL
            { importance(Medium), group("Events"), order(28), display("Propagate Source Types by Data Type") },
        /// How the reference reads the columns of the tables: all at once, or table by table. Here they are always read at once,
        /// which changes no record.
        "internal.snapshot.scan.all.columns.force" => internal_snapshot_scan_all_columns_force: bool = "false"
            { importance(Low), group("Events"), order(29), width(Width::Short), display("Snapshot force scan all columns of all tables") },
        /// Order of the tables in a snapshot by their estimated size: `disabled`, `ascending` or `descending`.
        "snapshot.tables.order.by.row.count" => snapshot_tables_order_by_row_count: String = "disabled"
            { importance(Medium), group("Events"), order(30), display("Initial snapshot tables order by row count") },
        /// Statement to run at each heartbeat.
        "heartbeat.action.query" => heartbeat_action_query: Option<String> = NULL
            { importance(Low), group("Events"), order(31), width(Width::Medium), display("An optional query to execute with every heartbeat") },
        /// Captures columns of unknown types as bytes.
        "include.unknown.datatypes" => include_unknown_datatypes: bool = "false"
            { importance(Medium), group("Events"), order(32), width(Width::Short), display("Include unknown datatypes") },
        /// Java class that makes the source block; any but the default is refused.
        "sourceinfo.struct.maker" => sourceinfo_struct_maker: ClassName = "io.debezium.connector.postgresql.PostgresSourceInfoStructMaker"
            { importance(Low), group("Events"), order(33), width(Width::Medium), display("Source info struct maker class") },
    }
}

connect_config::config! {
    /// What the reference does not have.
    pub struct ExtraConfig {
        /// Longest time without a sign of life from the server, in milliseconds: then the connection counts as broken and is
        /// made again, although no end of it was heard of (a firewall forgot it, a tunnel hangs). The server is asked once a
        /// second, so that it is never silent for want of changes. Less than 1000 counts as 1000; 0 is no limit.
        "server.silence.timeout.ms" => server_silence_timeout_ms: i64 = "60000"
            { importance(Medium), validator(at_least(0)) },
        /// Has the server send large transactions while they run (Postgres 14 and later, from its `logical_decoding_work_mem`
        /// on), so that most of a long one is here when it is committed. What was sent waits in memory and on disk. Records,
        /// their order and the positions are the same.
        "stream.in.progress.enabled" => stream_in_progress_enabled: bool = "false"
            { importance(Medium) },
        /// Where open transactions wait that are too large for memory, in files without a name, which are gone with the
        /// worker however it ends. By default the system's directory for temporary files; it should not be one in memory.
        "stream.spill.directory" => stream_spill_directory: Option<String> = NULL
            { importance(Low) },
        /// Bytes that all open transactions of a task may take on disk together; -1 is no limit. When it is reached, the task
        /// fails and says so; nothing is lost.
        "stream.spill.max.bytes" => stream_spill_max_bytes: i64 = "-1"
            { importance(Low), validator(at_least(-1)) },
        /// Bytes that all open transactions of a task may take in memory together, before the largest of them goes to disk.
        "stream.memory.max.bytes" => stream_memory_max_bytes: i64 = "8388608"
            { importance(Low), validator(at_least(0)) },
        /// Which server of a list in `database.hostname` is read from, by the names of the JVM's driver: `any`, `primary`,
        /// `secondary`, `preferPrimary` or `preferSecondary` (`master`, `slave` and `preferSlave` mean the same as there). Unset it
        /// is a primary where there is one, in a list; a single server is taken as it is. This and the next five may also
        /// begin with `driver.`, as in the reference.
        "database.targetServerType" => target_server_type: Option<String> = NULL
            { importance(Medium) },
        /// Servers of the list that will do are tried in random order.
        "database.loadBalanceHosts" => load_balance_hosts: bool = "false"
            { importance(Low) },
        /// For how many seconds a server of the list that would not do is tried after the others.
        "database.hostRecheckSeconds" => host_recheck_seconds: i32 = "10"
            { importance(Low), validator(at_least(0)) },
        /// Whether the password is bound to the TLS channel (SCRAM-SHA-256-PLUS), so that nobody between can use it: `prefer`,
        /// `require` or `disable`.
        "database.channelBinding" => channel_binding: String = "prefer"
            { importance(Medium) },
        /// Longest time for the connection to one address, in seconds; 0 is no limit but the next one.
        "database.connectTimeout" => connect_timeout: i32 = "10"
            { importance(Low), validator(at_least(0)) },
        /// Longest time for a session with one server, authentication included, in seconds; 0 is 30, in a list 10.
        "database.loginTimeout" => login_timeout: i32 = "0"
            { importance(Low), validator(at_least(0)) },
        /// The same as `database.targetServerType` by the names of libpq, and with more weight: `any`, `read-write`, `read-only`,
        /// `primary`, `standby` or `prefer-standby`.
        "database.target.session.attrs" => target_session_attrs: Option<String> = NULL
            { importance(Medium) },
        /// Stores beside the position which server and timeline it belongs to, as one more field of the offset
        /// (`server_identity`), which the JVM ignores. Then a task that starts notices that the server is another one, or
        /// that changes were delivered that a promoted standby does not have. Without it only a task that runs notices.
        "server.identity.stored" => server_identity_stored: bool = "false"
            { importance(Medium) },
        /// Whether a snapshot that was broken off, by a crash too, goes on where it was. Tables with a primary key are then read in
        /// the order of that key, and the stored offset says how far each is. See [Going on with a snapshot](#going-on-with-a-snapshot).
        "snapshot.resume.enabled" => snapshot_resume_enabled: bool = "false"
            { importance(Medium) },
    }
}
