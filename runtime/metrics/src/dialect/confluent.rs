//! Dialect C: domain and group kept in the name. Dashboards for older exporters ask for the suffixes `_total` and `_info`,
//! those for newer ones leave them out: both are written.

use super::{borrowed, number, of_kafka, snake, tags, with};
use crate::family::{Families, Kind};
use crate::snapshot::{Attributes, Value};

/// The group of the MongoDB sink's statistics.
const MONGODB: &str = "com.mongodb.kafka.connect";

pub(super) fn add(group: &Attributes, out: &mut Families) {
    let mut labels = tags(group, snake);
    let prefix = if group.group.domain == MONGODB {
        format!("kafka_connect_mongodb_{}", snake(group.group.kind))
    } else if of_kafka(group) {
        format!("{}_{}", snake(group.group.domain), snake(group.group.kind))
    } else {
        return;
    };
    match (group.group.domain, group.group.kind) {
        ("kafka.connect", "app-info") => return app(group, &labels, out),
        (_, "app-info") => return,
        ("kafka.connect", "connector-metrics") => return connector(group, &labels, out),
        ("kafka.connect", "connect-worker-metrics") if labels.is_empty() => {
            labels.push(("connector".to_owned(), "aggregate".to_owned()));
        }
        ("kafka.connect", _) | (MONGODB, _) => {}
        (client, _) => labels.insert(0, ("client_type".to_owned(), client.trim_start_matches("kafka.").to_owned())),
    }
    for (attribute, value) in &group.values {
        let name = format!("{prefix}_{}", snake(attribute));
        match (value, number(value)) {
            (Value::Text(text), _) => {
                out.add(&name, attribute, Kind::Gauge, &with(&labels, &snake(attribute), text), 1.0);
            }
            (_, Some((kind, value))) => {
                out.add(&name, attribute, kind, &borrowed(&labels), value);
                if let Some(newer) = name.strip_suffix("_total") {
                    out.add(newer, attribute, kind, &borrowed(&labels), value);
                }
            }
            _ => {}
        }
    }
}

/// One family for all texts of a connector, told apart by their labels.
fn connector(group: &Attributes, labels: &[(String, String)], out: &mut Families) {
    for (attribute, value) in &group.values {
        if let Value::Text(text) = value {
            let label = snake(attribute);
            out.add("kafka_connect_connector_metrics", "status", Kind::Gauge, &with(labels, &label, text), 1.0);
        }
    }
}

fn app(group: &Attributes, labels: &[(String, String)], out: &mut Families) {
    for (attribute, value) in &group.values {
        let text = match value {
            Value::Text(text) => text.clone(),
            Value::Gauge(number) | Value::Count(number) => number.to_string(),
        };
        let label = snake(attribute);
        for name in ["kafka_connect_app_info", "kafka_connect_app"] {
            out.add(name, "app-info", Kind::Gauge, &with(labels, &label, &text), 1.0);
        }
    }
}
