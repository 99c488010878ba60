//! Bodies of `POST /jobs` and `POST /jobs/validate`. They are read as those of Connect's own endpoints are (scalars of a
//! configuration become strings), but what does not bind is 400 and says which field is wrong: no client of the JVM worker
//! expects otherwise here. A message never repeats a value, which may be a password.

use axum::http::StatusCode;
use connect_cluster::jobs::{NewConnector, NewJob};
use connect_config::Props;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::body::{self, Fields};
use crate::error::{RestError, RestResult};
use crate::forward::Incoming;

/// The fields that a job has.
const FIELDS: [&str; 5] = ["name", "source", "sinks", "options", "start"];

/// What stands for every job in paths.
pub(crate) const EVERY: &str = "-";

/// Reads a job; 415 for what is not JSON, 400 for what does not bind. The name is not judged yet, see [`check_name`].
pub(crate) fn new_job(request: &Incoming) -> RestResult<NewJob> {
    if !request.is_json() {
        return Err(RestError::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE).matched());
    }
    let text = body::text(&request.body).ok_or_else(|| RestError::bad_request("The body is not Unicode"))?;
    bind(&text).map_err(RestError::bad_request)
}

fn bind(text: &str) -> Result<NewJob, String> {
    if text.trim().is_empty() {
        return Err(format!("The body is empty: it is a JSON object with the fields {}", FIELDS.join(", ")));
    }
    // What JSON it is comes first: the words of the second reading are about its shape.
    serde_json::from_str::<&RawValue>(text).map_err(|error| format!("The body is no JSON: {error}"))?;
    let fields =
        object(text).ok_or_else(|| format!("The body is a JSON object with the fields {}", FIELDS.join(", ")))?;
    if let Some(unknown) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        return Err(format!("Unknown field {unknown}: a job has the fields {}", FIELDS.join(", ")));
    }
    let given = |name: &str| fields.get(name).map(|raw| raw.get()).filter(|raw| *raw != "null");
    let name: String = match given("name") {
        None => String::new(),
        Some(raw) => serde_json::from_str(raw).map_err(|_| wrong("name", "a text", raw))?,
    };
    let start = match given("start") {
        None | Some("true") => true,
        Some("false") => false,
        Some(raw) => return Err(wrong("start", "true or false", raw)),
    };
    let options: Map<String, Value> = match given("options") {
        None => Map::new(),
        Some(raw) => serde_json::from_str(raw).map_err(|_| wrong("options", "an object", raw))?,
    };
    let source = given("source").map(|raw| connector("source", raw)).transpose()?;
    let sinks = match given("sinks") {
        None => Vec::new(),
        Some(raw) => {
            let listed: Vec<Box<RawValue>> =
                serde_json::from_str(raw).map_err(|_| wrong("sinks", "a list of objects", raw))?;
            let bound = listed.iter().enumerate().map(|(at, raw)| connector(&format!("sinks[{at}]"), raw.get()));
            bound.collect::<Result<_, _>>()?
        }
    };
    Ok(NewJob { name: name.trim_matches(' ').to_owned(), source, sinks, options, start })
}

fn object(text: &str) -> Option<Fields> {
    serde_json::from_str(text).ok()
}

fn connector(at: &str, raw: &str) -> Result<NewConnector, String> {
    let fields = object(raw).ok_or_else(|| wrong(at, "a configuration, which is an object", raw))?;
    let mut config = Props::with_capacity(fields.len());
    for (key, value) in fields {
        let field = format!("{at}.{key}");
        if value.get().starts_with(['{', '[']) {
            return Err(wrong(&field, "a text, a number, true, false or null", value.get()));
        }
        let text = body::scalar(&value).map_err(|error| format!("The field {field}: {error}"))?;
        config.insert(key, text);
    }
    Ok(NewConnector { config })
}

fn wrong(field: &str, expected: &str, raw: &str) -> String {
    let kind = match raw.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'"') => "a text",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        _ => "a number",
    };
    format!("The field {field} is {expected}, not {kind}")
}

/// Refuses names that no path could ask for, and those that mean something else in one.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let why = match name {
        "" => return Err("A job needs a name".to_owned()),
        EVERY => "it stands for every job",
        "validate" => "it is the name of an endpoint",
        "." | ".." => "it can't stand in a URL",
        name if name.contains(char::is_control) => "it has control characters",
        name if name.contains(['/', '\\', '%']) => {
            "it has a slash, a backslash or a percent sign, which a URL can't carry"
        }
        _ => return Ok(()),
    };
    Err(format!("A job can't be called {}: {why}", name.escape_debug()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_of_configurations_become_text() {
        let job = bind(
            r#"{"name": " shop ", "source": {"tasks.max": 1, "a": true, "b": null, "c": 1.50}, "sinks": [{}, {"x": "y"}],
                "options": {"deep": {"er": [1]}}, "start": false}"#,
        )
        .unwrap();
        assert_eq!((job.name.as_str(), job.start, job.sinks.len()), ("shop", false, 2));
        let config = job.source.unwrap().config;
        assert_eq!(config["tasks.max"].as_deref(), Some("1"));
        assert_eq!((config["a"].as_deref(), config["b"].as_deref()), (Some("true"), None));
        assert_eq!(config["c"].as_deref(), Some("1.50"));
        assert_eq!(job.options["deep"]["er"][0], 1);
    }

    #[test]
    fn what_is_left_out_has_a_meaning() {
        let job = bind(r#"{"name": "a", "source": null, "sinks": null, "options": null, "start": null}"#).unwrap();
        assert_eq!(job, bind(r#"{"name": "a"}"#).unwrap());
        assert!(job.start && job.source.is_none() && job.sinks.is_empty() && job.options.is_empty());
        assert_eq!(bind("{}").unwrap().name, "");
    }

    #[test]
    fn a_message_names_the_field_and_keeps_its_value_to_itself() {
        for (body, expected) in [
            ("", "The body is empty"),
            ("[]", "The body is a JSON object with the fields name, source, sinks, options, start"),
            ("{", "The body is no JSON"),
            (r#"{"nmae": 1}"#, "Unknown field nmae"),
            (r#"{"name": 7}"#, "The field name is a text, not a number"),
            (r#"{"start": "yes"}"#, "The field start is true or false, not a text"),
            (r#"{"options": []}"#, "The field options is an object, not a list"),
            (r#"{"source": "x"}"#, "The field source is a configuration, which is an object, not a text"),
            (r#"{"source": {"database.password": ["hunter2"]}}"#, "The field source.database.password is a text"),
            (r#"{"sinks": {}}"#, "The field sinks is a list of objects, not an object"),
            (r#"{"sinks": [{}, {"k": {}}]}"#, "The field sinks[1].k is a text"),
        ] {
            let message = bind(body).unwrap_err();
            assert!(message.starts_with(expected), "{body}: {message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn names_that_no_path_can_ask_for_are_refused() {
        for name in ["", "-", "validate", ".", "..", "a/b", "a\\b", "50%", "a\nb", "\u{85}"] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        for name in ["shop", "a b", "日本", "a-b", "validated", "...", "a;b"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
    }
}
