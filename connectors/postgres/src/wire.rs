//! The client side of the Postgres protocol: frames, authentication, simple queries, COPY in both directions.
//!
//! One growing buffer is read into, and frames are slices of it: a row stays where the socket put it. Reading is
//! cancel-safe (a frame is taken out only when it is complete). The same client serves SQL and replication sessions;
//! everything goes through the simple query protocol, so results are text.

mod auth;
mod connect;

use std::io;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::future::BoxFuture;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::error::{DbError, PgError};
use crate::hosts::Host;
use crate::wire::auth::Channel;

/// Room that is made in the buffer before a read.
const READ_CHUNK: usize = 256 * 1024;
/// A read happens with at least this much room.
const READ_MIN: usize = 16 * 1024;
/// A frame above this is taken for a broken stream: Postgres limits a message to a gigabyte.
const FRAME_MAX: usize = 1 << 30;

trait Socket: AsyncRead + AsyncWrite + Unpin + Send + Sync {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync> Socket for T {}

/// A message of the server: its tag and the body, a slice of the read buffer.
#[derive(Clone, Debug)]
pub struct Frame {
    pub tag: u8,
    pub body: Bytes,
}

/// One row of a simple query.
pub type Row = Vec<Option<String>>;

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Sql,
    Replication,
}

/// A session.
pub struct Wire {
    socket: Box<dyn Socket>,
    /// The server at the other end.
    host: Host,
    /// What a password may be bound to: the server's certificate, as it was seen.
    channel: Channel,
    input: BytesMut,
    output: BytesMut,
    /// `server_version_num`-like figure: 150004 for 15.4.
    pub server_version: u32,
}

impl Wire {
    /// A session over a socket, before anything was said.
    fn over(socket: Box<dyn Socket>, host: Host, channel: Channel) -> Self {
        Self { socket, host, channel, input: BytesMut::new(), output: BytesMut::new(), server_version: 0 }
    }

    /// The server at the other end, and where it was reached.
    pub fn host(&self) -> &Host {
        &self.host
    }

    fn note_parameter(&mut self, body: &[u8]) {
        let mut parts = body.split(|&b| b == 0);
        if parts.next() == Some(b"server_version") {
            let text = parts.next().map(String::from_utf8_lossy).unwrap_or_default();
            let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse::<u32>().unwrap_or(0));
            let major = numbers.next().unwrap_or(0);
            self.server_version = major * 10_000 + numbers.next().unwrap_or(0);
        }
    }

    /// A complete frame that is in the buffer already.
    pub fn buffered_frame(&mut self) -> Result<Option<Frame>, PgError> {
        let Some(header) = self.input.get(..5) else { return Ok(None) };
        let tag = header[0];
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
        if !(4..FRAME_MAX).contains(&length) {
            return Err(PgError::Protocol(format!("a message of {length} bytes")));
        }
        if self.input.len() < length + 1 {
            return Ok(None);
        }
        let mut body = self.input.split_to(length + 1);
        body.advance(5);
        Ok(Some(Frame { tag, body: body.freeze() }))
    }

    /// Reads more into the buffer. Cancel-safe.
    pub async fn fill(&mut self) -> Result<(), PgError> {
        if self.input.capacity() - self.input.len() < READ_MIN {
            // A frame longer than a chunk grows the buffer by doubling.
            self.input.reserve(READ_CHUNK.max(self.input.len()));
        }
        let read = self.socket.read_buf(&mut self.input).await.map_err(|e| PgError::io("An I/O error occurred.", e))?;
        if read == 0 {
            return Err(PgError::io(
                "the server closed the connection",
                std::io::Error::from(std::io::ErrorKind::UnexpectedEof),
            ));
        }
        Ok(())
    }

    /// The next frame. Cancel-safe.
    pub async fn read_frame(&mut self) -> Result<Frame, PgError> {
        loop {
            if let Some(frame) = self.buffered_frame()? {
                return Ok(frame);
            }
            self.fill().await?;
        }
    }

    async fn flush(&mut self) -> Result<(), PgError> {
        let broken = |e| PgError::io("An I/O error occurred while sending to the backend.", e);
        // What was written is gone from the buffer even when this is given up half-way: the next one goes on there.
        while !self.output.is_empty() {
            if self.socket.write_buf(&mut self.output).await.map_err(broken)? == 0 {
                return Err(broken(io::ErrorKind::WriteZero.into()));
            }
        }
        self.socket.flush().await.map_err(broken)
    }

    /// Sends a statement without waiting for its answer.
    pub async fn send_query(&mut self, sql: &str) -> Result<(), PgError> {
        frontend::query(sql, &mut self.output).map_err(|e| PgError::Setup(e.to_string()))?;
        self.flush().await
    }

    /// The row in a frame, when there is one in it.
    pub fn row(frame: &Frame) -> Result<Option<Row>, PgError> {
        if frame.tag == b'D' { data_row(&frame.body).map(Some) } else { Ok(None) }
    }

    /// Runs statements and returns all rows.
    pub fn query<'a>(&'a mut self, sql: &'a str) -> BoxFuture<'a, Result<Vec<Row>, PgError>> {
        Box::pin(async move {
            self.send_query(sql).await?;
            let mut rows = Vec::new();
            let mut failure = None;
            loop {
                let frame = self.read_frame().await?;
                match frame.tag {
                    b'D' => rows.push(data_row(&frame.body)?),
                    b'E' => failure = Some(PgError::Db(DbError::parse(&frame.body))),
                    b'S' => self.note_parameter(&frame.body),
                    b'Z' => return failure.map_or(Ok(rows), Err),
                    _ => {}
                }
            }
        })
    }

    /// Starts a COPY in the direction of the client (`COPY .. TO STDOUT`), or both ways (`START_REPLICATION`).
    pub async fn start_copy(&mut self, sql: &str) -> Result<(), PgError> {
        self.send_query(sql).await?;
        loop {
            let frame = self.read_frame().await?;
            match frame.tag {
                b'H' | b'W' => return Ok(()),
                b'E' => {
                    let error = PgError::Db(DbError::parse(&frame.body));
                    self.finish_query().await?;
                    return Err(error);
                }
                b'Z' => return Err(PgError::Protocol("a query that did not start a copy".to_owned())),
                _ => {}
            }
        }
    }

    /// Reads until the server is ready again, and fails with the error that came on the way.
    pub async fn finish_query(&mut self) -> Result<(), PgError> {
        let mut failure = None;
        loop {
            let frame = self.read_frame().await?;
            match frame.tag {
                b'E' => failure = Some(PgError::Db(DbError::parse(&frame.body))),
                b'Z' => return failure.map_or(Ok(()), Err),
                _ => {}
            }
        }
    }

    /// Sends bytes into the copy stream of a replication session.
    pub async fn send_copy_data(&mut self, data: &[u8]) -> Result<(), PgError> {
        self.output.put_u8(b'd');
        let length = u32::try_from(data.len() + 4).map_err(|_| PgError::Protocol("a message too long".to_owned()))?;
        self.output.put_u32(length);
        self.output.put_slice(data);
        self.flush().await
    }

    /// Ends the copy stream and the session; errors don't matter any more.
    pub async fn close(mut self, in_copy: bool) {
        if in_copy {
            frontend::copy_done(&mut self.output);
        }
        frontend::terminate(&mut self.output);
        if let Err(error) = self.flush().await {
            tracing::debug!(%error, "closing a session that is gone already");
        }
        // Waits a moment for the server's goodbye, so that a slot is free when the next session wants it.
        let drained = tokio::time::timeout(Duration::from_secs(2), async {
            while self.fill().await.is_ok() {
                self.input.clear();
            }
        });
        if drained.await.is_err() {
            tracing::debug!("the server did not close the session in time");
        }
    }
}

fn data_row(body: &Bytes) -> Result<Row, PgError> {
    let text = |cell: Bytes| String::from_utf8_lossy(&cell).into_owned();
    Ok(cells(body)?.into_iter().map(|cell| cell.map(text)).collect())
}

/// The columns of a row as slices of its frame.
pub fn cells(body: &Bytes) -> Result<Vec<Option<Bytes>>, PgError> {
    let short = || PgError::Protocol("a short row".to_owned());
    let mut rest = &body[..];
    let count = rest.split_off(..2).map(|b| u16::from_be_bytes([b[0], b[1]])).ok_or_else(short)?;
    let mut row = Vec::with_capacity(count.into());
    for _ in 0..count {
        let length = rest.split_off(..4).map(|b| i32::from_be_bytes([b[0], b[1], b[2], b[3]])).ok_or_else(short)?;
        row.push(match usize::try_from(length) {
            Err(_) => None,
            Ok(length) => Some(body.slice_ref(rest.split_off(..length).ok_or_else(short)?)),
        });
    }
    Ok(row)
}

/// A quoted literal: safe for any text, because `standard_conforming_strings` does not matter to `E''`.
pub fn literal(text: &str) -> String {
    if text.contains('\\') {
        format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// A quoted identifier.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_identifiers_are_quoted() {
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\b'"), "E'a\\\\b'''");
        assert_eq!(identifier("a\"b"), "\"a\"\"b\"");
    }

    #[test]
    fn a_row_is_read_and_a_short_one_is_refused() {
        let body = Bytes::from_static(b"\0\x02\0\0\0\x01a\xff\xff\xff\xff");
        assert_eq!(data_row(&body).expect("a row"), vec![Some("a".to_owned()), None]);
        assert!(data_row(&body.slice(..5)).is_err());
    }

    #[tokio::test]
    async fn what_is_given_up_half_way_is_sent_with_the_next_message() {
        let (near, mut far) = tokio::io::duplex(7);
        let host = Host { name: "h".to_owned(), port: 1, reached: None };
        let mut wire = Wire::over(Box::new(near), host, Channel::Plain);
        let soon = Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, wire.send_copy_data(b"first")).await.is_err(), "nobody reads");
        let mut read = [0; 21];
        let (sent, received) = tokio::join!(wire.send_copy_data(b"second"), far.read_exact(&mut read));
        sent.expect("sent");
        received.expect("received");
        assert_eq!(&read, b"d\0\0\0\x09firstd\0\0\0\x0asecond");
    }
}
