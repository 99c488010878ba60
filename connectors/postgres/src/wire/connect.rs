//! How a session comes about: a server of the list is chosen, reached, and talked to in clear or over TLS.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::auth::Channel;
use super::{Purpose, Socket, Wire};
use crate::error::{PgError, within};
use crate::hosts::{self, Host, Reason, Role, Status};
use crate::settings::{Server, SslMode};
use crate::tls;

/// Longest time for a session with a server, authentication included, where `database.loginTimeout` says nothing.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(30);
/// The same for one of several servers: the others wait for their turn.
const LOGIN_TIMEOUT_IN_LIST: Duration = Duration::from_secs(10);

/// After how long without a byte the other end's machine is asked whether it is still there, and how often then. The system's
/// own default is two hours: a snapshot or the making of a slot, which may be silent for long, would notice nothing before.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);

/// The words of the JVM's driver for what has no better ones.
const FAILED: &str = "The connection attempt failed.";

impl Wire {
    /// Connects and authenticates: with the first server of the list that will do.
    pub async fn connect(server: &Server, purpose: Purpose) -> Result<Self, PgError> {
        let hosts = &server.hosts;
        let mut reasons = Vec::new();
        let mut second_best = None;
        for host in hosts.in_order() {
            let default = if hosts.is_one() { LOGIN_TIMEOUT } else { LOGIN_TIMEOUT_IN_LIST };
            let limit = server.login_timeout.unwrap_or(default);
            let late = |limit| PgError::Timeout(format!("no connection to {host} within {limit:?}"));
            match within(Some(limit), Box::pin(Self::reach(server, &host, purpose)), late).await {
                Ok(Found::Fits(wire)) => return Ok(wire),
                Ok(Found::Other(wire, role)) => {
                    reasons.push((host, Reason::Role(role)));
                    if hosts.target.settles() && second_best.is_none() {
                        second_best = Some(wire);
                    } else {
                        wire.leave().await;
                    }
                }
                Err(error) => {
                    hosts::note(&host, Status::Failed);
                    if hosts.is_one() {
                        return Err(error);
                    }
                    tracing::debug!(server = %host, %error, "a server of the list will not do");
                    reasons.push((host, Reason::Failed(error)));
                }
            }
        }
        match second_best {
            Some(wire) => Ok(wire),
            None => Err(hosts.none(reasons)),
        }
    }

    /// A session with a server of the list, at the first of its addresses that answers and has the role that is wanted.
    async fn reach(server: &Server, host: &Host, purpose: Purpose) -> Result<Found, PgError> {
        let addresses = match host.reached {
            Some(address) => vec![address],
            None => {
                let found = tokio::net::lookup_host((host.name.as_str(), host.port)).await;
                found.map_err(PgError::Lookup)?.collect()
            }
        };
        let mut other = None;
        let mut failure = None;
        for address in addresses {
            let host = Host { reached: Some(address), ..host.clone() };
            let mut wire = match Self::with_mode(server, &host, address, purpose).await {
                Ok(wire) => wire,
                // Another address of the name may answer.
                Err(error @ (PgError::Io { .. } | PgError::Timeout(_))) => {
                    failure = Some(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            if !server.hosts.target.asks() {
                return Ok(Found::Fits(wire));
            }
            let role = Role::ask(&mut wire).await?;
            hosts::note(&host, Status::Is(role));
            if server.hosts.target.fits(role) {
                return Ok(Found::Fits(wire));
            }
            match &other {
                None => other = Some((wire, role)),
                Some(_) => wire.leave().await,
            }
        }
        match (other, failure) {
            (Some((wire, role)), _) => Ok(Found::Other(wire, role)),
            (None, Some(error)) => Err(error),
            (None, None) => Err(PgError::Lookup(std::io::Error::other(format!("{} has no address", host.name)))),
        }
    }

    /// `allow` and `prefer` try the other way where the server does not admit this one, as the driver of the JVM does.
    async fn with_mode(server: &Server, host: &Host, address: SocketAddr, purpose: Purpose) -> Result<Self, PgError> {
        let (first, then) = match server.tls.mode {
            SslMode::Allow => (SslMode::Disable, Some(SslMode::Require)),
            SslMode::Prefer => (SslMode::Prefer, Some(SslMode::Disable)),
            mode => (mode, None),
        };
        let (error, then) = match (Self::attempt(server, host, address, purpose, first).await, then) {
            (Err(error), Some(then)) if error.sqlstate() == Some("28000") => (error, then),
            (other, _) => return other,
        };
        Self::attempt(server, host, address, purpose, then).await.map_err(|_| error)
    }

    async fn attempt(
        server: &Server,
        host: &Host,
        address: SocketAddr,
        purpose: Purpose,
        mode: SslMode,
    ) -> Result<Self, PgError> {
        let late = |limit| {
            PgError::io(
                FAILED,
                std::io::Error::new(std::io::ErrorKind::TimedOut, format!("no answer within {limit:?}")),
            )
        };
        let connecting = async {
            TcpStream::connect(address).await.map_err(|e| {
                let message = if e.kind() == std::io::ErrorKind::ConnectionRefused {
                    format!(
                        "Connection to {host} refused. Check that the hostname and port are correct and that the \
                         postmaster is accepting TCP/IP connections."
                    )
                } else {
                    FAILED.to_owned()
                };
                PgError::io(message, e)
            })
        };
        let tcp = within(server.connect_timeout, connecting, late).await?;
        tcp.set_nodelay(true).map_err(|e| PgError::io(FAILED, e))?;
        if server.tcp_keep_alive {
            let probes = socket2::TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY);
            let kept = socket2::SockRef::from(&tcp).set_tcp_keepalive(&probes);
            kept.map_err(|e| PgError::io(FAILED, e))?;
        }
        let (socket, channel) = secure(server, host, mode, tcp).await?;
        Self::start(server, purpose, Self::over(socket, host.clone(), channel)).await
    }

    async fn start(server: &Server, purpose: Purpose, mut wire: Self) -> Result<Self, PgError> {
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

    /// Says goodbye to a server that is not wanted, without waiting for its own.
    async fn leave(mut self) {
        frontend::terminate(&mut self.output);
        if let Err(error) = self.flush().await {
            tracing::debug!(%error, "leaving a session that is gone already");
        }
    }
}

/// A session with a server.
enum Found {
    Fits(Wire),
    /// It has another role than the one that is wanted.
    Other(Wire, Role),
}

/// The socket as `sslmode` wants it.
async fn secure(
    server: &Server,
    host: &Host,
    mode: SslMode,
    mut tcp: TcpStream,
) -> Result<(Box<dyn Socket>, Channel), PgError> {
    if mode == SslMode::Disable {
        return Ok((Box::new(tcp), Channel::Plain));
    }
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    let broken = |e| PgError::io(FAILED, e);
    tcp.write_all(&request).await.map_err(broken)?;
    let answer = tcp.read_u8().await.map_err(broken)?;
    if answer != b'S' {
        if mode == SslMode::Prefer {
            return Ok((Box::new(tcp), Channel::Plain));
        }
        return Err(PgError::Setup("The server does not support SSL.".to_owned()));
    }
    let name = ServerName::try_from(host.name.clone())
        .map_err(|_| PgError::Setup(format!("{} can't be the name of a TLS server", host.name)))?;
    let config = tls::client_config(&server.tls)?;
    let stream = tokio_rustls::TlsConnector::from(config).connect(name, tcp).await.map_err(|e| match e.kind() {
        // What TLS itself refuses, such as a certificate, it refuses again.
        std::io::ErrorKind::InvalidData => PgError::Setup(format!("SSL error: {e}")),
        _ => PgError::io(format!("SSL error: {e}"), e),
    })?;
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let channel = Channel::Tls(certificate.and_then(tls::end_point));
    Ok((Box::new(stream), channel))
}
