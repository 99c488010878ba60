//! The beginning of a stream: what the server is asked to send, and from where on.

use std::sync::Arc;
use std::time::Instant;

use connect_api::{Error, ErrorKind};

use crate::error::{PgError, within};
use crate::messages;
use crate::session::End;
use crate::slot::lsn_text;
use crate::spill::Spill;
use crate::stream::Stream;
use crate::stream::open::{self, Open};
use crate::wire::{identifier, literal};

impl Stream<'_> {
    pub(super) async fn start(&mut self) -> Result<(), End> {
        let settings = Arc::clone(&self.session.settings);
        let from = self.position.lsn_commit.unwrap_or(0);
        let own = |name: &str| settings.stream_params.iter().any(|(given, _)| given == name);
        let publication = literal(&identifier(&settings.publication));
        let version = if self.asks_for_open()? { 2 } else { 1 };
        let mut options = format!("\"proto_version\" '{version}', \"publication_names\" {publication}");
        if self.open.is_some() {
            options.push_str(", \"streaming\" 'on'");
        }
        if self.wire.server_version >= messages::SINCE && !own("messages") {
            options.push_str(", \"messages\" 'true'");
        }
        for (name, value) in &settings.stream_params {
            options.push_str(&format!(", {} {}", identifier(name), literal(value)));
        }
        let command =
            format!("START_REPLICATION SLOT {} LOGICAL {} ({options})", identifier(&settings.slot), lsn_text(from));
        let mut retries = 0;
        loop {
            let late = |limit| PgError::silent(&settings.server.address(), limit);
            match within(settings.silence, self.wire.start_copy(&command), late).await {
                Ok(()) => break,
                Err(error) if error.sqlstate() == Some("55006") && retries < settings.slot_max_retries => {
                    retries += 1;
                    tracing::warn!(slot = %settings.slot, %error, retries, "the slot is in use; trying again");
                    tokio::select! {
                        () = self.session.cancel.cancelled() => return Err(End::Closed),
                        () = tokio::time::sleep(settings.slot_retry_delay) => {}
                    }
                }
                Err(error) => return Err(start_error(error, from, &settings.slot).into()),
            }
        }
        tracing::info!(source = %settings.prefix, slot = %settings.slot, from = %lsn_text(from), "streaming");
        self.session.metrics.connected(true);
        self.session.streaming = Some(tokio::time::Instant::now());
        self.heard = Instant::now();
        self.report();
        Ok(())
    }

    /// Sees whether transactions in progress are wanted, and can be had.
    fn asks_for_open(&mut self) -> Result<bool, Error> {
        let settings = &self.session.settings;
        let Some(bounds) = settings.in_progress.as_ref().filter(|_| !self.session.whole_only) else { return Ok(false) };
        if self.wire.server_version < open::SINCE {
            tracing::warn!(
                source = %settings.prefix,
                "stream.in.progress.enabled has no effect: the server sends transactions in progress from Postgres 14 on"
            );
            return Ok(false);
        }
        let own = |name: &str| settings.stream_params.iter().any(|(given, _)| given == name);
        if own("streaming") || own("proto_version") {
            return Err(Error::config(
                "slot.stream.params and stream.in.progress.enabled both say how transactions are sent",
            )
            .hint("take 'streaming' and 'proto_version' out of slot.stream.params"));
        }
        bounds.check()?;
        self.open = Some(Open::new(Spill::new(bounds.clone(), Arc::clone(&self.session.metrics))));
        Ok(true)
    }
}

/// Why the stream did not start.
fn start_error(error: PgError, from: u64, slot: &str) -> Error {
    let what = format!(
        "start the replication stream at {} with slot \"{slot}\"; when setting up multiple connectors for the same \
         database host, please make sure to use a distinct replication slot name for each",
        lsn_text(from)
    );
    if error.sqlstate() != Some("55006") {
        return error.failed_to(&what);
    }
    // The retries that are configured for this case are used up. Beneath, it is what passes when the other session ends: that of
    // a worker that died, for which the server waits.
    Error::new(ErrorKind::Config, format!("failed to {what}: {error}"))
        .class("io.debezium.DebeziumException")
        .hint("give each connector its own slot.name, or stop what uses this slot")
        .caused_by(error.failed_to(&what))
}
