//! Java client properties → librdkafka configuration.
//!
//! The table (`table`) says for every property of the Java producer and consumer what becomes of it. Nothing is dropped in
//! silence: what has no effect here is listed with the reason. Defaults that differ between the two clients are set to
//! Java's, except where memory or the start-up time speak against it; those are in [`base`].

mod table;

use std::collections::BTreeMap;

use crate::security::{Sasl, Security};
use crate::{ClientProps, Error, ErrorKind, Result};

use table::{How, Rule, TABLE};

/// The client the properties are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientKind {
    Producer,
    Consumer,
}

/// A property that has no effect, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    pub key: String,
    pub reason: &'static str,
}

/// librdkafka's configuration. Holds passwords: never print the values.
#[derive(Clone, Default)]
pub struct Translated {
    pub settings: BTreeMap<&'static str, String>,
    pub ignored: Vec<Ignored>,
}

impl Translated {
    /// The configuration for `rdkafka`.
    pub fn client_config(&self) -> rdkafka::ClientConfig {
        let mut config = rdkafka::ClientConfig::new();
        for (name, value) in &self.settings {
            config.set(*name, value);
        }
        config
    }

    /// Logs what was ignored, one line for a client.
    pub fn log_ignored(&self, client: &str) {
        let keys: Vec<_> = self.ignored.iter().map(|ignored| ignored.key.as_str()).collect();
        if !keys.is_empty() {
            tracing::debug!(client, keys = keys.join(","), "client properties without effect");
        }
    }
}

/// The properties among `props` that have no effect here, with the reason: for warning of what a user has set. What the worker
/// reads itself has an effect.
pub fn without_effect(kind: ClientKind, props: &ClientProps) -> Vec<Ignored> {
    let mut probe = Translated::default();
    for (key, value) in props.iter().filter(|(key, _)| !READ_ELSEWHERE.contains(&key.as_str())) {
        // A wrong value is refused when the client is made.
        if apply(kind, key, value.trim(), &mut probe).is_err() {
            tracing::debug!(key, "the value of this property is wrong");
        }
    }
    let codec = props.get("compression.type").map(|codec| format!("compression.{}.level", codec.trim()));
    probe.ignored.retain(|ignored| codec.as_ref() != Some(&ignored.key));
    probe.ignored
}

/// Translates the properties of a Java client of this kind. Reads key stores.
pub fn translate(kind: ClientKind, props: &ClientProps) -> Result<Translated> {
    let mut out = Translated { settings: base(kind), ignored: Vec::new() };
    for (key, value) in props {
        apply(kind, key, value.trim(), &mut out)?;
    }
    security_settings(&Security::from_props(props)?, &mut out.settings);
    match kind {
        ClientKind::Producer => settle_producer(props, &mut out),
        ClientKind::Consumer => {}
    }
    if !out.settings.contains_key("bootstrap.servers") {
        return Err(Error::new(ErrorKind::Config, "bootstrap.servers is missing"));
    }
    Ok(out)
}

/// Properties that the worker's own code reads, so that librdkafka need not.
const READ_ELSEWHERE: [&str; 1] = ["max.poll.records"];

/// librdkafka's name for how often it looks up who leads the partitions that it uses.
pub(crate) const METADATA_REFRESH: &str = "topic.metadata.refresh.interval.ms";
/// How often, unless `metadata.max.age.ms` says otherwise. Java asks again at once after an error; librdkafka, told by a broker
/// that has just come back that a partition has no leader, believes that until it looks next: after 5 minutes by default.
const METADATA_REFRESH_MS: &str = "5000";

/// What is set before the properties are looked at: Java's defaults where they differ, small buffers, quick reconnects.
fn base(kind: ClientKind) -> BTreeMap<&'static str, String> {
    let both = [
        ("reconnect.backoff.ms", "50"),
        ("reconnect.backoff.max.ms", "1000"),
        ("socket.keepalive.enable", "true"),
        ("socket.timeout.ms", "30000"),
        ("log.connection.close", "false"),
        (METADATA_REFRESH, METADATA_REFRESH_MS),
    ];
    let own: &[(&'static str, &str)] = match kind {
        ClientKind::Producer => &[
            ("partitioner", "murmur2_random"),
            ("queue.buffering.max.messages", "100000"),
            ("message.max.bytes", "1048576"),
            ("linger.ms", "5"),
            // A topic that is missing is waited for, as by Java's producer within the worker: its `max.block.ms` is endless.
            // (Not longer than 35 minutes: librdkafka counts it in microseconds of 32 bits, and would not wait at all.)
            ("topic.metadata.propagation.max.ms", "2100000"),
        ],
        ClientKind::Consumer => &[
            ("isolation.level", "read_uncommitted"),
            ("auto.offset.reset", "latest"),
            ("partition.assignment.strategy", "range"),
            ("allow.auto.create.topics", "true"),
            ("check.crcs", "true"),
            ("queued.min.messages", "20000"),
            // What is read ahead of a task: enough to keep it busy, and little to hold.
            ("queued.max.messages.kbytes", "2048"),
            ("fetch.max.bytes", "2097152"),
            ("fetch.queue.backoff.ms", "10"),
            ("fetch.error.backoff.ms", "50"),
        ],
    };
    both.iter().chain(own).map(|(name, value)| (*name, (*value).to_owned())).collect()
}

fn apply(kind: ClientKind, key: &str, value: &str, out: &mut Translated) -> Result<()> {
    let Some(rule) = find(kind, key) else {
        out.ignored.push(Ignored { key: key.to_owned(), reason: "not a property of this Kafka client" });
        return Ok(());
    };
    let wrong = |expected: &str| invalid(key, value, expected);
    match rule.how {
        How::Security => {}
        How::Ignore(reason) => out.ignored.push(Ignored { key: key.to_owned(), reason }),
        How::Text(name) => {
            out.settings.insert(name, value.to_owned());
        }
        How::Lower(name) => {
            out.settings.insert(name, value.to_ascii_lowercase());
        }
        How::OneOf { name, allowed } => {
            if !allowed.contains(&value) {
                return Err(wrong(&format!("String must be one of: {}", allowed.join(", "))));
            }
            out.settings.insert(name, value.to_owned());
        }
        How::Number { name, min, max } => {
            let number: i64 = value.parse().map_err(|_| wrong("Not a number"))?;
            out.settings.insert(name, number.clamp(min, max).to_string());
        }
        How::Kilobytes { name, min, max } => {
            let bytes: i64 = value.parse().map_err(|_| wrong("Not a number"))?;
            out.settings.insert(name, (bytes / 1024).clamp(min, max).to_string());
        }
        How::Convert(convert) => match convert(value) {
            Ok((name, converted)) => {
                out.settings.insert(name, converted);
            }
            Err(table::NotConverted::Ignored(reason)) => out.ignored.push(Ignored { key: key.to_owned(), reason }),
            Err(table::NotConverted::Wrong(expected)) => return Err(wrong(expected)),
        },
    }
    Ok(())
}

/// A value that the Java client would refuse, in its words (`ConfigException`).
pub(crate) fn invalid(key: &str, value: &str, why: &str) -> Error {
    let said = format!("Invalid value {value} for configuration {key}: {why}");
    Error::new(ErrorKind::Config, said.clone()).with_java("org.apache.kafka.common.config.ConfigException", said)
}

fn find(kind: ClientKind, key: &str) -> Option<&'static Rule> {
    TABLE.iter().find(|rule| {
        rule.kinds.contains(&kind)
            && match rule.java.strip_suffix('*') {
                Some(prefix) => key.starts_with(prefix),
                None => key == rule.java,
            }
    })
}

/// Java's default of `request.timeout.ms`.
const REQUEST_TIMEOUT_MS: i64 = 30_000;
/// What librdkafka allows for `socket.timeout.ms`.
const SOCKET_TIMEOUT_MS: (i64, i64) = (10, 300_000);

/// What waits to be sent, in KiB, unless `buffer.memory` says otherwise: Java's default is ten times as much, which no
/// connection needs to stay busy, and which is most of what a worker under load would hold. Less of it is faster, too: it stays
/// in the processor's cache.
const QUEUE_KBYTES: i64 = 3 * 1024;
/// Java's default of `buffer.memory`, in KiB: a record of that size has to fit.
const QUEUE_KBYTES_MAX: i64 = 32 * 1024;

/// What follows from several producer properties together.
fn settle_producer(props: &ClientProps, out: &mut Translated) {
    let largest = out.settings.get("message.max.bytes").and_then(|bytes| bytes.parse::<i64>().ok()).unwrap_or(0);
    out.settings
        .entry("queue.buffering.max.kbytes")
        .or_insert_with(|| (largest / 1024 * 2).clamp(QUEUE_KBYTES, QUEUE_KBYTES_MAX).to_string());
    let is = |name: &str, value: &str| props.get(name).is_some_and(|given| given.trim().eq_ignore_ascii_case(value));
    // Java is idempotent by default when nothing contradicts it; librdkafka is not.
    let contradicts = is("acks", "0") || is("acks", "1") || is("retries", "0");
    if props.contains_key("transactional.id") || (!props.contains_key("enable.idempotence") && !contradicts) {
        out.settings.insert("enable.idempotence", "true".to_owned());
    }
    if out.settings.get("enable.idempotence").is_some_and(|value| value == "true") {
        // Both demand it and both call anything else a configuration error, but Java keeps order with up to five.
        out.settings.entry("max.in.flight.requests.per.connection").or_insert_with(|| "5".to_owned());
    }
    // Java's one limit is two in librdkafka: what the broker is told, and how long an answer is waited for. Without the second
    // a connection that died unnoticed would be noticed after a minute.
    let asked = out.settings.get("request.timeout.ms").and_then(|ms| ms.parse::<i64>().ok());
    let mut wait = asked.unwrap_or(REQUEST_TIMEOUT_MS).clamp(SOCKET_TIMEOUT_MS.0, SOCKET_TIMEOUT_MS.1);
    if props.contains_key("transactional.id") {
        // librdkafka wants the delivery time-out within the transaction's.
        let limit = out.settings.get("transaction.timeout.ms").and_then(|ms| ms.parse::<i64>().ok()).unwrap_or(60_000);
        if let Some(timeout) = out.settings.get_mut("delivery.timeout.ms")
            && timeout.parse::<i64>().is_ok_and(|ms| ms > limit || ms == 0)
        {
            *timeout = limit.to_string();
        }
        // It wants the answer's, too, and 100 ms earlier.
        wait = wait.min(limit - 100).max(SOCKET_TIMEOUT_MS.0);
    }
    out.settings.insert("socket.timeout.ms", wait.to_string());
    if let Some(codec) = out.settings.get("compression.type")
        && let Some(level) = props.get(&format!("compression.{codec}.level"))
    {
        out.settings.insert("compression.level", level.trim().to_owned());
    }
}

fn security_settings(security: &Security, settings: &mut BTreeMap<&'static str, String>) {
    let protocol = match (&security.tls, &security.sasl) {
        (None, None) => "plaintext",
        (Some(_), None) => "ssl",
        (None, Some(_)) => "sasl_plaintext",
        (Some(_), Some(_)) => "sasl_ssl",
    };
    settings.insert("security.protocol", protocol.to_owned());
    if let Some(tls) = &security.tls {
        match &tls.trusted {
            Some(certificates) => settings.insert("ssl.ca.pem", connect_tls::certificates_pem(certificates)),
            None => settings.insert("ssl.ca.location", "probe".to_owned()),
        };
        let algorithm = if tls.settings.check_name { "https" } else { "none" };
        settings.insert("ssl.endpoint.identification.algorithm", algorithm.to_owned());
        if let Some(identity) = &tls.identity {
            settings.insert("ssl.certificate.pem", identity.chain_pem());
            settings.insert("ssl.key.pem", identity.key_pem());
        }
    }
    if let Some(sasl) = &security.sasl {
        settings.insert("sasl.mechanism", sasl.mechanism().to_owned());
        sasl_settings(sasl, settings);
    }
}

fn sasl_settings(sasl: &Sasl, settings: &mut BTreeMap<&'static str, String>) {
    match sasl {
        Sasl::Plain { username, password }
        | Sasl::ScramSha256 { username, password }
        | Sasl::ScramSha512 { username, password } => {
            settings.insert("sasl.username", username.clone());
            settings.insert("sasl.password", password.clone());
        }
        Sasl::OauthBearer(client) => {
            settings.insert("sasl.oauthbearer.method", "oidc".to_owned());
            settings.insert("sasl.oauthbearer.client.id", client.client_id.clone());
            settings.insert("sasl.oauthbearer.client.secret", client.client_secret.clone());
            settings.insert("sasl.oauthbearer.token.endpoint.url", client.token_endpoint.clone());
            if let Some(scope) = &client.scope {
                settings.insert("sasl.oauthbearer.scope", scope.clone());
            }
            if !client.extensions.is_empty() {
                let pairs: Vec<_> = client.extensions.iter().map(|(name, value)| format!("{name}={value}")).collect();
                settings.insert("sasl.oauthbearer.extensions", pairs.join(","));
            }
        }
    }
}

#[cfg(test)]
mod tests;
