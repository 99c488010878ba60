//! What the registry has said that it does not have. It is remembered for a short while, so that a topic of records whose
//! schema is gone does not ask for each of them.

use std::time::{Duration, Instant};

use super::bounded::Bounded;
use super::client::Definition;
use super::failure::{Absence, Failure};
use super::wire::SchemaId;
use crate::settings::{self, RegistryConfig};

/// What was asked for, under a subject.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Asked {
    Id(String, SchemaId),
    /// A schema by its text, and whether one that was deleted counts.
    Schema(String, Definition, bool),
    Version(String, i32),
    Latest(String),
    /// The latest version with the metadata that the configuration names.
    LatestWith(String),
}

/// What the registry does not have, and until when that is taken for granted.
pub(crate) struct Missing {
    entries: Bounded<Asked, (Instant, Absence)>,
    ids: Duration,
    schemas: Duration,
    versions: Duration,
}

impl Missing {
    /// Reads the configuration.
    pub(crate) fn new(config: &RegistryConfig) -> Self {
        let seconds = |ttl: i32| Duration::from_secs(u64::try_from(ttl).unwrap_or(0));
        Self {
            entries: Bounded::new(settings::size(config.missing_cache_size)),
            ids: seconds(config.missing_id_ttl),
            schemas: seconds(config.missing_schema_ttl),
            versions: seconds(config.missing_version_ttl),
        }
    }

    /// The answer of a while ago.
    pub(crate) fn get(&self, asked: &Asked, now: Instant) -> Option<Failure> {
        let (_, absence) = self.entries.get(asked).filter(|(until, _)| now < *until)?;
        Some(absence.clone().into())
    }

    /// Remembers an answer, when it says that there is no such thing. Any other failure may be over the next time.
    pub(crate) fn note(&mut self, asked: Asked, failure: &Failure, now: Instant) {
        let ttl = match asked {
            Asked::Id(..) => self.ids,
            Asked::Schema(..) => self.schemas,
            Asked::Version(..) | Asked::Latest(_) | Asked::LatestWith(_) => self.versions,
        };
        if let Some(absence) = failure.absence.as_deref().filter(|_| !ttl.is_zero()) {
            self.entries.insert(asked, (now + ttl, absence.clone()));
        }
    }

    /// Forgets what is there now.
    pub(crate) fn registered(&mut self, subject: &str, definition: &Definition) {
        for deleted in [false, true] {
            self.entries.remove(&Asked::Schema(subject.to_owned(), definition.clone(), deleted));
        }
        self.entries.remove(&Asked::Latest(subject.to_owned()));
        self.entries.remove(&Asked::LatestWith(subject.to_owned()));
    }
}
