//! Validation of everything a user gave at once (`ConfigDef.validate`), as the validate endpoint shows it.

use crate::def::ConfigKey;
use crate::parse::ConfigValue;

/// One key with its value and what is wrong with it (`ConfigInfo` in the REST API).
#[derive(Clone, Debug)]
pub struct ConfigEntry {
    /// The definition; `None` for a key that was given but is not defined.
    pub key: Option<ConfigKey>,
    pub name: String,
    /// The parsed value, or null when it did not parse or is missing.
    pub value: ConfigValue,
    pub recommended: Vec<ConfigValue>,
    pub errors: Vec<String>,
    pub visible: bool,
}

/// The answer of a validation (`ConfigInfos` in the REST API).
#[derive(Clone, Debug, Default)]
pub struct Validated {
    /// Groups in order of first use.
    pub groups: Vec<String>,
    /// Entries in order of declaration.
    pub entries: Vec<ConfigEntry>,
}

impl Validated {
    /// The number of errors over all entries.
    pub fn error_count(&self) -> usize {
        self.entries.iter().map(|entry| entry.errors.len()).sum()
    }

    /// The entry of a key.
    pub fn entry_mut(&mut self, name: &str) -> Option<&mut ConfigEntry> {
        self.entries.iter_mut().find(|entry| entry.name == name)
    }

    /// Adds an error to a key's entry. An unknown key is ignored: the definition decides what can be wrong.
    pub fn add_error(&mut self, name: &str, message: impl Into<String>) {
        if let Some(entry) = self.entry_mut(name) {
            entry.errors.push(message.into());
        }
    }
}

impl crate::ConfigDef {
    /// Validates everything at once: never fails, every problem stands at its key.
    pub fn validate(&self, props: &crate::Props) -> Validated {
        let mut entries = Vec::new();
        for key in self.keys().filter(|key| !key.internal) {
            let mut entry = ConfigEntry {
                key: Some(key.clone()),
                name: key.name.clone(),
                value: ConfigValue::Null,
                recommended: Vec::new(),
                errors: Vec::new(),
                visible: true,
            };
            match self.parse_key(&key.name, props) {
                Ok(value) => entry.value = value,
                Err(problem) => entry.errors.push(problem.message),
            }
            entries.push(entry);
        }
        Validated { groups: self.groups().to_vec(), entries }
    }
}
