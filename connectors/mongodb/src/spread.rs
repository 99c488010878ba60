//! Writing a batch through lanes and collapsed, with the outcome that writing it alone and whole would have had.
//!
//! When a lane meets an error, the others finish what they have. What is left of an ordered batch is then written over one
//! connection in the order of the records, so that the first error is the one that counts, and one that only came of two
//! documents being written at the same time (a value of a unique index that another document still had) is none. What was
//! left out in favour of a statement that is not written after all is written.

use std::future::Future;

use connect_api::{Error, ErrorKind};
use futures_util::future::join_all;

use crate::batch::{Batch, Op, Sent};
use crate::client::{BulkClient, MAX_STATEMENT, is_repeatable};
use crate::failure::{ConcernError, Failure, WriteError};
use crate::identity::Targets;
use crate::kinds::is_answer;
use crate::{collapse, lanes};

/// What statements are written to: a connection.
pub trait Sends: Send {
    /// Writes what is open of a batch: every statement is acknowledged when it returns without a failure. After one the batch
    /// knows how far it came. With `waits`, a command that was not confirmed in time ends it too.
    fn write(
        &mut self,
        batch: &mut Batch,
        buffer: &[u8],
        ordered: bool,
        waits: bool,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
}

impl Sends for BulkClient {
    fn write(
        &mut self,
        batch: &mut Batch,
        buffer: &[u8],
        ordered: bool,
        waits: bool,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        Self::write(self, batch, buffer, ordered, waits)
    }
}

/// The lanes beside the first one, and what else is wanted.
pub struct Spread<S> {
    /// Empty with one lane.
    pub more: Vec<S>,
    pub collapse: bool,
    /// Whether what is left of a batch may be written in another attempt.
    pub repeats: bool,
}

impl Spread<BulkClient> {
    /// Lanes beside a client.
    pub async fn over(client: &BulkClient, lanes: i32, collapse: bool, repeats: bool) -> Result<Self, Error> {
        let mut more = Vec::new();
        for _ in 1..lanes {
            more.push(client.sibling().await?);
        }
        Ok(Self { more, collapse, repeats })
    }
}

impl<S: Sends> Spread<S> {
    /// True with more than one lane.
    pub fn has_lanes(&self) -> bool {
        !self.more.is_empty()
    }

    /// Writes what is open of a batch. After a failure its statements say which of them are written.
    ///
    /// What a lane got no answer for is unsure afterwards, and written again under another number: nothing is kept of the
    /// command itself, because what was left out in favour of its statements must not come after them. Replacements, updates
    /// and deletes by `_id` leave the same then, and an insert that finds the `_id` taken that was made for it is done. What
    /// can't be done twice in this way goes over one connection, with all of its batch.
    pub async fn write(
        &mut self,
        first: &mut S,
        batch: &mut Batch,
        buffer: &[u8],
        ordered: bool,
        waits: bool,
    ) -> Result<(), Failure> {
        if self.is_plain(batch, buffer) {
            return first.write(batch, buffer, ordered, waits).await;
        }
        let open: Vec<usize> = (0..batch.ops.len()).filter(|place| batch.ops[*place].open()).collect();
        let outcome = if open.len() == batch.ops.len() {
            self.write_open(first, batch, buffer, ordered, waits).await
        } else {
            let mut rest = part(batch, &open);
            let outcome = self.write_open(first, &mut rest, buffer, ordered, waits).await;
            take_over(batch, &open, &rest);
            outcome.map_err(|failure| moved(failure, &open))
        };
        match outcome {
            // Which statement a command is refused for is searched for in one that the batch remembers.
            Err(Failure::Whole(error)) if is_refusal(&error) => first.write(batch, buffer, ordered, waits).await,
            outcome => outcome,
        }
    }

    /// True for a batch that is written over one connection as it is: there is nothing to spread, it has begun in this way, or
    /// another attempt could not tell what it finds from what was there before.
    fn is_plain(&self, batch: &Batch, buffer: &[u8]) -> bool {
        let alone = |op: &Op| cannot_be_sent(op) || (self.repeats && !is_repeatable(op, buffer));
        (self.more.is_empty() && !self.collapse)
            || batch.unanswered.is_some()
            || batch.at_most > 0
            || batch.open() < 2
            || batch.ops.iter().filter(|op| op.open()).any(alone)
    }

    async fn write_open(
        &mut self,
        first: &mut S,
        batch: &mut Batch,
        buffer: &[u8],
        ordered: bool,
        waits: bool,
    ) -> Result<(), Failure> {
        let targets = Targets::of(batch, buffer);
        let instead = if self.collapse { collapse::plan(&targets, ordered) } else { vec![None; batch.ops.len()] };
        let kept: Vec<usize> = (0..batch.ops.len()).filter(|index| instead[*index].is_none()).collect();
        let stretches = lanes::deal(&targets, &kept, self.more.len() + 1);
        drop(targets);
        let mut work = Work { batch, buffer, ordered, waits, found: Found::default() };
        for stretch in stretches {
            let mut connections = vec![&mut *first];
            connections.extend(&mut self.more);
            let mut places = stretch.concat();
            places.sort_unstable();
            work.stretch(connections, stretch).await;
            work.write_left_out(first, &places, &instead).await;
            if work.is_over() {
                break;
            }
        }
        work.finish()
    }
}

/// A batch without the statements that need not be written; `None` when all of them have to.
pub fn collapsed(batch: &Batch, buffer: &[u8], ordered: bool) -> Option<Batch> {
    if batch.ops.iter().any(cannot_be_sent) {
        return None;
    }
    let instead = collapse::plan(&Targets::of(batch, buffer), ordered);
    let kept: Vec<usize> = (0..batch.ops.len()).filter(|index| instead[*index].is_none()).collect();
    (kept.len() < batch.ops.len()).then(|| part(batch, &kept))
}

/// True when the server refused a command for something in it, and did nothing of it.
pub fn is_refusal(error: &Error) -> bool {
    error.kind() == ErrorKind::Data && is_answer(error)
}

/// A batch with a statement that is refused before anything is sent is written as it is: its error is that of the batch.
fn cannot_be_sent(op: &Op) -> bool {
    op.deferred.is_some() || op.bytes.len() > MAX_STATEMENT
}

/// Some statements of a batch as one of its own.
fn part(batch: &Batch, places: &[usize]) -> Batch {
    let ops = places.iter().filter_map(|place| batch.ops.get(*place));
    let ops = ops.map(|op| Op { deferred: None, bytes: op.bytes.clone(), ..*op }).collect();
    let namespace = batch.namespace.clone();
    Batch { plan: batch.plan, namespace, ops, unanswered: None, at_most: batch.at_most }
}

/// Takes over what became of a part's statements.
fn take_over(batch: &mut Batch, places: &[usize], part: &Batch) {
    for (place, op) in places.iter().zip(&part.ops) {
        batch.ops[*place].sent = op.sent;
    }
}

/// A failure of a part with the places of the batch.
fn moved(failure: Failure, places: &[usize]) -> Failure {
    match failure {
        Failure::Bulk { errors, concern } => {
            let of_batch = |error: WriteError| {
                let index = places.get(error.index).copied().unwrap_or(error.index);
                WriteError { index, ..error }
            };
            Failure::Bulk { errors: errors.into_iter().map(of_batch).collect(), concern }
        }
        Failure::Statement { index, error } => {
            Failure::Statement { index: places.get(index).copied().unwrap_or(index), error }
        }
        whole => whole,
    }
}

/// What went wrong so far.
#[derive(Default)]
struct Found {
    errors: Vec<WriteError>,
    concern: Option<Box<ConcernError>>,
    /// A failure of the command or the connection, and the first statement that it may concern.
    whole: Option<(usize, Failure)>,
}

impl Found {
    fn first_error(&self) -> Option<usize> {
        self.errors.iter().map(|error| error.index).min()
    }
}

/// A batch on its way.
struct Work<'a> {
    batch: &'a mut Batch,
    buffer: &'a [u8],
    ordered: bool,
    waits: bool,
    found: Found,
}

impl Work<'_> {
    /// Writes a stretch; what the lanes of an ordered batch could not write is tried in the order of the records.
    async fn stretch<S: Sends>(&mut self, mut connections: Vec<&mut S>, stretch: lanes::Stretch) {
        let (buffer, ordered, waits) = (self.buffer, self.ordered, self.waits);
        let lanes = connections.iter_mut().zip(stretch).filter(|(_, places)| !places.is_empty());
        let lanes: Vec<_> = lanes.map(|(connection, places)| (connection, part(self.batch, &places), places)).collect();
        let several = lanes.len() > 1;
        let sending = lanes.into_iter().map(|(connection, mut part, places)| async move {
            let outcome = connection.write(&mut part, buffer, ordered, waits).await;
            (places, part, outcome)
        });
        let mut again = Vec::new();
        for (places, part, outcome) in join_all(sending).await {
            let answered = matches!(outcome, Ok(()) | Err(Failure::Bulk { .. }));
            take_over(self.batch, &places, &part);
            self.note(&places, outcome);
            if answered {
                again.extend(places.into_iter().filter(|place| self.batch.ops[*place].open()));
            }
        }
        if !several || !ordered || self.found.errors.is_empty() {
            return;
        }
        if let Some((lost, _)) = &self.found.whole {
            again.retain(|place| place < lost);
        }
        if let Some(first) = connections.into_iter().next() {
            self.settle(first, again).await;
        }
    }

    /// Writes what is left over one connection, in the order of the records.
    async fn settle<S: Sends>(&mut self, first: &mut S, mut places: Vec<usize>) {
        places.sort_unstable();
        tracing::debug!(statements = places.len(), "writing what the lanes left in the order of the records");
        self.found.errors.retain(|error| places.binary_search(&error.index).is_err());
        self.send_in_order(first, &places).await;
    }

    async fn send_in_order<S: Sends>(&mut self, connection: &mut S, places: &[usize]) {
        if places.is_empty() {
            return;
        }
        let mut part = part(self.batch, places);
        let outcome = connection.write(&mut part, self.buffer, true, self.waits).await;
        take_over(self.batch, places, &part);
        self.note(places, outcome);
    }

    /// Notes what went wrong with these statements; how far they are they say themselves.
    fn note(&mut self, places: &[usize], outcome: Result<(), Failure>) {
        let (errors, concern) = match outcome.map_err(|failure| moved(failure, places)) {
            Ok(()) => (Vec::new(), None),
            Err(Failure::Bulk { errors, concern }) => (errors, concern),
            Err(whole) => {
                let first = places.first().copied().unwrap_or(0);
                if self.found.whole.as_ref().is_none_or(|(known, _)| first < *known) {
                    self.found.whole = Some((first, whole));
                }
                return;
            }
        };
        self.found.errors.extend(errors);
        self.found.concern = concern.or(self.found.concern.take());
    }

    /// True when nothing that comes later is to be written.
    fn is_over(&self) -> bool {
        self.found.whole.is_some() || (self.ordered && !self.found.errors.is_empty())
    }

    /// Writes what was left out in favour of statements of a stretch that are not written: for an ordered batch as far as it
    /// came, for another one all of it. Nothing of their documents comes after them, so that they still come in order.
    async fn write_left_out<S: Sends>(&mut self, first: &mut S, stretch: &[usize], instead: &[Option<usize>]) {
        let mut left: Vec<usize> = Vec::new();
        for (place, by) in instead.iter().enumerate() {
            match by.filter(|by| stretch.binary_search(by).is_ok()) {
                Some(by) if self.batch.ops[by].sent == Sent::Written => self.batch.ops[place].sent = Sent::Written,
                Some(_) if self.batch.ops[place].open() => left.push(place),
                Some(_) => {}
                None => {}
            }
        }
        let Some(stopped) = self.found.first_error().filter(|_| !self.is_lost()) else { return };
        if self.ordered {
            left.retain(|place| *place < stopped);
        }
        // One after another, so that those on one document keep their order.
        while !left.is_empty() {
            let known = self.found.errors.len();
            self.send_in_order(first, &left).await;
            let refused = self.found.errors.get(known).map(|error| error.index);
            match refused {
                Some(refused) if !self.ordered => left.retain(|place| *place > refused),
                _ => break,
            }
        }
    }

    /// True when the failure of a command or the connection is what counts: it came first, or order means nothing.
    fn is_lost(&self) -> bool {
        match (&self.found.whole, self.found.first_error()) {
            (None, _) => false,
            (Some((lost, _)), Some(refused)) if self.ordered => *lost < refused,
            (Some(_), _) => true,
        }
    }

    fn finish(mut self) -> Result<(), Failure> {
        if self.is_lost()
            && let Some((_, failure)) = self.found.whole.take()
        {
            return Err(failure);
        }
        let Found { mut errors, concern, .. } = self.found;
        if errors.is_empty() && concern.is_none() {
            return Ok(());
        }
        errors.sort_by_key(|error| error.index);
        Err(Failure::Bulk { errors, concern })
    }
}
