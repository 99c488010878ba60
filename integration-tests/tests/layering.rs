//! The crates depend on each other in one direction only: the table below is the whole of it.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Which of our crates each of our crates may use. Tests (dev-dependencies) may use more.
const ALLOWED: [(&str, &[&str]); 17] = [
    ("connect-config", &[]),
    ("connect-api", &["connect-config"]),
    ("connect-tls", &[]),
    ("connect-kafka", &["connect-tls"]),
    ("connect-metrics", &[]),
    ("connect-cluster", &["connect-config", "connect-api"]),
    ("connect-plugins", &["connect-config", "connect-api"]),
    ("connect-postgres", &["connect-config", "connect-api", "connect-tls", "connect-kafka"]),
    ("connect-mongodb", &["connect-config", "connect-api"]),
    ("connect-formats", &["connect-config", "connect-api"]),
    ("connect-registry", &["connect-config", "connect-api", "connect-tls"]),
    ("connect-transforms", &["connect-config", "connect-api"]),
    ("connect-file", &["connect-config", "connect-api"]),
    (
        "connect-worker",
        &["connect-config", "connect-api", "connect-cluster", "connect-kafka", "connect-plugins", "connect-metrics"],
    ),
    ("connect-rest", &["connect-config", "connect-cluster", "connect-tls"]),
    ("tidegate", EVERYTHING),
    ("integration-tests", EVERYTHING),
];

const EVERYTHING: &[&str] = &[
    "connect-config",
    "connect-api",
    "connect-tls",
    "connect-kafka",
    "connect-metrics",
    "connect-cluster",
    "connect-plugins",
    "connect-postgres",
    "connect-mongodb",
    "connect-formats",
    "connect-registry",
    "connect-transforms",
    "connect-file",
    "connect-worker",
    "connect-rest",
    "tidegate",
];

/// Crates that bring I/O, a clock or a runtime: `connect-cluster` is pure and uses none of them.
const IMPURE: [&str; 8] = ["tokio", "reqwest", "rdkafka", "axum", "mongodb", "tokio-postgres", "jiff", "rand"];

#[test]
fn crates_depend_in_one_direction() {
    let found = dependencies();
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        ALLOWED.iter().map(|(name, of)| (*name, of.iter().copied().collect())).collect();
    for (name, dependencies) in &found {
        let allowed = allowed.get(name.as_str()).unwrap_or_else(|| panic!("{name} is not in the table"));
        for dependency in dependencies.iter().filter(|dependency| found.contains_key(*dependency)) {
            assert!(allowed.contains(dependency.as_str()), "{name} must not use {dependency}");
        }
    }
    assert_eq!(found.len(), ALLOWED.len(), "the table names a crate that is gone");
}

#[test]
fn the_cluster_crate_is_pure() {
    let found = dependencies();
    for impure in IMPURE {
        assert!(!found["connect-cluster"].contains(impure), "connect-cluster must not use {impure}");
    }
}

/// The dependencies of each of our crates, without those of tests and build scripts.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let used = package["dependencies"].as_array().unwrap().iter().filter(|of| of["kind"].is_null());
            (text(&package["name"]), used.map(|of| text(&of["name"])).collect())
        })
        .collect()
}
