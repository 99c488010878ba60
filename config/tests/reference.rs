//! Keeps `config/README.md` fresh, and the sample files parseable. `UPDATE_GOLDEN=1` writes the page anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use connect_config::provider::resolve_worker;
use connect_config::worker::{
    ClientConfig, FileConfig, GroupConfig, JobsConfig, ObservabilityConfig, ProtocolConfig, RestConfig, SaslConfig,
    StorageConfig, TlsConfig, TopicTrackingConfig, WorkerConfig,
};
use connect_config::{ConfigDef, DistributedConfig, Props, StandaloneConfig, properties, reference};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

const HEAD: &str = "# Worker configuration

A worker reads a file in Java's `.properties` format, the same file that Kafka Connect's own worker reads:

```
tidegate distributed config/connect-distributed.properties
tidegate standalone config/connect-standalone.properties connector.properties...
```

Samples in this folder: `connect-distributed.properties`, `connect-standalone.properties`, and the connectors
`postgres-source.json` and `mongodb-sink.json`, which are bodies for `POST /connectors`.

- Values may hold variables, `${provider:path:key}`. Providers are named in `config.providers`; files, directories and
  the environment are built in. What can't be resolved stays as it is written.
- Settings with the prefixes `producer.`, `consumer.` and `admin.` go to the Kafka clients of all connectors. A connector
  changes them for itself with `producer.override.`, `consumer.override.` and `admin.override.`, as far as
  `connector.client.config.override.policy` lets it.
- Settings under `config.storage.`, `offset.storage.` and `status.storage.` that are not listed here are settings of the
  topic when it is created. Its cleanup policy is always `compact`.
- Settings of TLS for the REST API have the prefix `listeners.https.`; without it, those for brokers count.

This page is written by a test (`UPDATE_GOLDEN=1 cargo test -p connect-config`).
";

fn page() -> String {
    let sections: [(&str, &ConfigDef); 12] = [
        ("Every worker", WorkerConfig::def()),
        ("REST API", RestConfig::def()),
        ("Metrics and logs (Tidegate's own keys)", ObservabilityConfig::def()),
        ("Jobs (Tidegate's own keys)", JobsConfig::def()),
        ("Topics of connectors", TopicTrackingConfig::def()),
        ("TLS", TlsConfig::def()),
        ("Standalone workers", FileConfig::def()),
        ("Distributed workers: group", GroupConfig::def()),
        ("Distributed workers: topics", StorageConfig::def()),
        ("Distributed workers: sharing work", ProtocolConfig::def()),
        ("Distributed workers: connections", ClientConfig::def()),
        ("Distributed workers: SASL", SaslConfig::def()),
    ];
    let mut text = HEAD.to_owned();
    for (title, def) in sections {
        write!(text, "\n## {title}\n\n{}", reference::table(def)).expect("writing into a string can not fail");
    }
    text
}

#[test]
fn the_reference_page_is_fresh() {
    let path = folder().join("README.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, page()).expect("the page can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, page(), "write the page anew with UPDATE_GOLDEN=1");
}

#[test]
fn the_reference_has_every_key_once() {
    let page = page();
    for key in DistributedConfig::def().keys().chain(StandaloneConfig::def().keys()) {
        assert_eq!(page.matches(&format!("| `{}` |", key.name)).count(), 1, "{}", key.name);
    }
    assert_eq!(DistributedConfig::def().keys().count(), 133);
}

fn sample(name: &str) -> Props {
    let bytes = std::fs::read(folder().join(name)).expect("the sample is there");
    let props = properties::load_props(&bytes).expect("the sample is a .properties file");
    resolve_worker(&props, &BTreeMap::new()).expect("the sample's providers are known")
}

#[test]
fn the_samples_are_valid() {
    let distributed = DistributedConfig::parse(&sample("connect-distributed.properties")).expect("the sample parses");
    assert_eq!(distributed.group.group_id, "connect-cluster");
    assert_eq!(distributed.rest.parsed_listeners().map(|listeners| listeners[0].port), Ok(8083));
    let standalone = StandaloneConfig::parse(&sample("connect-standalone.properties")).expect("the sample parses");
    assert_eq!(standalone.storage.offset_file, "/tmp/connect.offsets");
    for name in ["postgres-source.json", "mongodb-sink.json"] {
        let text = std::fs::read_to_string(folder().join(name)).expect("the sample is there");
        let json: serde_json::Value = serde_json::from_str(&text).expect("the sample is JSON");
        assert!(json["config"]["connector.class"].is_string(), "{name}");
    }
}
