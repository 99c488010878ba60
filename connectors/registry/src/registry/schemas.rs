//! What all converters do with the registry: choose the schema of what is written, and fetch those of what is read.

use std::sync::Arc;
use std::time::Instant;

use connect_api::{Error, Props, Result};

use super::client::{Definition, Format, Registry, Stored};
use super::failure::{Failure, SERIALIZATION, Words};
use super::http;
use super::subject::Strategy;
use super::wire::SchemaId;
use super::writing::{Chosen, Writing, language};

/// The schemas of keys or values, in one format.
pub(crate) struct Schemas {
    pub(crate) registry: Registry,
    writing: Writing,
    strategy: Strategy,
    is_key: bool,
    format: Format,
    to_write: Words,
    to_read: Words,
}

/// The schema of an id.
pub(crate) struct Fetched {
    pub(crate) stored: Arc<Stored>,
    /// Its version under the subject.
    pub(crate) version: i32,
    /// The schema that records are read into, when it is not their own.
    pub(crate) latest: Option<Stored>,
    /// When to fetch again.
    pub(crate) until: Option<Instant>,
}

impl Schemas {
    /// Reads the configuration; nothing is asked yet.
    pub(crate) fn new(props: &Props, is_key: bool, format: Format, to_write: Words, to_read: Words) -> Result<Self> {
        let (props, config) = http::parse(props)?;
        let strategy = config.strategy(is_key);
        let (registry, writing) = (Registry::new(&props)?, Writing::new(&props)?);
        Ok(Self { registry, writing, strategy, is_key, format, to_write, to_read })
    }

    /// Chooses the schema for records of this one, whose name is `record` where it is a record. `compatible` says whether such
    /// records can be read with another.
    pub(crate) fn choose(
        &self,
        topic: &str,
        record: Option<&str>,
        own: &Definition,
        compatible: impl FnOnce(&Stored) -> Result<(), String>,
    ) -> Result<Chosen> {
        let subject =
            self.strategy.subject(topic, self.is_key, record).map_err(|error| self.not_written(topic, error))?;
        self.writing.choose(&self.registry, &self.to_write, topic, &subject, own, compatible)
    }

    /// Fetches the schema of an id. `record` is its name, where it is a record; it is asked for only where a subject is made of
    /// it.
    pub(crate) fn fetch(
        &self,
        topic: &str,
        id: SchemaId,
        record: impl FnOnce(&Stored) -> Result<Option<String>, Failure>,
    ) -> Result<Fetched> {
        let refused = |error: Error| self.to_read.data(topic, error);
        let side = match (self.format, self.is_key) {
            (Format::Avro, true) => "key ",
            (Format::Avro, false) => "value ",
            _ => "",
        };
        let told = |what: &str, failure: Failure| {
            let action = format!("Error retrieving {} {side}{what} for id {id}", language(self.format));
            self.to_read.request(topic, action, failure)
        };
        let subject = |record: Option<&str>| self.strategy.subject(topic, self.is_key, record).map_err(refused);
        let by_schema = self.strategy.uses_schema();
        let first = if by_schema { String::new() } else { subject(None)? };
        let stored = self.registry.by_id(&first, id).map_err(|failure| told("schema", failure))?;
        stored.must_be(self.format).map_err(|failure| told("schema", failure))?;
        let subject = if by_schema {
            subject(record(&stored).map_err(|failure| told("schema", failure))?.as_deref())?
        } else {
            first
        };
        stored.without_rules(false).map_err(|error| self.not_read(topic, id, error))?;
        let version = self.registry.version_of(&subject, &stored.definition);
        let version = version.map_err(|failure| told("schema version", failure))?;
        let latest = self.writing.reader(&self.registry, &subject).and_then(|latest| {
            latest.map(|(latest, until)| latest.must_be(self.format).map(|()| (latest, until))).transpose()
        });
        let latest = latest.map_err(|failure| {
            let action =
                format!("Error retrieving latest version of {} schema for subject {subject}", language(self.format));
            self.to_read.request(topic, action, failure)
        })?;
        if let Some((latest, _)) = &latest {
            latest.without_rules(false).map_err(|error| self.not_read(topic, id, error))?;
        }
        let until = latest.as_ref().and_then(|(_, until)| *until);
        Ok(Fetched { stored, version, latest: latest.map(|(latest, _)| latest), until })
    }

    /// A request that failed while something was written.
    pub(crate) fn not_asked(&self, topic: &str, failure: Failure) -> Error {
        self.to_write.request(topic, format!("Error retrieving {} schema", language(self.format)), failure)
    }

    /// A request that failed while something was read.
    pub(crate) fn not_fetched(&self, topic: &str, id: SchemaId, failure: Failure) -> Error {
        self.to_read.request(topic, format!("Error retrieving {} schema for id {id}", language(self.format)), failure)
    }

    /// A value that can't be written.
    pub(crate) fn not_written(&self, topic: &str, cause: Error) -> Error {
        self.to_write.data(topic, cause)
    }

    /// A record that can't be read.
    pub(crate) fn not_read(&self, topic: &str, id: SchemaId, cause: Error) -> Error {
        let text = format!("Error deserializing {} message for id {id}", language(self.format));
        self.to_read.data(topic, Error::data(text).class(SERIALIZATION).caused_by(cause))
    }

    /// A record that says nothing of its schema.
    pub(crate) fn not_framed(&self, topic: &str, cause: Error) -> Error {
        self.to_read.data(topic, cause)
    }
}
