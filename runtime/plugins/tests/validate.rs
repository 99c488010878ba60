//! Validation of connectors where the golden vectors do not reach: distributed workers, converters, several keys.

mod stubs;

use connect_api::Props;
use connect_config::Validated;
use connect_plugins::{
    ClientOverridePolicy, ExactlyOnceSource, PluginRegistry, ValidationContext, WorkerMode, plugin_config,
    validate_connector,
};

const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";

fn props(entries: &[(&str, &str)]) -> Props {
    entries.iter().map(|(k, v)| ((*k).to_owned(), Some((*v).to_owned()))).collect()
}

async fn validate(entries: &[(&str, &str)]) -> Validated {
    let context = ValidationContext {
        worker: props(&[("key.converter", JSON), ("value.converter", JSON)]),
        mode: WorkerMode::Distributed { group_id: "connect-busy".into(), exactly_once: ExactlyOnceSource::Disabled },
        policy: ClientOverridePolicy::All,
    };
    let registry = PluginRegistry::new(stubs::plugins());
    validate_connector(&registry, &context, &props(entries)).await.expect("validation itself works")
}

const SOURCE: [(&str, &str); 3] = [("name", "n"), ("connector.class", "FileStreamSource"), ("topic", "t")];
const SINK: [(&str, &str); 3] = [("name", "n"), ("connector.class", "FileStreamSink"), ("topics", "t")];

fn with<'a>(base: &[(&'a str, &'a str)], more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    base.iter().filter(|(key, _)| !more.iter().any(|(other, _)| other == key)).chain(more).copied().collect()
}

fn errors(validated: &Validated) -> Vec<(String, Vec<String>)> {
    let wrong = validated.entries.iter().filter(|entry| !entry.errors.is_empty());
    wrong.map(|entry| (entry.name.clone(), entry.errors.clone())).collect()
}

#[tokio::test]
async fn a_worker_without_exactly_once_refuses_a_connector_that_requires_it() {
    let validated = validate(&with(&SOURCE, &[("exactly.once.support", "required")])).await;
    assert_eq!(
        errors(&validated),
        [(
            "exactly.once.support".to_owned(),
            vec![
                "This worker does not have exactly-once source support enabled.".to_owned(),
                "The connector does not support exactly-once semantics with the provided configuration.".to_owned()
            ]
        )]
    );
}

#[tokio::test]
async fn a_sink_must_not_join_the_workers_group() {
    let validated = validate(&with(&SINK, &[("name", "busy")])).await;
    assert_eq!(validated.error_count(), 1);
    assert_eq!(errors(&validated)[0].0, "name");
    let validated = validate(&with(&SINK, &[("consumer.override.group.id", "connect-busy")])).await;
    assert_eq!(errors(&validated)[0].0, "consumer.override.group.id");
}

#[tokio::test]
async fn the_keys_of_a_converter_are_validated_when_the_connector_names_it() {
    let more = [("value.converter", JSON), ("value.converter.schemas.enable", "maybe")];
    let validated = validate(&with(&SOURCE, &more)).await;
    assert_eq!(
        errors(&validated),
        [(
            "value.converter.schemas.enable".to_owned(),
            vec![
                "Invalid value maybe for configuration schemas.enable: Expected value to be either true or false"
                    .to_owned()
            ]
        )]
    );
    assert_eq!(validated.groups.last().map(String::as_str), Some("Schemas"));
    // The worker's own converter is the worker's business.
    let validated = validate(&with(&SOURCE, &[("value.converter.schemas.enable", "maybe")])).await;
    assert_eq!(validated.error_count(), 0);
}

#[tokio::test]
async fn dead_letters_must_not_come_back_through_a_regex() {
    let more = [("topics", ""), ("topics.regex", "t.*"), ("errors.deadletterqueue.topic.name", "t-dead")];
    let validated = validate(&with(&SINK, &more)).await;
    assert_eq!(
        errors(&validated)[0].1,
        [
            "The DLQ topic 't-dead' may not be matched by the regex for the topics ('topics.regex=t.*') consumed by the connector"
        ]
    );
}

#[tokio::test]
async fn the_connector_type_must_be_there_and_known() {
    let context =
        ValidationContext { worker: Props::new(), mode: WorkerMode::Standalone, policy: ClientOverridePolicy::All };
    let registry = PluginRegistry::new(stubs::plugins());
    let error = validate_connector(&registry, &context, &props(&[("topic", "t")])).await.err().map(|e| e.to_string());
    assert_eq!(error.as_deref(), Some("Connector config {topic=t} contains no connector type"));
    assert!(validate_connector(&registry, &context, &props(&[("connector.class", "Nope")])).await.is_err());
}

#[tokio::test]
async fn a_version_that_is_not_there_is_refused_at_both_keys() {
    let validated = validate(&with(&SOURCE, &[("connector.plugin.version", "9.9")])).await;
    let problem =
        "Plugin org.apache.kafka.connect.file.FileStreamSourceConnector not found that matches the version range \
                   [9.9,9.9], available versions: [4.1.1]"
            .to_owned();
    assert_eq!(
        errors(&validated),
        [("connector.class".to_owned(), vec![problem.clone()]), ("connector.plugin.version".to_owned(), vec![problem])]
    );
    assert!(validated.entry("topic").is_none());
    let more = [("value.converter", JSON), ("value.converter.plugin.version", "[1,2)")];
    let wrong = errors(&validate(&with(&SOURCE, &more)).await);
    let keys: Vec<&str> = wrong.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["value.converter", "value.converter.plugin.version"]);
}

#[test]
fn the_listed_keys_of_a_connector_begin_with_its_own() {
    let registry = PluginRegistry::new(stubs::plugins());
    let plugin = registry.connector("FileStreamSource").expect("the stub is there");
    let def = plugin_config(&registry, plugin);
    let names: Vec<&str> = def.keys().map(|key| key.name.as_str()).take(5).collect();
    assert_eq!(names, ["file", "topic", "batch.size", "name", "connector.class"]);
    let converter = registry.any("JsonConverter").expect("the stub is there");
    assert_eq!(plugin_config(&registry, converter).keys().count(), 2);
}

#[tokio::test]
async fn versions_of_transforms_and_predicates_are_enforced() {
    let hoist = "org.apache.kafka.connect.transforms.HoistField$Value";
    let more = [
        ("transforms", "a"),
        ("transforms.a.type", hoist),
        ("transforms.a.field", "f"),
        ("transforms.a.plugin.version", "9"),
        ("predicates", "p"),
        ("predicates.p.type", "RecordIsTombstone"),
        ("predicates.p.plugin.version", "[1"),
    ];
    let validated = validate(&with(&SOURCE, &more)).await;
    let problem = format!("Plugin {hoist} not found that matches the version range [9,9], available versions: [4.1.1]");
    let unbounded = "Unbounded range: [1".to_owned();
    assert_eq!(
        errors(&validated),
        [
            ("transforms.a.type".to_owned(), vec![problem.clone()]),
            ("transforms.a.plugin.version".to_owned(), vec![problem]),
            ("predicates.p.type".to_owned(), vec![unbounded.clone()]),
            ("predicates.p.plugin.version".to_owned(), vec![unbounded]),
        ]
    );
    assert!(validated.entry("transforms.a.field").is_none(), "the keys of a version that is not there are not known");
    let fits = with(&more[..3], &[("transforms.a.plugin.version", "[4,5)")]);
    assert_eq!(validate(&with(&SOURCE, &fits)).await.error_count(), 0);
}

#[tokio::test]
async fn a_class_that_cannot_be_made_is_told_from_one_that_is_not_there() {
    let told = async |key: &'static str, class: &'static str| {
        let more = [("transforms", "a"), ("transforms.a.type", "Filter"), (key, class)];
        let mut wrong = errors(&validate(&with(&SOURCE, &with(&more[..2], &more[2..]))).await);
        wrong.retain(|(name, _)| name == key);
        wrong.pop().map(|(_, mut errors)| errors.remove(0)).unwrap_or_default()
    };
    let around = "org.apache.kafka.connect.transforms.HoistField";
    assert_eq!(
        told("transforms.a.type", around).await,
        format!("This class is abstract and cannot be created. Did you mean {around}$Key, {around}$Value?")
    );
    assert_eq!(
        told("key.converter", "org.apache.kafka.connect.storage.Converter").await,
        "This class is abstract and cannot be created."
    );
    assert_eq!(
        told("header.converter", "org.apache.kafka.connect.storage.Converter").await,
        "Class interface org.apache.kafka.connect.storage.Converter does not implement the HeaderConverter interface"
    );
    assert_eq!(
        told("key.converter", "FileConfigProvider").await,
        "Class class org.apache.kafka.common.config.provider.FileConfigProvider does not implement the Converter interface"
    );
    assert_eq!(told("key.converter", " JsonConverter ").await, "Failed to load class  JsonConverter :  JsonConverter ");
}

#[tokio::test]
async fn classes_are_shown_by_their_names_and_converters_keys_in_javas_order() {
    let more = [("transforms", "a"), ("transforms.a.type", "Filter"), ("value.converter", "Json")];
    let validated = validate(&with(&SOURCE, &more)).await;
    let shown = |key: &str| validated.entry(key).and_then(|entry| entry.value.as_str().map(str::to_owned));
    assert_eq!(shown("transforms.a.type").as_deref(), Some("org.apache.kafka.connect.transforms.Filter"));
    assert_eq!(shown("value.converter").as_deref(), Some(JSON));
    let last: Vec<&str> = validated.entries.iter().rev().take(2).map(|entry| entry.name.as_str()).collect();
    assert_eq!(last, ["value.converter.schemas.enable", "value.converter.converter.type"]);
}
