//! Workers that reach each other by HTTPS, with key stores that keytool made.

use integration_tests::testbed::worker::{Kind, Worker, WorkerSetup};
use integration_tests::testbed::{Servers, ports};
use serde_json::json;

use crate::support::{file_source, unique};

/// A key store, a trust store, and the passwords of both, of a certificate for 127.0.0.1.
fn testdata(name: &str) -> String {
    format!("{}/../runtime/tls/testdata/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// The setup with an HTTPS listener beside the testbed's own; other workers are told that one, and have to show a
/// certificate.
fn over_https(setup: WorkerSetup, key_store: &str, trust_store: &str) -> WorkerSetup {
    let plain = setup.properties["listeners"].clone();
    setup
        .with("listeners", &format!("{plain},https://127.0.0.1:{}", ports::free().unwrap()))
        .with("rest.advertised.listener", "https")
        .with("listeners.https.ssl.client.auth", "required")
        .with("listeners.https.ssl.keystore.location", &testdata(key_store))
        .with("listeners.https.ssl.keystore.password", "store-password")
        .with(
            "listeners.https.ssl.key.password",
            if key_store.ends_with("jks") { "key-password" } else { "store-password" },
        )
        .with("listeners.https.ssl.truststore.location", &testdata(trust_store))
        .with("listeners.https.ssl.truststore.password", "store-password")
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_forward_over_https_with_java_key_stores_and_pkcs12() {
    let group = WorkerSetup::new(&unique("https"), &Servers::shared().kafka.bootstrap).unwrap();
    let second = group.member(&unique("https_second"), Kind::Tidegate).unwrap();
    let first = Worker::start(over_https(group, "server.jks", "trust.jks")).await.unwrap();
    let second = Worker::start(over_https(second, "server.p12", "trust.p12")).await.unwrap();
    // Only one of them leads: what the other one is asked goes over HTTPS, and so do the task configurations of a
    // connector that it runs.
    for (number, worker) in [&first, &second, &first, &second].into_iter().enumerate() {
        let (name, file) = (unique(&format!("https_{number}")), tempfile::NamedTempFile::new().unwrap());
        let body = json!({"name": name, "config": file_source(file.path(), &name)});
        let created = worker.api().post("/connectors", &body).await.unwrap();
        assert_eq!(created.status, 201, "{}", created.text);
        let status = worker.api().wait_running(&name).await.unwrap();
        assert_eq!(status["tasks"].as_array().map(Vec::len), Some(1), "{status}");
    }
}
