//! The settings of Kafka's clients, as far as validating an override needs them: type, importance and default
//! (`ProducerConfig`, `ConsumerConfig`, `AdminClientConfig`).
//!
//! Values are checked by their type only, as the JVM does: a client finds out about the rest when it is made.

use connect_config::Importance::{self, High, Low, Medium};
use connect_config::{ConfigKey, NULL, Type};

use crate::overrides::ClientType;

/// The default of a setting, as the REST API prints it.
#[derive(Clone, Copy)]
enum Standard {
    Required,
    Null,
    Is(&'static str),
}

use Standard::Is;
const NULL_DEFAULT: Standard = Standard::Null;
const REQUIRED: Standard = Standard::Required;

/// The bit of a client in the first column of [`SETTINGS`].
const fn bit(client: ClientType) -> u8 {
    match client {
        ClientType::Producer => 1,
        ClientType::Consumer => 2,
        ClientType::Admin => 4,
    }
}

/// The definition of a client's setting, `None` when Kafka has none of this name.
pub(crate) fn key(client: ClientType, name: &str) -> Option<ConfigKey> {
    let setting = SETTINGS.iter().find(|setting| setting.1 == name && setting.0 & bit(client) != 0)?;
    let (_, name, ty, importance, default) = *setting;
    let which = match client {
        ClientType::Producer => "producer",
        ClientType::Consumer => "consumer",
        ClientType::Admin => "admin client",
    };
    let key = ConfigKey::new(name, ty, &format!("The {which}'s setting `{name}`, see Kafka's documentation."));
    let key = key.importance(importance);
    Some(match default {
        Standard::Required => key,
        Standard::Null => key.default(NULL),
        Is(text) => key.default(text),
    })
}

/// Clients (1 producer, 2 consumer, 4 admin), name, type, importance, default.
#[rustfmt::skip]
const SETTINGS: &[(u8, &str, Type, Importance, Standard)] = &[
    (1, "acks", Type::String, Low, Is("all")),
    (2, "allow.auto.create.topics", Type::Boolean, Medium, Is("true")),
    (2, "auto.commit.interval.ms", Type::Int, Low, Is("5000")),
    (2, "auto.offset.reset", Type::String, Medium, Is("latest")),
    (1, "batch.size", Type::Int, Medium, Is("16384")),
    (4, "bootstrap.controllers", Type::List, High, Is("")),
    (7, "bootstrap.servers", Type::List, High, Is("")),
    (1, "buffer.memory", Type::Long, High, Is("33554432")),
    (2, "check.crcs", Type::Boolean, Low, Is("true")),
    (7, "client.dns.lookup", Type::String, Medium, Is("use_all_dns_ips")),
    (2, "client.id", Type::String, Low, Is("")),
    (5, "client.id", Type::String, Medium, Is("")),
    (2, "client.rack", Type::String, Low, Is("")),
    (1, "compression.gzip.level", Type::Int, Medium, Is("-1")),
    (1, "compression.lz4.level", Type::Int, Medium, Is("9")),
    (1, "compression.type", Type::String, High, Is("none")),
    (1, "compression.zstd.level", Type::Int, Medium, Is("3")),
    (3, "connections.max.idle.ms", Type::Long, Medium, Is("540000")),
    (4, "connections.max.idle.ms", Type::Long, Medium, Is("300000")),
    (6, "default.api.timeout.ms", Type::Int, Medium, Is("60000")),
    (1, "delivery.timeout.ms", Type::Int, Medium, Is("120000")),
    (2, "enable.auto.commit", Type::Boolean, Medium, Is("true")),
    (1, "enable.idempotence", Type::Boolean, Low, Is("true")),
    (3, "enable.metrics.push", Type::Boolean, Low, Is("true")),
    (4, "enable.metrics.push", Type::Boolean, Low, Is("false")),
    (2, "exclude.internal.topics", Type::Boolean, Medium, Is("true")),
    (2, "fetch.max.bytes", Type::Int, Medium, Is("52428800")),
    (2, "fetch.max.wait.ms", Type::Int, Low, Is("500")),
    (2, "fetch.min.bytes", Type::Int, High, Is("1")),
    (2, "group.id", Type::String, High, NULL_DEFAULT),
    (2, "group.instance.id", Type::String, Medium, NULL_DEFAULT),
    (2, "group.protocol", Type::String, High, Is("classic")),
    (2, "group.remote.assignor", Type::String, Medium, NULL_DEFAULT),
    (2, "heartbeat.interval.ms", Type::Int, High, Is("3000")),
    (3, "interceptor.classes", Type::List, Low, Is("")),
    (2, "internal.leave.group.on.close", Type::Boolean, Low, Is("true")),
    (2, "internal.throw.on.fetch.stable.offset.unsupported", Type::Boolean, Low, Is("false")),
    (2, "isolation.level", Type::String, Medium, Is("read_uncommitted")),
    (2, "key.deserializer", Type::Class, High, REQUIRED),
    (1, "key.serializer", Type::Class, High, REQUIRED),
    (1, "linger.ms", Type::Long, Medium, Is("5")),
    (1, "max.block.ms", Type::Long, Medium, Is("60000")),
    (1, "max.in.flight.requests.per.connection", Type::Int, Low, Is("5")),
    (2, "max.partition.fetch.bytes", Type::Int, High, Is("1048576")),
    (2, "max.poll.interval.ms", Type::Int, Medium, Is("300000")),
    (2, "max.poll.records", Type::Int, Medium, Is("500")),
    (1, "max.request.size", Type::Int, Medium, Is("1048576")),
    (7, "metadata.max.age.ms", Type::Long, Low, Is("300000")),
    (1, "metadata.max.idle.ms", Type::Long, Low, Is("300000")),
    (7, "metadata.recovery.rebootstrap.trigger.ms", Type::Long, Low, Is("300000")),
    (7, "metadata.recovery.strategy", Type::String, Low, Is("rebootstrap")),
    (7, "metric.reporters", Type::List, Low, Is("org.apache.kafka.common.metrics.JmxReporter")),
    (7, "metrics.num.samples", Type::Int, Low, Is("2")),
    (7, "metrics.recording.level", Type::String, Low, Is("INFO")),
    (7, "metrics.sample.window.ms", Type::Long, Low, Is("30000")),
    (2, "partition.assignment.strategy", Type::List, Medium, Is("class org.apache.kafka.clients.consumer.RangeAssignor,class org.apache.kafka.clients.consumer.CooperativeStickyAssignor")),
    (1, "partitioner.adaptive.partitioning.enable", Type::Boolean, Low, Is("true")),
    (1, "partitioner.availability.timeout.ms", Type::Long, Low, Is("0")),
    (1, "partitioner.class", Type::Class, Medium, NULL_DEFAULT),
    (1, "partitioner.ignore.keys", Type::Boolean, Medium, Is("false")),
    (1, "receive.buffer.bytes", Type::Int, Medium, Is("32768")),
    (6, "receive.buffer.bytes", Type::Int, Medium, Is("65536")),
    (7, "reconnect.backoff.max.ms", Type::Long, Low, Is("1000")),
    (7, "reconnect.backoff.ms", Type::Long, Low, Is("50")),
    (7, "request.timeout.ms", Type::Int, Medium, Is("30000")),
    (1, "retries", Type::Int, High, Is("2147483647")),
    (4, "retries", Type::Int, Low, Is("2147483647")),
    (7, "retry.backoff.max.ms", Type::Long, Low, Is("1000")),
    (7, "retry.backoff.ms", Type::Long, Low, Is("100")),
    (7, "sasl.client.callback.handler.class", Type::Class, Medium, NULL_DEFAULT),
    (7, "sasl.jaas.config", Type::Password, Medium, NULL_DEFAULT),
    (7, "sasl.kerberos.kinit.cmd", Type::String, Low, Is("/usr/bin/kinit")),
    (7, "sasl.kerberos.min.time.before.relogin", Type::Long, Low, Is("60000")),
    (7, "sasl.kerberos.service.name", Type::String, Medium, NULL_DEFAULT),
    (7, "sasl.kerberos.ticket.renew.jitter", Type::Double, Low, Is("0.05")),
    (7, "sasl.kerberos.ticket.renew.window.factor", Type::Double, Low, Is("0.8")),
    (7, "sasl.login.callback.handler.class", Type::Class, Medium, NULL_DEFAULT),
    (7, "sasl.login.class", Type::Class, Medium, NULL_DEFAULT),
    (7, "sasl.login.connect.timeout.ms", Type::Int, Low, NULL_DEFAULT),
    (7, "sasl.login.read.timeout.ms", Type::Int, Low, NULL_DEFAULT),
    (7, "sasl.login.refresh.buffer.seconds", Type::Short, Low, Is("300")),
    (7, "sasl.login.refresh.min.period.seconds", Type::Short, Low, Is("60")),
    (7, "sasl.login.refresh.window.factor", Type::Double, Low, Is("0.8")),
    (7, "sasl.login.refresh.window.jitter", Type::Double, Low, Is("0.05")),
    (7, "sasl.login.retry.backoff.max.ms", Type::Long, Low, Is("10000")),
    (7, "sasl.login.retry.backoff.ms", Type::Long, Low, Is("100")),
    (7, "sasl.mechanism", Type::String, Medium, Is("GSSAPI")),
    (7, "sasl.oauthbearer.assertion.algorithm", Type::String, Medium, Is("RS256")),
    (7, "sasl.oauthbearer.assertion.claim.aud", Type::String, Medium, NULL_DEFAULT),
    (7, "sasl.oauthbearer.assertion.claim.exp.seconds", Type::Int, Low, Is("300")),
    (7, "sasl.oauthbearer.assertion.claim.iss", Type::String, Medium, NULL_DEFAULT),
    (7, "sasl.oauthbearer.assertion.claim.jti.include", Type::Boolean, Medium, Is("false")),
    (7, "sasl.oauthbearer.assertion.claim.nbf.seconds", Type::Int, Low, Is("60")),
    (7, "sasl.oauthbearer.assertion.claim.sub", Type::String, Medium, NULL_DEFAULT),
    (7, "sasl.oauthbearer.assertion.file", Type::String, Medium, NULL_DEFAULT),
    (7, "sasl.oauthbearer.assertion.private.key.file", Type::String, Medium, NULL_DEFAULT),
    (7, "sasl.oauthbearer.assertion.private.key.passphrase", Type::Password, Medium, NULL_DEFAULT),
    (7, "sasl.oauthbearer.assertion.template.file", Type::String, Medium, NULL_DEFAULT),
    (7, "sasl.oauthbearer.client.credentials.client.id", Type::String, Medium, NULL_DEFAULT),
    (7, "sasl.oauthbearer.client.credentials.client.secret", Type::Password, Medium, NULL_DEFAULT),
    (7, "sasl.oauthbearer.clock.skew.seconds", Type::Int, Low, Is("30")),
    (7, "sasl.oauthbearer.expected.audience", Type::List, Low, NULL_DEFAULT),
    (7, "sasl.oauthbearer.expected.issuer", Type::String, Low, NULL_DEFAULT),
    (7, "sasl.oauthbearer.header.urlencode", Type::Boolean, Low, Is("false")),
    (7, "sasl.oauthbearer.jwks.endpoint.refresh.ms", Type::Long, Low, Is("3600000")),
    (7, "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", Type::Long, Low, Is("10000")),
    (7, "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", Type::Long, Low, Is("100")),
    (7, "sasl.oauthbearer.jwks.endpoint.url", Type::String, Medium, NULL_DEFAULT),
    (7, "sasl.oauthbearer.jwt.retriever.class", Type::Class, Medium, Is("org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever")),
    (7, "sasl.oauthbearer.jwt.validator.class", Type::Class, Medium, Is("org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator")),
    (7, "sasl.oauthbearer.scope", Type::String, Medium, NULL_DEFAULT),
    (7, "sasl.oauthbearer.scope.claim.name", Type::String, Low, Is("scope")),
    (7, "sasl.oauthbearer.sub.claim.name", Type::String, Low, Is("sub")),
    (7, "sasl.oauthbearer.token.endpoint.url", Type::String, Medium, NULL_DEFAULT),
    (7, "security.protocol", Type::String, Medium, Is("PLAINTEXT")),
    (7, "security.providers", Type::String, Low, NULL_DEFAULT),
    (7, "send.buffer.bytes", Type::Int, Medium, Is("131072")),
    (2, "session.timeout.ms", Type::Int, High, Is("45000")),
    (2, "share.acknowledgement.mode", Type::String, Medium, Is("implicit")),
    (7, "socket.connection.setup.timeout.max.ms", Type::Long, Medium, Is("30000")),
    (7, "socket.connection.setup.timeout.ms", Type::Long, Medium, Is("10000")),
    (7, "ssl.cipher.suites", Type::List, Low, NULL_DEFAULT),
    (7, "ssl.enabled.protocols", Type::List, Medium, Is("TLSv1.2,TLSv1.3")),
    (7, "ssl.endpoint.identification.algorithm", Type::String, Low, Is("https")),
    (7, "ssl.engine.factory.class", Type::Class, Low, NULL_DEFAULT),
    (7, "ssl.key.password", Type::Password, High, NULL_DEFAULT),
    (7, "ssl.keymanager.algorithm", Type::String, Low, Is("SunX509")),
    (7, "ssl.keystore.certificate.chain", Type::Password, High, NULL_DEFAULT),
    (7, "ssl.keystore.key", Type::Password, High, NULL_DEFAULT),
    (7, "ssl.keystore.location", Type::String, High, NULL_DEFAULT),
    (7, "ssl.keystore.password", Type::Password, High, NULL_DEFAULT),
    (7, "ssl.keystore.type", Type::String, Medium, Is("JKS")),
    (7, "ssl.protocol", Type::String, Medium, Is("TLSv1.3")),
    (7, "ssl.provider", Type::String, Medium, NULL_DEFAULT),
    (7, "ssl.secure.random.implementation", Type::String, Low, NULL_DEFAULT),
    (7, "ssl.trustmanager.algorithm", Type::String, Low, Is("PKIX")),
    (7, "ssl.truststore.certificates", Type::Password, High, NULL_DEFAULT),
    (7, "ssl.truststore.location", Type::String, High, NULL_DEFAULT),
    (7, "ssl.truststore.password", Type::Password, High, NULL_DEFAULT),
    (7, "ssl.truststore.type", Type::String, Medium, Is("JKS")),
    (1, "transaction.timeout.ms", Type::Int, Low, Is("60000")),
    (1, "transaction.two.phase.commit.enable", Type::Boolean, Low, Is("false")),
    (1, "transactional.id", Type::String, Low, NULL_DEFAULT),
    (2, "value.deserializer", Type::Class, High, REQUIRED),
    (1, "value.serializer", Type::Class, High, REQUIRED),
];
