//! Files and variables: `.properties`, `${provider:path:key}`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use connect_config::provider::{ConfigProvider, Names, ProviderData, Providers, builtin, resolve_worker};
use connect_config::{ConfigError, Props, properties};
use serde_json::Value as Json;

use super::{equal, verdict};
use crate::codec::props;
use crate::outcome::Verdict;

/// `properties`: both ways to read a file.
pub(crate) fn properties(vector: &Json) -> Verdict {
    let bytes = STANDARD.decode(vector["bytes"].as_str().unwrap_or_default()).expect("bytes are base64");
    let mut result = Ok(());
    for (how, read) in [("load_props", properties::load_latin1(&bytes)), ("utf8_reader", properties::load_utf8(&bytes))]
    {
        let actual = read.ok().map(|entries| entries.into_iter().collect::<BTreeMap<_, _>>());
        let expected = vector[how].as_object().map(|map| {
            let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
            map.iter().map(|(key, value)| (key.clone(), text(value))).collect::<BTreeMap<_, _>>()
        });
        result = result.and_then(|()| equal(how, &expected, &actual));
    }
    match result {
        Ok(()) => Verdict::Passed,
        Err(difference) => Verdict::Failed(difference),
    }
}

/// The provider that serves what the fixtures say.
struct Fixed {
    data: BTreeMap<String, BTreeMap<String, String>>,
    ttls: BTreeMap<String, Duration>,
}

impl ConfigProvider for Fixed {
    fn get(&self, path: &str, keys: &BTreeSet<String>) -> Result<ProviderData, ConfigError> {
        let mut values = self.data.get(path).cloned().unwrap_or_default();
        values.retain(|key, _| keys.contains(key));
        Ok(ProviderData { values, ttl: self.ttls.get(path).copied() })
    }
}

/// The files and the environment that vectors assume.
pub(crate) struct Fixtures {
    directory: tempfile::TempDir,
    json: Json,
}

impl Fixtures {
    /// Writes the files of `fixtures.json` into a directory of their own.
    pub(crate) fn write(dir: &Path) -> Self {
        let text = std::fs::read_to_string(dir.join("fixtures.json")).expect("the fixtures are there");
        let json: Json = serde_json::from_str(&text).expect("the fixtures are JSON");
        let directory = tempfile::tempdir().expect("a directory can be made");
        for (name, content) in json["files"].as_object().expect("the fixtures have files") {
            let path = directory.path().join(name);
            let parent = path.parent().expect("a file is in a directory");
            std::fs::create_dir_all(parent).expect("a directory can be made");
            std::fs::write(&path, content.as_str().unwrap_or_default()).expect("a file can be written");
        }
        Self { directory, json }
    }

    /// The vector with the real directory for `<dir>`.
    fn placed(&self, vector: &Json) -> Json {
        let path = self.directory.path().to_str().expect("the path is text");
        serde_json::from_str(&vector.to_string().replace("<dir>", path)).expect("a path needs no escapes")
    }

    fn texts(&self, of: &str) -> BTreeMap<String, String> {
        let entry = |(key, value): (&String, &Json)| (key.clone(), value.as_str().unwrap_or_default().to_owned());
        self.json[of].as_object().map(|map| map.iter().map(entry).collect()).unwrap_or_default()
    }

    fn fixed(&self) -> Fixed {
        let entries = |map: &Json| {
            let entry = |(key, value): (&String, &Json)| (key.clone(), value.as_str().unwrap_or_default().to_owned());
            map.as_object().map(|map| map.iter().map(entry).collect()).unwrap_or_default()
        };
        let data = self.json["fixed_provider_data"].as_object().expect("there is fixed data");
        let ttls = self.json["fixed_provider_ttl_ms"].as_object().expect("there are lifetimes");
        Fixed {
            data: data.iter().map(|(path, map)| (path.clone(), entries(map))).collect(),
            ttls: ttls
                .iter()
                .map(|(path, ms)| (path.clone(), Duration::from_millis(ms.as_u64().unwrap_or_default())))
                .collect(),
        }
    }

    fn providers(&self, json: &Json) -> Result<Providers, ConfigError> {
        let environment = self.texts("env");
        let mut providers = Providers::default();
        for (name, settings) in json.as_object().expect("providers are named") {
            let settings = props(settings);
            let provider: Box<dyn ConfigProvider> = match settings["class"].as_deref().unwrap_or_default() {
                "fixed" => Box::new(self.fixed()),
                kind => {
                    let class = match kind {
                        "file" => "FileConfigProvider",
                        "directory" => "DirectoryConfigProvider",
                        _ => "EnvVarConfigProvider",
                    };
                    let class = format!("org.apache.kafka.common.config.provider.{class}");
                    builtin(&class, &settings, &environment)?.expect("the class is known")
                }
            };
            providers.insert(name, provider);
        }
        Ok(providers)
    }

    /// `substitute`.
    pub(crate) fn substitute(&self, vector: &Json) -> Verdict {
        let vector = self.placed(vector);
        let resolved = self.providers(&vector["providers"]).and_then(|p| p.resolve(&props(&vector["input"])));
        verdict(&vector["error"], resolved, |actual| {
            let ttls: BTreeMap<String, Duration> = vector["ttls"]
                .as_object()
                .map(|map| {
                    let ttl = |ms: &Json| Duration::from_millis(ms.as_u64().unwrap_or_default());
                    map.iter().map(|(path, ms)| (path.clone(), ttl(ms))).collect()
                })
                .unwrap_or_default();
            equal("output", &props(&vector["output"]), &actual.props)?;
            equal("ttls", &ttls, &actual.ttls)
        })
    }

    /// `abstract_config`: a configuration that resolves itself.
    pub(crate) fn abstract_config(&self, vector: &Json) -> Verdict {
        let vector = self.placed(vector);
        let given: Props = props(&vector["props"]);
        let resolved = resolve_worker(&given, &self.texts("process_env"));
        // The same settings are good for connectors, whose names are trimmed.
        let trimmed = Providers::configured(&given, Names::Trimmed, &self.texts("process_env"));
        if resolved.is_ok() != trimmed.is_ok() {
            return Verdict::Failed("a worker's and a connector's providers do not agree".into());
        }
        verdict(&vector["error"], resolved, |actual| {
            equal("originals", &props(&vector["originals"]), &actual)?;
            equal("k", &vector["k"].as_str(), &actual.get("k").and_then(Option::as_deref))
        })
    }
}
