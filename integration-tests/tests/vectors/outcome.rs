//! What became of one golden vector, and the files they come from.

use std::path::Path;

use connect_api::Error;
use serde_json::Value as Json;

/// The verdict over one vector.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    Passed,
    /// What differs, in a line or two.
    Failed(String),
    /// What is not built yet, or can't be expressed.
    Unsupported(String),
}

/// One replayed vector.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// The file without its extension.
    pub(crate) file: &'static str,
    /// What is counted together: a Java class, or the kind of vector.
    pub(crate) class: String,
    /// The vector's own id.
    pub(crate) id: String,
    pub(crate) verdict: Verdict,
}

/// Reads `<dir>/<file>.jsonl`.
///
/// # Panics
/// When the file is missing or a line is no JSON: nothing can be said then.
pub(crate) fn load(dir: &Path, file: &str) -> Vec<Json> {
    let path = dir.join(format!("{file}.jsonl"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{}: {e}: {line}", path.display())))
        .collect()
}

/// Replays every vector of a file: `class` names what it is counted under, `check` judges it. A panic is a failure
/// of its vector only.
pub(crate) fn replay(
    dir: &Path,
    file: &'static str,
    class: impl Fn(&Json) -> String,
    check: impl Fn(&Json) -> Verdict,
) -> Vec<Outcome> {
    let judge = |vector: &Json| {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(vector)))
            .unwrap_or_else(|_| Verdict::Failed("panicked".into()))
    };
    load(dir, file)
        .iter()
        .map(|vector| Outcome {
            file,
            class: class(vector),
            id: vector["id"].as_str().unwrap_or_default().to_owned(),
            verdict: judge(vector),
        })
        .collect()
}

/// Compares an error with the recorded one. Messages of Connect's and Kafka's own classes must be the same word for
/// word; where the JDK or Jackson speaks, or the text held an identity hash, failing is enough.
pub(crate) fn same_error(expected: &Json, actual: &Error) -> Verdict {
    if expected["jdk"] == Json::Bool(true) || expected["unstable"] == Json::Bool(true) {
        return Verdict::Passed;
    }
    let (class, message) = (expected["class"].as_str().unwrap_or_default(), expected["message"].as_str());
    if class != actual.java_class() {
        let shown = format!("{}: {}", actual.java_class(), actual.message());
        return Verdict::Failed(format!("expected {class}: {}, got {shown}", message.unwrap_or("null")));
    }
    match message {
        Some(message) if message != actual.message() => {
            Verdict::Failed(format!("expected message {message:?}, got {:?}", actual.message()))
        }
        _ => Verdict::Passed,
    }
}
