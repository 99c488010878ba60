//! The SQL session beside the stream: it describes relations, runs the heartbeat's statement, and is asked now and then where
//! the server's log ends, without the stream waiting for the answer.
//!
//! A session that owes an answer for too long counts as lost, though nobody closed it, and another one is opened.

use std::time::{Duration, Instant};

use connect_api::Error;

use crate::error::{PgError, within};
use crate::settings::Server;
use crate::slot::{WRITTEN, parse_lsn};
use crate::wire::{Purpose, Wire};

/// How long a new session may take when only a figure wants it, and how often it is tried.
const REOPEN_TIMEOUT: Duration = Duration::from_secs(5);
const REOPEN_EVERY: Duration = Duration::from_secs(30);

/// A session that may be lost at times.
pub struct Beside {
    wire: Option<Wire>,
    /// Since when it is asked where the log ends, while it has not answered to the end.
    asked: Option<Instant>,
    /// When it was last opened for that.
    reopened: Instant,
    /// How long an answer may take.
    limit: Option<Duration>,
    /// The server knows of the limit.
    limited: bool,
}

impl Beside {
    /// Over a session that is open.
    pub fn new(wire: Wire, limit: Option<Duration>) -> Self {
        Self { wire: Some(wire), asked: None, reopened: Instant::now(), limit, limited: false }
    }

    /// An answer is under way.
    pub fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// The session, ready for a statement, opened again when it was lost.
    pub async fn session(&mut self, server: &Server) -> Result<&mut Wire, Error> {
        const WHAT: &str = "open a session for the catalogue";
        self.settle().await;
        let mut wire = match self.wire.take() {
            Some(wire) => wire,
            None => {
                self.limited = false;
                Wire::connect(server, Purpose::Sql).await.map_err(|e| e.failed_to(WHAT))?
            }
        };
        if let Some(limit) = self.limit
            && !self.limited
        {
            // What is given up here has to end there, too: a statement that waits for a lock would stay behind otherwise.
            let statement = format!("SET statement_timeout = {}", limit.as_millis());
            within(self.limit, wire.query(&statement), |limit| PgError::silent(&server.address(), limit))
                .await
                .map_err(|e| e.failed_to(WHAT))?;
            self.limited = true;
        }
        Ok(self.wire.insert(wire))
    }

    /// The session is not to be used again: the next one that wants it opens another.
    pub fn lose(&mut self) {
        (self.wire, self.asked) = (None, None);
    }

    /// Waits for the rest of an answer that nobody waits for any more.
    async fn settle(&mut self) {
        let Some(since) = self.asked.take() else { return };
        let Some(wire) = &mut self.wire else { return };
        let left = self.limit.map(|limit| limit.saturating_sub(since.elapsed()));
        let late = |_| PgError::Timeout("it owes an answer for too long".to_owned());
        match within(left, wire.finish_query(), late).await {
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
        if let Some(since) = self.asked {
            let waited = since.elapsed();
            if self.limit.is_none_or(|limit| waited < limit) {
                return;
            }
            tracing::warn!(server = %server.address(), ?waited, "the session for the catalogue does not answer: opening another");
            self.lose();
        }
        if self.wire.is_none() && self.reopened.elapsed() >= REOPEN_EVERY.min(self.limit.unwrap_or(REOPEN_EVERY)) {
            self.reopened = Instant::now();
            let opened = tokio::time::timeout(REOPEN_TIMEOUT, self.session(server)).await;
            if !matches!(opened, Ok(Ok(_))) {
                tracing::debug!("no session to ask where the log ends");
            }
        }
        let Some(wire) = &mut self.wire else { return };
        match tokio::time::timeout(REOPEN_TIMEOUT, wire.send_query(&format!("SELECT {WRITTEN}"))).await {
            Ok(Ok(())) => self.asked = Some(Instant::now()),
            _ => self.lose(),
        }
    }

    /// Waits for the answer; `None` when there was none. Without a question it waits for ever. Cancel-safe.
    pub async fn end(&mut self) -> Option<u64> {
        let Some(wire) = self.wire.as_mut().filter(|_| self.asked.is_some()) else {
            return std::future::pending().await;
        };
        loop {
            match wire.read_frame().await {
                Ok(frame) if frame.tag == b'Z' => {
                    self.asked = None;
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::settings::Settings;

    const LIMIT: Duration = Duration::from_secs(2);
    const READY: &[u8] = b"Z\0\0\0\x05I";

    /// Admits a client and answers its `SET`; when it is asked for a figure it says nothing, as over a line that is dead.
    async fn serve(mut client: TcpStream) {
        let length = client.read_u32().await.expect("a length") as usize;
        client.read_exact(&mut vec![0; length - 4]).await.expect("a startup message");
        client.write_all(b"R\0\0\0\x08\0\0\0\0").await.expect("admitted");
        client.write_all(READY).await.expect("ready");
        while client.read_u8().await.is_ok() {
            let length = client.read_u32().await.expect("a length") as usize;
            let mut query = vec![0; length - 4];
            client.read_exact(&mut query).await.expect("a query");
            if query.starts_with(b"SET") {
                client.write_all(READY).await.expect("answered");
            }
        }
    }

    /// A server that answers nothing it is asked, and how many sessions it had.
    async fn dead() -> (Server, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let sessions = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&sessions);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(client));
            }
        });
        let port = port.to_string();
        let props = [
            ("topic.prefix", "p"),
            ("database.hostname", "127.0.0.1"),
            ("database.port", &port),
            ("database.user", "u"),
            ("database.dbname", "d"),
            ("database.sslmode", "disable"),
        ];
        let props = props.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect();
        (Settings::parse(&props).expect("valid settings").server, sessions)
    }

    #[tokio::test]
    async fn a_session_that_owes_an_answer_for_too_long_is_replaced() {
        let (server, sessions) = dead().await;
        let wire = Wire::connect(&server, Purpose::Sql).await.expect("connected");
        let mut beside = Beside::new(wire, Some(LIMIT));
        beside.ask_end(&server).await;
        assert!(beside.is_asked());
        beside.ask_end(&server).await;
        assert_eq!(sessions.load(Ordering::SeqCst), 1, "it still has time");
        tokio::time::sleep(LIMIT).await;
        beside.ask_end(&server).await;
        assert_eq!(sessions.load(Ordering::SeqCst), 2);
        assert!(beside.is_asked(), "the new one is asked");
    }

    #[tokio::test]
    async fn who_needs_the_session_waits_for_a_dead_one_within_the_limit() {
        let (server, sessions) = dead().await;
        let wire = Wire::connect(&server, Purpose::Sql).await.expect("connected");
        let mut beside = Beside::new(wire, Some(LIMIT));
        beside.ask_end(&server).await;
        let opened = tokio::time::timeout(Duration::from_secs(20), beside.session(&server)).await;
        opened.expect("in time").expect("another session");
        assert_eq!(sessions.load(Ordering::SeqCst), 2);
        assert!(!beside.is_asked());
    }
}
