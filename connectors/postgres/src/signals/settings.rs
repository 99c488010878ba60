//! What the configuration says about signals: which channels are read, and how windows of incremental snapshots are marked.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use connect_api::{Error, Props};
use connect_kafka::ClientProps;

use crate::catalog::TableName;
use crate::config::PostgresConfig;
use crate::filters::split_list;

/// How the rows of a chunk are told apart from what changes meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watermarks {
    /// `INSERT_INSERT`: a window opens and closes by rows of the signal table.
    InsertInsert,
    /// `INSERT_DELETE`: the row that opened a window is deleted to close it.
    InsertDelete,
    /// `read.only`: the place in the server's log, asked for after the chunk was read. Nothing is written.
    ReadOnly,
}

/// `signal.kafka.*` and `signal.consumer.*`.
#[derive(Clone)]
pub struct KafkaSettings {
    pub topic: String,
    /// Java client properties; they may hold passwords.
    pub consumer: ClientProps,
}

impl fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSettings").field("topic", &self.topic).finish_non_exhaustive()
    }
}

/// All of it.
#[derive(Clone, Debug)]
pub struct SignalSettings {
    /// `signal.data.collection`.
    pub table: Option<TableName>,
    /// Whether signals are taken from rows of that table.
    pub source: bool,
    pub kafka: Option<KafkaSettings>,
    pub file: Option<PathBuf>,
    pub poll_interval: Duration,
    /// Rows of a chunk.
    pub chunk_size: usize,
    pub watermarks: Watermarks,
}

impl SignalSettings {
    /// Reads the keys; what is wrong with them is an error.
    pub fn parse(config: &PostgresConfig, props: &Props, prefix: &str) -> Result<Self, Error> {
        let raw = |key: &str| props.get(key).and_then(|value| value.as_deref()).map(str::trim);
        let channel = |name: &str| config.signal_enabled_channels.iter().any(|channel| channel.trim() == name);
        let strategy = config.incremental_snapshot_watermarking_strategy.trim();
        let read_only = raw("read.only").is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let watermarks = match strategy {
            _ if read_only => Watermarks::ReadOnly,
            text if text.eq_ignore_ascii_case("insert_delete") => Watermarks::InsertDelete,
            text if text.eq_ignore_ascii_case("insert_insert") => Watermarks::InsertInsert,
            other => {
                return Err(Error::config(format!(
                    "The 'incremental.snapshot.watermarking.strategy' value is invalid: {other} is not one of its values"
                ))
                .hint("use INSERT_INSERT or INSERT_DELETE"));
            }
        };
        Ok(Self {
            table: config.signal_data_collection.as_deref().and_then(table_name),
            source: channel("source"),
            kafka: channel("kafka").then(|| kafka(props, prefix)),
            file: channel("file").then(|| raw("signal.file").unwrap_or("file-signals.txt").into()),
            poll_interval: Duration::from_millis(u64::try_from(config.signal_poll_interval_ms).unwrap_or(0).max(1)),
            chunk_size: usize::try_from(config.incremental_snapshot_chunk_size).unwrap_or(0).max(1),
            watermarks,
        })
    }

    /// True when a signal can come from anywhere.
    pub fn any_channel(&self) -> bool {
        self.kafka.is_some() || self.file.is_some() || (self.source && self.table.is_some())
    }

    /// Why incremental snapshots are not possible, where they are not.
    pub fn no_incremental(&self) -> Option<&'static str> {
        match (self.watermarks, &self.table, self.source) {
            (Watermarks::ReadOnly, ..) | (_, Some(_), true) => None,
            (_, None, _) => Some("neither signal.data.collection nor read.only is set"),
            (_, Some(_), false) => Some(
                "signal.enabled.channels lacks source, so that watermarks in signal.data.collection are not seen: add it, or \
                 set read.only=true",
            ),
        }
    }
}

fn kafka(props: &Props, prefix: &str) -> KafkaSettings {
    let given = |key: &str| props.get(key).and_then(|value| value.as_deref()).filter(|text| !text.trim().is_empty());
    let mut consumer: ClientProps = props
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix("signal.consumer.")?.to_owned(), value.clone()?)))
        .collect();
    let mut default = |key: &str, value: Option<String>| {
        if let Some(value) = value.filter(|_| !consumer.contains_key(key)) {
            consumer.insert(key.to_owned(), value);
        }
    };
    default("bootstrap.servers", given("signal.kafka.bootstrap.servers").map(str::to_owned));
    default("client.id", Some(uuid::Uuid::new_v4().to_string()));
    default("group.id", Some(given("signal.kafka.groupId").unwrap_or("kafka-signal").to_owned()));
    default("fetch.min.bytes", Some("1".to_owned()));
    default("session.timeout.ms", Some("10000".to_owned()));
    default("auto.offset.reset", Some("earliest".to_owned()));
    let topic = given("signal.kafka.topic").map_or_else(|| format!("{prefix}-signal"), |topic| topic.trim().to_owned());
    KafkaSettings { topic, consumer }
}

/// The parts of a table's name: between dots, where a part may be in double quotes.
pub fn name_parts(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    let mut chars = text.trim().chars().peekable();
    while let Some(c) = chars.next() {
        let part = parts.last_mut().expect("a list of parts starts with one");
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                part.push('"');
            }
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            c => part.push(c),
        }
    }
    parts
}

/// `schema.table`; anything else names no table of this database.
pub fn table_name(text: &str) -> Option<TableName> {
    match <[String; 2]>::try_from(name_parts(text)) {
        Ok([schema, table]) if !schema.is_empty() && !table.is_empty() => Some(TableName { schema, table }),
        _ => None,
    }
}

/// The name as tables are told apart by it: without quotes.
pub fn plain_name(text: &str) -> String {
    name_parts(text).join(".")
}

/// `notification.enabled.channels`, as a list.
pub fn channels(list: Option<&str>) -> Vec<String> {
    split_list(list.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watermarks_that_nobody_reads_are_no_basis() {
        let reason = |watermarks, source| {
            let settings = SignalSettings {
                table: table_name("public.sig"),
                source,
                kafka: None,
                file: None,
                poll_interval: Duration::from_secs(1),
                chunk_size: 1,
                watermarks,
            };
            settings.no_incremental()
        };
        assert_eq!(reason(Watermarks::InsertInsert, true), None);
        assert_eq!(reason(Watermarks::ReadOnly, false), None);
        assert!(reason(Watermarks::InsertDelete, false).is_some_and(|why| why.contains("source")));
    }

    #[test]
    fn names_are_read_with_and_without_quotes() {
        let name = |text: &str| table_name(text).map(|name| (name.schema, name.table));
        assert_eq!(name("public.sig"), Some(("public".to_owned(), "sig".to_owned())));
        assert_eq!(name("\"a.b\".\"c\"\"d\""), Some(("a.b".to_owned(), "c\"d".to_owned())));
        for other in ["", "sig", "db.public.sig", "public."] {
            assert_eq!(name(other), None, "{other}");
        }
    }
}
