//! Dialect D: attributes as Debezium names them.

use super::{borrowed, number, snake, tags};
use crate::family::Families;
use crate::snapshot::{Attributes, Value};

/// `debezium_metrics_<Attribute>`. Texts that are no numbers are left out, as exporters do.
pub(super) fn events(group: &Attributes, out: &mut Families) {
    let Some(plugin) = group.group.domain.strip_prefix("debezium.") else { return };
    let mut labels = vec![("plugin".to_owned(), plugin.to_owned())];
    labels.extend(tags(group, |tag| match tag {
        "server" => "name".to_owned(),
        other => snake(other),
    }));
    for (attribute, value) in &group.values {
        let text = match value {
            Value::Text(text) => text.parse().ok().map(|value| (crate::family::Kind::Gauge, value)),
            _ => number(value),
        };
        if let Some((kind, value)) = text {
            out.add(&format!("debezium_metrics_{attribute}"), attribute, kind, &borrowed(&labels), value);
        }
    }
}

/// The worker's own numbers beside them.
pub(super) fn worker(group: &Attributes, out: &mut Families) {
    let (prefix, labels) = match (group.group.domain, group.group.kind) {
        ("kafka.connect", "connect-worker-metrics") if group.tags.is_empty() => {
            ("kafka_connect_worker_metrics", Vec::new())
        }
        ("kafka.connect", "connect-metrics") => {
            ("kafka_connect_metrics", vec![("client", group.tag("client-id").unwrap_or_default())])
        }
        _ => return,
    };
    for (attribute, value) in &group.values {
        if let Some((kind, value)) = number(value) {
            out.add(&format!("{prefix}_{}", snake(attribute)), attribute, kind, &labels, value);
        }
    }
}
