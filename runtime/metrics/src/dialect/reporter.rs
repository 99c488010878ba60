//! Dialect R: as in C, but texts have `_info` at their end, and counters are without `_total`.

use super::{borrowed, number, of_kafka, snake, tags, with};
use crate::family::{Families, Kind};
use crate::snapshot::{Attributes, Value};

pub(super) fn add(group: &Attributes, out: &mut Families) {
    if !of_kafka(group) {
        return;
    }
    let labels = tags(group, snake);
    let prefix = format!("{}_{}", snake(group.group.domain), snake(group.group.kind));
    for (attribute, value) in &group.values {
        let name = format!("{prefix}_{}", snake(attribute));
        match (value, number(value)) {
            (Value::Text(text), _) => {
                let label = snake(attribute);
                out.add(&format!("{name}_info"), attribute, Kind::Gauge, &with(&labels, &label, text), 1.0);
            }
            (_, Some((kind, value))) => {
                let name = name.strip_suffix("_total").unwrap_or(&name);
                out.add(name, attribute, kind, &borrowed(&labels), value);
            }
            _ => {}
        }
    }
}
