//! The slot's `catalog_xmin` in the source block (`xmin.fetch.interval.ms`): the oldest transaction whose catalogue rows the slot
//! keeps.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{PgError, within};
use crate::session::End;
use crate::stream::Stream;
use crate::wire::literal;

/// What was read last.
pub(super) struct Xmin {
    /// How often it is read, when it is.
    every: Option<Duration>,
    read: Option<Instant>,
    pub value: Option<i64>,
}

impl Xmin {
    /// Nothing is read yet.
    pub(super) fn new(every: Option<Duration>) -> Self {
        Self { every, read: None, value: None }
    }

    /// It is time to read it. The first message is, as in the reference.
    pub(super) fn is_due(&self) -> bool {
        self.every.is_some_and(|every| self.read.is_none_or(|read| read.elapsed() >= every))
    }
}

impl Stream<'_> {
    /// Asks the server, while the stream waits.
    pub(super) async fn read_xmin(&mut self) -> Result<(), End> {
        let settings = Arc::clone(&self.session.settings);
        let query = format!(
            "SELECT catalog_xmin FROM pg_catalog.pg_replication_slots WHERE slot_name = {}",
            literal(&settings.slot)
        );
        let read = async {
            let sql = self.sql.session(&settings.server).await?;
            let late = |limit| PgError::silent(&settings.server.address(), limit);
            let rows = within(settings.silence, sql.query(&query), late).await;
            rows.map_err(|e| e.failed_to("read the slot's xmin"))
        };
        let rows = match read.await {
            Ok(rows) => rows,
            Err(error) => {
                self.sql.lose();
                return Err(error.into());
            }
        };
        self.xmin.value = rows.first().and_then(|row| row.first()?.as_deref()?.parse().ok());
        self.xmin.read = Some(Instant::now());
        // Nothing was read of the stream meanwhile.
        self.heard = Instant::now();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_at_first_and_then_as_often_as_wanted() {
        let mut xmin = Xmin::new(Some(Duration::from_secs(3600)));
        assert!(xmin.is_due());
        xmin.read = Some(Instant::now());
        assert!(!xmin.is_due());
        xmin.every = Some(Duration::ZERO);
        assert!(xmin.is_due());
        assert!(!Xmin::new(None).is_due());
    }
}
