//! Finding plugins by name, and listing them.

mod stubs;

use connect_api::PluginType;
use connect_plugins::{Lookup, PluginRegistry};

fn registry() -> PluginRegistry {
    PluginRegistry::new(stubs::plugins())
}

#[test]
fn a_connector_is_found_by_class_simple_name_and_short_name() {
    let class = "org.apache.kafka.connect.file.FileStreamSourceConnector";
    for name in [class, "FileStreamSourceConnector", "FileStreamSource"] {
        assert_eq!(registry().connector(name).map(|plugin| plugin.class).ok(), Some(class), "{name}");
    }
}

#[test]
fn an_unknown_connector_is_refused_with_those_that_there_are() {
    let error = registry().connector("Nope").err().map(|e| e.to_string()).unwrap_or_default();
    assert!(
        error.starts_with(
            "Failed to find any class that implements Connector and which name matches Nope, available connectors are: "
        ),
        "{error}"
    );
    assert!(error.contains("org.apache.kafka.connect.file.FileStreamSinkConnector"), "{error}");
}

#[test]
fn a_converter_is_no_connector() {
    assert!(registry().connector("org.apache.kafka.connect.json.JsonConverter").is_err());
}

#[test]
fn an_ambiguous_simple_name_finds_nothing() {
    assert!(registry().any("ByteArrayConverter").is_none());
    assert!(registry().any("JsonConverter").is_some());
    assert!(registry().any("Json").is_some());
    // The simple name of a nested class is its own: `Value`, which several have.
    assert!(registry().any("Value").is_none());
    assert!(registry().any("InsertField$Value").is_none());
}

#[test]
fn a_class_of_the_jdk_exists_without_being_a_plugin() {
    assert!(matches!(registry().lookup("java.lang.String"), Lookup::OtherClass));
    assert!(matches!(registry().lookup("no.Such"), Lookup::Unknown));
}

#[test]
fn plugins_are_listed_by_kind_and_name_and_header_converters_twice() {
    let connectors = registry().list(true);
    let kinds: Vec<&str> = connectors.iter().map(|plugin| plugin.kind.name()).collect();
    assert_eq!(kinds, ["sink", "source"]);
    let all = registry().list(false);
    let kinds: Vec<&str> = all.iter().map(|plugin| plugin.kind.name()).collect();
    let mut in_order = kinds.clone();
    in_order.dedup();
    assert_eq!(in_order, ["sink", "source", "transformation", "predicate", "converter", "header_converter"]);
    let json: Vec<PluginType> =
        all.iter().filter(|plugin| plugin.class.ends_with(".JsonConverter")).map(|plugin| plugin.kind).collect();
    assert_eq!(json, [PluginType::Converter, PluginType::HeaderConverter]);
}

#[test]
fn the_type_of_a_connector_is_shown_even_when_its_class_is_gone() {
    let registry = registry();
    assert_eq!(registry.connector_type(Some("FileStreamSink")), "sink");
    assert_eq!(registry.connector_type(Some("gone.Connector")), "unknown");
    assert_eq!(registry.connector_type(None), "unknown");
}
