//! What goes back to the server: how far everything is stored.

use crate::error::PgError;
use crate::pgoutput::POSTGRES_EPOCH_US;
use crate::session::End;
use crate::settings::FlushTimeout;
use crate::stream::Stream;

impl Stream<'_> {
    /// Tells the server what is stored.
    pub(super) async fn confirm(&mut self) -> Result<(), End> {
        self.tell_server(false).await
    }

    /// Tells the server what is stored, and asks it to say how far it is.
    pub(super) async fn tell_server(&mut self, ask: bool) -> Result<(), End> {
        let message = self.status(ask);
        let settings = &self.session.settings;
        let (limit, action) = settings.flush_timeout;
        let limit = match (action, settings.silence) {
            // Nothing comes back meanwhile.
            (FlushTimeout::Fail, Some(silence)) => limit.min(silence),
            _ => limit,
        };
        match tokio::time::timeout(limit, self.wire.send_copy_data(&message)).await {
            Ok(sent) => return Ok(sent.map_err(|e| e.failed_to("confirm the position"))?),
            Err(_) if action == FlushTimeout::Fail => {
                let silent = PgError::silent(&settings.server.address(), limit);
                return Err(silent.failed_to("confirm the position").into());
            }
            // What is left of it is sent with the next one.
            Err(_) if action == FlushTimeout::Warn => {
                tracing::warn!(source = %settings.prefix, ?limit, "the position is not sent to the server in time");
            }
            Err(_) => {
                tracing::debug!(source = %settings.prefix, ?limit, "the position is not sent to the server in time")
            }
        }
        Ok(())
    }

    /// What tells the server that.
    pub(crate) fn status(&mut self, ask: bool) -> [u8; 34] {
        let (log, stored) = *self.session.confirmed.borrow_and_update();
        // What was stored of a log that was left says nothing of this one.
        let own = log == self.session.outlet.log();
        let stored = if self.session.settings.flush_lsn && own { stored } else { 0 };
        let mut message = [0; 34];
        message[0] = b'r';
        message[1..9].copy_from_slice(&self.received.max(stored).to_be_bytes());
        message[9..17].copy_from_slice(&stored.to_be_bytes());
        message[17..25].copy_from_slice(&stored.to_be_bytes());
        let clock = crate::event::now_us() - POSTGRES_EPOCH_US;
        message[25..33].copy_from_slice(&clock.to_be_bytes());
        message[33] = u8::from(ask);
        message
    }
}
