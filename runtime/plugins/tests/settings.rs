//! The typed configuration of a connector.

use connect_api::{PluginType, Props};
use connect_plugins::{ConnectorSettings, ErrorTolerance, Role, TopicSelection};

fn props(entries: &[(&str, &str)]) -> Props {
    let base = [("name", "n"), ("connector.class", "C")];
    base.iter().chain(entries).map(|(k, v)| ((*k).to_owned(), Some((*v).to_owned()))).collect()
}

fn sink(entries: &[(&str, &str)]) -> Result<ConnectorSettings, String> {
    ConnectorSettings::parse(PluginType::Sink, &props(entries)).map_err(|e| e.to_string())
}

fn source(entries: &[(&str, &str)]) -> Result<ConnectorSettings, String> {
    ConnectorSettings::parse(PluginType::Source, &props(entries)).map_err(|e| e.to_string())
}

#[test]
fn a_sink_reads_each_topic_once_or_a_regex() {
    let topics = |settings: ConnectorSettings| match settings.role {
        Role::Sink { topics, .. } => topics,
        Role::Source { .. } => panic!("a sink was asked for"),
    };
    assert_eq!(
        sink(&[("topics", " a , b,a")]).map(topics),
        Ok(TopicSelection::List(vec!["a".to_owned(), "b".to_owned()]))
    );
    assert_eq!(sink(&[("topics.regex", "x.*")]).map(topics), Ok(TopicSelection::Regex("x.*".to_owned())));
    assert_eq!(sink(&[]).map(topics), Err("Must configure one of topics or topics.regex".to_owned()));
}

#[test]
fn errors_are_tolerated_and_kept_as_configured() {
    let settings = sink(&[("topics", "t")]).expect("the configuration is valid");
    assert_eq!((settings.tolerance(), settings.dead_letter_topic()), (ErrorTolerance::None, None));
    let given = [("topics", "t"), ("errors.tolerance", "all"), ("errors.deadletterqueue.topic.name", "dead")];
    let settings = sink(&given).expect("the configuration is valid");
    assert_eq!((settings.tolerance(), settings.dead_letter_topic()), (ErrorTolerance::All, Some("dead")));
    assert!(sink(&[("topics", "t"), ("errors.tolerance", "some")]).is_err());
}

#[test]
fn topics_are_created_by_the_first_group_that_fits_then_by_the_default() {
    let settings = source(&[
        ("topic.creation.groups", "logs"),
        ("topic.creation.default.replication.factor", "3"),
        ("topic.creation.default.partitions", "5"),
        ("topic.creation.logs.include", "log\\..*"),
        ("topic.creation.logs.partitions", "1"),
        ("topic.creation.logs.cleanup.policy", "compact"),
    ])
    .expect("the configuration is valid");
    let Role::Source { topic_creation, .. } = settings.role else { panic!("a source was asked for") };
    let shape: Vec<(&str, i16, i32)> =
        topic_creation.iter().map(|g| (g.name.as_str(), g.replication_factor, g.partitions)).collect();
    assert_eq!(shape, [("logs", 3, 1), ("default", 3, 5)]);
    assert_eq!(topic_creation[0].configs["cleanup.policy"], "compact");
    assert_eq!(topic_creation[1].include, [".*"]);
}

#[test]
fn a_group_needs_numbers_and_no_pattern() {
    let wrong = [
        vec![("topic.creation.default.partitions", "1")],
        vec![("topic.creation.default.partitions", "0"), ("topic.creation.default.replication.factor", "1")],
    ];
    for entries in wrong {
        assert!(source(&entries).is_err(), "{entries:?}");
    }
    // The JVM takes a group without a pattern, which no topic falls into.
    let without_pattern = [
        ("topic.creation.default.partitions", "1"),
        ("topic.creation.default.replication.factor", "1"),
        ("topic.creation.groups", "g"),
    ];
    let Ok(settings) = source(&without_pattern) else { panic!("no pattern is needed") };
    let Role::Source { topic_creation, .. } = settings.role else { panic!("a source") };
    assert!(topic_creation[0].include.is_empty());
    let Ok(settings) = source(&[]) else { panic!("no group is needed") };
    assert!(matches!(settings.role, Role::Source { topic_creation, .. } if topic_creation.is_empty()));
}
