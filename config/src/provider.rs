//! Variables in configurations: `${provider:path:key}` (`ConfigTransformer`, `ConfigProvider`).
//!
//! What can't be resolved stays as it is written; only a provider that fails is an error. A value that a provider
//! gives is not searched for variables again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use regex::{Captures, Regex};

use crate::def::Type;
use crate::embed::without_prefix;
use crate::parse::{ConfigError, Props, parse_type};
use crate::properties;

static VARIABLE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\$\{([^}]*?):(([^}]*?):)?([^}]*?)\}").expect("the pattern of a variable is valid"));

/// What a provider has at a path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderData {
    pub values: BTreeMap<String, String>,
    /// How long the values are good.
    pub ttl: Option<Duration>,
}

/// Something that knows values by path and key (`ConfigProvider`). Values are secrets: an implementation never logs
/// them.
pub trait ConfigProvider: Send + Sync {
    /// The values of some keys at a path; keys that it does not have are missing in the answer.
    fn get(&self, path: &str, keys: &BTreeSet<String>) -> Result<ProviderData, ConfigError>;
}

/// Paths that a provider may read (`allowed.paths`).
#[derive(Clone, Debug, Default)]
struct AllowedPaths(Option<Vec<PathBuf>>);

impl AllowedPaths {
    fn parse(text: Option<&str>) -> Result<Self, ConfigError> {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(Self(None)) };
        let allowed = |written: &str| {
            let path = normal(Path::new(written));
            if !path.is_absolute() {
                return Err(ConfigError::new(format!("Path {written} is not absolute")));
            }
            if !path.exists() {
                return Err(ConfigError::new(format!("Path {written} does not exist")));
            }
            Ok(path)
        };
        Ok(Self(Some(text.split(',').map(allowed).collect::<Result<_, _>>()?)))
    }

    /// True when a path lies in an allowed one, whatever `..` it has.
    fn allows(&self, path: &Path) -> bool {
        let path = normal(path);
        self.0.as_ref().is_none_or(|allowed| allowed.iter().any(|allowed| path.starts_with(allowed)))
    }
}

/// A path without `.` and `..`, by its text only, as `Path.normalize` does it.
fn normal(path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(result.components().next_back(), Some(Component::Normal(_))) => {
                result.pop();
            }
            Component::ParentDir if result.has_root() => {}
            other => result.push(other),
        }
    }
    result
}

/// `FileConfigProvider`: keys of a `.properties` file in UTF-8.
struct FileProvider {
    allowed: AllowedPaths,
}

impl ConfigProvider for FileProvider {
    fn get(&self, path: &str, keys: &BTreeSet<String>) -> Result<ProviderData, ConfigError> {
        if path.is_empty() || !self.allowed.allows(Path::new(path)) {
            return Ok(ProviderData::default());
        }
        let failed = || ConfigError::new(format!("Could not read properties from file {path}"));
        let bytes = std::fs::read(path).map_err(|_| failed())?;
        let mut values: BTreeMap<_, _> = properties::load_utf8(&bytes).map_err(|_| failed())?.into_iter().collect();
        values.retain(|key, _| keys.contains(key));
        Ok(ProviderData { values, ttl: None })
    }
}

/// `DirectoryConfigProvider`: each file of a directory is a key.
struct DirectoryProvider {
    allowed: AllowedPaths,
}

impl ConfigProvider for DirectoryProvider {
    fn get(&self, path: &str, keys: &BTreeSet<String>) -> Result<ProviderData, ConfigError> {
        let directory = Path::new(path);
        if path.is_empty() || !self.allowed.allows(directory) || !directory.is_dir() {
            return Ok(ProviderData::default());
        }
        let mut data = ProviderData::default();
        // Only names: a key may not lead out of the directory.
        for key in keys.iter().filter(|key| !key.contains('/') && !matches!(key.as_str(), "" | "." | "..")) {
            let file = directory.join(key);
            if file.is_file() {
                let text = std::fs::read_to_string(&file).map_err(|_| {
                    ConfigError::new(format!("Could not read file {} for property {key}", file.display()))
                })?;
                data.values.insert(key.clone(), text);
            }
        }
        Ok(data)
    }
}

/// `EnvVarConfigProvider`: environment variables, without a path.
struct EnvProvider {
    environment: BTreeMap<String, String>,
}

impl ConfigProvider for EnvProvider {
    fn get(&self, path: &str, keys: &BTreeSet<String>) -> Result<ProviderData, ConfigError> {
        if !path.is_empty() {
            return Err(ConfigError::new(format!(
                "Path is not supported for EnvVarConfigProvider, invalid value '{path}'"
            )));
        }
        let known = |key: &String| Some((key.clone(), self.environment.get(key)?.clone()));
        Ok(ProviderData { values: keys.iter().filter_map(known).collect(), ttl: None })
    }
}

/// The environment of this process, as far as it is text.
pub fn process_environment() -> BTreeMap<String, String> {
    std::env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?))).collect()
}

/// Makes a provider of a known class, `None` for any other. `settings` are those of `config.providers.<name>.param.`.
pub fn builtin(
    class: &str,
    settings: &Props,
    environment: &BTreeMap<String, String>,
) -> Result<Option<Box<dyn ConfigProvider>>, ConfigError> {
    let setting = |key: &str| settings.get(key).and_then(Option::as_deref);
    let allowed = || AllowedPaths::parse(setting("allowed.paths"));
    Ok(Some(match class.trim() {
        "org.apache.kafka.common.config.provider.FileConfigProvider" => Box::new(FileProvider { allowed: allowed()? }),
        "org.apache.kafka.common.config.provider.DirectoryConfigProvider" => {
            Box::new(DirectoryProvider { allowed: allowed()? })
        }
        "org.apache.kafka.common.config.provider.EnvVarConfigProvider" | "io.strimzi.kafka.EnvVarConfigProvider" => {
            let pattern = setting("allowlist.pattern").map(|pattern| Regex::new(&format!("^(?:{pattern})$")));
            let pattern = pattern.transpose().map_err(|_| {
                let text = setting("allowlist.pattern").unwrap_or_default();
                ConfigError::invalid("allowlist.pattern", text, "Pattern is not a valid regular expression")
            })?;
            let allowed = |key: &String| pattern.as_ref().is_none_or(|pattern| pattern.is_match(key));
            let environment = environment.iter().filter(|(key, _)| allowed(key));
            Box::new(EnvProvider { environment: environment.map(|(k, v)| (k.clone(), v.clone())).collect() })
        }
        _ => return Ok(None),
    }))
}

/// How the names in `config.providers` are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// Split at commas and nothing else: how a worker's own file is resolved. A name behind a space is another name.
    AsWritten,
    /// Trimmed: how a connector's configuration is resolved.
    Trimmed,
}

/// A configuration with its variables resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    pub props: Props,
    /// How long the values from a path are good, by path.
    pub ttls: BTreeMap<String, Duration>,
}

/// The providers of a worker, by name.
#[derive(Default)]
pub struct Providers(BTreeMap<String, Box<dyn ConfigProvider>>);

impl fmt::Debug for Providers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Providers").field(&self.0.keys().collect::<Vec<_>>()).finish()
    }
}

impl Providers {
    /// Adds a provider.
    pub fn insert(&mut self, name: impl Into<String>, provider: Box<dyn ConfigProvider>) {
        self.0.insert(name.into(), provider);
    }

    /// The providers that a worker's configuration names. A name without a class is no provider.
    ///
    /// # Errors
    /// When a class is unknown, or its settings are wrong.
    pub fn configured(
        props: &Props,
        names: Names,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, ConfigError> {
        let text = props.get("config.providers").and_then(Option::as_deref).unwrap_or_default();
        let names = match (names, parse_type("config.providers", Some(text), Type::List)?) {
            (Names::Trimmed, crate::ConfigValue::List(names)) => names,
            _ => text.split(',').map(str::to_owned).collect(),
        };
        let mut providers = Self::default();
        for name in names {
            let key = format!("config.providers.{name}.class");
            let Some(class) = props.get(&key).and_then(Option::as_deref) else { continue };
            let settings = without_prefix(props, &format!("config.providers.{name}.param."));
            let provider = builtin(class, &settings, environment)?.ok_or_else(|| {
                ConfigError::invalid(&key, class, "Could not load config provider class or one of its dependencies")
            })?;
            providers.insert(name, provider);
        }
        Ok(providers)
    }

    /// Resolves the variables of all values.
    pub fn resolve(&self, props: &Props) -> Result<Resolved, ConfigError> {
        let mut wanted: BTreeMap<(&str, &str), BTreeSet<String>> = BTreeMap::new();
        for text in props.values().flatten() {
            for variable in VARIABLE.captures_iter(text) {
                let (provider, path, key) = parts(&variable);
                if self.0.contains_key(provider) {
                    wanted.entry((provider, path)).or_default().insert(key.to_owned());
                }
            }
        }
        let mut known = BTreeMap::new();
        let mut ttls = BTreeMap::new();
        for ((name, path), keys) in wanted {
            let Some(provider) = self.0.get(name) else { continue };
            let data = provider.get(path, &keys)?;
            if let Some(ttl) = data.ttl {
                ttls.insert(path.to_owned(), ttl);
            }
            known.insert((name, path), data.values);
        }
        let replace = |variable: &Captures<'_>| {
            let (provider, path, key) = parts(variable);
            let value = known.get(&(provider, path)).and_then(|values| values.get(key));
            value.cloned().unwrap_or_else(|| variable[0].to_owned())
        };
        let resolve = |text: &String| VARIABLE.replace_all(text, replace).into_owned();
        let props = props.iter().map(|(key, value)| (key.clone(), value.as_ref().map(resolve))).collect();
        Ok(Resolved { props, ttls })
    }
}

/// Provider, path (empty when there is none) and key of a variable.
fn parts<'a>(variable: &Captures<'a>) -> (&'a str, &'a str, &'a str) {
    let group = |n| variable.get(n).map_or("", |found| found.as_str());
    (group(1), group(3), group(4))
}

/// Resolves a worker's own file: its providers resolve its other values.
pub fn resolve_worker(props: &Props, environment: &BTreeMap<String, String>) -> Result<Props, ConfigError> {
    Ok(Providers::configured(props, Names::AsWritten, environment)?.resolve(props)?.props)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn env(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn props(entries: &[(&str, &str)]) -> Props {
        entries.iter().map(|(k, v)| ((*k).to_owned(), Some((*v).to_owned()))).collect()
    }

    #[test]
    fn a_worker_file_resolves_its_own_variables() {
        let given = props(&[
            ("config.providers", "env"),
            ("config.providers.env.class", "org.apache.kafka.common.config.provider.EnvVarConfigProvider"),
            ("group.id", "g-${env:STAGE}"),
        ]);
        let resolved = resolve_worker(&given, &env(&[("STAGE", "test")])).expect("the variable is known");
        assert_eq!(resolved["group.id"].as_deref(), Some("g-test"));
    }

    #[test]
    fn a_directory_key_can_not_leave_the_directory() {
        let data = DirectoryProvider { allowed: AllowedPaths::default() }
            .get("/etc", &BTreeSet::from(["../etc/hostname".to_owned()]))
            .expect("the directory is there");
        assert_eq!(data, ProviderData::default());
    }

    #[test]
    fn providers_print_their_names_only() {
        let mut providers = Providers::default();
        providers.insert("env", Box::new(EnvProvider { environment: env(&[("A", "secret")]) }));
        assert_eq!(format!("{providers:?}"), "Providers([\"env\"])");
    }

    proptest! {
        #[test]
        fn text_without_known_providers_stays_as_it_is(text in "[${}:a.\\PC]{0,40}") {
            let given = props(&[("k", &text)]);
            prop_assert_eq!(Providers::default().resolve(&given).expect("nothing can fail").props, given);
        }
    }
}
