//! Names of metrics: what a populated worker shows is what published dashboards and our own query, and is text that
//! Prometheus can read. No servers are needed.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]

mod exposition;
mod populated;

use std::collections::BTreeSet;

use connect_metrics::{Dialects, Format};
use serde_json::Value;

use exposition::Exposition;

/// What published dashboards and alerts query.
const QUERIED: &str = include_str!("queried.txt");
const DASHBOARD: &str = include_str!("../../../docker/monitoring/dashboard.json");
const ALERTS: &str = include_str!("../../../docker/monitoring/alerts.yml");

fn shown(dialects: Dialects, format: Format) -> Exposition {
    Exposition::parse(&populated::text(dialects, format), format == Format::OpenMetrics)
}

#[tokio::test]
async fn every_name_that_dashboards_query_is_shown() {
    for format in [Format::Text, Format::OpenMetrics] {
        let shown = shown(Dialects::all(), format);
        let wanted = QUERIED.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let missing: Vec<&str> = wanted
            .filter(|line| {
                let mut words = line.split(' ');
                let name = words.next().unwrap();
                let labels: Vec<&str> = words.collect();
                !shown.has(name, &labels)
            })
            .collect();
        assert!(missing.is_empty(), "{format:?} lacks {missing:#?}");
    }
}

#[tokio::test]
async fn a_dialect_that_is_not_wanted_is_not_shown() {
    let strimzi = shown(Dialects::parse(["strimzi"]).unwrap(), Format::Text);
    assert!(strimzi.has("kafka_connect_worker_connector_count", &[]));
    assert!(!strimzi.has("kafka_connect_connect_worker_metrics_connector_count", &[]));
    assert!(!strimzi.has("debezium_metrics_Connected", &[]));
    let standard = shown(Dialects::default(), Format::Text);
    assert!(!standard.has("kafka_connect_connector_metrics_status_info", &[]));
}

#[tokio::test]
async fn our_dashboard_and_alerts_query_what_is_shown() {
    let shown = shown(Dialects::default(), Format::OpenMetrics);
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let expressions = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().into_iter().flatten())
        .map(|target| target["expr"].as_str().unwrap().to_owned());
    let alerts = ALERTS.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).map(str::to_owned);
    let queries: Vec<String> = expressions.chain(alerts).collect();
    assert!(queries.len() > 20, "{}", queries.len());
    let mut names = BTreeSet::new();
    for query in &queries {
        let found = metric_names(query);
        assert!(!found.is_empty(), "no metric in {query}");
        names.extend(found);
    }
    let missing: Vec<&String> = names.iter().filter(|name| *name != "up" && !shown.has(name, &[])).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

/// The names of metrics in a query: what is followed by a selector, a range, an operator or the end, and is no function.
fn metric_names(query: &str) -> Vec<String> {
    let known = regex::Regex::new(r"\b(?:kafka|debezium|process|jvm|tidegate)_[A-Za-z0-9_]+|\bup\b").unwrap();
    // Labels in selectors and groupings have other beginnings.
    known.find_iter(query).map(|found| found.as_str().to_owned()).collect()
}
