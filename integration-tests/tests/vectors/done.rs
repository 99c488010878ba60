//! The list of classes that must pass, and the known exceptions with their reasons (`vectors/done.toml`).

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::outcome::{Outcome, Verdict};

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Done {
    /// File to classes; "*" stands for all.
    #[serde(default)]
    classes: BTreeMap<String, Vec<String>>,
    #[serde(default, rename = "exception")]
    exceptions: Vec<Exception>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    file: String,
    class: Option<String>,
    id: Option<String>,
    text: Option<String>,
    reason: String,
}

impl Exception {
    fn covers(&self, outcome: &Outcome) -> bool {
        let (Verdict::Failed(why) | Verdict::Unsupported(why)) = &outcome.verdict else { return false };
        self.file == outcome.file
            && self.class.as_ref().is_none_or(|class| *class == outcome.class)
            && self.id.as_ref().is_none_or(|id| *id == outcome.id)
            && self.text.as_ref().is_none_or(|text| why.contains(text))
    }
}

impl Done {
    /// Reads the file.
    ///
    /// # Panics
    /// When it is missing or malformed, or an exception is too broad or has no reason.
    pub(crate) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let done: Self = toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        for exception in &done.exceptions {
            assert!(!exception.reason.trim().is_empty(), "an exception needs a reason: {exception:?}");
            assert!(exception.id.is_some() || exception.text.is_some(), "too broad: {exception:?}");
        }
        done
    }

    /// True when a class must pass.
    pub(crate) fn lists(&self, file: &str, class: &str) -> bool {
        self.classes.get(file).is_some_and(|classes| classes.iter().any(|c| c == "*" || c == class))
    }

    /// An outcome that a known exception covers counts as passed.
    pub(crate) fn excuse(&self, mut outcome: Outcome) -> Outcome {
        if self.exceptions.iter().any(|exception| exception.covers(&outcome)) {
            outcome.verdict = Verdict::Passed;
        }
        outcome
    }
}
