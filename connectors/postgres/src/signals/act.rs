//! Carries signals out, between two messages of the stream. The server is told meanwhile that the stream is alive.

use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::offset::Position;
use crate::session::{End, Session};
use crate::signals::parse::{Request, Signal};
use crate::signals::{blocking, incremental, poll};
use crate::stream::Stream;
use crate::wire::Wire;

/// What keeps a stream open while something else is done.
pub(crate) struct Pulse {
    status: [u8; 34],
    every: Duration,
    cancel: CancellationToken,
}

impl Pulse {
    pub(crate) fn of(stream: &mut Stream<'_>) -> Self {
        let status = stream.status(false);
        Self { status, every: stream.session.settings.status_interval, cancel: stream.session.cancel.clone() }
    }

    /// Does something that takes its time, while the stream stays open.
    pub(crate) async fn during<T>(self, wire: &mut Wire, work: impl Future<Output = Result<T, End>>) -> Result<T, End> {
        let mut work = std::pin::pin!(work);
        let mut ticks = tokio::time::interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err(End::Closed),
                done = &mut work => return done,
                _ = ticks.tick() => {
                    wire.send_copy_data(&self.status).await.map_err(|e| e.failed_to("confirm the position"))?;
                }
            }
        }
    }
}

/// At the start of a stream: what an earlier connection, or an earlier run, left undone.
pub async fn begin(stream: &mut Stream<'_>) -> Result<(), End> {
    incremental::store(stream.session);
    // The connection ended while rows went before them; those come again.
    incremental::give_back_held(stream.session);
    stream.session.signals.window.clear();
    // Windows of chunks that are not read any more.
    stream.session.signals.arrived.retain(|signal| !signal.kind.starts_with("snapshot-window-"));
    // First, for no position may be stored that comes after the signal of one that was not taken.
    take_blocking(stream).await?;
    if stream.session.signals.state.running() && !stream.session.signals.state.paused {
        let tables = stream.session.signals.state.names();
        tracing::info!(source = %stream.session.settings.prefix, tables, "an incremental snapshot goes on");
        Pulse::of(stream).during(&mut stream.wire, incremental::read_chunk(stream.session)).await?;
        stream.nothing_was_read();
        stream.settled().await?;
    }
    arrived(stream).await
}

/// What the stream has brought: signals of the table, and the place that a window waits for.
pub async fn arrived(stream: &mut Stream<'_>) -> Result<(), End> {
    while let Some(signal) = stream.session.signals.arrived.front().cloned() {
        stream.session.signals.begun = false;
        let acted = act(stream, &signal).await;
        if stream.session.signals.taken {
            stream.session.signals.arrived.pop_front();
        }
        acted?;
        // The transaction of the signal was committed before the first chunk was read: without signals to wait for, nothing
        // holds that one up.
        let begun = stream.session.signals.begun && stream.transaction_is_open();
        if begun && stream.session.signals.window.until.is_some() {
            hand_over(stream).await?;
        }
    }
    let resolved = stream.resolved;
    while stream.session.signals.window.until.is_some_and(|until| until <= resolved) {
        hand_over(stream).await?;
    }
    if stream.session.signals.is_postponed_till_now() {
        hand_over(stream).await?;
    }
    Ok(())
}

/// The rows that wait, and then the next chunk.
async fn hand_over(stream: &mut Stream<'_>) -> Result<(), End> {
    let pulse = Pulse::of(stream);
    let position = *stream.position;
    let session = &mut *stream.session;
    let work = async {
        incremental::send_window(session, position).await?;
        incremental::read_chunk(session).await
    };
    pulse.during(&mut stream.wire, work).await?;
    stream.nothing_was_read();
    stream.settled().await
}

/// Looks at the channels beside the stream, unless there is something left of an earlier look.
pub async fn look(stream: &mut Stream<'_>) -> Result<(), End> {
    if stream.session.signals.waiting.is_empty() {
        poll(&mut stream.session.signals);
    }
    while let Some((offset, signal)) = stream.session.signals.waiting.front().cloned() {
        let acted = match &signal {
            Some(signal) => act(stream, signal).await,
            None => Ok(()),
        };
        let Session { signals, outlet, .. } = &mut *stream.session;
        if signal.is_none() || signals.taken {
            signals.waiting.pop_front();
            if let Some(next) = offset.and_then(|offset| u64::try_from(offset + 1).ok()) {
                outlet.acted(next);
            }
        }
        acted?;
        if signal.is_some() {
            stream.settled().await?;
        }
    }
    Ok(())
}

/// Acts upon a signal. [`crate::signals::Signals::taken`] says afterwards whether it is to be acted upon again.
async fn act(stream: &mut Stream<'_>, signal: &Signal) -> Result<(), End> {
    stream.session.signals.taken = false;
    let request = match signal.request() {
        Ok(request) => request,
        Err(error) => {
            tracing::warn!(signal = ?signal.id, kind = %signal.kind, %error, "a signal is ignored");
            stream.session.signals.taken = true;
            return Ok(());
        }
    };
    let pulse = Pulse::of(stream);
    let position = *stream.position;
    pulse.during(&mut stream.wire, carry_out(stream.session, position, request, signal)).await?;
    stream.nothing_was_read();
    take_blocking(stream).await
}

async fn carry_out(session: &mut Session, position: Position, request: Request, signal: &Signal) -> Result<(), End> {
    // What has to be asked for before a snapshot begins has no effect yet: the next connection begins with it.
    session.signals.taken = !matches!(request, Request::Incremental(_));
    match request {
        Request::Log(message) => {
            let offset = serde_json::Value::Object(position.to_offset()).to_string();
            tracing::info!(signal = ?signal.id, "{}", message.replacen("{}", &offset, 1));
            Ok(())
        }
        Request::Incremental(wanted) => {
            let names = incremental::tables(session, &wanted).await?;
            session.signals.taken = true;
            match names {
                Some(names) => incremental::add(session, wanted, names).await,
                None => Ok(()),
            }
        }
        Request::Blocking(wanted) => {
            session.signals.blocking.push_back(wanted);
            Ok(())
        }
        Request::Stop(tables) => {
            incremental::stop(session, tables);
            Ok(())
        }
        Request::Pause => {
            incremental::pause(session);
            Ok(())
        }
        Request::Resume => incremental::resume(session).await,
        Request::WindowOpen(id) => {
            incremental::open_window(session, &id);
            Ok(())
        }
        Request::WindowClose(id) => incremental::close_window(session, position, &id).await,
    }
}

/// Takes the blocking snapshots that were asked for; one that the connection breaks off is taken again.
async fn take_blocking(stream: &mut Stream<'_>) -> Result<(), End> {
    while let Some(wanted) = stream.session.signals.blocking.front().cloned() {
        let pulse = Pulse::of(stream);
        let position = *stream.position;
        let taken = pulse.during(&mut stream.wire, blocking::run(stream.session, &wanted, position)).await?;
        stream.nothing_was_read();
        stream.session.signals.blocking.pop_front();
        if let Some(position) = taken {
            // A notification that the snapshot is over carries the position after it.
            let told = stream.session.settings.notifications.writes();
            let snapshot = position.snapshot.filter(|_| !told);
            stream.mark_snapshot(Position { snapshot, ..position });
        }
        stream.report();
    }
    Ok(())
}
