use super::*;

fn props(pairs: &[(&str, &str)]) -> ClientProps {
    let mut props: ClientProps = [("bootstrap.servers".to_owned(), "h:9092".to_owned())].into_iter().collect();
    props.extend(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    props
}

fn producer(pairs: &[(&str, &str)]) -> Translated {
    translate(ClientKind::Producer, &props(pairs)).unwrap_or_else(|error| panic!("{error}"))
}

fn consumer(pairs: &[(&str, &str)]) -> Translated {
    translate(ClientKind::Consumer, &props(pairs)).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn values_become_librdkafkas() {
    for (java, value, name, expected) in [
        ("acks", "-1", "acks", "all"),
        ("linger.ms", "20", "linger.ms", "20"),
        ("buffer.memory", "67108864", "queue.buffering.max.kbytes", "65536"),
        ("max.request.size", "5000000", "message.max.bytes", "5000000"),
        ("batch.size", "131072", "batch.size", "131072"),
        ("batch.size", "200000000", "batch.size", "33554432"),
        ("delivery.timeout.ms", "2147483647", "delivery.timeout.ms", "2147483647"),
        ("delivery.timeout.ms", "9223372036854775807", "delivery.timeout.ms", "2147483647"),
        ("request.timeout.ms", "2147483647", "request.timeout.ms", "900000"),
        ("request.timeout.ms", "2147483647", "socket.timeout.ms", "300000"),
        ("request.timeout.ms", "4000", "socket.timeout.ms", "4000"),
        ("acks", "all", "socket.timeout.ms", "30000"),
        ("partitioner.class", "org.apache.kafka.clients.producer.RoundRobinPartitioner", "partitioner", "random"),
        ("compression.type", "zstd", "compression.type", "zstd"),
        ("send.buffer.bytes", "-1", "socket.send.buffer.bytes", "0"),
    ] {
        assert_eq!(producer(&[(java, value)]).settings.get(name).map(String::as_str), Some(expected), "{java}={value}");
    }
    for (java, value, name, expected) in [
        ("auto.offset.reset", "none", "auto.offset.reset", "error"),
        ("fetch.max.wait.ms", "100", "fetch.wait.max.ms", "100"),
        ("max.poll.interval.ms", "2147483647", "max.poll.interval.ms", "86400000"),
        ("request.timeout.ms", "30000", "socket.timeout.ms", "30000"),
        (
            "partition.assignment.strategy",
            "org.apache.kafka.clients.consumer.RangeAssignor,org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
            "partition.assignment.strategy",
            "range",
        ),
        (
            "partition.assignment.strategy",
            "org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
            "partition.assignment.strategy",
            "cooperative-sticky",
        ),
        (
            "partition.assignment.strategy",
            "org.apache.kafka.clients.consumer.RoundRobinAssignor, org.apache.kafka.clients.consumer.RangeAssignor",
            "partition.assignment.strategy",
            "roundrobin,range",
        ),
    ] {
        assert_eq!(consumer(&[(java, value)]).settings.get(name).map(String::as_str), Some(expected), "{java}={value}");
    }
}

#[test]
fn a_consumer_reads_uncommitted_by_default_as_in_java() {
    assert_eq!(consumer(&[]).settings["isolation.level"], "read_uncommitted");
    assert_eq!(consumer(&[("isolation.level", "read_committed")]).settings["isolation.level"], "read_committed");
}

/// A broker that comes back may say for a moment that a partition has no leader.
#[test]
fn leaders_are_looked_up_often_unless_the_user_says_how_often() {
    let refresh = "topic.metadata.refresh.interval.ms";
    for translate in [producer, consumer] {
        assert_eq!(translate(&[]).settings[refresh], "5000");
        assert_eq!(translate(&[("metadata.max.age.ms", "60000")]).settings[refresh], "60000");
    }
}

#[test]
fn java_only_properties_are_listed_with_a_reason() {
    let translated = producer(&[
        ("key.serializer", "x"),
        ("interceptor.classes", "x"),
        ("metrics.context.connect.group.id", "g"),
        ("config.storage.topic", "c"),
        ("group.id", "g"),
    ]);
    let ignored: Vec<_> = translated.ignored.iter().map(|ignored| ignored.key.as_str()).collect();
    assert_eq!(
        ignored,
        [
            "key.serializer",
            "interceptor.classes",
            "metrics.context.connect.group.id",
            "config.storage.topic",
            "group.id"
        ]
    );
    assert!(translated.ignored.iter().all(|ignored| !ignored.reason.is_empty()));
    assert!(!translated.settings.contains_key("group.id"));
}

#[test]
fn what_has_no_effect_is_told_and_what_the_worker_reads_itself_is_not() {
    let given: ClientProps = [
        ("interceptor.classes", "com.acme.Mine"),
        ("max.poll.records", "7"),
        ("no.such.key", "x"),
        ("fetch.min.bytes", "9"),
        ("partition.assignment.strategy", "com.acme.Mine"),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect();
    let keys: Vec<_> = without_effect(ClientKind::Consumer, &given).into_iter().map(|ignored| ignored.key).collect();
    assert_eq!(keys, ["interceptor.classes", "no.such.key", "partition.assignment.strategy"]);
    let zstd: ClientProps = [("compression.type", "zstd"), ("compression.zstd.level", "7")]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    assert!(without_effect(ClientKind::Producer, &zstd).is_empty());
}

#[test]
fn wrong_values_are_refused_with_the_property_and_what_was_expected() {
    for (pairs, expected) in [
        (("acks", "2"), "Invalid value 2 for configuration acks: String must be one of: all, -1, 0, 1"),
        (("linger.ms", "soon"), "Invalid value soon for configuration linger.ms: Not a number"),
        (
            ("compression.type", "rar"),
            "Invalid value rar for configuration compression.type: String must be one of: none, gzip, snappy, lz4, zstd",
        ),
    ] {
        let error = translate(ClientKind::Producer, &props(&[pairs])).err();
        assert_eq!(error.as_ref().map(ToString::to_string).as_deref(), Some(expected));
        let class = error.as_ref().and_then(Error::java).map(|java| java.class);
        assert_eq!(class, Some("org.apache.kafka.common.config.ConfigException"));
    }
    assert!(translate(ClientKind::Producer, &ClientProps::new()).is_err());
}

#[test]
fn idempotence_is_javas_default_unless_something_contradicts_it() {
    assert_eq!(producer(&[]).settings["enable.idempotence"], "true");
    assert!(!producer(&[("acks", "1")]).settings.contains_key("enable.idempotence"));
    assert!(!producer(&[("retries", "0")]).settings.contains_key("enable.idempotence"));
    assert_eq!(producer(&[("enable.idempotence", "false")]).settings["enable.idempotence"], "false");
}

#[test]
fn a_transactional_producer_delivers_within_its_transaction() {
    let translated = producer(&[("transactional.id", "t"), ("delivery.timeout.ms", "2147483647")]);
    assert_eq!(translated.settings["delivery.timeout.ms"], "60000");
    assert_eq!(translated.settings["enable.idempotence"], "true");
}

#[test]
fn the_level_of_the_chosen_compression_counts() {
    let translated =
        producer(&[("compression.type", "zstd"), ("compression.zstd.level", "7"), ("compression.gzip.level", "3")]);
    assert_eq!(translated.settings["compression.level"], "7");
}

#[test]
fn sasl_and_tls_become_librdkafkas() {
    let translated = consumer(&[
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.jaas.config", "x.PlainLoginModule required username=\"u\" password=\"p\";"),
        ("ssl.truststore.certificates", "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----"),
        ("ssl.endpoint.identification.algorithm", ""),
    ]);
    for (name, value) in [
        ("security.protocol", "sasl_ssl"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "u"),
        ("sasl.password", "p"),
        ("ssl.endpoint.identification.algorithm", "none"),
    ] {
        assert_eq!(translated.settings[name], value);
    }
    assert!(translated.settings["ssl.ca.pem"].contains("QUJD"));
    assert!(translated.ignored.is_empty());
}

#[test]
fn librdkafka_accepts_every_setting_of_the_table() {
    // The defaults plus one value for each line with a plain mapping.
    let mut values = ClientProps::new();
    for rule in TABLE {
        let value = match rule.how {
            How::Number { .. } => "1",
            How::Kilobytes { .. } => "1048576",
            _ => continue,
        };
        values.insert(rule.java.to_owned(), value.to_owned());
    }
    for kind in [ClientKind::Producer, ClientKind::Consumer] {
        let mut all = props(&[]);
        all.extend(values.clone());
        let translated = translate(kind, &all).unwrap_or_else(|error| panic!("{error}"));
        for (name, value) in &translated.settings {
            let mut config = rdkafka::ClientConfig::new();
            config.set(*name, value);
            config.create_native_config().unwrap_or_else(|error| panic!("{name}={value}: {error}"));
        }
    }
}
