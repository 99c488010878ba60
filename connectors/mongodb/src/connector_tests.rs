//! Validation without a server, against what the JVM's connector answers.

use connect_config::{Props, Validated};

use crate::connector::validate_static;
use crate::record_tests::props;

fn validated(settings: &[(&str, &str)]) -> Validated {
    validate_static(&props(settings)).unwrap()
}

/// Keys and messages of what is wrong.
fn errors(settings: &[(&str, &str)]) -> Vec<(String, String)> {
    let entries = validated(settings).entries.into_iter();
    entries.flat_map(|entry| entry.errors.into_iter().map(move |error| (entry.name.clone(), error))).collect()
}

fn one(settings: &[(&str, &str)]) -> String {
    let errors = errors(settings);
    assert_eq!(errors.len(), 1, "{errors:?}");
    format!("{}: {}", errors[0].0, errors[0].1)
}

#[test]
fn plain_mistakes() {
    assert_eq!(errors(&[]), []);
    assert_eq!(
        one(&[("mongo.errors.tolerance", "most")]),
        "mongo.errors.tolerance: Invalid value most for configuration mongo.errors.tolerance: Invalid enumerator value. \
         Should be one of: [none, data, all]"
    );
    assert_eq!(
        one(&[("post.processor.chain", "a b,c")]),
        "post.processor.chain: Invalid value [a b, c] for configuration post.processor.chain: Does not match expected class pattern."
    );
    assert_eq!(
        one(&[("connection.uri", "mongodb://")]),
        "connection.uri: Invalid value mongodb:// for configuration connection.uri: The connection string contains an empty host '[]'. "
    );
    assert_eq!(
        one(&[("database", "")]),
        "database: Invalid value  for configuration database: String must be non-empty"
    );
    assert_eq!(errors(&[("rate.limiting.timeout", "x")]).len(), 2);
    assert_eq!(
        one(&[("topics.regex", "t.*")]),
        "topics: topics and topics.regex are mutually exclusive options, but both are set."
    );
    assert_eq!(one(&[("topics", "")]), "topics: Must configure one of topics or topics.regex");
}

#[test]
fn classes_that_cannot_be_used() {
    assert_eq!(
        one(&[("change.data.capture.handler", "{sink}cdc.NoSuch")]),
        "change.data.capture.handler: Invalid value com.mongodb.kafka.connect.sink.cdc.NoSuch for configuration \
         change.data.capture.handler: Class not found: com.mongodb.kafka.connect.sink.cdc.NoSuch"
    );
    assert_eq!(
        one(&[("change.data.capture.handler", "{sink}cdc.debezium.DebeziumCdcHandler")]),
        "change.data.capture.handler: Invalid value com.mongodb.kafka.connect.sink.cdc.debezium.DebeziumCdcHandler for \
         configuration change.data.capture.handler"
    );
    assert_eq!(
        one(&[("document.id.strategy", "{sink}processor.id.strategy.PartialValueStrategy")]),
        "document.id.strategy: Invalid value [com.mongodb.kafka.connect.sink.processor.DocumentIdAdder] for configuration \
         document.id.strategy: Invalid value.projection.type value. It should be set to either BLOCKLIST or ALLOWLIST"
    );
    assert_eq!(
        one(&[("delete.on.null.values", "true")]),
        "delete.on.null.values: Invalid value true for configuration delete.on.null.values: DeleteOneDefaultStrategy can \
         only be applied when the configured IdStrategy is an instance of: FullKeyStrategy or PartialKeyStrategy or \
         ProvidedInKeyStrategy"
    );
    let mapper = ("namespace.mapper", "{sink}namespace.mapping.FieldPathNamespaceMapper");
    assert!(one(&[mapper]).contains("Missing configuration for the FieldBasedNamespaceMapper."));
    let wrong_kind = props(&[("writemodel.strategy", "{sink}processor.id.strategy.BsonOidStrategy")]);
    assert_eq!(validate_static(&wrong_kind).unwrap_err().java_class(), "java.lang.ClassCastException");
}

#[test]
fn overrides_of_topics() {
    assert_eq!(
        one(&[("topic.override.t.max.batch.size", "-1"), ("topic.override.t.writemodel.strategy", "com.example.Nope")]),
        "topic.override.t.max.batch.size: Invalid value -1 for configuration max.batch.size: Value must be at least 0"
    );
    assert_eq!(errors(&[("topic.override.other.max.batch.size", "-1"), ("topic.override.t.no.such.key", "1")]), []);
    assert_eq!(errors(&[("no.such.key", "1"), ("max.num.retries", "3")]), []);
}

#[test]
fn settings_of_old_count_only_where_they_have_an_effect() {
    let waits = ("transient.errors.retry.timeout.ms", "60000");
    let odd = [("max.num.retries", "-1"), ("retries.defer.timeout", "x")];
    assert_eq!(errors(&odd), []);
    assert_eq!(errors(&[odd[0], odd[1], ("transient.errors.retry.timeout.ms", "0")]), []);
    assert_eq!(
        one(&[odd[0], waits]),
        "max.num.retries: Invalid value -1 for configuration max.num.retries: Value must be at least 0"
    );
    assert_eq!(
        one(&[odd[1], waits]),
        "retries.defer.timeout: Invalid value x for configuration retries.defer.timeout: Not a number of type LONG"
    );
    assert_eq!(errors(&[("max.num.retries", "3"), ("retries.defer.timeout", "5000"), waits]), []);
    assert_eq!(errors(&crate::settings::JOB_DEFAULTS), []);
}

#[test]
fn a_topic_sees_its_overrides_but_not_the_connection() {
    let all: Props = props(&[
        ("collection", "base"),
        ("topic.override.t.collection", "over"),
        ("topic.override.t.connection.uri", "mongodb://elsewhere"),
        ("topic.override.tt.collection", "other"),
    ]);
    let own = crate::topic::properties("t", &all);
    assert_eq!(own.get("collection"), Some(&Some("over".to_owned())));
    assert_eq!(own.get("connection.uri"), None);
    assert_eq!(crate::topic::properties("u", &all).get("collection"), Some(&Some("base".to_owned())));
}

#[test]
fn the_reference_in_the_readme_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let (begin, end) = ("<!-- reference: begin -->\n", "<!-- reference: end -->");
    let (head, rest) = readme.split_once(begin).unwrap();
    let (_, tail) = rest.split_once(end).unwrap();
    let table = |def| connect_config::reference::table(def);
    let fresh = format!(
        "{head}{begin}\n{}\nBeyond the JVM's connector:\n\n{}\n{end}{tail}",
        table(crate::SinkConfig::def()),
        table(crate::ExtraConfig::def())
    );
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &fresh).unwrap();
    }
    assert!(readme == fresh, "README.md is stale: run the test with UPDATE_GOLDEN=1 and commit the file");
}
