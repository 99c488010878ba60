//! `options` of a job, checked where they come in.

use serde_json::{Map, Value};

/// Options that a job may have, beside those of recovery.
const KNOWN: [&str; 3] = ["drop_destination_collections", "webhooks", "description"];
/// Overrides of the worker's `job.recovery.*`.
const RECOVERY: &str = "recovery.";

/// Whether what the sinks wrote before is dropped ahead of the snapshot.
pub fn drops_destinations(options: &Map<String, Value>) -> bool {
    options.get("drop_destination_collections").is_some_and(|value| value.as_bool() == Some(true) || value == "true")
}

/// What is wrong with options, as sentences. Those of recovery and webhooks are checked by whoever reads them.
pub fn problems(options: &Map<String, Value>) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, value) in options {
        if name.starts_with(RECOVERY) {
            continue;
        }
        if !KNOWN.contains(&name.as_str()) {
            problems.push(format!("options.{name} is not known; known are {} and recovery.*", KNOWN.join(", ")));
        }
        let flag = value.is_boolean() || value == "true" || value == "false";
        if name == "drop_destination_collections" && !flag {
            problems.push(format!("options.{name} has to be true or false"));
        }
    }
    problems
}

/// Options as they are shown: without what signs webhooks, and without passwords in their URLs.
pub fn shown(options: &Map<String, Value>) -> Map<String, Value> {
    options
        .iter()
        .map(|(name, value)| (name.clone(), if name == "webhooks" { masked(value) } else { value.clone() }))
        .collect()
}

const HIDDEN: &str = "********";

fn masked(value: &Value) -> Value {
    match value {
        Value::String(url) => Value::String(without_user(url)),
        Value::Array(list) => Value::Array(list.iter().map(masked).collect()),
        Value::Object(map) => {
            let field = |(name, value): (&String, &Value)| {
                let value = match name.as_str() {
                    "secret" => Value::String(HIDDEN.to_owned()),
                    "url" => masked(value),
                    _ => value.clone(),
                };
                (name.clone(), value)
            };
            Value::Object(map.iter().map(field).collect())
        }
        other => other.clone(),
    }
}

/// A URL with nothing but its host: all else may hold what lets one post there.
fn without_user(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return HIDDEN.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, more) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{}", if more.len() > 1 { "/…" } else { "" })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn secrets_are_hidden() {
        let options = map(json!({"webhooks": [
            "https://user:pw@example.org/in?token=1",
            {"url": "https://example.org/x", "secret": "s", "events": ["job.warning"]},
        ]}));
        let text = serde_json::to_string(&shown(&options)).unwrap();
        assert!(!text.contains("pw") && !text.contains("token") && !text.contains("\"s\""), "{text}");
        assert!(text.contains("https://example.org/…") && text.contains("job.warning"), "{text}");
    }

    #[test]
    fn unknown_options_are_named() {
        assert_eq!(problems(&map(json!({"drop_destination_collections": true, "recovery.enabled": false}))), [""; 0]);
        let found = problems(&map(json!({"drop": 1, "drop_destination_collections": "maybe"})));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("options.drop is not known"), "{found:?}");
    }
}
