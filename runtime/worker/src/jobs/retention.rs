//! Watches what the systems of this worker's sources keep for them, also while they are paused or stopped: nobody reads then,
//! and the log grows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use connect_api::{PluginKind, Retention};
use connect_cluster::jobs::record::RetentionReport;
use connect_cluster::{ClusterView, ConnectorView, State};
use connect_config::Props;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::rates::Rate;
use super::start::World;
use crate::task::plugin_of;
use crate::units::resolved;

/// How long one look may take.
const LIMIT: Duration = Duration::from_secs(20);
/// Looks at the same time.
const AT_ONCE: usize = 4;
const MINUTE_MS: i64 = 60_000;

/// What was seen last, by connector.
pub(super) struct Watch {
    seen: Arc<Mutex<BTreeMap<Arc<str>, Seen>>>,
    looks: Arc<tokio::sync::Semaphore>,
}

struct Seen {
    report: Option<RetentionReport>,
    rate: Rate,
    next: Instant,
    looking: bool,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self { seen: Arc::default(), looks: Arc::new(tokio::sync::Semaphore::new(AT_ONCE)) }
    }

    /// What is known.
    pub(super) fn reports(&self) -> BTreeMap<Arc<str>, RetentionReport> {
        let seen = self.seen.lock();
        seen.iter().filter_map(|(name, seen)| Some((Arc::clone(name), seen.report.clone()?))).collect()
    }

    /// Begins the looks that are due, at the sources that are this worker's.
    pub(super) fn look(&self, world: &Arc<World>, view: &ClusterView, every: Duration, now_ms: i64) {
        let mine: BTreeMap<&Arc<str>, &Props> = view
            .connectors
            .iter()
            .filter(|(_, connector)| connector.info.kind == "source")
            .filter(|(_, connector)| owner(connector).is_some_and(|owner| owner == world.worker_id))
            .map(|(name, connector)| (name, &connector.info.config))
            .collect();
        let mut seen = self.seen.lock();
        seen.retain(|name, _| mine.contains_key(name));
        let now = Instant::now();
        for (name, config) in mine {
            let known = seen.entry(Arc::clone(name)).or_insert_with(|| Seen {
                report: None,
                rate: Rate::default(),
                next: now,
                looking: false,
            });
            if known.looking || known.next > now {
                continue;
            }
            known.looking = true;
            known.next = now + every;
            let (world, seen, looks) = (Arc::clone(world), Arc::clone(&self.seen), Arc::clone(&self.looks));
            let (name, config) = (Arc::clone(name), config.clone());
            tokio::spawn(async move {
                let Ok(_permit) = looks.acquire().await else { return };
                let found = tokio::time::timeout(LIMIT, retention(&world, &config)).await;
                let mut seen = seen.lock();
                let Some(known) = seen.get_mut(&name) else { return };
                known.looking = false;
                match found {
                    Ok(Ok(Some(found))) => known.take(found, now_ms),
                    Ok(Ok(None)) => known.report = None,
                    // Its task says so itself, louder.
                    Ok(Err(error)) => tracing::debug!(connector = &*name, %error, "retention is not known"),
                    Err(_) => tracing::debug!(connector = &*name, "retention is not known: no answer in time"),
                }
            });
        }
    }
}

/// The worker that reports about a source: that of its first task, or of the connector while there is no task.
fn owner(connector: &ConnectorView) -> Option<&str> {
    let status = connector.status.as_ref()?;
    let task = status.tasks.iter().find(|(task, of)| *task == 0 && of.state != State::Unassigned);
    Some(task.map_or(&status.connector, |(_, task)| task).worker_id.as_str())
}

impl Seen {
    fn take(&mut self, found: Retention, now_ms: i64) {
        if let Some(end) = found.log_end {
            self.rate.sample(now_ms, end);
        }
        let lost = found.is_lost();
        self.report = Some(RetentionReport {
            bytes_per_second: self.rate.per_second(MINUTE_MS),
            slot: found.slot,
            wal_status: found.wal_status,
            retained_bytes: found.retained_bytes,
            safe_wal_size: found.safe_wal_size,
            lost,
        });
    }
}

async fn retention(world: &World, config: &Props) -> Result<Option<Retention>, connect_api::Error> {
    let props = resolved(&world.resolve, config).await?;
    match &plugin_of(&world.registry, &props)?.kind {
        PluginKind::Source(source) => source.retention(&props).await,
        _ => Ok(None),
    }
}
