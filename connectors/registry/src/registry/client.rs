//! The registry as the converters see it: calls that wait, and what is known already.
//!
//! A schema is asked for once, however many threads meet it at the same time: one asks, the others wait for it and find it.

use std::hash::Hash;
use std::sync::Arc;
use std::time::Instant;

use connect_api::{Error, Props, Result};
use parking_lot::Mutex;
use serde_json::{Map, Value as Json, json};

use super::blocking;
use super::bounded::Bounded;
use super::failure::Failure;
use super::http::{self, Http, Request};
use super::missing::{Asked, Missing};
use super::wire::SchemaId;
use crate::settings;

/// References may refer to further ones, so deep and no deeper.
const REFERENCES_MAX: usize = 256;

/// The language of a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Format {
    Avro,
    Json,
    Protobuf,
}

impl Format {
    /// The name in requests and answers.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Avro => "AVRO",
            Self::Json => "JSON",
            Self::Protobuf => "PROTOBUF",
        }
    }
}

/// A schema that another one refers to by a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Reference {
    pub(crate) name: String,
    pub(crate) subject: String,
    pub(crate) version: i32,
}

/// The text of a schema, as it is registered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Definition {
    pub(crate) format: Format,
    pub(crate) text: Arc<str>,
    pub(crate) references: Vec<Reference>,
}

impl Definition {
    /// A schema that refers to no other.
    pub(crate) fn new(format: Format, text: impl Into<Arc<str>>) -> Self {
        Self { format, text: text.into(), references: Vec::new() }
    }

    fn json(&self) -> Map<String, Json> {
        let mut body = Map::new();
        body.insert("schema".to_owned(), (*self.text).into());
        if self.format != Format::Avro {
            body.insert("schemaType".to_owned(), self.format.name().into());
        }
        if !self.references.is_empty() {
            let reference = |of: &Reference| json!({ "name": of.name, "subject": of.subject, "version": of.version });
            body.insert("references".to_owned(), self.references.iter().map(reference).collect());
        }
        body
    }
}

/// A schema as the registry has it.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) definition: Definition,
    /// Where the answer says them.
    pub(crate) id: Option<u32>,
    pub(crate) version: Option<i32>,
    /// Rules that a writer or reader has to run: their names and kinds of executors.
    pub(crate) rules: Vec<Rule>,
}

/// A rule of a data contract.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) executor: String,
    pub(crate) on_write: bool,
    pub(crate) on_read: bool,
}

impl Stored {
    /// Refuses a schema in another language than the converter's.
    pub(crate) fn must_be(&self, format: Format) -> Answer<()> {
        if self.definition.format == format {
            return Ok(());
        }
        let (found, wanted) = (self.definition.format.name(), format.name());
        Err(Failure::other(
            Error::data(format!("the schema is one of type {found}, not {wanted}"))
                .hint("name the converter that fits the format of the topic"),
        ))
    }

    /// Refuses a schema with rules: records that pass without them would break its contract.
    pub(crate) fn without_rules(&self, writing: bool) -> Result<()> {
        match self.rules.iter().find(|rule| if writing { rule.on_write } else { rule.on_read }) {
            None => Ok(()),
            Some(rule) => Err(Error::data(format!(
                "Could not find rule executor of type {} for rule {} of the schema",
                rule.executor, rule.name
            ))
            .class("io.confluent.kafka.schemaregistry.rules.RuleException")
            .hint("rules of data contracts are not run here: use a schema without them")),
        }
    }
}

/// What has been asked for, and came back.
struct Known {
    ids: Bounded<(String, SchemaId), Arc<Stored>>,
    registered: Bounded<(String, Definition), u32>,
    versions: Bounded<(String, Definition), i32>,
    references: Bounded<(String, i32), Arc<Stored>>,
    missing: Missing,
}

/// A schema registry.
pub(crate) struct Registry {
    http: Arc<Http>,
    normalize: bool,
    propagate_tags: bool,
    known: Mutex<Known>,
    /// Held by the thread that asks.
    asking: Mutex<()>,
    now: Box<dyn Fn() -> Instant + Send + Sync>,
}

type Answer<T> = std::result::Result<T, Failure>;

impl Registry {
    /// Reads the configuration; nothing is sent yet.
    pub(crate) fn new(props: &Props) -> Result<Self> {
        Self::with_clock(props, Instant::now)
    }

    /// The same, with a clock of one's own.
    pub(crate) fn with_clock(props: &Props, now: impl Fn() -> Instant + Send + Sync + 'static) -> Result<Self> {
        let (props, config) = http::parse(props)?;
        let max = settings::size(config.max_schemas);
        Ok(Self {
            http: Arc::new(Http::new(&props, &config)?),
            normalize: config.normalize,
            propagate_tags: config.propagate_tags,
            known: Mutex::new(Known {
                ids: Bounded::new(max),
                registered: Bounded::new(max),
                versions: Bounded::new(max),
                references: Bounded::new(max),
                missing: Missing::new(&config),
            }),
            asking: Mutex::new(()),
            now: Box::new(now),
        })
    }

    /// Registers a schema under a subject, or finds it there; the id.
    pub(crate) fn register(&self, subject: &str, definition: &Definition) -> Answer<u32> {
        let key = (subject.to_owned(), definition.clone());
        self.once(
            key,
            |_| None,
            |known| &mut known.registered,
            |(subject, definition)| {
                let mut body = definition.json();
                if self.propagate_tags {
                    body.insert("propagateSchemaTags".to_owned(), true.into());
                }
                let request =
                    Request::post(["subjects", subject, "versions"], &body.into()).query("normalize", self.normalize);
                let id = id_of(&self.ask(request)?)?;
                self.known.lock().missing.registered(subject, definition);
                Ok(id)
            },
        )
    }

    /// The id of a schema that is registered under a subject.
    pub(crate) fn id_of(&self, subject: &str, definition: &Definition) -> Answer<u32> {
        let key = (subject.to_owned(), definition.clone());
        self.once(
            key,
            |(subject, definition)| Some(Asked::Schema(subject.clone(), definition.clone(), false)),
            |known| &mut known.registered,
            |(subject, definition)| id_of(&self.look_up(subject, definition, self.normalize, false)?),
        )
    }

    /// The version that a schema has, or had, under a subject.
    pub(crate) fn version_of(&self, subject: &str, definition: &Definition) -> Answer<i32> {
        let key = (subject.to_owned(), definition.clone());
        self.once(
            key,
            |(subject, definition)| Some(Asked::Schema(subject.clone(), definition.clone(), true)),
            |known| &mut known.versions,
            |(subject, definition)| {
                let answer = self.look_up(subject, definition, false, true)?;
                version_of(&answer).ok_or_else(|| incomplete("version"))
            },
        )
    }

    fn look_up(&self, subject: &str, definition: &Definition, normalize: bool, deleted: bool) -> Answer<Json> {
        let request = Request::post(["subjects", subject], &definition.json().into());
        self.ask(request.query("normalize", normalize).query("deleted", deleted))
    }

    /// The schema of an id; the subject, which may be empty, tells contexts apart.
    pub(crate) fn by_id(&self, subject: &str, id: SchemaId) -> Answer<Arc<Stored>> {
        self.once(
            (subject.to_owned(), id),
            |(subject, id)| Some(Asked::Id(subject.clone(), *id)),
            |known| &mut known.ids,
            |(subject, id)| {
                let request = match id {
                    SchemaId::Id(id) => Request::get(["schemas", "ids", &id.to_string()])
                        .query("fetchMaxId", false)
                        .query("subject", subject),
                    SchemaId::Guid(_) => Request::get(["schemas", "guids", &id.to_string()]),
                };
                stored(&self.ask(request)?).map(Arc::new)
            },
        )
    }

    /// The latest version of a subject, asked for each time that there is one.
    pub(crate) fn latest(&self, subject: &str) -> Answer<Stored> {
        let request = Request::get(["subjects", subject, "versions", "latest"]);
        self.unless_missing(Asked::Latest(subject.to_owned()), request)
    }

    /// The latest version of a subject that has these metadata, those of the configuration; asked for in the same way.
    pub(crate) fn latest_with(&self, subject: &str, metadata: &[(String, String)]) -> Answer<Stored> {
        let mut request = Request::get(["subjects", subject, "metadata"]);
        for (key, value) in metadata {
            request = request.query("key", key).query("value", value);
        }
        self.unless_missing(Asked::LatestWith(subject.to_owned()), request.query("deleted", true))
    }

    fn unless_missing(&self, asked: Asked, request: Request) -> Answer<Stored> {
        if let Some(failure) = self.known.lock().missing.get(&asked, (self.now)()) {
            return Err(failure);
        }
        self.noted(Some(asked), self.ask(request).and_then(|answer| stored(&answer)))
    }

    /// An answer, remembered when it is that there is no such thing.
    fn noted<T>(&self, asked: Option<Asked>, answer: Answer<T>) -> Answer<T> {
        if let (Some(asked), Err(failure)) = (asked, &answer) {
            self.known.lock().missing.note(&asked, failure, (self.now)());
        }
        answer
    }

    /// The schemas that a schema refers to, directly or not, by name: those that are referred to first.
    pub(crate) fn resolve(&self, definition: &Definition) -> Answer<Vec<(String, Arc<Stored>)>> {
        let mut resolved = Vec::new();
        self.resolve_into(&definition.references, &mut resolved, 0)?;
        Ok(resolved)
    }

    fn resolve_into(
        &self,
        references: &[Reference],
        resolved: &mut Vec<(String, Arc<Stored>)>,
        depth: usize,
    ) -> Answer<()> {
        for reference in references {
            if resolved.iter().any(|(name, _)| *name == reference.name) {
                continue;
            }
            if depth >= REFERENCES_MAX {
                return Err(Failure::other(Error::data("the references of the schema lead too deep")));
            }
            let found = self.once(
                (reference.subject.clone(), reference.version),
                |(subject, version)| Some(Asked::Version(subject.clone(), *version)),
                |known| &mut known.references,
                |(subject, version)| {
                    let request = Request::get(["subjects", subject, "versions", &version.to_string()]);
                    stored(&self.ask(request.query("deleted", true))?).map(Arc::new)
                },
            )?;
            self.resolve_into(&found.definition.references, resolved, depth + 1)?;
            if resolved.iter().all(|(name, _)| *name != reference.name) {
                resolved.push((reference.name.clone(), found));
            }
        }
        Ok(())
    }

    /// What is known to be there or not, or what one thread asks for while the others wait. `asked` says what an answer that
    /// there is no such thing is about.
    fn once<K: Hash + Eq + Clone, V: Clone>(
        &self,
        key: K,
        asked: impl Fn(&K) -> Option<Asked>,
        of: impl Fn(&mut Known) -> &mut Bounded<K, V>,
        ask: impl FnOnce(&K) -> Answer<V>,
    ) -> Answer<V> {
        if let Some(found) = of(&mut self.known.lock()).get(&key) {
            return Ok(found.clone());
        }
        let asked = asked(&key);
        let look = || {
            let mut known = self.known.lock();
            let found = of(&mut known).get(&key).cloned();
            found.map(Ok).or_else(|| known.missing.get(asked.as_ref()?, (self.now)()).map(Err))
        };
        if let Some(answer) = look() {
            return answer;
        }
        let _only_one = blocking::patiently(|| self.asking.lock());
        if let Some(answer) = look() {
            return answer;
        }
        let found = ask(&key);
        let found = self.noted(asked, found)?;
        of(&mut self.known.lock()).insert(key.clone(), found.clone());
        Ok(found)
    }

    fn ask(&self, request: Request) -> Answer<Json> {
        let http = Arc::clone(&self.http);
        let asked = blocking::wait(async move { http.ask(&request).await });
        asked.unwrap_or_else(|| Err(Failure::other(Error::connect("there is no thread for requests to the registry"))))
    }
}

fn incomplete(what: &str) -> Failure {
    Failure::other(Error::data(format!("the answer of the registry has no {what}")).class("java.io.IOException"))
}

fn id_of(answer: &Json) -> Answer<u32> {
    let id = answer.get("id").and_then(Json::as_u64).and_then(|id| u32::try_from(id).ok());
    id.ok_or_else(|| incomplete("id"))
}

fn version_of(answer: &Json) -> Option<i32> {
    answer.get("version").and_then(Json::as_i64).and_then(|version| i32::try_from(version).ok())
}

fn stored(answer: &Json) -> Answer<Stored> {
    let text = answer.get("schema").and_then(Json::as_str).ok_or_else(|| incomplete("schema"))?;
    let format = match answer.get("schemaType").and_then(Json::as_str) {
        None | Some("AVRO") => Format::Avro,
        Some("JSON") => Format::Json,
        Some("PROTOBUF") => Format::Protobuf,
        Some(other) => {
            let error = Error::data(format!("Invalid schema type {other}")).class("java.lang.IllegalStateException");
            return Err(Failure::other(error));
        }
    };
    let reference = |of: &Json| {
        Some(Reference {
            name: of.get("name")?.as_str()?.to_owned(),
            subject: of.get("subject")?.as_str()?.to_owned(),
            version: version_of(of)?,
        })
    };
    let references = answer.get("references").and_then(Json::as_array);
    let references: Option<Vec<Reference>> =
        references.map(|list| list.iter().map(reference).collect()).unwrap_or(Some(Vec::new()));
    Ok(Stored {
        definition: Definition {
            format,
            text: text.into(),
            references: references.ok_or_else(|| incomplete("usable list of references"))?,
        },
        id: id_of(answer).ok(),
        version: version_of(answer),
        rules: rules(answer),
    })
}

/// The rules of a schema that are not switched off.
fn rules(answer: &Json) -> Vec<Rule> {
    let Some(set) = answer.get("ruleSet") else { return Vec::new() };
    let lists = ["domainRules", "encodingRules"].into_iter().filter_map(|kind| set.get(kind)?.as_array());
    let rule = |rule: &Json| {
        if rule.get("disabled").and_then(Json::as_bool) == Some(true) {
            return None;
        }
        let text = |name: &str| rule.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
        let mode = text("mode");
        Some(Rule {
            name: text("name"),
            executor: text("type"),
            on_write: matches!(mode.as_str(), "WRITE" | "WRITEREAD"),
            on_read: matches!(mode.as_str(), "READ" | "WRITEREAD"),
        })
    };
    lists.flatten().filter_map(rule).collect()
}
