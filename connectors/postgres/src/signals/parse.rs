//! What a signal asks for: the texts of its type and of its data become a request.
//!
//! The reference only warns of what it does not understand, and goes on; so do we.

use connect_api::Error;
use regex::Regex;
use serde_json::{Map, Value};

use crate::signals::settings::plain_name;

/// A signal as a channel brings it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signal {
    pub id: Option<String>,
    pub kind: String,
    pub data: Option<String>,
}

/// A condition for the tables whose name it fits.
#[derive(Clone, Debug)]
pub struct Condition {
    pub table: Regex,
    /// The text of the expression, as a table's name.
    pub name: String,
    pub filter: String,
}

/// Tables to read again.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The id of the signal, under which its notifications go.
    pub id: Option<String>,
    /// Names, or expressions for names.
    pub tables: Vec<String>,
    pub conditions: Vec<Condition>,
    pub surrogate_key: Option<String>,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Request {
    Log(String),
    Incremental(Snapshot),
    Blocking(Snapshot),
    /// `None` for all tables.
    Stop(Option<Vec<String>>),
    Pause,
    Resume,
    WindowOpen(String),
    WindowClose(String),
}

impl Signal {
    /// What it asks for, or why nothing is done.
    pub fn request(&self) -> Result<Request, Error> {
        let id = || self.id.clone().unwrap_or_default();
        match self.kind.as_str() {
            "snapshot-window-open" => return Ok(Request::WindowOpen(id())),
            "snapshot-window-close" => return Ok(Request::WindowClose(id())),
            "pause-snapshot" => return Ok(Request::Pause),
            "resume-snapshot" => return Ok(Request::Resume),
            "log" | "execute-snapshot" | "stop-snapshot" => {}
            other => return Err(Error::data(format!("the type '{other}' is not recognized"))),
        }
        let data = self.document()?;
        let text = |field: &str| data.get(field).and_then(Value::as_str);
        if self.kind == "log" {
            let message = text("message").filter(|message| !message.is_empty());
            return message.map(|message| Request::Log(message.to_owned())).ok_or_else(|| missing("message"));
        }
        let tables = tables(&data)?;
        let blocking = match text("type").unwrap_or("incremental") {
            kind if kind.eq_ignore_ascii_case("incremental") => false,
            kind if kind.eq_ignore_ascii_case("blocking") => true,
            other => return Err(Error::data(format!("the type of snapshot '{other}' is not recognized"))),
        };
        if self.kind == "stop-snapshot" {
            // A blocking snapshot goes on to its end.
            return if blocking {
                Err(Error::data("only incremental snapshots can be stopped"))
            } else {
                Ok(Request::Stop(tables))
            };
        }
        let snapshot = Snapshot {
            id: self.id.clone(),
            tables: tables.ok_or_else(|| missing("data-collections"))?,
            conditions: conditions(&data)?,
            surrogate_key: text("surrogate-key").filter(|key| !key.trim().is_empty()).map(str::to_owned),
        };
        Ok(if blocking { Request::Blocking(snapshot) } else { Request::Incremental(snapshot) })
    }

    fn document(&self) -> Result<Map<String, Value>, Error> {
        let Some(data) = self.data.as_deref().filter(|data| !data.is_empty()) else { return Ok(Map::new()) };
        serde_json::from_str(data).map_err(|error| Error::data(format!("its data is no JSON object: {error}")))
    }
}

fn missing(field: &str) -> Error {
    Error::data(format!("the field '{field}' is missing from its data, or is empty"))
}

fn tables(data: &Map<String, Value>) -> Result<Option<Vec<String>>, Error> {
    let Some(list) = data.get("data-collections").and_then(Value::as_array).filter(|list| !list.is_empty()) else {
        return Ok(None);
    };
    let name = |name: &Value| {
        let name =
            name.as_str().ok_or_else(|| Error::data(format!("'data-collections' holds {name}, which is no name")));
        name.map(|name| name.trim().to_owned())
    };
    list.iter().map(name).collect::<Result<_, _>>().map(Some)
}

fn conditions(data: &Map<String, Value>) -> Result<Vec<Condition>, Error> {
    let list = data.get("additional-conditions").and_then(Value::as_array);
    let condition = |value: &Value| {
        let text = |field: &str| value.get(field).and_then(Value::as_str);
        let name = text("data-collection").ok_or_else(|| missing("data-collection"))?;
        let table =
            crate::filters::anchored(name).map_err(|e| Error::data(format!("'{name}' is no expression: {e}")))?;
        Ok(Condition { table, name: plain_name(name), filter: text("filter").unwrap_or_default().to_owned() })
    };
    list.map(Vec::as_slice).unwrap_or_default().iter().map(condition).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(kind: &str, data: &str) -> Result<Request, Error> {
        Signal { id: Some("1".to_owned()), kind: kind.to_owned(), data: Some(data.to_owned()) }.request()
    }

    #[test]
    fn snapshots_are_read_with_conditions_and_key() {
        let data = r#"{"data-collections": [" public.a ", "public\\.b.*"], "surrogate-key": "k",
            "additional-conditions": [{"data-collection": "public.A", "filter": "x > 1"}]}"#;
        let Ok(Request::Incremental(snapshot)) = request("execute-snapshot", data) else { panic!("no snapshot") };
        assert_eq!(snapshot.tables, ["public.a", "public\\.b.*"]);
        assert_eq!(snapshot.surrogate_key.as_deref(), Some("k"));
        assert!(snapshot.conditions[0].table.is_match("public.a"), "names are compared without regard to case");
        assert!(matches!(
            request("execute-snapshot", r#"{"data-collections": ["a"], "type": "BLOCKING"}"#),
            Ok(Request::Blocking(_))
        ));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (kind, data, why) in [
            ("no-such-signal", "{}", "'no-such-signal' is not recognized"),
            ("execute-snapshot", "not json", "no JSON object"),
            ("execute-snapshot", "", "'data-collections' is missing"),
            ("execute-snapshot", r#"{"data-collections": [1]}"#, "which is no name"),
            ("execute-snapshot", r#"{"data-collections": ["a"], "type": "odd"}"#, "'odd' is not recognized"),
            ("log", "{}", "'message' is missing"),
        ] {
            let error = request(kind, data).expect_err(why);
            assert!(error.message().contains(why), "{error}");
        }
    }

    #[test]
    fn a_stop_without_tables_is_for_all() {
        assert!(matches!(request("stop-snapshot", ""), Ok(Request::Stop(None))));
        let some = request("stop-snapshot", r#"{"data-collections": ["public.a"], "type": "incremental"}"#);
        assert!(matches!(some, Ok(Request::Stop(Some(tables))) if tables == ["public.a"]));
    }
}
