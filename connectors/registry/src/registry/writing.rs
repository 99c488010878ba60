//! Which schema a record is written with.

use std::time::{Duration, Instant};

use connect_api::{Error, Props, Result};

use super::client::{Definition, Format, Registry, Stored};
use super::failure::{Failure, Words};
use super::http;
use super::wire::SchemaId;

/// Where the schema of a record comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    /// It is the record's own, and is registered when it is new.
    Register,
    /// It is the record's own, and must have been registered.
    LookUp,
    /// It is another one, of this id.
    Id(u32),
    /// It is the latest one of the subject.
    Latest,
    /// It is the latest one of the subject with these metadata.
    Metadata(Vec<(String, String)>),
}

/// How schemas are chosen for records that are written, and for records that are read.
pub(crate) struct Writing {
    source: Source,
    /// How records are read: into this schema, when there is one.
    reading: Option<Source>,
    id_strict: bool,
    latest_strict: bool,
    /// After what time the latest version is asked for again.
    ttl: Option<Duration>,
}

/// The schema that a record is written with.
pub(crate) struct Chosen {
    pub(crate) id: u32,
    /// A schema of the registry, when it is not the record's own.
    pub(crate) other: Option<Stored>,
    /// When to choose again.
    pub(crate) until: Option<Instant>,
}

impl Writing {
    /// Reads the configuration.
    pub(crate) fn new(props: &Props) -> Result<Self> {
        let (_, config) = http::parse(props)?;
        let metadata = config.use_metadata.as_deref().map(metadata).transpose()?;
        let latest = config.use_latest.then_some(Source::Latest);
        let other = metadata.map(Source::Metadata).or(latest);
        let source = match &other {
            _ if config.auto_register => Source::Register,
            _ if config.use_id >= 0 => Source::Id(u32::try_from(config.use_id).unwrap_or(0)),
            Some(other) => other.clone(),
            None => Source::LookUp,
        };
        let ttl = u64::try_from(config.latest_ttl).ok().map(Duration::from_secs);
        Ok(Self { source, reading: other, id_strict: config.id_strict, latest_strict: config.latest_strict, ttl })
    }

    /// Chooses the schema for records of this one. `compatible` says whether such records can be read with another.
    pub(crate) fn choose(
        &self,
        registry: &Registry,
        words: &Words,
        topic: &str,
        subject: &str,
        own: &Definition,
        compatible: impl FnOnce(&Stored) -> Result<(), String>,
    ) -> Result<Chosen> {
        let kind = language(own.format);
        let doing = |what: &str| format!("Error {what} for subject {subject}");
        let told = |what: String, failure: Failure| words.request(topic, doing(&what), failure);
        let (other, strict) = match &self.source {
            Source::Register => {
                let id = registry.register(subject, own).map_err(|e| told(format!("registering {kind} schema"), e))?;
                return Ok(Chosen { id, other: None, until: None });
            }
            Source::LookUp => {
                let id = registry.id_of(subject, own).map_err(|e| told(format!("retrieving {kind} schema"), e))?;
                return Ok(Chosen { id, other: None, until: None });
            }
            Source::Id(id) => {
                let found = registry
                    .by_id(subject, SchemaId::Id(*id))
                    .map_err(|e| told("retrieving schema ID".to_owned(), e))?;
                let found = Stored {
                    definition: found.definition.clone(),
                    id: Some(*id),
                    version: found.version,
                    rules: found.rules.clone(),
                };
                (found, self.id_strict.then_some("id.compatibility.strict"))
            }
            Source::Latest | Source::Metadata(_) => {
                let found = self.latest(registry, &self.source, subject);
                let what = format!("retrieving latest version of {kind} schema");
                let strict = self.source == Source::Latest && self.latest_strict;
                (found.map_err(|e| told(what, e))?, strict.then_some("latest.compatibility.strict"))
            }
        };
        let refused = |error: Error| words.data(topic, error);
        if other.definition.format != own.format {
            let found = other.definition.format.name();
            return Err(refused(Error::data(format!(
                "the schema to write with under subject {subject} is one of type {found}"
            ))));
        }
        other.without_rules(true).map_err(refused)?;
        if let Some(key) = strict {
            compatible(&other).map_err(|reason| {
                let text = format!(
                    "Incompatible schema of type '{}'. Set {key}=false to disable this check",
                    own.format.name()
                );
                let reason =
                    Error::data(format!("records can't be read with the schema of subject {subject}: {reason}"));
                refused(Error::data(text).class("java.io.IOException").caused_by(reason))
            })?;
        }
        let id = other.id.ok_or_else(|| refused(Error::data("the answer of the registry has no id")))?;
        let until = self.ttl.filter(|_| !matches!(self.source, Source::Id(_))).map(from_now);
        Ok(Chosen { id, other: Some(other), until })
    }

    /// The schema that records are read into, when it is not their own, and until when.
    pub(crate) fn reader(
        &self,
        registry: &Registry,
        subject: &str,
    ) -> std::result::Result<Option<(Stored, Option<Instant>)>, Failure> {
        let Some(source) = &self.reading else { return Ok(None) };
        Ok(Some((self.latest(registry, source, subject)?, self.ttl.map(from_now))))
    }

    fn latest(&self, registry: &Registry, source: &Source, subject: &str) -> std::result::Result<Stored, Failure> {
        match source {
            Source::Metadata(metadata) => registry.latest_with(subject, metadata),
            _ => registry.latest(subject),
        }
    }
}

fn from_now(ttl: Duration) -> Instant {
    Instant::now() + ttl
}

/// How the JVM's serializers call a format in their errors.
pub(crate) fn language(format: Format) -> &'static str {
    match format {
        Format::Avro => "Avro",
        Format::Json => "JSON",
        Format::Protobuf => "Protobuf",
    }
}

fn metadata(text: &str) -> Result<Vec<(String, String)>> {
    let pair = |part: &str| part.split_once('=').map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()));
    let pairs: Option<Vec<_>> = text.split(',').map(pair).collect();
    pairs.ok_or_else(|| {
        Error::config("use.latest.with.metadata must look like key=value, separated by commas where there are several")
    })
}
