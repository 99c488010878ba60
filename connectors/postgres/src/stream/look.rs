//! Looks at how far the stream is, and whether the server still says anything.

use std::sync::Arc;
use std::time::Instant;

use connect_api::{Phase, Progress, StreamProgress};

use crate::error::PgError;
use crate::progress::Handed;
use crate::session::End;
use crate::signals::unseen;
use crate::slot::lsn_text;
use crate::stream::Stream;

impl Stream<'_> {
    /// What left the reader, and what did not.
    fn handed(&self) -> Handed {
        let outlet = &self.session.outlet;
        Handed { batches: outlet.sent(), waiting: outlet.has_records(), read: self.resolved }
    }

    pub(crate) fn report(&mut self) {
        self.news = false;
        let position = Some(lsn_text(self.received.max(self.position.furthest())));
        let handed = self.handed();
        let stream: StreamProgress = self.follower.progress(handed);
        (self.session.report)(Progress {
            phase: Phase::Streaming,
            position,
            stream: Some(stream),
            ..Progress::default()
        });
    }

    /// Tells how far the stream is, and asks the server the same: for the place up to which it has nothing more to send, and
    /// for the end of its log, which a stream that is behind does not know.
    pub(super) async fn look(&mut self) -> Result<(), End> {
        self.check_silence()?;
        self.report();
        self.tell_server(true).await?;
        self.pinged = true;
        self.sql.ask_end(&self.session.settings.server).await;
        Ok(())
    }

    /// A connection whose other end is gone without a word, or that nothing passes through, looks like an idle one, but for
    /// the answers that do not come.
    fn check_silence(&mut self) -> Result<(), End> {
        let settings = &self.session.settings;
        let Some(limit) = settings.silence else { return Ok(()) };
        if self.session.outlet.is_full() || self.delivers() {
            // Nothing is read until there is room.
            self.heard = Instant::now();
        }
        let overdue = self.heard.elapsed() >= limit;
        if overdue && std::mem::replace(&mut self.overdue, true) {
            let silent = PgError::silent(&settings.server.address(), limit);
            return Err(silent.failed_to("read the stream").into());
        }
        self.overdue = overdue;
        Ok(())
    }

    /// Forgets which transactions were brought, as far as sessions see them by now.
    pub(super) async fn forget_seen(&mut self) -> Result<(), End> {
        let settings = Arc::clone(&self.session.settings);
        let looked = async {
            let sql = self.sql.session(&settings.server).await?;
            let seen = unseen::look(sql, settings.silence).await;
            seen.map_err(|error| error.failed_to("see which transactions are visible"))
        };
        match looked.await {
            Ok(seen) => {
                if let Some(unseen) = &mut self.session.signals.unseen {
                    unseen.forget(&seen);
                }
                // Nothing was read of the stream meanwhile.
                self.heard = Instant::now();
                Ok(())
            }
            Err(error) => {
                self.sql.lose();
                Err(error.into())
            }
        }
    }

    /// Something else was done for a while: what the server said meanwhile was not heard.
    pub(crate) fn nothing_was_read(&mut self) {
        self.heard = Instant::now();
        self.overdue = false;
    }
}
