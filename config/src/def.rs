//! Definitions of configuration keys (`org.apache.kafka.common.config.ConfigDef`).

use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::parse::{ConfigError, ConfigValue, Props};
use crate::validators::Validator;

/// The type of a key, named as the REST API names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    Boolean,
    String,
    Int,
    Short,
    Long,
    Double,
    List,
    Class,
    Password,
}

/// How much a key matters to its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Importance {
    High,
    Medium,
    Low,
}

/// How wide a form shows the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Width {
    None,
    Short,
    Medium,
    Long,
}

/// What a form proposes for a key: the values that would be valid, and whether the key is shown at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recommendation {
    /// Values to choose from, in order.
    pub values: Vec<ConfigValue>,
    /// False hides the key.
    pub visible: bool,
}

/// Computes a [`Recommendation`] from everything the user gave.
pub type Recommender = Arc<dyn Fn(&str, &Props) -> Recommendation + Send + Sync>;

/// The default "null" of a key that may be left out.
#[derive(Clone, Copy, Debug)]
pub struct Null;

/// The default "null": the key is optional and has no value.
pub const NULL: Null = Null;

/// What may stand as a default in a declaration.
pub trait IntoDefault {
    /// `None` is Kafka's explicit null default.
    fn into_default(self) -> Option<String>;
}

impl IntoDefault for Null {
    fn into_default(self) -> Option<String> {
        None
    }
}

impl IntoDefault for &str {
    fn into_default(self) -> Option<String> {
        Some(self.to_owned())
    }
}

impl IntoDefault for String {
    fn into_default(self) -> Option<String> {
        Some(self)
    }
}

/// The default of a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Default {
    /// There is none: the key must be given.
    Required,
    /// This value, already parsed; [`ConfigValue::Null`] for an explicit null.
    Value(ConfigValue),
}

/// One key. Built with the methods that a declaration in [`crate::config!`] names as attributes.
#[derive(Clone)]
pub struct ConfigKey {
    pub name: String,
    pub ty: Type,
    pub default: Default,
    pub validator: Option<Arc<dyn Validator>>,
    pub importance: Importance,
    pub documentation: String,
    pub group: Option<String>,
    /// Place within the group; -1 without one.
    pub order: i32,
    pub width: Width,
    pub display_name: String,
    pub dependents: Vec<String>,
    pub recommender: Option<Recommender>,
    /// Internal keys are honoured but not listed.
    pub internal: bool,
}

impl fmt::Debug for ConfigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigKey").field("name", &self.name).field("ty", &self.ty).finish_non_exhaustive()
    }
}

impl Type {
    /// The name in the REST API and in messages.
    pub fn name(self) -> &'static str {
        crate::parse::type_name(self)
    }
}

impl Importance {
    /// The name in the REST API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::High => "HIGH",
            Self::Medium => "MEDIUM",
            Self::Low => "LOW",
        }
    }
}

impl Width {
    /// The name in the REST API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Short => "SHORT",
            Self::Medium => "MEDIUM",
            Self::Long => "LONG",
        }
    }
}

impl ConfigKey {
    /// A required key of medium importance; everything else is added by the methods below.
    pub fn new(name: &str, ty: Type, documentation: &str) -> Self {
        Self {
            name: name.to_owned(),
            ty,
            default: Default::Required,
            validator: None,
            importance: Importance::Medium,
            // A declaration breaks its lines where the source file wants it; readers of the text do not.
            documentation: documentation.split_whitespace().collect::<Vec<_>>().join(" "),
            group: None,
            order: -1,
            width: Width::None,
            display_name: name.to_owned(),
            dependents: Vec::new(),
            recommender: None,
            internal: false,
        }
    }

    /// The default, as text that the key's type parses.
    ///
    /// # Panics
    /// When the text does not parse: a declaration is code, and a test of each definition builds it.
    #[must_use]
    pub fn default(mut self, default: impl IntoDefault) -> Self {
        let text = default.into_default();
        self.default = Default::Value(
            crate::parse::parse_type(&self.name, text.as_deref(), self.ty)
                .expect("the default of a declared key parses as the key's type"),
        );
        self
    }

    /// The default, for definitions that are not code.
    pub fn try_default(mut self, text: Option<&str>) -> Result<Self, ConfigError> {
        self.default = Default::Value(crate::parse::parse_type(&self.name, text, self.ty)?);
        Ok(self)
    }

    #[must_use]
    pub fn validator(mut self, validator: impl Validator + 'static) -> Self {
        self.validator = Some(Arc::new(validator));
        self
    }

    #[must_use]
    pub fn importance(mut self, importance: Importance) -> Self {
        self.importance = importance;
        self
    }

    #[must_use]
    pub fn group(mut self, group: &str) -> Self {
        self.group = Some(group.to_owned());
        self
    }

    #[must_use]
    pub fn order(mut self, order: i32) -> Self {
        self.order = order;
        self
    }

    #[must_use]
    pub fn width(mut self, width: Width) -> Self {
        self.width = width;
        self
    }

    #[must_use]
    pub fn display(mut self, name: &str) -> Self {
        self.display_name = name.to_owned();
        self
    }

    #[must_use]
    pub fn dependents<const N: usize>(mut self, names: [&str; N]) -> Self {
        self.dependents = names.iter().map(|n| (*n).to_owned()).collect();
        self
    }

    #[must_use]
    pub fn recommender(mut self, f: impl Fn(&str, &Props) -> Recommendation + Send + Sync + 'static) -> Self {
        self.recommender = Some(Arc::new(f));
        self
    }

    #[must_use]
    pub fn internal(mut self, internal: bool) -> Self {
        self.internal = internal;
        self
    }

    /// The default as the REST API shows it; `None` when there is none or it is null.
    pub fn default_text(&self) -> Option<String> {
        match &self.default {
            Default::Required => None,
            Default::Value(value) => value.text(),
        }
    }

    /// True when the key has no default.
    pub fn required(&self) -> bool {
        self.default == Default::Required
    }
}

/// A set of keys, in the order of their declaration.
#[derive(Clone, Debug, std::default::Default)]
pub struct ConfigDef {
    keys: IndexMap<String, ConfigKey>,
    groups: Vec<String>,
}

impl ConfigDef {
    /// An empty definition.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key; one of the same name is replaced in its place.
    ///
    /// # Panics
    /// When the key's own default does not pass its validator: a declaration is code, and a test of each definition
    /// builds it.
    pub fn define(&mut self, key: ConfigKey) -> &mut Self {
        self.try_define(key).expect("the default of a declared key passes its validator")
    }

    /// The same for definitions that are not code: the error is that of the key's default.
    pub fn try_define(&mut self, key: ConfigKey) -> Result<&mut Self, ConfigError> {
        if let (Default::Value(default), Some(validator)) = (&key.default, &key.validator) {
            validator.ensure_valid(&key.name, default)?;
        }
        if let Some(group) = &key.group
            && !self.groups.contains(group)
        {
            self.groups.push(group.clone());
        }
        self.keys.insert(key.name.clone(), key);
        Ok(self)
    }

    /// Adds every key of another definition.
    pub fn extend(&mut self, other: &ConfigDef) -> &mut Self {
        for key in other.keys.values() {
            self.define(key.clone());
        }
        self
    }

    /// The keys in order of declaration.
    pub fn keys(&self) -> impl Iterator<Item = &ConfigKey> {
        self.keys.values()
    }

    /// The key of a name.
    pub fn key(&self, name: &str) -> Option<&ConfigKey> {
        self.keys.get(name)
    }

    /// A key that may be changed in place.
    pub fn key_mut(&mut self, name: &str) -> Option<&mut ConfigKey> {
        self.keys.get_mut(name)
    }

    /// Group names in order of first use.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }
}
