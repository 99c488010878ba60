//! Connectors of a standalone worker, from files (`ConnectStandalone.parseConnectorConfigurationFile`).

use std::path::Path;

use connect_cluster::Target;
use connect_config::{ConfigError, Props, properties};
use serde_json::{Map, Value};

/// A connector that a file asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct FromFile {
    pub name: String,
    pub config: Props,
    pub target: Target,
}

/// A file that names no connector.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("failed to read the connector file {path}")]
    Read {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("the connector file {path} is neither a JSON object of a connector nor a properties file")]
    Format {
        path: String,
        #[source]
        source: ConfigError,
    },
    #[error("the connector file {path} is missing the mandatory 'name'")]
    Name { path: String },
    #[error("the connector file {path} asks for an unknown initial_state; RUNNING, PAUSED and STOPPED are known")]
    State { path: String },
}

/// Reads a connector: JSON with `name` and `config` (and `initial_state`), a JSON object of settings, or properties.
pub fn read(path: &Path) -> Result<FromFile, FileError> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|source| FileError::Read { path: name.clone(), source })?;
    parse(name, &bytes)
}

fn parse(path: String, bytes: &[u8]) -> Result<FromFile, FileError> {
    let (config, state) = match serde_json::from_slice::<Value>(bytes) {
        Ok(Value::Object(map)) => from_json(map),
        _ => match properties::load_props(bytes) {
            Ok(props) => (props, None),
            Err(source) => return Err(FileError::Format { path, source }),
        },
    };
    let target = match state.as_deref().map(str::to_uppercase).as_deref() {
        None | Some("RUNNING") => Target::Started,
        Some("PAUSED") => Target::Paused,
        Some("STOPPED") => Target::Stopped,
        Some(_) => return Err(FileError::State { path }),
    };
    match config.get("name") {
        Some(Some(name)) if !name.trim().is_empty() => {
            Ok(FromFile { name: name.trim().to_owned(), config: config.clone(), target })
        }
        _ => Err(FileError::Name { path }),
    }
}

fn from_json(mut map: Map<String, Value>) -> (Props, Option<String>) {
    if let (Some(Value::String(name)), Some(Value::Object(_))) = (map.get("name").cloned(), map.get("config"))
        && let Some(Value::Object(config)) = map.remove("config")
    {
        let mut props = settings(config);
        props.entry("name".to_owned()).or_insert(Some(name));
        let state = map.get("initial_state").and_then(Value::as_str).map(str::to_owned);
        return (props, state);
    }
    (settings(map), None)
}

fn settings(map: Map<String, Value>) -> Props {
    let text = |value| match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    };
    map.into_iter().map(|(key, value)| (key, text(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<FromFile, FileError> {
        parse("f".to_owned(), text.as_bytes())
    }

    #[test]
    fn a_connector_comes_in_three_forms() {
        let properties = parsed("name=a\ntasks.max = 1\n").unwrap();
        assert_eq!((properties.name.as_str(), properties.config["tasks.max"].as_deref()), ("a", Some("1")));
        assert_eq!(parsed(r#"{"name":"a","tasks.max":1}"#).unwrap(), properties);
        let request = parsed(r#"{"name":"a","config":{"tasks.max":"1"},"initial_state":"stopped"}"#).unwrap();
        assert_eq!((request.name.as_str(), request.target), ("a", Target::Stopped));
        assert_eq!(request.config["name"].as_deref(), Some("a"));
    }

    #[test]
    fn a_connector_needs_a_name_and_a_known_state() {
        assert!(matches!(parsed("tasks.max=1"), Err(FileError::Name { .. })));
        let state = parsed(r#"{"name":"a","config":{},"initial_state":"BOGUS"}"#);
        assert!(matches!(state, Err(FileError::State { .. })));
    }
}
