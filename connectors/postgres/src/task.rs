//! The task that the worker polls: the near end of the reader's channel.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connect_api::{Checkpoint, Error, OffsetMap, Progress, Props, Result, SourceBatch, SourceContext, SourceTask};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::event::Events;
use crate::lineage::{self, Lineage};
use crate::messages::Messages;
use crate::metrics::PostgresMetrics;
use crate::offset::{Position, partition};
use crate::outlet::{Outlet, Tag};
use crate::progress::Taken;
use crate::reselect::Reselects;
use crate::session::Session;
use crate::settings::{Settings, later_keys, refuse_classes};
use crate::signals::Signals;
use crate::signals::kafka::Acted;
use crate::signals::state::State;
use crate::slot::lsn_text;
use crate::snapshot;
use crate::stream::Marks;
use crate::transactions::Counted;

/// Longest time that a stopping task waits for its reader to say goodbye to the server.
const STOP_TIMEOUT: Duration = Duration::from_secs(4);

/// A running task.
pub struct PostgresTask {
    batches: mpsc::Receiver<Result<SourceBatch>>,
    /// The log ([`Tag::log`]) and the place in it.
    confirmed: watch::Sender<(u8, u64)>,
    acted: Acted,
    cancel: CancellationToken,
    reader: JoinHandle<()>,
    /// Batches given to the worker, and those of them that it is done with.
    returned: u64,
    taken: Taken,
    /// What ended the reader.
    failure: Option<Error>,
}

impl PostgresTask {
    /// Starts the reader where the stored offset says. The server is reached in the background: a failure comes out of
    /// the first poll.
    pub async fn start(props: &Props, context: SourceContext) -> Result<Self> {
        let settings = Arc::new(Settings::parse(props)?);
        if !props.get("plugin.name").is_some_and(|name| name.as_deref().is_some_and(is_pgoutput)) {
            return Err(Error::config(crate::validate::ONLY_PGOUTPUT).hint("set plugin.name=pgoutput"));
        }
        settings.supported()?;
        refuse_classes(props)?;
        for key in later_keys(props) {
            tracing::warn!(connector = %context.connector, task = context.task, key, "this key has no effect yet");
        }
        for processor in settings.reselect.iter() {
            processor.tell(&context.connector);
        }
        if settings.snapshot_resume && !settings.streams() {
            tracing::warn!(
                connector = %context.connector,
                "snapshot.resume.enabled has no effect without a stream: nothing would tell what changes between two attempts"
            );
        }
        let partition = partition(&settings.prefix);
        let stored = context.offsets.offset(&partition).await?;
        let position = stored.as_ref().map(Position::from_offset).transpose()?;
        let counted = stored.as_ref().map(Counted::from_offset).unwrap_or_default();
        let marks = Marks::stored(position.unwrap_or_default(), counted.clone());
        // What the reference does not read counts only where it belongs to the position.
        let more = stored.as_ref().filter(|_| position.is_some_and(|position| position.within.is_some()));
        let counted = more.map_or(counted.clone(), |offset| counted.with_more(offset));
        let state = stored.as_ref().map(State::from_offset).transpose()?.unwrap_or_default();
        let lineage = stored.as_ref().filter(|_| settings.identity_stored).map(lineage).transpose()?.flatten();
        let resume = stored.as_ref().zip(position.as_ref());
        let resume = resume.and_then(|(offset, position)| snapshot::resume::stored(offset, position, &settings));
        let signals = Signals::new(&settings.signals, &settings.prefix, state)?;
        let acted = signals.acted();
        let cancel = context.cancel.child_token();
        let (sender, batches) = mpsc::channel(settings.queue_batches);
        let (confirmed, confirmations) = watch::channel((0, 0));
        let metrics = PostgresMetrics::new(&settings, sender.downgrade());
        context.metrics.register("debezium.postgres", "connector-metrics", Arc::clone(&metrics) as _);
        // Before anything else: the worker takes a task that says nothing for one that is connected.
        (context.progress)(Progress::default());
        let taken = Taken::default();
        let session = Session {
            metrics,
            events: Events::new(&settings, context.task),
            messages: Messages::new(&settings),
            counted,
            outlet: Outlet::new(sender, partition, &settings),
            servers: settings.server.clone(),
            host: settings.server.hosts.first().clone(),
            settings,
            position,
            marks,
            slot_from: None,
            changed: position.map(|position| position.delivered_to()),
            lineage,
            unfinished: None,
            pending: None,
            whole_only: false,
            streaming: None,
            snapshot_begun: false,
            snapshot_done: false,
            snapshotted: None,
            resume,
            reselects: Reselects::default(),
            signals,
            confirmed: confirmations,
            cancel: cancel.clone(),
            report: context.progress,
            taken: taken.clone(),
            connector: context.connector,
            recovers: context.recovers,
        };
        // In the task's context, so that its log lines are the task's.
        let reader = tokio::spawn(session.run().in_current_span());
        Ok(Self { batches, confirmed, acted, cancel, reader, returned: 0, taken, failure: None })
    }
}

/// Which server a stored position belongs to, where that was stored.
fn lineage(stored: &OffsetMap) -> Result<Option<Lineage>> {
    let Some(value) = stored.get(lineage::FIELD) else { return Ok(None) };
    let read = value.as_str().and_then(Lineage::parse).ok_or_else(|| {
        Error::data(format!("the stored offset has {value} as '{}', which names no server", lineage::FIELD))
            .hint("take the field out with PATCH /connectors/{name}/offsets")
    })?;
    Ok(Some(read))
}

fn is_pgoutput(name: &str) -> bool {
    name.trim().eq_ignore_ascii_case("pgoutput")
}

#[async_trait]
impl SourceTask for PostgresTask {
    async fn poll(&mut self) -> Result<SourceBatch> {
        // The worker asks for more: it has sent what it was given before.
        self.taken.set(self.returned);
        match self.batches.recv().await {
            Some(Ok(batch)) => {
                self.returned += 1;
                Ok(batch)
            }
            Some(Err(error)) => {
                self.failure = Some(error.duplicate());
                Err(error)
            }
            None if self.cancel.is_cancelled() => Ok(SourceBatch::default()),
            None => Err(match &self.failure {
                // The reader is gone: a worker that polls again hears the same again.
                Some(error) => error.duplicate(),
                None => Error::connect("the reader of the database ended unexpectedly").hint("restart the task"),
            }),
        }
    }

    async fn committed(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let tag = Tag::unpack(checkpoint.tag);
        self.acted.stored(tag.signals);
        if !tag.confirms {
            return Ok(());
        }
        let Some(lsn) = Position::from_offset(&checkpoint.offset)?.confirmable() else { return Ok(()) };
        self.confirmed.send_if_modified(|confirmed| {
            let later = (tag.log, lsn) > *confirmed;
            if later {
                *confirmed = (tag.log, lsn);
            }
            later
        });
        Ok(())
    }

    fn position_text(&self, offset: &OffsetMap) -> Option<String> {
        let place = |field: &str| offset.get(field).and_then(serde_json::Value::as_u64);
        let place = place("lsn_commit").or_else(|| place("lsn_proc")).or_else(|| place("lsn"))?;
        Some(lsn_text(place))
    }

    async fn stop(mut self: Box<Self>) -> Result<()> {
        self.cancel.cancel();
        self.batches.close();
        if tokio::time::timeout(STOP_TIMEOUT, &mut self.reader).await.is_err() {
            self.reader.abort();
        }
        Ok(())
    }
}

impl Drop for PostgresTask {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}
