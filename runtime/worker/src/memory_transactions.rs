//! Transactional producers of the broker in memory, for tests: records are in the broker only once their transaction is
//! committed, and a producer that takes a transactional id fences those that had it before.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connect_api::{Error, ErrorKind, Result};
use connect_kafka as kafka;
use parking_lot::Mutex;

use crate::io::{AckSink, Message, Position, Produce, SendError};
use crate::memory::{MemoryBroker, Stored};
use crate::transactions::{MayTake, Transact, not_allowed};

/// The newest epoch of each transactional id.
pub(crate) type Epochs = Arc<Mutex<HashMap<String, u32>>>;

/// A producer with a transactional id.
pub struct MemoryTransactions {
    broker: MemoryBroker,
    id: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// `None` before [`Transact::init`].
    epoch: Option<u32>,
    /// Records of the open transaction.
    open: Option<Vec<Stored>>,
}

impl MemoryTransactions {
    /// A producer that has not taken its id yet.
    pub fn open(broker: &MemoryBroker, id: &str) -> Arc<dyn Transact> {
        Arc::new(Self { broker: broker.clone(), id: id.to_owned(), state: Mutex::default() })
    }

    /// Fences whoever has an id (`Admin.fenceProducers`).
    pub fn fence(broker: &MemoryBroker, id: &str) {
        *broker.epochs().lock().entry(id.to_owned()).or_default() += 1;
    }

    fn check(&self) -> Result<()> {
        if self.is_fenced() {
            return Err(Error::new(ErrorKind::Bug, "fenced"));
        }
        Ok(())
    }
}

#[async_trait]
impl Produce for MemoryTransactions {
    fn send(&self, message: Message<'_>, token: u64, sink: &Arc<dyn AckSink>) -> Result<(), SendError> {
        let refuse = |why: &'static str| Err(SendError::Refused(kafka::Error::new(kafka::ErrorKind::Fenced, why)));
        if self.is_fenced() {
            return refuse("fenced");
        }
        let mut state = self.state.lock();
        let Some(open) = &mut state.open else { return refuse("no transaction is open") };
        open.push(Stored::of(&message));
        drop(state);
        sink.delivered(token, Ok(Position { partition: 0, offset: 0 }));
        Ok(())
    }

    async fn room(&self) {}
}

#[async_trait]
impl Transact for MemoryTransactions {
    async fn init(&self, may: &MayTake<'_>) -> Result<()> {
        if !may() {
            return Err(not_allowed());
        }
        let mut epochs = self.broker.epochs().lock();
        let epoch = epochs.entry(self.id.clone()).or_default();
        *epoch += 1;
        *self.state.lock() = State { epoch: Some(*epoch), open: None };
        Ok(())
    }

    fn begin(&self) -> Result<()> {
        self.check()?;
        let mut state = self.state.lock();
        if state.epoch.is_none() || state.open.is_some() {
            return Err(Error::new(ErrorKind::Bug, "a transaction is begun once, by who has its id"));
        }
        state.open = Some(Vec::new());
        Ok(())
    }

    async fn commit(&self) -> Result<()> {
        self.check()?;
        let open = self.state.lock().open.take();
        let records = open.ok_or_else(|| Error::new(ErrorKind::Bug, "no transaction is open"))?;
        self.broker.store(records)
    }

    async fn abort(&self) -> Result<()> {
        self.check()?;
        self.state.lock().open = None;
        Ok(())
    }

    fn is_fenced(&self) -> bool {
        let epoch = self.state.lock().epoch;
        let newest = self.broker.epochs().lock().get(&self.id).copied();
        epoch.is_some() && epoch != newest
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(60)
    }
}
