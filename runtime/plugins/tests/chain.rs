//! Converters and transforms of a task.

mod stubs;

use connect_api::{BytesMut, Datum, Props, Record};
use connect_plugins::{Pipeline, PluginRegistry, build_chain};

const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";

fn props(entries: &[(&str, &str)]) -> Props {
    entries.iter().map(|(k, v)| ((*k).to_owned(), Some((*v).to_owned()))).collect()
}

fn worker() -> Props {
    props(&[
        ("key.converter", JSON),
        ("key.converter.schemas.enable", "false"),
        ("value.converter", JSON),
        ("value.converter.from", "worker"),
    ])
}

fn build(connector: &[(&str, &str)]) -> connect_api::Result<Pipeline> {
    build_chain(&PluginRegistry::new(stubs::plugins()), &worker(), &props(connector))
}

/// What the stub of a converter was configured with.
fn settings(converter: &dyn connect_api::Converter) -> String {
    let mut out = BytesMut::new();
    converter.serialize("t", &Datum::null(), &mut out).expect("a stub converts");
    String::from_utf8_lossy(&out).into_owned()
}

#[test]
fn converters_are_the_workers_when_the_connector_names_none() {
    let chain = build(&[("key.converter.schemas.enable", "true")]).expect("the chain is made");
    // The connector's settings do not get into the worker's converter.
    assert_eq!(settings(&*chain.key_converter), "converter.type=key,schemas.enable=false");
    assert_eq!(settings(&*chain.value_converter), "converter.type=value,from=worker");
}

#[test]
fn a_converter_of_the_connector_gets_the_connectors_settings_only() {
    let chain =
        build(&[("value.converter", "JsonConverter"), ("value.converter.own", "1")]).expect("the chain is made");
    assert_eq!(settings(&*chain.value_converter), "converter.type=value,own=1");
}

#[test]
fn header_converters_default_to_the_simple_one() {
    let chain = build(&[]).expect("the chain is made");
    let mut out = BytesMut::new();
    chain.header_converter.serialize("t", "h", &Datum::null(), &mut out).expect("a stub converts");
    assert_eq!(out, "converter.type=header");
}

#[test]
fn transforms_run_in_order_with_their_own_settings() {
    let chain = build(&[
        ("transforms", "b, a"),
        ("transforms.a.type", "org.apache.kafka.connect.transforms.HoistField$Key"),
        ("transforms.a.field", "x"),
        ("transforms.b.type", "Filter"),
    ])
    .expect("the chain is made");
    let names: Vec<(&str, &str)> = chain.transforms.iter().map(|stage| (stage.alias.as_str(), stage.class)).collect();
    assert_eq!(
        names,
        [
            ("b", "org.apache.kafka.connect.transforms.Filter"),
            ("a", "org.apache.kafka.connect.transforms.HoistField$Key")
        ]
    );
    let record = Record::source("t".into(), Datum::null(), Datum::null());
    let moved = chain.transforms[1].apply(record).expect("a stub transforms").expect("the record is kept");
    assert_eq!(&*moved.topic, "t+field=x");
}

#[test]
fn a_predicate_decides_and_negate_turns_it_round() {
    for (negate, topic, changed) in
        [("false", "fits", true), ("false", "other", false), ("true", "fits", false), ("true", "other", true)]
    {
        let chain = build(&[
            ("transforms", "a"),
            ("transforms.a.type", "Filter"),
            ("transforms.a.predicate", "p"),
            ("transforms.a.negate", negate),
            ("predicates", "p"),
            ("predicates.p.type", "RecordIsTombstone"),
        ])
        .expect("the chain is made");
        let record = Record::source(topic.into(), Datum::null(), Datum::null());
        let after = chain.transforms[0].apply(record).expect("a stub transforms").expect("the record is kept");
        assert_eq!(after.topic.contains('+'), changed, "{topic}, negate={negate}");
    }
}

#[test]
fn what_does_not_exist_is_named() {
    let problem = |connector: &[(&str, &str)]| build(connector).err().map(|e| e.to_string()).unwrap_or_default();
    assert_eq!(
        problem(&[("value.converter", "no.Such")]),
        "Invalid value no.Such for configuration value.converter: Class no.Such could not be found."
    );
    assert_eq!(
        problem(&[("transforms", "a")]),
        "Missing required configuration \"transforms.a.type\" which has no default value."
    );
    assert!(problem(&[("transforms", "a"), ("transforms.a.type", JSON)]).contains("does not implement"));
    assert!(
        problem(&[("transforms", "a"), ("transforms.a.type", "Filter"), ("transforms.a.predicate", "gone")])
            .contains("gone")
    );
}
