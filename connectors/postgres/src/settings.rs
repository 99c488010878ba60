//! What the configuration means to the code: modes as enums, lists compiled, durations as such.

mod later;
mod modes;
mod server;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connect_api::{Error, Props};

use crate::columns::ColumnRules;
use crate::config::{ExtraConfig, PostgresConfig};
use crate::filters::{Filter, Filters, Patterns, split_list};
use crate::guardrail::Guardrail;
use crate::identity::Identities;
use crate::notifications::Notifier;
use crate::reselect::settings::Processor;
use crate::signals::settings::{SignalSettings, table_name};
use crate::spill::Bounds;

pub use later::{LATER, later_keys, refuse_classes};
pub use modes::{
    BinaryMode, Binding, DecimalMode, EventFailure, FlushTimeout, GuardrailAction, HstoreMode, IntervalMode, Isolation,
    NameAdjustment, PublicationMode, RowCountOrder, SnapshotMode, SslMode, TimeMode,
};
pub use server::{Server, Tls};

/// `snapshot.locking.mode`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Locking {
    None,
    /// Tables are locked against changes of their columns; a lock is waited for so long.
    Shared(Duration),
    /// A Java class of this name.
    Custom(String),
}

/// The shortest silence that means something: the server is asked for a sign of life at least twice in it.
const SILENCE_MIN: Duration = Duration::from_secs(1);

/// `errors.max.retries`: how often in a row a broken connection is made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retries {
    /// The user said nothing.
    Unset,
    Endless,
    AtMost(u32),
}

/// How values appear.
#[derive(Clone, Debug)]
pub struct ValueModes {
    pub decimal: DecimalMode,
    pub time: TimeMode,
    pub binary: BinaryMode,
    pub interval: IntervalMode,
    pub hstore: HstoreMode,
    /// `money.fraction.digits`.
    pub money_digits: i32,
    /// `include.unknown.datatypes`.
    pub unknown: bool,
    /// `unavailable.value.placeholder`, as text and as bytes.
    pub placeholder: Arc<str>,
    pub placeholder_bytes: Bytes,
}

/// `skipped.operations`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    pub create: bool,
    pub update: bool,
    pub delete: bool,
    pub truncate: bool,
}

/// Everything that the code reads.
#[derive(Clone, Debug)]
pub struct Settings {
    pub prefix: Arc<str>,
    pub server: Server,
    pub slot: String,
    pub slot_drop_on_stop: bool,
    pub slot_failover: bool,
    pub slot_max_retries: u32,
    pub slot_retry_delay: Duration,
    pub stream_params: Vec<(String, String)>,
    pub publication: String,
    pub publication_mode: PublicationMode,
    pub publish_via_root: bool,
    pub snapshot_mode: SnapshotMode,
    /// With `configuration_based`: rows, stream, and a snapshot after a lost position.
    pub configured: (bool, bool, bool),
    pub snapshot_delay: Duration,
    pub streaming_delay: Duration,
    pub snapshot_isolation: Isolation,
    pub snapshot_include: Option<Patterns>,
    /// `schema.table` → statement.
    pub snapshot_overrides: Vec<(String, String)>,
    pub snapshot_order: RowCountOrder,
    /// Tables, or parts of them, that are read at the same time.
    pub snapshot_threads: usize,
    /// `snapshot.resume.enabled`.
    pub snapshot_resume: bool,
    pub locking: Locking,
    /// With `snapshot.query.mode=custom`: the name of a Java class.
    pub custom_query: Option<String>,
    /// `replica.identity.autoset.values`.
    pub identities: Identities,
    pub guardrail: Option<Guardrail>,
    pub filters: Filters,
    /// Masks, hashes, cuts and source types.
    pub columns: ColumnRules,
    /// `post.processors`.
    pub reselect: Arc<[Processor]>,
    pub values: ValueModes,
    pub names: NameAdjustment,
    pub field_names: NameAdjustment,
    pub topic_delimiter: String,
    /// `SchemaTopicNamingStrategy`; without, topics are named by the table alone (`DefaultTopicNamingStrategy`).
    pub topic_per_schema: bool,
    pub tombstones: bool,
    pub headers: bool,
    pub skipped: Skipped,
    /// `skip.messages.without.change`.
    pub skip_unchanged: bool,
    pub key_columns: Vec<(regex::Regex, Vec<String>)>,
    pub status_interval: Duration,
    pub flush_lsn: bool,
    /// Longest time that telling the server a position may take, and what happens then.
    pub flush_timeout: (Duration, FlushTimeout),
    /// `xmin.fetch.interval.ms`, where that is read at all.
    pub xmin_interval: Option<Duration>,
    pub event_failure: EventFailure,
    pub batch_size: usize,
    /// Records go through transformations, which may drop them.
    pub transforms: bool,
    /// Batches read ahead.
    pub queue_batches: usize,
    /// Bytes read ahead, at most, when that is limited.
    pub queue_bytes: Option<usize>,
    pub retry_wait: Duration,
    pub retries: Retries,
    pub heartbeat_interval: Option<Duration>,
    pub heartbeat_topic: Arc<str>,
    pub heartbeat_query: Option<String>,
    /// Where the bounds of transactions are told, with `provide.transaction.metadata`.
    pub transaction_topic: Option<Arc<str>>,
    /// The prefixes of logical messages that are wanted.
    pub message_prefixes: Filter,
    pub check_position: bool,
    /// How much of open transactions may wait here, where they are sent.
    pub in_progress: Option<Bounds>,
    /// `server.identity.stored`.
    pub identity_stored: bool,
    /// `server.silence.timeout.ms`, where there is a limit.
    pub silence: Option<Duration>,
    /// `database.query.timeout.ms`, where there is a limit.
    pub query_timeout: Option<Duration>,
    pub validation_timeout: Duration,
    pub signals: SignalSettings,
    pub notifications: Notifier,
}

fn positive_ms(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

/// A limit in milliseconds, of which 0 is none.
fn limit_ms(ms: i64) -> Option<Duration> {
    Some(positive_ms(ms)).filter(|limit| !limit.is_zero())
}

impl Settings {
    /// Reads everything; the error names all problems.
    pub fn parse(props: &Props) -> Result<Self, Error> {
        let wrong = |problems: Vec<connect_config::ConfigError>| {
            let texts: Vec<_> = problems.into_iter().map(|problem| problem.message).collect();
            Error::config(texts.join("\n"))
        };
        let config = PostgresConfig::parse(props).map_err(wrong)?;
        let extra = ExtraConfig::parse(props).map_err(wrong)?;
        Self::from_config(&config, &extra, props)
    }

    fn from_config(config: &PostgresConfig, extra: &ExtraConfig, props: &Props) -> Result<Self, Error> {
        let raw = |key: &str| props.get(key).and_then(|value| value.as_deref());
        let prefix = required(config.topic_prefix.as_ref(), "topic.prefix")?;
        let placeholder = config.unavailable_value_placeholder.as_str();
        let heartbeat_prefix =
            raw("topic.heartbeat.prefix").unwrap_or(&config.heartbeat_topics_prefix).trim().to_owned();
        let batch_size = usize::try_from(config.max_batch_size).unwrap_or(2048).max(1);
        let queue_size = usize::try_from(config.max_queue_size).unwrap_or(8192);
        Ok(Self {
            server: Server::from_config(config, props)?,
            slot: config.slot_name.clone(),
            slot_drop_on_stop: config.slot_drop_on_stop,
            slot_failover: config.slot_failover,
            slot_max_retries: u32::try_from(config.slot_max_retries).unwrap_or(0),
            slot_retry_delay: positive_ms(config.slot_retry_delay_ms),
            stream_params: stream_params(config.slot_stream_params.as_deref().unwrap_or_default()),
            publication: config.publication_name.clone(),
            publication_mode: named(
                PublicationMode::parse,
                "publication.autocreate.mode",
                &config.publication_autocreate_mode,
            )?,
            publish_via_root: config.publish_via_partition_root,
            snapshot_mode: named(SnapshotMode::parse, "snapshot.mode", &config.snapshot_mode)?,
            configured: (
                config.snapshot_mode_configuration_based_snapshot_data,
                config.snapshot_mode_configuration_based_start_stream,
                config.snapshot_mode_configuration_based_snapshot_on_data_error,
            ),
            snapshot_delay: positive_ms(config.snapshot_delay_ms),
            streaming_delay: positive_ms(config.streaming_delay_ms),
            snapshot_isolation: named(Isolation::parse, "snapshot.isolation.mode", &config.snapshot_isolation_mode)?,
            snapshot_include: raw("snapshot.include.collection.list")
                .filter(|list| !list.trim().is_empty())
                .map(|list| Patterns::parse(list).map_err(|e| e.of_key("snapshot.include.collection.list")))
                .transpose()?,
            snapshot_overrides: overrides(config, props),
            snapshot_order: named(
                RowCountOrder::parse,
                "snapshot.tables.order.by.row.count",
                &config.snapshot_tables_order_by_row_count,
            )?,
            snapshot_threads: usize::try_from(config.snapshot_max_threads).unwrap_or(1).max(1),
            snapshot_resume: extra.snapshot_resume_enabled,
            locking: locking(config),
            custom_query: (config.snapshot_query_mode.trim().eq_ignore_ascii_case("custom"))
                .then(|| config.snapshot_query_mode_custom_name.clone().unwrap_or_default()),
            identities: config.replica_identity_autoset_values.as_deref().map(Identities::parse).unwrap_or_default(),
            guardrail: guardrail(config)?,
            filters: filters(config, props)?,
            columns: ColumnRules::parse(props)?,
            reselect: crate::reselect::settings::parse(props)?,
            values: ValueModes {
                decimal: named(DecimalMode::parse, "decimal.handling.mode", &config.decimal_handling_mode)?,
                time: named(TimeMode::parse, "time.precision.mode", &config.time_precision_mode)?,
                binary: named(BinaryMode::parse, "binary.handling.mode", &config.binary_handling_mode)?,
                interval: named(IntervalMode::parse, "interval.handling.mode", &config.interval_handling_mode)?,
                hstore: named(HstoreMode::parse, "hstore.handling.mode", &config.hstore_handling_mode)?,
                money_digits: raw("money.fraction.digits").and_then(|text| text.trim().parse().ok()).unwrap_or(2),
                unknown: config.include_unknown_datatypes,
                placeholder: String::from_utf8_lossy(&placeholder_bytes(placeholder)).into(),
                placeholder_bytes: placeholder_bytes(placeholder),
            },
            names: named(NameAdjustment::parse, "schema.name.adjustment.mode", &config.schema_name_adjustment_mode)?,
            field_names: named(
                NameAdjustment::parse,
                "field.name.adjustment.mode",
                raw("field.name.adjustment.mode").unwrap_or("none"),
            )?,
            topic_delimiter: raw("topic.delimiter").unwrap_or(".").trim().to_owned(),
            topic_per_schema: topic_per_schema(&config.topic_naming_strategy.0)?,
            tombstones: config.tombstones_on_delete,
            headers: config.extended_headers_enabled,
            skipped: skipped(&config.skipped_operations),
            skip_unchanged: raw("skip.messages.without.change")
                .is_some_and(|text| text.trim().eq_ignore_ascii_case("true")),
            key_columns: key_columns(config.message_key_columns.as_deref().unwrap_or_default())?,
            status_interval: positive_ms(config.status_update_interval_ms.into()).max(Duration::from_millis(10)),
            flush_lsn: config.flush_lsn_source,
            flush_timeout: (
                positive_ms(config.lsn_flush_timeout_ms).max(Duration::from_millis(1)),
                named(FlushTimeout::parse, "lsn.flush.timeout.action", &config.lsn_flush_timeout_action)?,
            ),
            xmin_interval: limit_ms(config.xmin_fetch_interval_ms),
            event_failure: named(
                EventFailure::parse,
                "event.processing.failure.handling.mode",
                &config.event_processing_failure_handling_mode,
            )?,
            batch_size,
            transforms: raw("transforms").is_some_and(|names| !names.trim().is_empty()),
            queue_batches: (queue_size / batch_size).clamp(1, 64),
            queue_bytes: usize::try_from(config.max_queue_size_in_bytes).ok().filter(|&bytes| bytes > 0),
            retry_wait: positive_ms(config.retriable_restart_connector_wait_ms),
            retries: match raw("errors.max.retries") {
                None => Retries::Unset,
                Some(_) => u32::try_from(config.errors_max_retries).map_or(Retries::Endless, Retries::AtMost),
            },
            heartbeat_interval: Some(positive_ms(config.heartbeat_interval_ms.into())).filter(|d| !d.is_zero()),
            heartbeat_topic: format!("{heartbeat_prefix}.{prefix}").into(),
            heartbeat_query: config.heartbeat_action_query.clone().filter(|query| !query.trim().is_empty()),
            transaction_topic: config.provide_transaction_metadata.then(|| {
                let name = raw("topic.transaction").map_or("transaction", str::trim);
                format!("{prefix}{}{name}", raw("topic.delimiter").unwrap_or(".").trim()).into()
            }),
            message_prefixes: Filter::parse(raw("message.prefix.include.list"), raw("message.prefix.exclude.list"))
                .map_err(|e| e.of_key("message.prefix.include.list"))?,
            check_position: config.internal_log_position_check_enable,
            in_progress: extra.stream_in_progress_enabled.then(|| Bounds::of(extra)),
            identity_stored: extra.server_identity_stored,
            silence: limit_ms(extra.server_silence_timeout_ms).map(|limit| limit.max(SILENCE_MIN)),
            query_timeout: limit_ms(config.database_query_timeout_ms.into()),
            validation_timeout: positive_ms(config.connection_validation_timeout_ms),
            signals: SignalSettings::parse(config, props, prefix)?,
            notifications: Notifier::new(config, prefix),
            prefix: prefix.into(),
        })
    }

    /// Refuses what only Java classes can do, as the reference does where it has no such class.
    pub fn supported(&self) -> Result<(), Error> {
        let refused = |service: &str, what: &str, name: &str| {
            let unable = |service: &str| {
                Error::config(format!("Unable to create service {service}")).class("io.debezium.DebeziumException")
            };
            let unknown =
                Error::config(format!("Unable to find {name} snapshot {what} mode. Please check your configuration."))
                    .class("io.debezium.DebeziumException");
            unable("io.debezium.snapshot.SnapshotterService")
                .hint(format!(
                    "custom classes can't be loaded here: leave snapshot.{}.mode at one of its other values",
                    match what {
                        "lock" => "locking",
                        other => other,
                    }
                ))
                .caused_by(unable(service).caused_by(unknown))
        };
        if let Locking::Custom(name) = &self.locking {
            return Err(refused("io.debezium.snapshot.spi.SnapshotLock", "lock", name));
        }
        match &self.custom_query {
            Some(name) => Err(refused("io.debezium.snapshot.spi.SnapshotQuery", "query", name)),
            None => Ok(()),
        }
    }

    /// Whether a snapshot is gone on with that was broken off. Without a stream, nothing would tell what changed meanwhile.
    pub fn resumes(&self) -> bool {
        self.snapshot_resume && self.streams()
    }

    /// Whether this configuration streams at all.
    pub fn streams(&self) -> bool {
        match self.snapshot_mode {
            SnapshotMode::InitialOnly => false,
            SnapshotMode::ConfigurationBased => self.configured.1,
            _ => true,
        }
    }
}

fn required<'a>(value: Option<&'a String>, key: &str) -> Result<&'a str, Error> {
    value
        .map(String::as_str)
        .filter(|text| !text.trim().is_empty())
        .ok_or_else(|| Error::config(format!("The '{key}' value is invalid: A value is required")))
}

fn named<T>(parse: fn(&str) -> Option<T>, key: &str, text: &str) -> Result<T, Error> {
    parse(text).ok_or_else(|| Error::config(format!("The '{key}' value is invalid: {text} is not one of its values")))
}

fn locking(config: &PostgresConfig) -> Locking {
    match config.snapshot_locking_mode.trim().to_ascii_lowercase().as_str() {
        "shared" => Locking::Shared(positive_ms(config.snapshot_lock_timeout_ms)),
        "custom" => Locking::Custom(config.snapshot_locking_mode_custom_name.clone().unwrap_or_default()),
        _ => Locking::None,
    }
}

fn guardrail(config: &PostgresConfig) -> Result<Option<Guardrail>, Error> {
    let action = named(
        GuardrailAction::parse,
        "guardrail.collections.limit.action",
        &config.guardrail_collections_limit_action,
    )?;
    let max = usize::try_from(config.guardrail_collections_max).unwrap_or(0);
    Ok(Some(Guardrail { max, action }).filter(|_| max > 0))
}

fn topic_per_schema(class: &str) -> Result<bool, Error> {
    match class.rsplit('.').next() {
        Some("SchemaTopicNamingStrategy") => Ok(true),
        Some("DefaultTopicNamingStrategy") => Ok(false),
        _ => {
            Err(Error::config(format!("The 'topic.naming.strategy' value is invalid: class {class} is not supported"))
                .hint(
                    "use io.debezium.schema.SchemaTopicNamingStrategy or io.debezium.schema.DefaultTopicNamingStrategy",
                ))
        }
    }
}

fn stream_params(text: &str) -> Vec<(String, String)> {
    text.split(';')
        .filter_map(|part| part.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

fn filters(config: &PostgresConfig, props: &Props) -> Result<Filters, Error> {
    let raw = |key: &str| props.get(key).and_then(|value| value.as_deref());
    let filter =
        |include: &str, exclude: &str| Filter::parse(raw(include), raw(exclude)).map_err(|e| e.of_key(include));
    Ok(Filters {
        schemas: filter("schema.include.list", "schema.exclude.list")?,
        tables: filter("table.include.list", "table.exclude.list")?,
        columns: filter("column.include.list", "column.exclude.list")?,
        builtin: !config.table_ignore_builtin,
        signals: config.signal_data_collection.as_deref().and_then(table_name),
    })
}

fn overrides(config: &PostgresConfig, props: &Props) -> Vec<(String, String)> {
    split_list(config.snapshot_select_statement_overrides.as_deref().unwrap_or_default())
        .into_iter()
        .filter_map(|table| {
            let key = format!("snapshot.select.statement.overrides.{table}");
            let statement = props.get(&key)?.clone()?;
            Some((table, statement.trim().trim_end_matches(';').to_owned()))
        })
        .collect()
}

fn skipped(operations: &[String]) -> Skipped {
    let has = |code: &str| operations.iter().any(|operation| operation.trim().eq_ignore_ascii_case(code));
    if has("none") {
        return Skipped::default();
    }
    Skipped { create: has("c"), update: has("u"), delete: has("d"), truncate: has("t") }
}

fn key_columns(text: &str) -> Result<Vec<(regex::Regex, Vec<String>)>, Error> {
    text.split(';')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (table, columns) = part.split_once(':').ok_or_else(|| {
                Error::config(format!("The 'message.key.columns' value is invalid: {part} has an invalid format"))
            })?;
            let table = crate::filters::anchored(table.trim()).map_err(|e| e.of_key("message.key.columns"))?;
            Ok((table, columns.split(',').map(|column| column.trim().to_owned()).collect()))
        })
        .collect()
}

fn placeholder_bytes(text: &str) -> Bytes {
    let hex = text.strip_prefix("hex:").or_else(|| text.strip_prefix("HEX:"));
    let decoded = hex.and_then(|digits| {
        let pairs = digits.as_bytes().chunks(2);
        pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect::<Option<Vec<u8>>>()
    });
    decoded.map_or_else(|| Bytes::copy_from_slice(text.as_bytes()), Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn props(extra: &[(&str, &str)]) -> Props {
        [("topic.prefix", "p"), ("database.hostname", "h"), ("database.user", "u"), ("database.dbname", "d")]
            .iter()
            .chain(extra)
            .map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned())))
            .collect()
    }

    #[test]
    fn settings_are_read() {
        let settings = Settings::parse(&props(&[
            ("message.key.columns", "public.a:x,y; (.*).b:z"),
            ("slot.stream.params", "messages=true;x = y"),
            ("skipped.operations", "c, d"),
            ("max.batch.size", "100"),
        ]))
        .expect("valid settings");
        assert_eq!(settings.key_columns.len(), 2);
        assert_eq!(settings.key_columns[0].1, vec!["x", "y"]);
        assert_eq!(settings.stream_params[1], ("x".to_owned(), "y".to_owned()));
        assert!(settings.skipped.create && settings.skipped.delete && !settings.skipped.truncate);
        assert_eq!(settings.queue_batches, 64);
        assert_eq!(&*settings.heartbeat_topic, "__debezium-heartbeat.p");
    }

    #[test]
    fn limits_of_time_may_be_left_out() {
        let limits = |extra: &[(&str, &str)]| {
            let settings = Settings::parse(&props(extra)).expect("valid settings");
            (settings.silence, settings.query_timeout)
        };
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(limits(&[]), (seconds(60), seconds(600)));
        let none = [("server.silence.timeout.ms", "0"), ("database.query.timeout.ms", "0")];
        assert_eq!(limits(&none), (None, None));
        assert_eq!(limits(&[("server.silence.timeout.ms", "10")]).0, seconds(1));
        assert!(Settings::parse(&props(&[("server.silence.timeout.ms", "-1")])).is_err());
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = Settings::parse(&Props::new()).expect_err("nothing given");
        assert_eq!(error.message(), "The 'topic.prefix' value is invalid: A value is required");
    }

    #[test]
    fn classes_that_are_not_here_are_refused_as_the_reference_refuses_them() {
        let supported = |extra: &[(&str, &str)]| Settings::parse(&props(extra)).expect("valid settings").supported();
        assert!(supported(&[("snapshot.locking.mode", "Shared"), ("snapshot.query.mode", "select_all")]).is_ok());
        for (mode, name, service, what) in [
            ("snapshot.locking.mode", "snapshot.locking.mode.custom.name", "SnapshotLock", "lock"),
            ("snapshot.query.mode", "snapshot.query.mode.custom.name", "SnapshotQuery", "query"),
        ] {
            let refused = supported(&[(mode, "custom"), (name, "mine")]).expect_err("no such class");
            assert_eq!(refused.message(), "Unable to create service io.debezium.snapshot.SnapshotterService");
            let trace = format!("{refused:?}");
            assert!(trace.contains(service), "{trace}");
            let unknown = format!("Unable to find mine snapshot {what} mode. Please check your configuration.");
            assert_eq!(refused.root().message(), unknown);
        }
    }

    #[test]
    fn placeholders_follow_their_syntax() {
        assert_eq!(&placeholder_bytes("hex:DEADBEEF")[..], [0xde, 0xad, 0xbe, 0xef]);
        assert_eq!(&placeholder_bytes("gone")[..], b"gone");
    }
}
