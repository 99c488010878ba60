//! What the stream did not bring is noted as records are made, and looked up before they leave.

use std::sync::Arc;

use crate::event;
use crate::pgoutput::Tuple;
use crate::reselect::{Made, resolve};
use crate::session::{End, Session};
use crate::signals::act::Pulse;
use crate::stream::Stream;
use crate::table::Table;

impl Stream<'_> {
    /// Notes what is to be looked up for the last record. `old` is the old row, where that was sent as a whole.
    pub(super) fn note_missing(&mut self, lsn: u64, table: &Arc<Table>, new: &Tuple, old: Option<&Tuple>) {
        if table.reselect.is_empty() {
            return;
        }
        let Session { outlet, reselects, .. } = &mut *self.session;
        let records = outlet.records();
        let Some(record) = records.len().checked_sub(1) else { return };
        let Some(after) = records.get(record).and_then(event::after) else { return };
        reselects.note(table, &Made { lsn, record, after: &after.fields, new, old });
    }

    /// Looks up what was noted, while the stream stays open.
    pub(super) async fn look_up_missing(&mut self) -> Result<(), End> {
        if self.session.reselects.is_empty() {
            return Ok(());
        }
        // A position that was stored meanwhile is told with the rest.
        self.answer |= self.session.confirmed.has_changed().unwrap_or(false);
        let pulse = Pulse::of(self);
        pulse.during(&mut self.wire, resolve(self.session)).await?;
        self.nothing_was_read();
        Ok(())
    }
}
