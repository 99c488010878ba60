//! The reference page of a definition, as a Markdown table. A test keeps the generated files fresh.

use std::fmt::Write as _;

use crate::def::{ConfigDef, ConfigKey, Default};

/// Renders all keys that are not internal, in order of declaration, one row each.
pub fn table(def: &ConfigDef) -> String {
    let mut text = String::from("| key | type | default | importance | what it does |\n|---|---|---|---|---|\n");
    for key in def.keys().filter(|key| !key.internal) {
        let row = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} |",
            key.name,
            key.ty.name().to_lowercase(),
            default(key),
            key.importance.name().to_lowercase(),
            cell(&description(key)),
        );
        debug_assert!(row.is_ok(), "writing into a string can not fail");
    }
    text
}

fn default(key: &ConfigKey) -> String {
    match (&key.default, key.default_text()) {
        (Default::Required, _) => "**required**".to_owned(),
        (_, None) => "none".to_owned(),
        (_, Some(text)) if text.is_empty() => "empty".to_owned(),
        (_, Some(text)) => format!("`{}`", cell(&text)),
    }
}

/// The documentation, and what is allowed where a validator says it in a few words.
fn description(key: &ConfigKey) -> String {
    let doc = &key.documentation;
    match key.validator.as_ref().map(ToString::to_string) {
        Some(allowed) if allowed.contains('[') && allowed.len() < 80 => format!("{doc} Allowed: {allowed}."),
        _ => doc.clone(),
    }
}

/// A bar would end the cell, an angle bracket begin an HTML tag.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}
