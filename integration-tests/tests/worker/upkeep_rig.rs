//! A Postgres source without a worker: the connector's own calls, and a task that is polled as a worker would do it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use connect_api::{
    Error, Metrics, OffsetMap, OffsetReader, Phase, Progress, Props, Record, Result, SourceConnector, SourceContext,
};
use connect_postgres::connector::PostgresConnector;
use integration_tests::testbed::{PostgresAddress, eventually_async};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{ARRIVAL, source, with};

/// The name of the connector in remedies.
pub(crate) const CONNECTOR: &str = "shop";

/// A source's configuration, named [`CONNECTOR`], with changes.
pub(crate) fn props(address: &PostgresAddress, name: &str, tables: &str, changes: &Value) -> Props {
    let config = with(source(address, name, tables), changes);
    let entries = config.as_object().unwrap().iter();
    let named = std::iter::once(("name".to_owned(), Some(CONNECTOR.to_owned())));
    named.chain(entries.map(|(key, value)| (key.clone(), Some(value.as_str().unwrap().to_owned())))).collect()
}

/// What the task has brought, as its worker sees it.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) records: AtomicUsize,
    /// The records themselves, in order.
    pub(crate) kept: Mutex<Vec<Record>>,
    pub(crate) progress: Mutex<Vec<Progress>>,
    offset: Mutex<Option<OffsetMap>>,
    failure: Mutex<Option<Error>>,
}

impl Seen {
    pub(crate) fn records(&self) -> usize {
        self.records.load(Ordering::SeqCst)
    }

    pub(crate) fn all(&self) -> Vec<Progress> {
        self.progress.lock().unwrap().clone()
    }

    pub(crate) fn last(&self) -> Progress {
        self.progress.lock().unwrap().last().cloned().unwrap_or_default()
    }

    /// A position was stored.
    pub(crate) fn stored(&self) -> bool {
        self.offset.lock().unwrap().is_some()
    }

    /// The position that was stored last.
    pub(crate) fn last_offset(&self) -> Option<OffsetMap> {
        self.offset.lock().unwrap().clone()
    }

    pub(crate) fn resolved(&self) -> u64 {
        self.last().stream.and_then(|stream| stream.resolved).unwrap_or(0)
    }
}

struct Stored(Option<OffsetMap>);

#[async_trait]
impl OffsetReader for Stored {
    async fn offset(&self, _partition: &OffsetMap) -> Result<Option<OffsetMap>> {
        Ok(self.0.clone())
    }
}

/// A task that is polled until it fails or is stopped.
pub(crate) struct Running {
    pub(crate) seen: Arc<Seen>,
    cancel: CancellationToken,
    polling: JoinHandle<()>,
}

/// Starts a task where an offset says.
pub(crate) async fn start(props: &Props, offset: Option<OffsetMap>) -> Running {
    start_slow(props, offset, Duration::ZERO).await
}

/// The same with a worker that takes so long for a batch.
pub(crate) async fn start_slow(props: &Props, offset: Option<OffsetMap>, work: Duration) -> Running {
    run(props, offset, work, usize::MAX).await
}

/// The same with a worker that stands still once it has so many records and a stored offset, until it is stopped.
pub(crate) async fn start_until(props: &Props, offset: Option<OffsetMap>, records: usize) -> Running {
    run(props, offset, Duration::ZERO, records).await
}

async fn run(props: &Props, offset: Option<OffsetMap>, work: Duration, until: usize) -> Running {
    let (seen, cancel) = (Arc::new(Seen::default()), CancellationToken::new());
    let told = Arc::clone(&seen);
    let context = SourceContext {
        connector: CONNECTOR.into(),
        task: 0,
        offsets: Arc::new(Stored(offset)),
        cancel: cancel.clone(),
        progress: Arc::new(move |progress| told.progress.lock().unwrap().push(progress)),
        metrics: Metrics::default(),
        transactions: None,
        recovers: true,
    };
    let mut task = PostgresConnector.start_task(props.clone(), context).await.unwrap();
    let (inner, stop) = (Arc::clone(&seen), cancel.clone());
    let polling = tokio::spawn(async move {
        loop {
            let batch = tokio::select! {
                () = stop.cancelled() => break,
                batch = task.poll() => batch,
            };
            match batch {
                Ok(batch) => {
                    // Sent only when the work is done.
                    tokio::time::sleep(work).await;
                    inner.records.fetch_add(batch.records.len(), Ordering::SeqCst);
                    inner.kept.lock().unwrap().extend(batch.records);
                    for checkpoint in &batch.checkpoints {
                        task.committed(checkpoint).await.unwrap();
                        *inner.offset.lock().unwrap() = Some(checkpoint.offset.clone());
                    }
                    if inner.records() >= until && inner.stored() {
                        stop.cancelled().await;
                        break;
                    }
                }
                Err(error) => {
                    let again = task.poll().await.unwrap_err();
                    assert_eq!(again.to_java_text(), error.to_java_text(), "whoever polls again hears the same");
                    *inner.failure.lock().unwrap() = Some(error);
                    break;
                }
            }
        }
        task.stop().await.unwrap();
    });
    Running { seen, cancel, polling }
}

impl Running {
    /// Waits until something holds of what was seen.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Seen) -> bool) {
        eventually_async(what, ARRIVAL, async || {
            if let Some(error) = &*self.seen.failure.lock().unwrap() {
                return Err(error.trace());
            }
            if holds(&self.seen) {
                Ok(())
            } else {
                Err(format!("{} records, {:?}", self.seen.records(), self.seen.last()))
            }
        })
        .await
        .unwrap();
    }

    pub(crate) async fn streams(&self) {
        self.until("the stream", |seen| seen.last().phase == Phase::Streaming).await;
    }

    /// Waits until the task fails.
    pub(crate) async fn fails(self) -> Error {
        tokio::time::timeout(ARRIVAL, self.polling).await.expect("the task fails in time").unwrap();
        self.seen.failure.lock().unwrap().take().expect("the task failed")
    }

    /// The same, and the offset that was stored last.
    pub(crate) async fn fails_with_offset(self) -> (Error, Option<OffsetMap>) {
        let seen = Arc::clone(&self.seen);
        let error = self.fails().await;
        (error, seen.offset.lock().unwrap().clone())
    }

    /// Stops it; gives the offset that was stored last.
    pub(crate) async fn stop(self) -> Option<OffsetMap> {
        self.cancel.cancel();
        self.polling.await.unwrap();
        assert!(self.seen.failure.lock().unwrap().is_none());
        self.seen.offset.lock().unwrap().clone()
    }
}

/// A publication and a slot that are there before the connector, which then needs neither locks nor rights for them.
pub(crate) async fn prepare(client: &tokio_postgres::Client, name: &str, tables: &str) -> Value {
    client.batch_execute(&format!("create publication {name} for table {tables}")).await.unwrap();
    client.query("select pg_create_logical_replication_slot($1, 'pgoutput')", &[&name]).await.unwrap();
    json!({"publication.autocreate.mode": "disabled"})
}
