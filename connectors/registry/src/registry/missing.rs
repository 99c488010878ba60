//! What the registry has said that it does not have. It is remembered for a short while, so that a topic of records whose
//! schema is gone does not ask for each of them.

use std::hash::{Hash, Hasher};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

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

/// What is kept of a question. Schemas are long, and records may ask for many; two of a digest of this strength are not to be found,
/// not even on purpose.
type Digest = [u8; 32];

impl Asked {
    fn digest(&self) -> Digest {
        struct All(Sha256);

        impl Hasher for All {
            fn write(&mut self, bytes: &[u8]) {
                self.0.update(bytes);
            }

            fn finish(&self) -> u64 {
                // Nobody asks for so little of it.
                0
            }
        }

        let mut all = All(Sha256::new());
        self.hash(&mut all);
        all.0.finalize().into()
    }
}

/// What the registry does not have, and until when that is taken for granted.
pub(crate) struct Missing {
    entries: Bounded<Digest, (Instant, Absence)>,
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
        if self.ttl(asked).is_zero() {
            return None;
        }
        let (_, absence) = self.entries.get(&asked.digest()).filter(|(until, _)| now < *until)?;
        Some(absence.clone().into())
    }

    /// Remembers an answer, when it says that there is no such thing. Any other failure may be over the next time.
    pub(crate) fn note(&mut self, asked: &Asked, failure: &Failure, now: Instant) {
        let ttl = self.ttl(asked);
        if let Some(absence) = failure.absence.as_deref().filter(|_| !ttl.is_zero()) {
            self.entries.sweep(|(until, _)| now < *until);
            self.entries.insert(asked.digest(), (now + ttl, absence.shortened()));
        }
    }

    fn ttl(&self, asked: &Asked) -> Duration {
        match asked {
            Asked::Id(..) => self.ids,
            Asked::Schema(..) => self.schemas,
            Asked::Version(..) | Asked::Latest(_) | Asked::LatestWith(_) => self.versions,
        }
    }

    /// Forgets what is there now.
    pub(crate) fn registered(&mut self, subject: &str, definition: &Definition) {
        for deleted in [false, true] {
            self.entries.remove(&Asked::Schema(subject.to_owned(), definition.clone(), deleted).digest());
        }
        self.entries.remove(&Asked::Latest(subject.to_owned()).digest());
        self.entries.remove(&Asked::LatestWith(subject.to_owned()).digest());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::client::Format;
    use super::super::http;
    use super::super::testing::FakeRegistry;
    use super::*;

    fn missing(more: &[(&str, &str)]) -> Missing {
        let fake = FakeRegistry::start();
        Missing::new(&http::parse(&fake.props(more)).unwrap().1)
    }

    fn absent(message: &str) -> Failure {
        Failure::answer(404, 40403, message)
    }

    #[test]
    fn neither_texts_nor_what_is_over_are_kept() {
        let mut missing = missing(&[]);
        let mut now = Instant::now();
        for number in 0..1_000 {
            let definition = Definition::new(Format::Avro, format!("\"{number}\""));
            let text = Arc::clone(&definition.text);
            let asked = Asked::Schema("t-value".to_owned(), definition, false);
            missing.note(&asked, &absent("not found"), now);
            assert_eq!(missing.get(&asked, now).unwrap().error.message(), "not found; error code: 40403");
            drop(asked);
            assert_eq!(Arc::strong_count(&text), 1);
            now += Duration::from_secs(1);
        }
        assert!(missing.entries.len() < 100, "{}", missing.entries.len());
    }

    #[test]
    fn what_the_registry_said_is_kept_as_far_as_somebody_reads_it() {
        let mut missing = missing(&[]);
        let (asked, now) = (Asked::Latest("t".to_owned()), Instant::now());
        missing.note(&asked, &absent(&"é".repeat(100_000)), now);
        let error = missing.get(&asked, now).unwrap().error;
        assert!(error.message().starts_with("éé") && error.message().len() < 3_000);
        assert!(error.message().ends_with("...; error code: 40403"), "{error}");
    }

    #[test]
    fn other_questions_have_other_digests() {
        let of = |text: &str, deleted| Asked::Schema("s".to_owned(), Definition::new(Format::Avro, text), deleted);
        let all = [
            of("a", false),
            of("a", true),
            of("b", false),
            Asked::Schema("s".to_owned(), Definition::new(Format::Json, "a"), false),
            Asked::Schema("sa".to_owned(), Definition::new(Format::Avro, ""), false),
            Asked::Latest("s".to_owned()),
            Asked::LatestWith("s".to_owned()),
            Asked::Version("s".to_owned(), 1),
            Asked::Id("s".to_owned(), SchemaId::Id(1)),
        ];
        for (place, asked) in all.iter().enumerate() {
            assert!(all[..place].iter().all(|other| other.digest() != asked.digest()), "{asked:?}");
            assert_eq!(asked.digest(), asked.clone().digest());
        }
    }
}
