//! Validation of everything a user gave at once (`ConfigDef.validate`), as the validate endpoint shows it.

use std::collections::HashSet;

use crate::def::{ConfigDef, ConfigKey, Default};
use crate::parse::{ANY_CLASS, ConfigError, ConfigValue, KnownClass, Props, parse_type_with};

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

impl ConfigEntry {
    /// An entry of a key that is not defined, with the value as it was given.
    pub fn undefined(name: &str, value: Option<&str>) -> Self {
        Self {
            key: None,
            name: name.to_owned(),
            value: value.map_or(ConfigValue::Null, |text| ConfigValue::String(text.to_owned())),
            recommended: Vec::new(),
            errors: Vec::new(),
            visible: true,
        }
    }
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
    pub fn entry(&self, name: &str) -> Option<&ConfigEntry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// The entry of a key, to change it.
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

impl ConfigDef {
    /// Validates everything at once: never fails, every problem stands at its key.
    pub fn validate(&self, props: &Props) -> Validated {
        self.validate_with(props, ANY_CLASS)
    }

    /// The same, where classes that are not known are problems.
    pub fn validate_with(&self, props: &Props, known_class: KnownClass<'_>) -> Validated {
        let mut validated = Validated { groups: self.groups().to_vec(), entries: Vec::new() };
        for key in self.keys() {
            validated.entries.push(self.validate_key(key, props, known_class));
        }
        for name in self.undefined_dependents() {
            let mut entry = ConfigEntry::undefined(&name, None);
            entry.visible = false;
            entry.errors.push(format!("{name} is referred in the dependents, but not defined."));
            validated.entries.push(entry);
        }
        validated
    }

    /// One key: unlike [`ConfigDef::parse_key`] the validator sees the null of a value that did not parse, so one
    /// mistake may show as two errors, as it does on the JVM.
    fn validate_key(&self, key: &ConfigKey, props: &Props, known_class: KnownClass<'_>) -> ConfigEntry {
        let mut errors = Vec::new();
        let mut failed = |problem: ConfigError| errors.push(problem.message);
        let value = match (props.get(&key.name), &key.default) {
            (Some(text), _) => parse_type_with(&key.name, text.as_deref(), key.ty, known_class).unwrap_or_else(|e| {
                failed(e);
                ConfigValue::Null
            }),
            (None, Default::Required) => {
                failed(ConfigError::missing(&key.name));
                ConfigValue::Null
            }
            (None, Default::Value(value)) => value.clone(),
        };
        if let Some(Err(problem)) = key.validator.as_ref().map(|v| v.ensure_valid(&key.name, &value)) {
            failed(problem);
        }
        let recommendation = key.recommender.as_ref().map(|recommend| recommend(&key.name, props));
        let (recommended, visible) = recommendation.map_or((Vec::new(), true), |r| (r.values, r.visible));
        ConfigEntry { key: Some(key.clone()), name: key.name.clone(), value, recommended, errors, visible }
    }

    /// Names that stand as dependents of a key and are not defined themselves.
    fn undefined_dependents(&self) -> Vec<String> {
        let mut seen = HashSet::new();
        let dependents = self.keys().flat_map(|key| &key.dependents);
        dependents.filter(|name| self.key(name).is_none() && seen.insert(name.as_str())).cloned().collect()
    }
}
