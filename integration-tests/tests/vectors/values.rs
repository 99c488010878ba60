//! Replays `values.jsonl`.

use std::path::Path;

use super::outcome::{Outcome, Verdict, replay};

/// Replays the file.
pub(crate) fn run(dir: &Path) -> Vec<Outcome> {
    let class = |v: &serde_json::Value| {
        ["kind", "op", "client"].iter().find_map(|key| v[*key].as_str()).unwrap_or("other").to_owned()
    };
    replay(dir, "values", class, |_| Verdict::Unsupported("no replay for this file yet".into()))
}
