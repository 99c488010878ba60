//! Authentication, and what the password is bound to.

use bytes::{Buf, Bytes};
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256};
use postgres_protocol::message::frontend;

use super::Wire;
use crate::error::{DbError, PgError};
use crate::settings::{Binding, Server};

/// The channel that a session goes over.
pub(super) enum Channel {
    Plain,
    /// With what a password can be bound to (`tls-server-end-point`), where the certificate gives that.
    Tls(Option<Vec<u8>>),
}

impl Wire {
    /// Says who we are, until the server takes statements.
    pub(super) async fn authenticate(&mut self, server: &Server) -> Result<(), PgError> {
        let mut bound = false;
        loop {
            let mut frame = self.read_frame().await?;
            match frame.tag {
                b'R' => {
                    if frame.body.len() < 4 {
                        return Err(PgError::Protocol("a short authentication request".to_owned()));
                    }
                    let method = frame.body.get_u32();
                    if server.binding == Binding::Require && !bound && method != 10 {
                        // Before a password is told to whoever asks.
                        return Err(unbound(match method {
                            0 => "but server skipped authentication",
                            _ => "but server requested an authentication that is not bound to a channel",
                        }));
                    }
                    match method {
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
                        10 => {
                            self.scram(server, &frame.body).await?;
                            bound = true;
                        }
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
        let (mechanism, binding) = chosen(server.binding, &self.channel, mechanisms)?;
        let mut scram = ScramSha256::new(server.password()?.as_bytes(), binding);
        let broken = |e: std::io::Error| PgError::Setup(format!("SCRAM authentication failed: {e}"));
        frontend::sasl_initial_response(mechanism, scram.message(), &mut self.output).map_err(broken)?;
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
}

/// What the server does instead of binding the password, where that is required; the words are those of the JVM's driver.
fn unbound(instead: &str) -> PgError {
    PgError::Setup(format!(
        "Channel binding is required, {instead}. Channel binding is only supported with SCRAM authentication over encrypted \
         connections."
    ))
}

/// The mechanism, and what the password is bound to.
fn chosen(wanted: Binding, channel: &Channel, mechanisms: &[u8]) -> Result<(&'static str, ChannelBinding), PgError> {
    let offers = |wanted: &str| mechanisms.split(|&b| b == 0).any(|name| name == wanted.as_bytes());
    let (plain, plus) = (offers(SCRAM_SHA_256), offers(SCRAM_SHA_256_PLUS));
    match (wanted, channel) {
        (Binding::Prefer | Binding::Require, Channel::Tls(Some(end_point))) if plus => {
            return Ok((SCRAM_SHA_256_PLUS, ChannelBinding::tls_server_end_point(end_point.clone())));
        }
        (Binding::Require, Channel::Plain) => return Err(unbound("but the connection is not encrypted")),
        (Binding::Require, Channel::Tls(None)) => {
            return Err(unbound("but the server's certificate is signed in a way that none is defined for"));
        }
        (Binding::Require, Channel::Tls(Some(_))) => return Err(unbound("but the server does not offer it")),
        _ => {}
    }
    if !plain {
        return Err(PgError::Setup("the server offers no SASL mechanism that is supported".to_owned()));
    }
    // Whoever took the offer away between us and the server is found out by what we say we could do.
    let binding = match (wanted, channel) {
        (Binding::Prefer, Channel::Tls(Some(_))) => ChannelBinding::unrequested(),
        _ => ChannelBinding::unsupported(),
    };
    Ok((SCRAM_SHA_256, binding))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: &[u8] = b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0";
    const PLAIN: &[u8] = b"SCRAM-SHA-256\0\0";

    #[test]
    fn a_password_is_bound_where_that_is_possible_and_wanted() {
        let end_point = || Channel::Tls(Some(vec![1]));
        let mechanism = |wanted, channel: &Channel, offered| chosen(wanted, channel, offered).map(|(name, _)| name);
        for (wanted, channel, offered, name) in [
            (Binding::Prefer, end_point(), BOTH, SCRAM_SHA_256_PLUS),
            (Binding::Require, end_point(), BOTH, SCRAM_SHA_256_PLUS),
            (Binding::Disable, end_point(), BOTH, SCRAM_SHA_256),
            (Binding::Prefer, end_point(), PLAIN, SCRAM_SHA_256),
            (Binding::Prefer, Channel::Tls(None), BOTH, SCRAM_SHA_256),
            (Binding::Prefer, Channel::Plain, PLAIN, SCRAM_SHA_256),
        ] {
            assert_eq!(mechanism(wanted, &channel, offered).expect("a mechanism"), name);
        }
        for (channel, offered) in [(end_point(), PLAIN), (Channel::Tls(None), BOTH), (Channel::Plain, PLAIN)] {
            let refused = mechanism(Binding::Require, &channel, offered).unwrap_err().to_string();
            assert!(refused.starts_with("Channel binding is required, but "), "{refused}");
        }
        assert!(mechanism(Binding::Prefer, &Channel::Plain, b"SCRAM-MORE\0\0").is_err());
    }
}
