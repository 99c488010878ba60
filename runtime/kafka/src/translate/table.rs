//! The table: every property of the Java producer and consumer (Apache Kafka 4.1), and what becomes of it in librdkafka.
//!
//! Numbers are clamped to librdkafka's ranges, so that Java's endless time-outs (`Long.MAX_VALUE`) mean the longest it knows.

use super::{ClientKind, METADATA_REFRESH};

/// What becomes of a property.
#[derive(Clone, Copy)]
pub(super) enum How {
    /// Read by the `security` module.
    Security,
    /// No effect, for this reason.
    Ignore(&'static str),
    /// The same text under this name.
    Text(&'static str),
    /// The text in lower case under this name.
    Lower(&'static str),
    /// One of these words under this name; Java refuses any other.
    OneOf { name: &'static str, allowed: &'static [&'static str] },
    /// A number, clamped.
    Number { name: &'static str, min: i64, max: i64 },
    /// Bytes in Java, kilobytes in librdkafka.
    Kilobytes { name: &'static str, min: i64, max: i64 },
    /// Anything else.
    Convert(fn(&str) -> Result<(&'static str, String), NotConverted>),
}

/// Why a value was not converted.
pub(super) enum NotConverted {
    Ignored(&'static str),
    /// Not what is expected, in Java's words.
    Wrong(&'static str),
}

/// A line of the table. A name that ends in `*` is a prefix.
pub(super) struct Rule {
    pub(super) java: &'static str,
    pub(super) kinds: &'static [ClientKind],
    pub(super) how: How,
}

const BOTH: &[ClientKind] = &[ClientKind::Producer, ClientKind::Consumer];
const PRODUCER: &[ClientKind] = &[ClientKind::Producer];
const CONSUMER: &[ClientKind] = &[ClientKind::Consumer];
const INT_MAX: i64 = i32::MAX as i64;
/// The largest batch of several records, a request of its own: well below what brokers take in one (`socket.request.max.bytes`, 100 MiB
/// unless somebody lowered it), so that only a single record can be too large for them. Nothing is gained by larger ones.
const BATCH_MAX: i64 = 32 << 20;

const JAVA_CLASSES: &str = "names Java classes; there is no Java here";
const METRICS: &str = "metrics of the Java client; the worker has its own";
const OWN_LOOP: &str = "the worker's own loop decides this";

/// `compression.type`, in the order of Java's message.
const CODECS: &[&str] = &["none", "gzip", "snappy", "lz4", "zstd"];
/// `isolation.level`, in the order of Java's message.
const LEVELS: &[&str] = &["read_committed", "read_uncommitted"];

const fn rule(java: &'static str, kinds: &'static [ClientKind], how: How) -> Rule {
    Rule { java, kinds, how }
}

const fn number(java: &'static str, kinds: &'static [ClientKind], name: &'static str, min: i64, max: i64) -> Rule {
    Rule { java, kinds, how: How::Number { name, min, max } }
}

const fn ignore(java: &'static str, kinds: &'static [ClientKind], reason: &'static str) -> Rule {
    Rule { java, kinds, how: How::Ignore(reason) }
}

/// First match wins: exact names before prefixes.
pub(super) static TABLE: &[Rule] = &[
    // Connections.
    rule("bootstrap.servers", BOTH, How::Text("bootstrap.servers")),
    rule("client.id", BOTH, How::Text("client.id")),
    rule("client.rack", CONSUMER, How::Text("client.rack")),
    rule("client.dns.lookup", BOTH, How::Lower("client.dns.lookup")),
    number("send.buffer.bytes", BOTH, "socket.send.buffer.bytes", 0, 100_000_000),
    number("receive.buffer.bytes", BOTH, "socket.receive.buffer.bytes", 0, 100_000_000),
    number("connections.max.idle.ms", BOTH, "connections.max.idle.ms", 0, INT_MAX),
    number("reconnect.backoff.ms", BOTH, "reconnect.backoff.ms", 0, 3_600_000),
    number("reconnect.backoff.max.ms", BOTH, "reconnect.backoff.max.ms", 0, 3_600_000),
    number("retry.backoff.ms", BOTH, "retry.backoff.ms", 1, 300_000),
    number("retry.backoff.max.ms", BOTH, "retry.backoff.max.ms", 1, 300_000),
    number("socket.connection.setup.timeout.ms", BOTH, "socket.connection.setup.timeout.ms", 1_000, INT_MAX),
    ignore("socket.connection.setup.timeout.max.ms", BOTH, "librdkafka has one set-up time-out"),
    number("metadata.max.age.ms", BOTH, METADATA_REFRESH, 10, 3_600_000),
    ignore("metadata.max.idle.ms", BOTH, "librdkafka keeps the topics it uses"),
    rule("metadata.recovery.strategy", BOTH, How::Lower("metadata.recovery.strategy")),
    number("metadata.recovery.rebootstrap.trigger.ms", BOTH, "metadata.recovery.rebootstrap.trigger.ms", 0, INT_MAX),
    rule("enable.metrics.push", BOTH, How::Lower("enable.metrics.push")),
    number("request.timeout.ms", PRODUCER, "request.timeout.ms", 1, 900_000),
    number("request.timeout.ms", CONSUMER, "socket.timeout.ms", 10, 300_000),
    ignore("default.api.timeout.ms", CONSUMER, OWN_LOOP),
    // Producer.
    rule("acks", PRODUCER, How::Convert(acks)),
    rule("compression.type", PRODUCER, How::OneOf { name: "compression.type", allowed: CODECS }),
    ignore("compression.gzip.level", PRODUCER, "counts with compression.type=gzip only"),
    ignore("compression.lz4.level", PRODUCER, "counts with compression.type=lz4 only"),
    ignore("compression.zstd.level", PRODUCER, "counts with compression.type=zstd only"),
    number("linger.ms", PRODUCER, "linger.ms", 0, 900_000),
    number("batch.size", PRODUCER, "batch.size", 1, BATCH_MAX),
    number("max.request.size", PRODUCER, "message.max.bytes", 1_000, 1_000_000_000),
    rule("buffer.memory", PRODUCER, How::Kilobytes { name: "queue.buffering.max.kbytes", min: 1, max: INT_MAX }),
    ignore(
        "max.block.ms",
        PRODUCER,
        "sending never blocks here: a task waits for room in the queue as long as it runs",
    ),
    number("delivery.timeout.ms", PRODUCER, "delivery.timeout.ms", 0, INT_MAX),
    number("retries", PRODUCER, "retries", 0, INT_MAX),
    number("max.in.flight.requests.per.connection", PRODUCER, "max.in.flight.requests.per.connection", 1, 1_000_000),
    rule("enable.idempotence", PRODUCER, How::Lower("enable.idempotence")),
    rule("transactional.id", PRODUCER, How::Text("transactional.id")),
    number("transaction.timeout.ms", PRODUCER, "transaction.timeout.ms", 1_000, INT_MAX),
    ignore("transaction.two.phase.commit.enable", PRODUCER, "librdkafka has no two-phase commit"),
    rule("partitioner.class", PRODUCER, How::Convert(partitioner)),
    rule("partitioner.ignore.keys", PRODUCER, How::Convert(ignore_keys)),
    ignore("partitioner.adaptive.partitioning.enable", PRODUCER, "librdkafka's sticky partitioner does not adapt"),
    ignore("partitioner.availability.timeout.ms", PRODUCER, "librdkafka's sticky partitioner does not adapt"),
    // Consumer.
    rule("group.id", CONSUMER, How::Text("group.id")),
    rule("group.instance.id", CONSUMER, How::Text("group.instance.id")),
    ignore("group.protocol", CONSUMER, "sink tasks use the classic protocol"),
    ignore("group.remote.assignor", CONSUMER, "sink tasks use the classic protocol"),
    number("session.timeout.ms", CONSUMER, "session.timeout.ms", 1, 3_600_000),
    number("heartbeat.interval.ms", CONSUMER, "heartbeat.interval.ms", 1, 3_600_000),
    number("max.poll.interval.ms", CONSUMER, "max.poll.interval.ms", 1, 86_400_000),
    ignore("max.poll.records", CONSUMER, "read by the consumer's own loop"),
    rule("auto.offset.reset", CONSUMER, How::Convert(offset_reset)),
    rule("enable.auto.commit", CONSUMER, How::Lower("enable.auto.commit")),
    number("auto.commit.interval.ms", CONSUMER, "auto.commit.interval.ms", 10, 86_400_000),
    rule("isolation.level", CONSUMER, How::OneOf { name: "isolation.level", allowed: LEVELS }),
    number("fetch.min.bytes", CONSUMER, "fetch.min.bytes", 1, 100_000_000),
    number("fetch.max.bytes", CONSUMER, "fetch.max.bytes", 0, INT_MAX - 512),
    number("fetch.max.wait.ms", CONSUMER, "fetch.wait.max.ms", 0, 300_000),
    number("max.partition.fetch.bytes", CONSUMER, "max.partition.fetch.bytes", 1, 1_000_000_000),
    rule("check.crcs", CONSUMER, How::Lower("check.crcs")),
    rule("allow.auto.create.topics", CONSUMER, How::Lower("allow.auto.create.topics")),
    rule("exclude.internal.topics", CONSUMER, How::Ignore("the consumer's own matching decides this")),
    rule("partition.assignment.strategy", CONSUMER, How::Convert(assignor)),
    // Security.
    rule("security.protocol", BOTH, How::Security),
    rule("sasl.mechanism", BOTH, How::Security),
    rule("sasl.jaas.config", BOTH, How::Security),
    rule("sasl.oauthbearer.token.endpoint.url", BOTH, How::Security),
    rule("sasl.oauthbearer.client.credentials.client.id", BOTH, How::Security),
    rule("sasl.oauthbearer.client.credentials.client.secret", BOTH, How::Security),
    rule("sasl.oauthbearer.scope", BOTH, How::Security),
    rule("ssl.cipher.suites", BOTH, How::Convert(cipher_suites)),
    rule("ssl.truststore.location", BOTH, How::Security),
    rule("ssl.truststore.password", BOTH, How::Security),
    rule("ssl.truststore.type", BOTH, How::Security),
    rule("ssl.truststore.certificates", BOTH, How::Security),
    rule("ssl.keystore.location", BOTH, How::Security),
    rule("ssl.keystore.password", BOTH, How::Security),
    rule("ssl.keystore.type", BOTH, How::Security),
    rule("ssl.keystore.certificate.chain", BOTH, How::Security),
    rule("ssl.keystore.key", BOTH, How::Security),
    rule("ssl.key.password", BOTH, How::Security),
    rule("ssl.endpoint.identification.algorithm", BOTH, How::Security),
    ignore("ssl.enabled.protocols", BOTH, "TLS 1.2 and 1.3 are offered"),
    ignore("ssl.protocol", BOTH, "TLS 1.2 and 1.3 are offered"),
    ignore("ssl.*", BOTH, JAVA_CLASSES),
    ignore("sasl.login.*", BOTH, "librdkafka renews its login by itself"),
    ignore("sasl.oauthbearer.*", BOTH, "this way of OAUTHBEARER is not supported"),
    ignore("sasl.*", BOTH, JAVA_CLASSES),
    ignore("security.providers", BOTH, JAVA_CLASSES),
    // Java only.
    ignore("key.serializer", PRODUCER, JAVA_CLASSES),
    ignore("value.serializer", PRODUCER, JAVA_CLASSES),
    ignore("key.deserializer", CONSUMER, JAVA_CLASSES),
    ignore("value.deserializer", CONSUMER, JAVA_CLASSES),
    ignore("interceptor.classes", BOTH, JAVA_CLASSES),
    ignore("config.providers*", BOTH, JAVA_CLASSES),
    ignore("metric.reporters", BOTH, METRICS),
    ignore("metrics.*", BOTH, METRICS),
];

fn acks(value: &str) -> Result<(&'static str, String), NotConverted> {
    match value.to_ascii_lowercase().as_str() {
        "all" | "-1" => Ok(("acks", "all".to_owned())),
        number @ ("0" | "1") => Ok(("acks", number.to_owned())),
        _ => Err(NotConverted::Wrong("String must be one of: all, -1, 0, 1")),
    }
}

fn partitioner(value: &str) -> Result<(&'static str, String), NotConverted> {
    match value.rsplit('.').next().unwrap_or_default() {
        "DefaultPartitioner" | "UniformStickyPartitioner" => Ok(("partitioner", "murmur2_random".to_owned())),
        "RoundRobinPartitioner" => Ok(("partitioner", "random".to_owned())),
        _ => Err(NotConverted::Ignored(JAVA_CLASSES)),
    }
}

fn ignore_keys(value: &str) -> Result<(&'static str, String), NotConverted> {
    if value.eq_ignore_ascii_case("true") {
        Ok(("partitioner", "random".to_owned()))
    } else {
        Err(NotConverted::Ignored("false is the default"))
    }
}

fn offset_reset(value: &str) -> Result<(&'static str, String), NotConverted> {
    match value.to_ascii_lowercase().as_str() {
        known @ ("earliest" | "latest") => Ok(("auto.offset.reset", known.to_owned())),
        "none" => Ok(("auto.offset.reset", "error".to_owned())),
        _ => Err(NotConverted::Wrong(
            "The value must be either 'earliest', 'latest' or 'none'; by_duration is not supported",
        )),
    }
}

/// librdkafka rebalances either eagerly or cooperatively. Java's list may hold assignors of both kinds, and then it rebalances
/// eagerly with whichever the whole group has: here the eager ones are offered, which such a group can agree on.
fn assignor(value: &str) -> Result<(&'static str, String), NotConverted> {
    let (mut eager, mut cooperative) = (Vec::new(), false);
    for class in value.split(',') {
        match class.trim().rsplit('.').next().unwrap_or_default() {
            "RangeAssignor" | "range" => eager.push("range"),
            "RoundRobinAssignor" | "roundrobin" => eager.push("roundrobin"),
            "CooperativeStickyAssignor" | "cooperative-sticky" => cooperative = true,
            _ => {}
        }
    }
    match (eager.is_empty(), cooperative) {
        (false, _) => Ok(("partition.assignment.strategy", eager.join(","))),
        (true, true) => Ok(("partition.assignment.strategy", "cooperative-sticky".to_owned())),
        (true, false) => {
            Err(NotConverted::Ignored("there are RangeAssignor, RoundRobinAssignor and CooperativeStickyAssignor here"))
        }
    }
}

/// TLS 1.3 suites cannot be chosen in librdkafka; older ones have other names there, which are taken as well.
fn cipher_suites(value: &str) -> Result<(&'static str, String), NotConverted> {
    if value.contains('-') {
        return Ok(("ssl.cipher.suites", value.replace(',', ":")));
    }
    let names = connect_tls::openssl_names(value);
    if names.is_empty() {
        Err(NotConverted::Ignored("none of these suites can be chosen: TLS 1.3's are always offered"))
    } else {
        Ok(("ssl.cipher.suites", names.join(":")))
    }
}
