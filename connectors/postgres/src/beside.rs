//! The SQL session beside the stream: it describes relations, runs the heartbeat's statement, and is asked now and then where
//! the server's log ends, without the stream waiting for the answer.

use std::time::{Duration, Instant};

use connect_api::Error;

use crate::error::PgError;
use crate::settings::Server;
use crate::slot::{WRITTEN, parse_lsn};
use crate::wire::{Purpose, Wire};

/// How long a new session may take when only a figure wants it, and how often it is tried.
const REOPEN_TIMEOUT: Duration = Duration::from_secs(5);
const REOPEN_EVERY: Duration = Duration::from_secs(30);

/// A session that may be lost at times.
pub struct Beside {
    wire: Option<Wire>,
    /// It was asked where the log ends, and has not answered to the end yet.
    asked: bool,
    /// When it was last opened for that.
    reopened: Instant,
}

impl Beside {
    /// Over a session that is open.
    pub fn new(wire: Wire) -> Self {
        Self { wire: Some(wire), asked: false, reopened: Instant::now() }
    }

    /// An answer is under way.
    pub fn is_asked(&self) -> bool {
        self.asked
    }

    /// The session, ready for a statement, opened again when it was lost.
    pub async fn session(&mut self, server: &Server) -> Result<&mut Wire, Error> {
        self.settle().await;
        let wire = match self.wire.take() {
            Some(wire) => wire,
            None => Wire::connect(server, Purpose::Sql)
                .await
                .map_err(|e| e.failed_to("open a session for the catalogue"))?,
        };
        Ok(self.wire.insert(wire))
    }

    /// The session is not to be used again: the next one that wants it opens another.
    pub fn lose(&mut self) {
        (self.wire, self.asked) = (None, false);
    }

    /// Waits for the rest of an answer that nobody waits for any more.
    async fn settle(&mut self) {
        if !std::mem::take(&mut self.asked) {
            return;
        }
        let Some(wire) = &mut self.wire else { return };
        match wire.finish_query().await {
            Ok(()) => {}
            // The server did not like the question, and takes the next one.
            Err(PgError::Db(error)) if error.severity == "ERROR" => {}
            Err(error) => {
                tracing::debug!(%error, "the session for the catalogue ended");
                self.wire = None;
            }
        }
    }

    /// Asks where the log ends, unless an answer is under way. A lost session is opened again now and then.
    pub async fn ask_end(&mut self, server: &Server) {
        if self.asked {
            return;
        }
        if self.wire.is_none() && self.reopened.elapsed() >= REOPEN_EVERY {
            self.reopened = Instant::now();
            let opened = tokio::time::timeout(REOPEN_TIMEOUT, self.session(server)).await;
            if !matches!(opened, Ok(Ok(_))) {
                tracing::debug!("no session to ask where the log ends");
            }
        }
        let Some(wire) = &mut self.wire else { return };
        match wire.send_query(&format!("SELECT {WRITTEN}")).await {
            Ok(()) => self.asked = true,
            Err(_) => self.lose(),
        }
    }

    /// Waits for the answer; `None` when there was none. Without a question it waits for ever. Cancel-safe.
    pub async fn end(&mut self) -> Option<u64> {
        let Some(wire) = self.wire.as_mut().filter(|_| self.asked) else { return std::future::pending().await };
        loop {
            match wire.read_frame().await {
                Ok(frame) if frame.tag == b'Z' => {
                    self.asked = false;
                    return None;
                }
                Ok(frame) => {
                    let row = Wire::row(&frame).ok().flatten();
                    let end = row.and_then(|row| parse_lsn(row.first()?.as_deref()?));
                    if end.is_some() {
                        return end;
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "the session for the catalogue ended");
                    self.lose();
                    return None;
                }
            }
        }
    }

    /// The session for the last statements of a stream, when it is there.
    pub async fn into_session(mut self) -> Option<Wire> {
        self.settle().await;
        self.wire
    }
}
