//! Validation as the reference does it: its own messages, at the keys where it puts them, then a look at the server.
//!
//! Connection problems stand at `database.hostname`, whatever their cause. The look at the server is bounded in time.

use std::time::Duration;

use connect_config::def::Type;
use connect_config::{ConfigEntry, ConfigValue, Props, Validated};

use crate::config::{ExtraConfig, PostgresConfig};
use crate::error::PgError;
use crate::filters::{Patterns, anchored, split_list};
use crate::settings::{
    BinaryMode, DecimalMode, HstoreMode, IntervalMode, Isolation, NameAdjustment, PublicationMode, RowCountOrder,
    Server, Settings, SnapshotMode, SslMode, TimeMode,
};
use crate::wire::{Purpose, Wire, literal};

/// Why another plugin than `pgoutput` is refused.
pub const ONLY_PGOUTPUT: &str = "The 'plugin.name' value is invalid: the decoderbufs plugin is not supported; use pgoutput, \
                                 which every Postgres server since version 10 has";

/// Keys with a fixed set of values: the check, and the values in the order in which the reference lists them.
type OneOf = (&'static str, fn(&str) -> bool, &'static [&'static str]);

const ONE_OF: &[OneOf] = &[
    (
        "plugin.name",
        |t| t.eq_ignore_ascii_case("pgoutput") || t.eq_ignore_ascii_case("decoderbufs"),
        &["decoderbufs", "pgoutput"],
    ),
    (
        "publication.autocreate.mode",
        |t| PublicationMode::parse(t).is_some(),
        &["no_tables", "filtered", "disabled", "all_tables"],
    ),
    (
        "database.sslmode",
        |t| SslMode::parse(t).is_some(),
        &["allow", "prefer", "disable", "verify-ca", "require", "verify-full"],
    ),
    ("lsn.flush.timeout.action", |t| ["fail", "warn", "ignore"].contains(&t), &["fail", "warn", "ignore"]),
    (
        "event.processing.failure.handling.mode",
        |t| ["warn", "fail", "ignore", "skip"].contains(&t),
        &["warn", "fail", "ignore", "skip"],
    ),
    (
        "incremental.snapshot.watermarking.strategy",
        |t| ["insert_delete", "insert_insert"].contains(&t),
        &["insert_delete", "insert_insert"],
    ),
    ("guardrail.collections.limit.action", |t| ["warn", "fail"].contains(&t), &["warn", "fail"]),
    ("decimal.handling.mode", |t| DecimalMode::parse(t).is_some(), &["string", "double", "precise"]),
    (
        "time.precision.mode",
        |t| TimeMode::parse(t).is_some(),
        &["adaptive", "adaptive_time_microseconds", "isostring", "microseconds", "nanoseconds", "connect"],
    ),
    (
        "snapshot.mode",
        |t| SnapshotMode::parse(t).is_some() || t == "custom",
        &["always", "initial_only", "configuration_based", "when_needed", "initial", "custom", "no_data"],
    ),
    (
        "snapshot.isolation.mode",
        |t| Isolation::parse(t).is_some(),
        &["read_uncommitted", "repeatable_read", "read_committed", "serializable"],
    ),
    ("snapshot.query.mode", |t| ["custom", "select_all"].contains(&t), &["custom", "select_all"]),
    ("snapshot.locking.mode", |t| ["shared", "custom", "none"].contains(&t), &["shared", "custom", "none"]),
    ("hstore.handling.mode", |t| HstoreMode::parse(t).is_some(), &["json", "map"]),
    ("binary.handling.mode", |t| BinaryMode::parse(t).is_some(), &["bytes", "base64", "hex", "base64-url-safe"]),
    ("schema.name.adjustment.mode", |t| NameAdjustment::parse(t).is_some(), &["none", "avro_unicode", "avro"]),
    ("interval.handling.mode", |t| IntervalMode::parse(t).is_some(), &["string", "numeric"]),
    (
        "schema.refresh.mode",
        |t| ["columns_diff", "columns_diff_exclude_unchanged_toast"].contains(&t),
        &["columns_diff", "columns_diff_exclude_unchanged_toast"],
    ),
    (
        "snapshot.tables.order.by.row.count",
        |t| RowCountOrder::parse(t).is_some(),
        &["disabled", "ascending", "descending"],
    ),
];

/// Include and exclude lists that exclude each other, and how the reference names the first.
const EITHER: &[(&str, &str, &str)] = &[
    ("column.include.list", "column.exclude.list", "column.include.list"),
    ("table.include.list", "table.exclude.list", "table.include.list"),
    ("schema.include.list", "schema.exclude.list", "schema.include.list"),
    ("message.prefix.include.list", "message.prefix.exclude.list", "logical_decoding_message.prefix.include.list"),
];

/// Least numbers with what the reference says of lower ones, and of what is no number, too.
const BOUNDS: &[(i64, &str, &[&str])] = &[
    (
        1,
        "A positive, non-zero integer value is expected",
        &[
            "status.update.interval.ms",
            "lsn.flush.timeout.ms",
            "max.batch.size",
            "poll.interval.ms",
            "snapshot.max.threads",
            "signal.poll.interval.ms",
        ],
    ),
    (
        1,
        "A positive, non-zero long value is expected",
        &["retriable.restart.connector.wait.ms", "connection.validation.timeout.ms", "executor.shutdown.timeout.ms"],
    ),
    (
        0,
        "A non-negative long value is expected",
        &["xmin.fetch.interval.ms", "max.queue.size.in.bytes", "snapshot.delay.ms", "streaming.delay.ms"],
    ),
    (
        0,
        "An non-negative integer is expected",
        &[
            "snapshot.fetch.size",
            "query.fetch.size",
            "guardrail.collections.max",
            "heartbeat.interval.ms",
            "incremental.snapshot.chunk.size",
        ],
    ),
    (i64::MIN, "An integer is expected", &["slot.max.retries", "slot.retry.delay.ms", "errors.max.retries"]),
];
/// Keys that the reference checks twice.
const TWICE: &[&str] = &[
    "database.port",
    "database.tcpKeepAlive",
    "extended.headers.enabled",
    "flush.lsn.source",
    "include.schema.comments",
    "publish.via.partition.root",
    "table.ignore.builtin",
    "tombstones.on.delete",
];
/// Keys with pairs of a name and a value.
const PAIRS: &[&str] =
    &["custom.metric.tags", "openlineage.integration.job.tags", "openlineage.integration.job.owners"];

struct Checks<'a> {
    props: &'a Props,
    answer: Validated,
}

/// The answer for the connector's own keys.
pub async fn validate(props: &Props) -> Validated {
    let mut checks = Checks { props, answer: entries() };
    checks.required();
    checks.types();
    checks.values();
    checks.lists();
    let connects = [
        "connection.validation.timeout.ms",
        "database.hostname",
        "database.port",
        "database.user",
        "database.password",
        "database.dbname",
    ];
    checks.port();
    let mut answer = checks.answer;
    // Shown only to those who use them: others see what the reference shows.
    for mut entry in ExtraConfig::def().validate(props).entries {
        if props.contains_key(&entry.name) {
            entry.key = None;
            answer.entries.push(entry);
        }
    }
    // What is wrong with the address itself is found when the reference connects.
    let readable = PostgresConfig::parse(props).is_ok() && ExtraConfig::parse(props).is_ok();
    if readable
        && let Err(error) = Server::parse(props)
        && answer.entries.iter().all(|entry| entry.errors.is_empty() || !entry.name.starts_with("database."))
    {
        answer.add_error("database.hostname", format!("Error while validating connector config: {}", error.message()));
    }
    if let Err(error) = crate::reselect::settings::parse(props) {
        let remedy = error.remedy().map(|remedy| format!(" ({remedy})")).unwrap_or_default();
        answer.add_error(crate::reselect::settings::KEY, format!("{}{remedy}", error.message()));
    }
    let sound = answer.entries.iter().all(|entry| entry.errors.is_empty() || !connects.contains(&entry.name.as_str()));
    if let (true, Ok(settings)) = (sound, Settings::parse(props)) {
        let plugin = props.get("plugin.name").and_then(Option::as_deref).unwrap_or("decoderbufs");
        if plugin.trim().eq_ignore_ascii_case("decoderbufs") {
            answer.add_error("plugin.name", ONLY_PGOUTPUT);
        }
        let needs_slot = settings.snapshot_mode != SnapshotMode::InitialOnly;
        if let Err(problem) = look(&settings.server, needs_slot, settings.validation_timeout).await {
            answer.add_error("database.hostname", format!("Error while validating connector config: {problem}"));
        }
    }
    answer
}

/// All keys, without values: the reference shows none.
fn entries() -> Validated {
    let def = PostgresConfig::def();
    let entries = def
        .keys()
        .map(|key| {
            let values = ONE_OF.iter().find(|(name, ..)| *name == key.name).map_or(&[][..], |(.., values)| values);
            ConfigEntry {
                key: Some(key.clone()),
                name: key.name.clone(),
                value: ConfigValue::Null,
                recommended: values.iter().map(|value| ConfigValue::String((*value).to_owned())).collect(),
                errors: Vec::new(),
                visible: key.name != "schema.exclude.list",
            }
        })
        .collect();
    Validated { groups: def.groups().to_vec(), entries }
}

impl Checks<'_> {
    fn given(&self, key: &str) -> Option<&str> {
        self.props.get(key).and_then(|value| value.as_deref()).map(str::trim)
    }

    fn error(&mut self, key: &str, why: impl std::fmt::Display) {
        self.answer.add_error(key, format!("The '{key}' value is invalid: {why}"));
    }

    fn required(&mut self) {
        for key in ["topic.prefix", "database.hostname", "database.user", "database.dbname"] {
            if self.given(key).unwrap_or_default().is_empty() {
                self.error(key, "A value is required");
            }
        }
        let prefix = self.given("topic.prefix").unwrap_or_default().to_owned();
        if !prefix.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')) {
            let why = format!(
                "{prefix} has invalid format (only the underscore, hyphen, dot and alphanumeric characters are allowed)"
            );
            self.error("topic.prefix", why);
        }
    }

    fn types(&mut self) {
        for key in PostgresConfig::def().keys() {
            let Some(text) = self.given(&key.name) else { continue };
            let wrong = match key.ty {
                Type::Int if text.parse::<i32>().is_err() => "An integer is expected",
                Type::Long if text.parse::<i64>().is_err() => "A long value is expected",
                Type::Class if !is_class_name(text) => "A Java class name is expected",
                Type::Boolean if !["true", "false"].iter().any(|word| text.eq_ignore_ascii_case(word)) => {
                    "Either 'true' or 'false' is expected"
                }
                _ => continue,
            };
            for _ in 0..if TWICE.contains(&key.name.as_str()) { 2 } else { 1 } {
                self.error(&key.name, wrong);
            }
        }
    }

    fn values(&mut self) {
        for (key, fits, values) in ONE_OF {
            if self.given(key).is_some_and(|text| !fits(&text.to_ascii_lowercase())) {
                self.error(key, format!("Value must be one of {}", values.join(", ")));
            }
        }
        let number = |checks: &Self, key: &str| checks.given(key).map(|text| text.parse::<i64>().unwrap_or(0));
        for (least, why, keys) in BOUNDS {
            for key in *keys {
                if self.given(key).is_some_and(|text| text.parse::<i64>().map_or(true, |n| n < *least)) {
                    self.error(key, why);
                }
            }
        }
        for key in PAIRS {
            let pairs = split_list(self.given(key).unwrap_or_default());
            if pairs
                .iter()
                .any(|pair| !pair.split_once('=').is_some_and(|(name, value)| !name.is_empty() && !value.is_empty()))
            {
                self.error(
                    key,
                    "A equivalent-separated map of valid key/value pairs is expected, for example: k1=v1,k2=v2",
                );
            }
        }
        let notifies = split_list(self.given("notification.enabled.channels").unwrap_or_default());
        let topic = self.given("notification.sink.topic.name").unwrap_or_default();
        if notifies.iter().any(|channel| channel == "sink") && topic.is_empty() {
            self.error(
                "notification.sink.topic.name",
                "Notification topic name must be provided when kafka notification channel is enabled",
            );
        }
        let queue = number(self, "max.queue.size").unwrap_or(8192);
        let counted = self.given("max.queue.size").is_none_or(|text| text.parse::<i64>().is_ok());
        if counted && queue <= 0 {
            self.error("max.queue.size", "A positive queue size is required");
        }
        if counted && queue <= number(self, "max.batch.size").unwrap_or(2048) {
            self.error("max.queue.size", "Must be larger than the maximum batch size");
        }
        let slot = self.given("slot.name").unwrap_or("debezium");
        if !slot.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            || slot.len() > 63
            || slot.is_empty()
        {
            self.error(
                "slot.name",
                "Valid replication slot name must contain only digits, lowercase characters and underscores with length <= 63",
            );
        }
        if self.given("snapshot.mode").is_some_and(|mode| mode.eq_ignore_ascii_case("custom")) {
            let named = self.given("snapshot.mode.custom.name").is_some_and(|name| !name.is_empty());
            if named {
                self.error("snapshot.mode", "custom snapshotters are Java classes, which this worker can't load");
            } else {
                self.error(
                    "snapshot.mode.custom.name",
                    "snapshot.mode.custom.name cannot be empty when snapshot.mode 'custom' is defined",
                );
            }
        }
        for mode in ["snapshot.query.mode", "snapshot.locking.mode"] {
            let name = format!("{mode}.custom.name");
            if self.given(mode).is_some_and(|text| text.eq_ignore_ascii_case("custom"))
                && self.given(&name).unwrap_or_default().is_empty()
            {
                self.error(&name, format!("{name} cannot be empty when {mode} 'custom' is defined"));
            }
        }
    }

    fn lists(&mut self) {
        for (include, exclude, shown) in EITHER {
            let given = |key: &str| self.given(key).is_some_and(|text| !text.is_empty());
            if given(include) && given(exclude) {
                self.error(exclude, format!("\"{shown}\" is already specified"));
            }
        }
        let patterns = [
            "table.include.list",
            "table.exclude.list",
            "schema.include.list",
            "schema.exclude.list",
            "column.include.list",
            "column.exclude.list",
            "message.prefix.include.list",
            "message.prefix.exclude.list",
            "snapshot.include.collection.list",
            "column.propagate.source.type",
            "datatype.propagate.source.type",
        ];
        for key in patterns {
            if let Some(Err(e)) = self.given(key).map(Patterns::parse) {
                self.error(key, format!("A comma-separated list of valid regular expressions is expected, but {e}"));
            }
        }
        let operations = split_list(self.given("skipped.operations").unwrap_or_default());
        if self.given("skipped.operations").is_some_and(str::is_empty) {
            self.error("skipped.operations", "Invalid operation");
        }
        if operations.iter().any(|code| !["c", "u", "d", "t", "none"].contains(&code.to_ascii_lowercase().as_str())) {
            self.error("skipped.operations", "Invalid operation");
        }
        self.replica_identities();
        let keys = self.given("message.key.columns").unwrap_or_default().to_owned();
        if self.given("message.key.columns").is_some_and(str::is_empty) {
            self.error("message.key.columns", "Must not be empty");
            self.error("message.key.columns", " has an invalid format (expecting '^\\s*([^\\s:]+):([^:\\s]+)\\s*$')");
        }
        for part in keys.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let fits = part.split_once(':').is_some_and(|(table, columns)| {
                !table.is_empty()
                    && !columns.is_empty()
                    && !part.contains(char::is_whitespace)
                    && !columns.contains(':')
            });
            if !fits {
                let why = format!("{part} has an invalid format (expecting '^\\s*([^\\s:]+):([^:\\s]+)\\s*$')");
                self.error("message.key.columns", why);
            } else if let Some(Err(e)) = part.split_once(':').map(|(table, _)| anchored(table.trim())) {
                // The reference refuses this one with an internal error.
                self.error("message.key.columns", e);
            }
        }
    }
}

impl Checks<'_> {
    /// A number that is no port is found when the reference connects, in the words of its driver.
    fn port(&mut self) {
        let number = self.given("database.port").and_then(|text| text.parse::<i32>().ok());
        let Some(number) = number.filter(|number| u16::try_from(*number).map_or(true, |port| port == 0)) else {
            return;
        };
        let part = |key: &str| self.given(key).unwrap_or_default().to_owned();
        let (host, database) = (part("database.hostname"), part("database.dbname"));
        self.answer.add_error(
            "database.hostname",
            format!(
                "Error while validating connector config: Unable to parse URL jdbc:postgresql://{host}:{number}/{database}"
            ),
        );
    }

    /// `replica.identity.autoset.values`: pairs of a table pattern and an identity.
    fn replica_identities(&mut self) {
        let key = "replica.identity.autoset.values";
        let Some(text) = self.given(key).map(str::to_owned) else { return };
        if text.is_empty() {
            self.error(key, "Must not be empty");
        }
        for part in text.split(',') {
            let fits = part.trim().split_once(':').is_some_and(|(table, identity)| {
                let plain = ["DEFAULT", "FULL", "NOTHING"].iter().any(|name| identity.eq_ignore_ascii_case(name));
                let index = identity
                    .get(..6)
                    .filter(|head| head.eq_ignore_ascii_case("INDEX "))
                    .and_then(|_| identity.get(6..))
                    .is_some_and(|name| {
                        let mut chars = name.chars();
                        chars.next().is_some() && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
                    });
                !table.is_empty() && !table.contains(char::is_whitespace) && (plain || index)
            });
            if !fits {
                let why = format!(
                    "{part} has an invalid format (expecting '(?i)^\\s*(?<tablepredicate>[^\\s:]+):(?<replicaidentity>\
                     DEFAULT|(INDEX) (?<indexname>.\\w*)|FULL|NOTHING)\\s*$')"
                );
                self.error(key, why);
            }
        }
    }
}

/// Java identifiers with dots between them (`Field.isClassName`).
fn is_class_name(text: &str) -> bool {
    text.split('.').all(|part| {
        let mut chars = part.chars();
        let letter = |c: char| c.is_alphabetic() || matches!(c, '_' | '$');
        chars.next().is_some_and(letter) && chars.all(|c| letter(c) || c.is_numeric())
    })
}

/// Connects and looks at what the connector needs; the text says what to do.
async fn look(server: &Server, needs_slot: bool, limit: Duration) -> Result<(), String> {
    let looked = tokio::time::timeout(limit, async {
        let mut sql = Wire::connect(server, Purpose::Sql).await?;
        if needs_slot {
            warn_of_wal_level(&mut sql, server).await?;
            warn_of_missing_roles(&mut sql, server).await?;
        }
        sql.close(false).await;
        Ok::<_, PgError>(())
    });
    match looked.await {
        Err(_) => Err(format!(
            "no answer from {} within {limit:?}; check the network and the server's load",
            server.address()
        )),
        Ok(Err(error)) => {
            let text = error.to_string();
            let remedy = error.failed_to("connect").remedy().map(|remedy| format!(" ({remedy})")).unwrap_or_default();
            Err(format!("{text}{remedy}"))
        }
        Ok(Ok(())) => Ok(()),
    }
}

/// A server without logical decoding is no error here, as in the reference: the task fails when it makes its slot.
async fn warn_of_wal_level(sql: &mut Wire, server: &Server) -> Result<(), PgError> {
    let rows = sql.query("SHOW wal_level").await?;
    let level = rows.first().and_then(|row| row.first().cloned().flatten()).unwrap_or_default();
    if level != "logical" {
        tracing::warn!(
            server = %server.address(),
            wal_level = level,
            "the connector needs wal_level=logical: set it (postgresql.conf or ALTER SYSTEM) and restart the server"
        );
    }
    Ok(())
}

/// A role that may not replicate is no error here, as in the reference: on some hosted servers it can't be seen.
async fn warn_of_missing_roles(sql: &mut Wire, server: &Server) -> Result<(), PgError> {
    let rows = sql
        .query(&format!(
            "SELECT rolcanlogin AND (rolreplication OR rolsuper) FROM pg_catalog.pg_roles WHERE rolname = {}",
            literal(&server.user)
        ))
        .await?;
    if rows.first().and_then(|row| row.first().cloned().flatten()).as_deref() == Some("f") {
        tracing::warn!(user = %server.user, "the role has no LOGIN or REPLICATION attribute: ALTER ROLE .. REPLICATION LOGIN");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(extra: &[(&str, &str)]) -> Vec<(String, Vec<String>)> {
        let base =
            [("topic.prefix", "p"), ("database.hostname", "h"), ("database.user", "u"), ("database.dbname", "d")];
        let props: Props = base.iter().chain(extra).map(|(k, v)| ((*k).to_owned(), Some((*v).to_owned()))).collect();
        let mut checks = Checks { props: &props, answer: entries() };
        checks.required();
        checks.types();
        checks.values();
        checks.lists();
        let wrong = checks.answer.entries.into_iter().filter(|entry| !entry.errors.is_empty());
        wrong.map(|entry| (entry.name, entry.errors)).collect()
    }

    #[test]
    fn a_sound_configuration_has_no_errors() {
        assert_eq!(checked(&[]), vec![]);
    }

    #[test]
    fn problems_have_the_words_of_the_reference() {
        let wrong = checked(&[
            ("snapshot.mode", "never"),
            ("database.port", "x"),
            ("max.batch.size", "0"),
            ("max.queue.size", "-1"),
            ("poll.interval.ms", "abc"),
            ("slot.name", "Bad-Slot"),
            ("message.key.columns", "x"),
        ]);
        let all: Vec<&str> = wrong.iter().flat_map(|(_, errors)| errors).map(String::as_str).collect();
        assert_eq!(all.len(), 10, "{all:#?}");
        assert!(all.contains(&"The 'max.queue.size' value is invalid: A positive queue size is required"));
        assert!(all.contains(&"The 'poll.interval.ms' value is invalid: A long value is expected"));
        assert!(
            all.iter()
                .any(|text| text.starts_with("The 'snapshot.mode' value is invalid: Value must be one of always,"))
        );
    }

    #[test]
    fn numbers_have_bounds_and_what_is_none_two_errors() {
        for (key, value, errors) in [
            ("snapshot.fetch.size", "x", &["An integer is expected", "An non-negative integer is expected"][..]),
            ("snapshot.fetch.size", "0", &[]),
            ("xmin.fetch.interval.ms", "-1", &["A non-negative long value is expected"]),
            ("slot.retry.delay.ms", "x", &["A long value is expected", "An integer is expected"]),
            ("slot.max.retries", "x", &["An integer is expected", "An integer is expected"]),
            ("slot.max.retries", "-1", &[]),
            ("max.queue.size", "x", &["An integer is expected"]),
            ("topic.naming.strategy", "a b", &["A Java class name is expected"]),
            ("topic.naming.strategy", "a.B$C", &[]),
            ("lsn.flush.timeout.ms", "0", &["A positive, non-zero integer value is expected"]),
        ] {
            let wrong: Vec<String> = checked(&[(key, value)]).into_iter().flat_map(|(_, errors)| errors).collect();
            let wanted: Vec<String> = errors.iter().map(|why| format!("The '{key}' value is invalid: {why}")).collect();
            assert_eq!(wrong, wanted, "{key}={value}");
        }
    }

    #[test]
    fn replica_identities_are_pairs() {
        for good in ["public.t:FULL", "public.t:default,public.u:INDEX u_key", "a:NOTHING"] {
            assert_eq!(checked(&[("replica.identity.autoset.values", good)]), vec![], "{good}");
        }
        for bad in ["x", "a b:FULL", "a:INDEX", "a:INDEX a b", ":FULL"] {
            assert_eq!(checked(&[("replica.identity.autoset.values", bad)]).len(), 1, "{bad}");
        }
        assert_eq!(checked(&[("replica.identity.autoset.values", "")])[0].1.len(), 2);
    }

    #[test]
    fn lists_that_exclude_each_other_are_refused() {
        let wrong = checked(&[("message.prefix.include.list", "a"), ("message.prefix.exclude.list", "b")]);
        let text = "The 'message.prefix.exclude.list' value is invalid: \
                    \"logical_decoding_message.prefix.include.list\" is already specified";
        assert_eq!(wrong, vec![("message.prefix.exclude.list".to_owned(), vec![text.to_owned()])]);
    }
}
