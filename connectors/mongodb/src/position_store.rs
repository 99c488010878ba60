//! Positions in MongoDB: one document for each connector, topic and partition, and one for each refused record whose report
//! is not stored yet.
//!
//! A position moves only from the place where this task has read or put it. A task that lost its partitions and does not know
//! it yet finds another one there, and stops.

use bson::{Bson, DateTime, Document, doc};
use connect_api::{Error, ErrorKind, Props, Result, TopicPartition};
use futures_util::TryStreamExt;
use mongodb::options::{ReadPreference, SelectionCriteria};
use mongodb::{Client, ClientSession, Collection};

use crate::client::options;
use crate::connector::fail_start;
use crate::failure::{WriteError, read_reply};
use crate::kinds::{advised, kind_of, of_driver};
use crate::namespace::Namespace;
use crate::positions::{RESET, Refusal, Step, Stored};
use crate::settings::{ExtraConfig, SinkConfig};

/// How many documents one command changes or deletes at most.
const CHUNK: usize = 1_000;
const DUPLICATE_KEY: i32 = 11_000;
const KEY: &str = "exactly.once.positions.collection";

/// Why positions were not moved.
#[derive(Debug)]
pub enum NotMoved {
    /// Somebody else has moved one of them.
    Conflict(Error),
    /// The server or the connection failed.
    Failed(Error),
}

/// The collection with the positions of a connector.
#[derive(Clone, Debug)]
pub struct PositionStore {
    client: Client,
    namespace: Namespace,
    connector: String,
    /// For writes outside of transactions.
    write_concern: Option<Document>,
}

impl PositionStore {
    /// The collection that the configuration names, over a client of it.
    pub fn new(client: Client, namespace: Namespace, connector: &str, write_concern: Option<Document>) -> Self {
        Self { client, namespace, connector: connector.to_owned(), write_concern }
    }

    /// The collection of a configuration; `None` when positions are not stored.
    pub fn namespace(config: &SinkConfig, extra: &ExtraConfig) -> Result<Option<Namespace>> {
        match extra.positions_collection.trim() {
            "" => Ok(None),
            name => Namespace::new(&config.database, name).map(Some).map_err(|error| {
                Error::config(format!("{KEY} can't be used: {}", error.message()))
                    .hint("name a collection of the database")
            }),
        }
    }

    fn collection(&self) -> Collection<Document> {
        self.client.database(&self.namespace.database).collection(&self.namespace.collection)
    }

    fn id(&self, topic: &str, partition: i32) -> Document {
        doc! { "connector": &self.connector, "topic": topic, "partition": partition }
    }

    fn id_of_refusal(&self, topic: &str, partition: i32, offset: i64) -> Document {
        let mut id = self.id(topic, partition);
        id.insert("offset", offset);
        id
    }

    /// Makes the collection. Servers before 4.4 make none within a transaction, and later ones run into each other there.
    pub async fn create(&self) {
        let database = self.client.database(&self.namespace.database);
        if let Err(error) = database.create_collection(&self.namespace.collection).await {
            // Mostly it is there; where it may not be made, the first transaction says so.
            tracing::debug!(collection = self.namespace.full_name(), error = %error, "no collection was made for positions");
        }
    }

    /// Everything that is stored for the connector.
    pub async fn read(&self) -> Result<Vec<(TopicPartition, Stored)>> {
        let failed = |error: mongodb::error::Error| self.failed("read", &error);
        let found: Vec<Document> = self
            .collection()
            .find(doc! { "_id.connector": &self.connector })
            .selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::Primary))
            .await
            .map_err(failed)?
            .try_collect()
            .await
            .map_err(failed)?;
        let mut all: Vec<(TopicPartition, Stored)> = Vec::new();
        for document in &found {
            let (partition, offset) = read_id(document).ok_or_else(|| self.unreadable(document))?;
            let at = all.iter().position(|(known, _)| *known == partition).unwrap_or_else(|| {
                all.push((partition, Stored::default()));
                all.len() - 1
            });
            let stored = &mut all[at].1;
            match offset {
                None => {
                    stored.next = Some(document.get_i64("position").map_err(|_| self.unreadable(document))?);
                    stored.timestamp = document.get_i64("timestamp").ok();
                }
                Some(offset) => {
                    let text = |field: &str| document.get_str(field).unwrap_or_default().to_owned();
                    let refusal = Refusal { class: text("class"), message: text("message"), reported: false };
                    stored.refused.insert(offset, refusal);
                }
            }
        }
        Ok(all)
    }

    /// Moves positions, all of them or, within a transaction, none.
    pub async fn apply(&self, steps: &[Step], mut session: Option<&mut ClientSession>) -> Result<(), NotMoved> {
        let mut refusals = Vec::new();
        for step in steps {
            for (offset, refusal) in &step.refused {
                refusals.push(doc! {
                    "q": { "_id": self.id_of_refusal(&step.topic, step.partition, *offset) },
                    "u": { "$set": { "class": &refusal.class, "message": &refusal.message } },
                    "upsert": true,
                });
            }
        }
        // First, so that without a transaction no refusal is passed that is not kept.
        for chunk in refusals.chunks(CHUNK) {
            let (_, refused) = self.update(chunk, session.as_deref_mut()).await.map_err(NotMoved::Failed)?;
            if let Some(error) = refused {
                return Err(NotMoved::Failed(self.refused(&error)));
            }
        }
        let moves: Vec<Document> = steps.iter().map(|step| self.move_of(step)).collect();
        for (chunk, of_chunk) in moves.chunks(CHUNK).zip(steps.chunks(CHUNK)) {
            match self.update(chunk, session.as_deref_mut()).await.map_err(NotMoved::Failed)? {
                (_, Some(error)) if error.code != DUPLICATE_KEY => {
                    return Err(NotMoved::Failed(self.refused(&error)));
                }
                (moved, None) if moved == chunk.len() => {}
                _ => return Err(NotMoved::Conflict(self.conflict(of_chunk))),
            }
        }
        Ok(())
    }

    fn move_of(&self, step: &Step) -> Document {
        let id = self.id(&step.topic, step.partition);
        let mut set = doc! { "position": step.to, "updated": DateTime::now() };
        let mut change = Document::new();
        match step.timestamp {
            Some(timestamp) => {
                set.insert("timestamp", timestamp);
            }
            None => {
                change.insert("$unset", doc! { "timestamp": "" });
            }
        }
        change.insert("$set", set);
        match step.from {
            Some(from) => doc! { "q": { "_id": id, "position": from }, "u": change },
            // A document that is there all the same is met as a duplicate.
            None => doc! { "q": { "_id": id, "position": { "$exists": false } }, "u": change, "upsert": true },
        }
    }

    /// Runs updates; gives how many documents they found or made, and what the server said against one of them.
    async fn update(
        &self,
        updates: &[Document],
        session: Option<&mut ClientSession>,
    ) -> Result<(usize, Option<WriteError>)> {
        let database = self.client.database(&self.namespace.database);
        let mut command = doc! { "update": &self.namespace.collection, "updates": updates, "ordered": true };
        let reply = match session {
            Some(session) => database.run_command(command).session(session).await,
            None => {
                if let Some(concern) = self.write_concern.as_ref().filter(|concern| !concern.is_empty()) {
                    command.insert("writeConcern", concern.clone());
                }
                database.run_command(command).await
            }
        };
        let reply = reply.map_err(|error| self.failed("store", &error))?;
        let (errors, concern) = read_reply(&reply, &[]);
        if let Some(concern) = concern {
            let text =
                format!("the positions in {} are not confirmed: {}", self.namespace.full_name(), concern.message);
            return Err(advised(Error::new(concern.kind(), text)));
        }
        let found = match reply.get("n") {
            Some(Bson::Int32(n)) => usize::try_from(*n),
            Some(Bson::Int64(n)) => usize::try_from(*n),
            _ => Ok(0),
        };
        Ok((found.unwrap_or(0), errors.into_iter().next()))
    }

    /// Drops refusals whose reports are stored.
    pub async fn settle(&self, settled: &[(TopicPartition, i64)]) -> Result<()> {
        for chunk in settled.chunks(CHUNK) {
            let ids: Vec<Document> =
                chunk.iter().map(|(of, offset)| self.id_of_refusal(&of.topic, of.partition, *offset)).collect();
            let deleted = self.collection().delete_many(doc! { "_id": { "$in": ids } }).await;
            deleted.map_err(|error| self.failed("tidy up", &error))?;
        }
        Ok(())
    }

    /// Drops positions.
    async fn forget(&self, which: &Forget<'_>) -> Result<()> {
        let mut filter = doc! { "_id.connector": &self.connector };
        match which {
            Forget::All => {}
            Forget::Topics(topics) => {
                filter.insert("_id.topic", doc! { "$in": topics.to_vec() });
            }
            Forget::Partitions(partitions) => {
                let each = |of: &TopicPartition| doc! { "_id.topic": &*of.topic, "_id.partition": of.partition };
                filter.insert("$or", partitions.iter().map(each).collect::<Vec<_>>());
            }
        }
        let deleted = self.collection().delete_many(filter).await.map_err(|error| self.failed("drop", &error))?;
        tracing::info!(
            connector = self.connector,
            collection = self.namespace.full_name(),
            dropped = deleted.deleted_count,
            "dropped stored positions"
        );
        Ok(())
    }

    fn failed(&self, what: &str, error: &mongodb::error::Error) -> Error {
        let place = self.namespace.full_name();
        advised(Error::new(of_driver(error), format!("failed to {what} the positions in {place}: {}", error.kind)))
    }

    fn refused(&self, error: &WriteError) -> Error {
        let WriteError { code, message, .. } = error;
        let place = self.namespace.full_name();
        advised(Error::new(
            kind_of(*code, |_| false),
            format!("the positions in {place} were refused with {code}: {message}"),
        ))
    }

    fn unreadable(&self, document: &Document) -> Error {
        let id = document.get("_id").map(ToString::to_string).unwrap_or_default();
        Error::new(
            ErrorKind::PositionLost,
            format!("the position {id} in {} can't be read", self.namespace.full_name()),
        )
        .hint(RESET)
    }

    fn conflict(&self, steps: &[Step]) -> Error {
        let one = |step: &Step| {
            let from = step.from.map_or_else(|| "none".to_owned(), |from| from.to_string());
            format!("{}-{} at {from}", step.topic, step.partition)
        };
        let text = format!(
            "another task has moved the stored position of one of these partitions: {}",
            steps.iter().map(one).collect::<Vec<_>>().join(", ")
        );
        let cause = Error::new(ErrorKind::Conflict, text).hint(
            "start the task again, it goes on from what is stored; if it happens again and again, another connector of the \
             same name writes to this database: give one of them another name or another positions collection",
        );
        Error::connect("the stored positions are another task's: nothing of the batch counts as written by this one")
            .caused_by(cause)
    }
}

/// Which positions of a connector are dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forget<'a> {
    All,
    Topics(&'a [String]),
    Partitions(Vec<TopicPartition>),
}

impl Forget<'_> {
    /// The positions that offsets which a user sets make wrong. A position is dropped and not set: should the offset not be
    /// set after all, its records are written once more instead of never. Where everything that is named is reset, so may the
    /// whole connector be, which may have positions in partitions without a committed offset.
    pub fn after(offsets: &[(TopicPartition, Option<i64>)]) -> Self {
        if offsets.iter().all(|(_, offset)| offset.is_none()) {
            return Self::All;
        }
        Self::Partitions(offsets.iter().map(|(partition, _)| partition.clone()).collect())
    }
}

/// Drops positions of a connector that does not run; nothing is done where none are stored.
pub async fn forget(props: &Props, which: &Forget<'_>) -> Result<()> {
    let extra = ExtraConfig::of(props).map_err(|problems| fail_start(problems.into_iter().next()))?;
    let config = SinkConfig::parse(props).map_err(|problems| fail_start(problems.into_iter().next()))?;
    let Some(namespace) = PositionStore::namespace(&config, &extra)? else { return Ok(()) };
    let Some(Some(connector)) = props.get("name") else {
        return Err(Error::config("the configuration has no name, so that its positions can't be told from others"));
    };
    let client = Client::with_options(options(&config).await?)
        .map_err(|error| Error::config(format!("the connection string cannot be used: {}", error.kind)))?;
    let store = PositionStore::new(client.clone(), namespace, connector, None);
    let outcome = store.forget(which).await;
    client.shutdown().await;
    outcome
}

/// The partition that a document is about, and the offset when it is about a refused record.
fn read_id(document: &Document) -> Option<(TopicPartition, Option<i64>)> {
    let id = document.get_document("_id").ok()?;
    let partition =
        TopicPartition { topic: id.get_str("topic").ok()?.into(), partition: id.get_i32("partition").ok()? };
    match id.get("offset") {
        None => Some((partition, None)),
        Some(Bson::Int64(offset)) => Some((partition, Some(*offset))),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(topic: &str, partition: i32) -> TopicPartition {
        TopicPartition { topic: topic.into(), partition }
    }

    #[test]
    fn a_reset_drops_all_positions_and_a_change_those_that_it_names() {
        let (a, b) = (partition("t", 0), partition("t", 1));
        assert_eq!(Forget::after(&[(a.clone(), Some(5)), (b.clone(), None)]), Forget::Partitions(vec![a.clone(), b]));
        assert_eq!(Forget::after(&[(a, None)]), Forget::All);
        assert_eq!(Forget::after(&[]), Forget::All);
    }

    #[test]
    fn ids_say_what_a_document_is_about() {
        let id = |id: Document| read_id(&doc! { "_id": id });
        let mut of_position = doc! { "connector": "c", "topic": "t", "partition": 3 };
        assert_eq!(id(of_position.clone()), Some((partition("t", 3), None)));
        of_position.insert("offset", 7_i64);
        assert_eq!(id(of_position), Some((partition("t", 3), Some(7))));
        assert_eq!(id(doc! { "connector": "c" }), None);
    }
}
