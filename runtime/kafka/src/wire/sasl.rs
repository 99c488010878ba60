//! SASL login on a fresh connection: PLAIN and SCRAM.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslHandshakeRequest};
use kafka_protocol::protocol::StrBytes;

use super::connection::Connection;
use super::scram::{Hash, Scram};
use super::{check, error_of};
use crate::security::Sasl;
use crate::{Error, ErrorKind, Result};

/// Logs in. Gives how long the login lasts, if the broker limits it.
pub(super) async fn login(connection: &mut Connection, sasl: &Sasl, wait: Duration) -> Result<Option<Duration>> {
    let request = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(sasl.mechanism()));
    let answer = connection.ask(1, &request, wait).await?;
    if let Some(error) = kafka_protocol::ResponseError::try_from_code(answer.error_code) {
        let offered: Vec<_> = answer.mechanisms.iter().map(|mechanism| mechanism.as_str()).collect();
        let text = format!("sasl.mechanism {} is not enabled; the broker has {}", sasl.mechanism(), offered.join(", "));
        return Err(error_of(error, Some(&text)));
    }
    match sasl {
        Sasl::Plain { username, password } => {
            let message = format!("\0{username}\0{password}");
            let (_, lifetime) = step(connection, message.into(), wait).await?;
            Ok(lifetime)
        }
        Sasl::ScramSha256 { username, password } => scram(connection, Hash::Sha256, username, password, wait).await,
        Sasl::ScramSha512 { username, password } => scram(connection, Hash::Sha512, username, password, wait).await,
        Sasl::OauthBearer(_) => Err(Error::new(
            ErrorKind::Unsupported,
            "sasl.mechanism OAUTHBEARER works for producers and consumers, but not yet for admin requests and the group of \
             workers: use SCRAM or PLAIN for the worker",
        )),
    }
}

async fn scram(
    connection: &mut Connection,
    hash: Hash,
    username: &str,
    password: &str,
    wait: Duration,
) -> Result<Option<Duration>> {
    let failed = |problem: &str| Error::new(ErrorKind::Authentication, format!("SCRAM login failed: {problem}"));
    let scram = Scram::new(hash, username, password);
    let (first, _) = step(connection, scram.first().into(), wait).await?;
    let answered = scram.answer(&first).map_err(failed)?;
    let (last, lifetime) = step(connection, answered.message().to_owned().into(), wait).await?;
    answered.verify(&last).map_err(failed)?;
    Ok(lifetime)
}

async fn step(connection: &mut Connection, message: Bytes, wait: Duration) -> Result<(Bytes, Option<Duration>)> {
    let request = SaslAuthenticateRequest::default().with_auth_bytes(message);
    let answer = connection.ask(2, &request, wait).await?;
    check(answer.error_code, answer.error_message.as_deref())?;
    let lifetime = u64::try_from(answer.session_lifetime_ms).ok().filter(|millis| *millis > 0);
    Ok((answer.auth_bytes, lifetime.map(Duration::from_millis)))
}
