//! The client side of the Postgres protocol: frames, authentication, simple queries, COPY in both directions.
//!
//! One growing buffer is read into, and frames are slices of it: a row stays where the socket put it. Reading is
//! cancel-safe (a frame is taken out only when it is complete). The same client serves SQL and replication sessions;
//! everything goes through the simple query protocol, so results are text.

use std::io;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::future::BoxFuture;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::frontend;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::error::{DbError, PgError};
use crate::settings::{Server, SslMode};
use crate::tls;

/// Room that is made in the buffer before a read.
const READ_CHUNK: usize = 256 * 1024;
/// A read happens with at least this much room.
const READ_MIN: usize = 16 * 1024;
/// A frame above this is taken for a broken stream: Postgres limits a message to a gigabyte.
const FRAME_MAX: usize = 1 << 30;
/// Longest time for making a connection, authentication included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// After how long without a byte the other end's machine is asked whether it is still there, and how often then. The system's
/// own default is two hours: a snapshot or the making of a slot, which may be silent for long, would notice nothing before.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);

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
    input: BytesMut,
    output: BytesMut,
    /// `server_version_num`-like figure: 150004 for 15.4.
    pub server_version: u32,
}

impl Wire {
    /// Connects and authenticates.
    pub async fn connect(server: &Server, purpose: Purpose) -> Result<Self, PgError> {
        let connecting = async {
            match server.tls.mode {
                SslMode::Allow => match Self::attempt(server, purpose, SslMode::Disable).await {
                    Err(PgError::Db(error)) if error.sqlstate == "28000" => {
                        Self::attempt(server, purpose, SslMode::Require).await
                    }
                    other => other,
                },
                mode => Self::attempt(server, purpose, mode).await,
            }
        };
        tokio::time::timeout(CONNECT_TIMEOUT, connecting).await.map_err(|_| {
            PgError::Timeout(format!("no connection to {} within {CONNECT_TIMEOUT:?}", server.address()))
        })?
    }

    async fn attempt(server: &Server, purpose: Purpose, mode: SslMode) -> Result<Self, PgError> {
        let found = tokio::net::lookup_host((server.host.as_str(), server.port)).await;
        let addresses: Vec<_> = found.map_err(PgError::Lookup)?.collect();
        let tcp = TcpStream::connect(addresses.as_slice()).await.map_err(|e| {
            let message = if e.kind() == std::io::ErrorKind::ConnectionRefused {
                format!(
                    "Connection to {} refused. Check that the hostname and port are correct and that the postmaster \
                     is accepting TCP/IP connections.",
                    server.address()
                )
            } else {
                "The connection attempt failed.".to_owned()
            };
            PgError::io(message, e)
        })?;
        tcp.set_nodelay(true).map_err(|e| PgError::io("The connection attempt failed.", e))?;
        if server.tcp_keep_alive {
            let probes = socket2::TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY);
            let kept = socket2::SockRef::from(&tcp).set_tcp_keepalive(&probes);
            kept.map_err(|e| PgError::io("The connection attempt failed.", e))?;
        }
        Self::secure(server, purpose, mode, tcp).await
    }

    async fn secure(server: &Server, purpose: Purpose, mode: SslMode, mut tcp: TcpStream) -> Result<Self, PgError> {
        if mode == SslMode::Disable {
            return Self::start(server, purpose, Box::new(tcp)).await;
        }
        let mut request = BytesMut::new();
        frontend::ssl_request(&mut request);
        let broken = |e| PgError::io("The connection attempt failed.", e);
        tcp.write_all(&request).await.map_err(broken)?;
        let answer = tcp.read_u8().await.map_err(broken)?;
        if answer != b'S' {
            if mode == SslMode::Prefer {
                return Self::start(server, purpose, Box::new(tcp)).await;
            }
            return Err(PgError::Setup("The server does not support SSL.".to_owned()));
        }
        let name = ServerName::try_from(server.host.clone())
            .map_err(|_| PgError::Setup(format!("{} can't be the name of a TLS server", server.host)))?;
        let config = tls::client_config(&server.tls)?;
        let stream = tokio_rustls::TlsConnector::from(config).connect(name, tcp).await.map_err(|e| match e.kind() {
            // What TLS itself refuses, such as a certificate, it refuses again.
            std::io::ErrorKind::InvalidData => PgError::Setup(format!("SSL error: {e}")),
            _ => PgError::io(format!("SSL error: {e}"), e),
        })?;
        Self::start(server, purpose, Box::new(stream)).await
    }

    async fn start(server: &Server, purpose: Purpose, socket: Box<dyn Socket>) -> Result<Self, PgError> {
        let mut wire = Self { socket, input: BytesMut::new(), output: BytesMut::new(), server_version: 0 };
        let mut parameters = vec![
            ("user", server.user.as_str()),
            ("database", server.database.as_str()),
            ("client_encoding", "UTF8"),
            ("DateStyle", "ISO"),
            ("IntervalStyle", "postgres"),
            ("TimeZone", "UTC"),
            ("extra_float_digits", "3"),
            ("bytea_output", "hex"),
            ("application_name", server.application.as_str()),
        ];
        if purpose == Purpose::Replication {
            parameters.push(("replication", "database"));
        }
        frontend::startup_message(parameters, &mut wire.output).map_err(|e| PgError::Setup(e.to_string()))?;
        wire.flush().await?;
        wire.authenticate(server).await?;
        if purpose == Purpose::Sql {
            for statement in &server.initial_statements {
                wire.query(statement).await?;
            }
        }
        Ok(wire)
    }

    async fn authenticate(&mut self, server: &Server) -> Result<(), PgError> {
        loop {
            let mut frame = self.read_frame().await?;
            match frame.tag {
                b'R' => {
                    if frame.body.len() < 4 {
                        return Err(PgError::Protocol("a short authentication request".to_owned()));
                    }
                    match frame.body.get_u32() {
                        0 => {}
                        3 => self.send_password(server.password()?.as_bytes()).await?,
                        5 => {
                            let salt: [u8; 4] = frame.body[..]
                                .try_into()
                                .map_err(|_| PgError::Protocol("an md5 salt of the wrong length".to_owned()))?;
                            let hash = postgres_protocol::authentication::md5_hash(
                                server.user.as_bytes(),
                                server.password()?.as_bytes(),
                                salt,
                            );
                            self.send_password(hash.as_bytes()).await?;
                        }
                        10 => self.scram(server, &frame.body).await?,
                        other => {
                            return Err(PgError::Setup(format!(
                                "the server wants authentication method {other}, which is not supported"
                            )));
                        }
                    }
                }
                b'S' => self.note_parameter(&frame.body),
                b'E' => return Err(PgError::Db(DbError::parse(&frame.body))),
                b'Z' => return Ok(()),
                _ => {}
            }
        }
    }

    async fn send_password(&mut self, password: &[u8]) -> Result<(), PgError> {
        frontend::password_message(password, &mut self.output).map_err(|e| PgError::Setup(e.to_string()))?;
        self.flush().await
    }

    async fn scram(&mut self, server: &Server, mechanisms: &[u8]) -> Result<(), PgError> {
        if !mechanisms.split(|&b| b == 0).any(|name| name == SCRAM_SHA_256.as_bytes()) {
            return Err(PgError::Setup("the server offers no SASL mechanism that is supported".to_owned()));
        }
        let mut scram = ScramSha256::new(server.password()?.as_bytes(), ChannelBinding::unsupported());
        let broken = |e: std::io::Error| PgError::Setup(format!("SCRAM authentication failed: {e}"));
        frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), &mut self.output).map_err(broken)?;
        self.flush().await?;
        let challenge = self.sasl_step(11).await?;
        scram.update(&challenge).map_err(broken)?;
        frontend::sasl_response(scram.message(), &mut self.output).map_err(broken)?;
        self.flush().await?;
        let last = self.sasl_step(12).await?;
        scram.finish(&last).map_err(broken)
    }

    async fn sasl_step(&mut self, expected: u32) -> Result<Bytes, PgError> {
        let mut frame = self.read_frame().await?;
        match frame.tag {
            b'E' => Err(PgError::Db(DbError::parse(&frame.body))),
            b'R' if frame.body.len() >= 4 && frame.body.get_u32() == expected => Ok(frame.body),
            tag => Err(PgError::Protocol(format!("message {:?} during SASL", tag as char))),
        }
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
    let short = || PgError::Protocol("a short row".to_owned());
    let mut rest = &body[..];
    let count = rest.split_off(..2).map(|b| u16::from_be_bytes([b[0], b[1]])).ok_or_else(short)?;
    let mut row = Vec::with_capacity(count.into());
    for _ in 0..count {
        let length = rest.split_off(..4).map(|b| i32::from_be_bytes([b[0], b[1], b[2], b[3]])).ok_or_else(short)?;
        row.push(match usize::try_from(length) {
            Err(_) => None,
            Ok(length) => Some(String::from_utf8_lossy(rest.split_off(..length).ok_or_else(short)?).into_owned()),
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
        let mut wire =
            Wire { socket: Box::new(near), input: BytesMut::new(), output: BytesMut::new(), server_version: 0 };
        let soon = Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, wire.send_copy_data(b"first")).await.is_err(), "nobody reads");
        let mut read = [0; 21];
        let (sent, received) = tokio::join!(wire.send_copy_data(b"second"), far.read_exact(&mut read));
        sent.expect("sent");
        received.expect("received");
        assert_eq!(&read, b"d\0\0\0\x09firstd\0\0\0\x0asecond");
    }
}
