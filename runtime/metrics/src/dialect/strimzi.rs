//! Dialect S: lower case, `-metrics` left out of the group, texts as gauges of 1 with the text as a label.

use super::{borrowed, number, of_kafka, snake, tags, with};
use crate::family::{Families, Kind};
use crate::snapshot::{Attributes, Value};

pub(super) fn add(group: &Attributes, out: &mut Families) {
    if !of_kafka(group) {
        return;
    }
    // Labels are written in lower case: `clientid`.
    let labels = tags(group, |tag| if tag == "client-id" { "clientid".to_owned() } else { snake(tag) });
    if group.group.kind == "app-info" {
        return app(group, &labels, out);
    }
    let kind = snake(group.group.kind.trim_end_matches("-metrics"));
    let ours = group.group.domain == "kafka.connect" && kind != "connect" && !kind.starts_with("connect_");
    let prefix = if ours { format!("kafka_connect_{kind}") } else { format!("kafka_{kind}") };
    for (attribute, value) in &group.values {
        let name = format!("{prefix}_{}", snake(attribute));
        match value {
            Value::Text(text) => {
                out.add(&name, attribute, Kind::Gauge, &with(&labels, &snake(attribute), text), 1.0);
            }
            _ => {
                if let Some((kind, value)) = number(value) {
                    out.add(&name, attribute, kind, &borrowed(&labels), value);
                }
            }
        }
    }
}

fn app(group: &Attributes, labels: &[(String, String)], out: &mut Families) {
    let domain = snake(group.group.domain);
    for (attribute, value) in &group.values {
        match value {
            Value::Text(text) => {
                let (name, label) = (format!("{domain}_{}_info", snake(attribute)), snake(attribute));
                out.add(&name, attribute, Kind::Gauge, &with(labels, &label, text), 1.0);
            }
            Value::Gauge(ms) if *attribute == "start-time-ms" => {
                let name = format!("{domain}_start_time_seconds");
                out.add(&name, "start-time-seconds", Kind::Gauge, &borrowed(labels), ms / 1000.0);
            }
            _ => {}
        }
    }
}
