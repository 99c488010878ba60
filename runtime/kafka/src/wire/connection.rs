//! One connection to a broker: set-up, framing, one request at a time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes, BytesMut};
use kafka_protocol::messages::{ApiVersionsRequest, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion as _, Request, StrBytes};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Address, Settings, check, sasl};
use crate::stats::Open;
use crate::{Error, ErrorKind, Result};

/// The largest answer taken: metadata of very many topics stays below.
const ANSWER_BYTES_MAX: usize = 64 << 20;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection that is ready for requests.
pub(crate) struct Connection {
    address: Address,
    stream: Box<dyn Stream + Sync>,
    client_id: StrBytes,
    open: Open,
    /// Newest version of each request that the broker knows, with the oldest.
    versions: HashMap<i16, (i16, i16)>,
    correlation_id: i32,
    /// A request was sent whose answer has not been read: the connection is out of step and must not be used.
    unanswered: bool,
    requests: u64,
    /// When the broker will want a new login (`connections.max.reauth.ms`).
    login_ends: Option<Instant>,
}

impl Connection {
    /// Connects, agrees on versions and logs in.
    pub(crate) async fn open(address: &Address, settings: &Settings) -> Result<Self> {
        let opening = async {
            let tcp = TcpStream::connect((address.host.as_str(), address.port)).await.map_err(|error| {
                Error::new(ErrorKind::Unreachable, format!("failed to connect to {address}: {error}"))
                    .with_source(error)
            })?;
            tcp.set_nodelay(true).map_err(|error| broken(address, error))?;
            let stream: Box<dyn Stream + Sync> = match &settings.tls {
                None => Box::new(tcp),
                Some(tls) => Box::new(tls.connect(address, tcp).await?),
            };
            let mut connection = Self {
                address: address.clone(),
                stream,
                client_id: settings.client_id.clone(),
                open: Open::new(&settings.stats),
                versions: HashMap::new(),
                correlation_id: 0,
                unanswered: false,
                requests: 0,
                login_ends: None,
            };
            connection.agree_on_versions(settings.request_timeout).await?;
            if let Some(sasl) = &settings.sasl {
                let login = sasl::login(&mut connection, sasl, settings.request_timeout).await;
                match &login {
                    Ok(_) => settings.stats.authenticated(),
                    Err(error) if error.kind() == ErrorKind::Authentication => settings.stats.refused(),
                    Err(_) => {}
                }
                let lifetime = login?;
                // A little early, so that no request meets the end.
                connection.login_ends = lifetime.map(|lifetime| Instant::now() + lifetime.mul_f32(0.85));
            }
            Ok(connection)
        };
        tokio::time::timeout(settings.connect_timeout, opening).await.unwrap_or_else(|_| {
            let text = format!("{address} did not answer within {} ms", settings.connect_timeout.as_millis());
            Err(Error::new(ErrorKind::Unreachable, text))
        })
    }

    pub(crate) const fn address(&self) -> &Address {
        &self.address
    }

    /// Whether it may carry another request.
    pub(crate) fn is_fresh(&self) -> bool {
        !self.unanswered && self.login_ends.is_none_or(|end| Instant::now() < end)
    }

    /// Whether requests went over it before, so that the broker may have closed it as idle.
    pub(crate) const fn was_used(&self) -> bool {
        self.requests > 0
    }

    async fn agree_on_versions(&mut self, wait: Duration) -> Result<()> {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("tidegate"))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        let answer = self.exchange(3, &request, wait).await?;
        check(answer.error_code, None)
            .map_err(|error| error.context(format_args!("{} does not speak our protocol", self.address)))?;
        self.versions = answer.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version))).collect();
        self.requests = 0;
        Ok(())
    }

    /// The version to use of a request, at most `newest`.
    pub(crate) fn version<R: Request>(&self, newest: i16) -> Result<i16> {
        let (oldest, known) = self.versions.get(&R::KEY).copied().unwrap_or((0, -1));
        let version = known.min(newest).min(R::VERSIONS.max);
        if version < oldest || version < R::VERSIONS.min {
            let text = format!("{} does not know request {} in a version of ours", self.address, R::KEY);
            return Err(Error::new(ErrorKind::Unsupported, text));
        }
        Ok(version)
    }

    /// Sends a request in the newest common version up to `newest` and reads the answer.
    pub(crate) async fn ask<R: Request>(&mut self, newest: i16, request: &R, wait: Duration) -> Result<R::Response> {
        let version = self.version::<R>(newest)?;
        self.exchange(version, request, wait).await
    }

    async fn exchange<R: Request>(&mut self, version: i16, request: &R, wait: Duration) -> Result<R::Response> {
        if self.unanswered {
            return Err(Error::new(
                ErrorKind::Unreachable,
                format!("the connection to {} is out of step", self.address),
            ));
        }
        self.correlation_id = self.correlation_id.wrapping_add(1);
        self.requests += 1;
        let frame = encode(self.correlation_id, &self.client_id, version, request)?;
        self.unanswered = true;
        self.open.stats().sent(R::KEY, frame.len());
        let answer = tokio::time::timeout(wait, self.round_trip(&frame)).await.map_err(|_| {
            let text = format!("{} did not answer within {} ms", self.address, wait.as_millis());
            Error::new(ErrorKind::Timeout, text)
        })??;
        self.unanswered = false;
        decode::<R>(self.correlation_id, version, answer).map_err(|error| {
            self.unanswered = true;
            error.context(&self.address)
        })
    }

    async fn round_trip(&mut self, frame: &[u8]) -> Result<Bytes> {
        let address = &self.address;
        let writing = Instant::now();
        self.stream.write_all(frame).await.map_err(|error| broken(address, error))?;
        self.stream.flush().await.map_err(|error| broken(address, error))?;
        let wrote = writing.elapsed();
        let length = self.stream.read_i32().await.map_err(|error| broken(address, error))?;
        let reading = Instant::now();
        let length = usize::try_from(length).ok().filter(|length| *length <= ANSWER_BYTES_MAX).ok_or_else(|| {
            let text = format!("{address} sent an answer of {length} bytes: is it a Kafka broker, and without TLS?");
            Error::new(ErrorKind::Unreachable, text)
        })?;
        let mut answer = BytesMut::zeroed(length);
        self.stream.read_exact(&mut answer).await.map_err(|error| broken(address, error))?;
        self.open.stats().received(length + size_of::<i32>());
        // Without the time that the broker took.
        self.open.stats().busy(wrote + reading.elapsed());
        Ok(answer.freeze())
    }
}

fn broken(address: &Address, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unreachable, format!("the connection to {address} broke: {error}")).with_source(error)
}

fn encode<R: Request>(correlation_id: i32, client_id: &StrBytes, version: i16, request: &R) -> Result<BytesMut> {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation_id)
        .with_client_id(Some(client_id.clone()));
    let mut frame = BytesMut::from(&[0_u8; 4][..]);
    let encoded =
        header.encode(&mut frame, R::header_version(version)).and_then(|()| request.encode(&mut frame, version));
    encoded
        .map_err(|error| Error::new(ErrorKind::Unsupported, format!("failed to encode request {}: {error}", R::KEY)))?;
    let length = i32::try_from(frame.len() - 4)
        .map_err(|_| Error::new(ErrorKind::TooLarge, format!("request {} is too large", R::KEY)))?;
    if let Some(prefix) = frame.first_chunk_mut::<4>() {
        *prefix = length.to_be_bytes();
    }
    Ok(frame)
}

fn decode<R: Request>(correlation_id: i32, version: i16, mut answer: Bytes) -> Result<R::Response> {
    let wrong = |text: String| Error::new(ErrorKind::Unreachable, text);
    // Looked at before decoding: a wrong one means that everything after it is wrong too.
    if answer.first_chunk::<4>().map(|id| i32::from_be_bytes(*id)) != Some(correlation_id) {
        return Err(wrong("an answer to another request".to_owned()));
    }
    let header = ResponseHeader::decode(&mut answer, R::Response::header_version(version));
    let body = header.and_then(|_| R::Response::decode(&mut answer, version));
    body.map_err(|error| wrong(format!("an answer to request {} that cannot be read: {error}", R::KEY))).inspect(|_| {
        if answer.has_remaining() {
            tracing::debug!(request = R::KEY, bytes = answer.remaining(), "an answer is longer than expected");
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

    #[test]
    fn a_request_has_its_length_in_front() {
        let frame = encode(7, &StrBytes::from_static_str("me"), 4, &HeartbeatRequest::default()).unwrap();
        let length = i32::from_be_bytes(*frame.first_chunk::<4>().unwrap());
        assert_eq!(usize::try_from(length).unwrap(), frame.len() - 4);
        assert_eq!(frame[4..12], [0, 12, 0, 4, 0, 0, 0, 7]);
    }

    #[test]
    fn an_answer_must_bear_the_id_of_its_request() {
        let mut answer = BytesMut::new();
        ResponseHeader::default().with_correlation_id(7).encode(&mut answer, 1).unwrap();
        HeartbeatResponse::default().with_error_code(27).encode(&mut answer, 4).unwrap();
        let answer = answer.freeze();
        assert_eq!(decode::<HeartbeatRequest>(7, 4, answer.clone()).unwrap().error_code, 27);
        assert!(decode::<HeartbeatRequest>(8, 4, answer.clone()).is_err());
        for length in 0..answer.len() {
            assert!(decode::<HeartbeatRequest>(7, 4, answer.slice(..length)).is_err(), "cut at {length}");
        }
    }
}
