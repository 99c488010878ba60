//! A small Kafka client for requests: connections, TLS, SASL, versions, coordinators.
//!
//! Records go through librdkafka; this is for requests about topics and groups, and for the membership in a group that
//! librdkafka cannot join. One request at a time on a connection; a connection that failed or was left in the middle of a
//! request is dropped, never used again.

mod code;
mod connection;
mod sasl;
mod scram;
mod tls;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kafka_protocol::messages::{FindCoordinatorRequest, MetadataRequest, MetadataResponse};
use kafka_protocol::protocol::{Request, StrBytes};
use parking_lot::Mutex;

use crate::security::{Sasl, Security, text};
use crate::stats::{ClientStats, StatsOf};
use crate::{ClientProps, Error, ErrorKind, Result};

pub(crate) use code::{check, error_of};
pub(crate) use connection::Connection;

/// Idle connections kept for later requests.
const IDLE_CONNECTIONS_MAX: usize = 8;

/// Where a broker listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// What every connection needs to know.
pub(crate) struct Settings {
    pub(crate) bootstrap: Vec<Address>,
    pub(crate) client_id: StrBytes,
    pub(crate) stats: Arc<ClientStats>,
    pub(crate) tls: Option<tls::Tls>,
    pub(crate) sasl: Option<Sasl>,
    /// `request.timeout.ms`: for one answer.
    pub(crate) request_timeout: Duration,
    /// `default.api.timeout.ms`: for an operation with its retries.
    pub(crate) api_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) retry_backoff: Duration,
    pub(crate) retry_backoff_max: Duration,
}

impl Settings {
    /// Reads the properties of a Java client.
    pub(crate) fn from_props(props: &ClientProps) -> Result<Self> {
        let security = Security::from_props(props)?;
        let bootstrap = bootstrap_servers(text(props, "bootstrap.servers").unwrap_or_default())?;
        Ok(Self {
            bootstrap,
            client_id: StrBytes::from_string(text(props, "client.id").unwrap_or_default().to_owned()),
            stats: ClientStats::new(StatsOf::Requests, text(props, "client.id").unwrap_or_default()),
            tls: security.tls.as_ref().map(tls::Tls::new).transpose()?,
            sasl: security.sasl,
            request_timeout: millis(props, "request.timeout.ms", 30_000)?,
            api_timeout: millis(props, "default.api.timeout.ms", 60_000)?,
            connect_timeout: millis(props, "socket.connection.setup.timeout.ms", 10_000)?,
            retry_backoff: millis(props, "retry.backoff.ms", 100)?,
            retry_backoff_max: millis(props, "retry.backoff.max.ms", 1_000)?,
        })
    }
}

fn millis(props: &ClientProps, name: &str, default: u64) -> Result<Duration> {
    /// A year: Java's endless time-outs, without overflow.
    const MILLIS_MAX: u64 = 365 * 24 * 3_600_000;
    let Some(value) = text(props, name) else { return Ok(Duration::from_millis(default)) };
    let millis: u64 = value.parse().map_err(|_| {
        Error::new(ErrorKind::Config, format!("{name} has the value '{value}', which is not a number of milliseconds"))
    })?;
    Ok(Duration::from_millis(millis.min(MILLIS_MAX)))
}

fn bootstrap_servers(list: &str) -> Result<Vec<Address>> {
    let parse = |entry: &str| {
        // A listener name may stand in front, as in `SSL://host:9093`.
        let entry = entry.rsplit_once("://").map_or(entry, |(_, address)| address);
        let (host, port) = entry.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = port.parse().ok()?;
        (!host.is_empty()).then(|| Address { host: host.to_owned(), port })
    };
    let entries: Vec<&str> = list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).collect();
    if entries.is_empty() {
        return Err(Error::new(ErrorKind::Config, "bootstrap.servers is missing"));
    }
    entries
        .into_iter()
        .map(|entry| {
            parse(entry).ok_or_else(|| {
                Error::new(ErrorKind::Config, format!("bootstrap.servers has '{entry}', which is not host:port"))
            })
        })
        .collect()
}

/// Connections to the brokers of one cluster.
pub(crate) struct Brokers {
    settings: Arc<Settings>,
    idle: Mutex<Vec<Connection>>,
    /// The bootstrap server to try first.
    next: AtomicUsize,
}

/// What a coordinator coordinates.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CoordinatorOf<'a> {
    Group(&'a str),
    Transaction(&'a str),
}

impl Brokers {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings: Arc::new(settings), idle: Mutex::default(), next: AtomicUsize::new(0) }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A connection to this broker, kept or new.
    pub(crate) async fn connect(&self, address: &Address) -> Result<Connection> {
        let kept = {
            let mut idle = self.idle.lock();
            idle.retain(Connection::is_fresh);
            idle.iter().position(|connection| connection.address() == address).map(|at| idle.swap_remove(at))
        };
        match kept {
            Some(connection) => Ok(connection),
            None => Connection::open(address, &self.settings).await,
        }
    }

    /// Keeps a connection whose last request was answered.
    pub(crate) fn keep(&self, connection: Connection) {
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_CONNECTIONS_MAX && connection.is_fresh() {
            idle.push(connection);
        }
    }

    /// One request to this broker. A kept connection that turns out to be closed is replaced once.
    pub(crate) async fn ask<R: Request>(&self, address: &Address, newest: i16, request: &R) -> Result<R::Response> {
        let mut connection = self.connect(address).await?;
        let was_used = connection.was_used();
        let mut answer = connection.ask(newest, request, self.settings.request_timeout).await;
        if was_used && answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unreachable) {
            connection = Connection::open(address, &self.settings).await?;
            answer = connection.ask(newest, request, self.settings.request_timeout).await;
        }
        if answer.is_ok() {
            self.keep(connection);
        }
        answer
    }

    /// One request to any broker.
    pub(crate) async fn ask_any<R: Request>(&self, newest: i16, request: &R) -> Result<R::Response> {
        let bootstrap = &self.settings.bootstrap;
        let first = self.next.load(Ordering::Relaxed);
        let mut last = Error::new(ErrorKind::Unreachable, "no bootstrap server");
        for (at, address) in bootstrap.iter().enumerate().cycle().skip(first % bootstrap.len()).take(bootstrap.len()) {
            match self.ask(address, newest, request).await {
                Err(error) if matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::Timeout) => last = error,
                answer => {
                    self.next.store(at, Ordering::Relaxed);
                    return answer;
                }
            }
        }
        Err(last)
    }

    /// Metadata of these topics (`None`: of all).
    pub(crate) async fn metadata(&self, topics: Option<&[&str]>) -> Result<MetadataResponse> {
        use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
        let named = |name: &&str| {
            MetadataRequestTopic::default().with_name(Some(StrBytes::from_string((*name).to_owned()).into()))
        };
        let request = MetadataRequest::default()
            .with_topics(topics.map(|topics| topics.iter().map(named).collect()))
            .with_allow_auto_topic_creation(false);
        self.ask_any(9, &request).await
    }

    /// The coordinator of a group or transactional id.
    pub(crate) async fn coordinator(&self, of: CoordinatorOf<'_>) -> Result<Address> {
        let (key, key_type, what) = match of {
            CoordinatorOf::Group(group) => (group, 0, "group"),
            CoordinatorOf::Transaction(id) => (id, 1, "transactional id"),
        };
        // Version 3 is the last with a single key.
        let request =
            FindCoordinatorRequest::default().with_key(StrBytes::from_string(key.to_owned())).with_key_type(key_type);
        let answer = self.ask_any(3, &request).await?;
        check(answer.error_code, answer.error_message.as_deref())
            .map_err(|error| error.context(format_args!("finding the coordinator of {what} {key}")))?;
        address(&answer.host, answer.port)
    }

    /// Runs an operation again while its error may pass, until `default.api.timeout.ms` is over.
    pub(crate) async fn retrying<T, F: Future<Output = Result<T>>>(
        &self,
        mut operation: impl FnMut() -> F,
    ) -> Result<T> {
        let deadline = Instant::now() + self.settings.api_timeout;
        let mut pause = self.settings.retry_backoff;
        loop {
            match operation().await {
                Err(error) if error.is_retriable() && Instant::now() + pause < deadline => {
                    tracing::debug!("trying again in {} ms: {error}", pause.as_millis());
                }
                outcome => return outcome,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(self.settings.retry_backoff_max);
        }
    }
}

/// The address in an answer of a broker.
pub(crate) fn address(host: &str, port: i32) -> Result<Address> {
    let port = u16::try_from(port)
        .map_err(|_| Error::new(ErrorKind::Refused, format!("the broker named port {port}, which is none")))?;
    Ok(Address { host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bootstrap_servers_are_hosts_and_ports() {
        let servers = bootstrap_servers("a:1, SSL://b:2 ,[::1]:3,").unwrap();
        let texts: Vec<_> = servers.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["a:1", "b:2", "::1:3"]);
        for (list, problem) in [
            ("", "bootstrap.servers is missing"),
            ("a", "bootstrap.servers has 'a', which is not host:port"),
            ("a:x", "bootstrap.servers has 'a:x', which is not host:port"),
        ] {
            assert_eq!(bootstrap_servers(list).unwrap_err().to_string(), problem);
        }
    }

    #[test]
    fn endless_timeouts_are_a_year() {
        let props: ClientProps = [("request.timeout.ms".to_owned(), i64::MAX.to_string())].into_iter().collect();
        assert_eq!(millis(&props, "request.timeout.ms", 1).unwrap().as_secs(), 365 * 24 * 3600);
    }
}
