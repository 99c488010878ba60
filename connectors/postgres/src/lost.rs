//! Positions that can't be continued from: why, and what is left to do.
//!
//! The outer error is the reference's own sentence, which operators' alerts look for; its cause says what happened to the
//! slot, up to where changes are there, and how to go on.

use connect_api::{Error, ErrorKind};

use crate::slot::{SlotState, lsn_text};

/// What became of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// It is not there any more.
    Dropped,
    /// It is there, but the server gave up what it needs.
    Invalidated,
    /// It stands after the position, at this place: what is between them was confirmed by somebody.
    Ahead(u64),
}

impl Lost {
    /// What keeps the stream from going on at a place; `None` when nothing does.
    pub fn of(slot: Option<&SlotState>, at: u64) -> Option<Self> {
        match slot {
            None => Some(Self::Dropped),
            Some(state) if state.is_lost() => Some(Self::Invalidated),
            Some(SlotState { confirmed_lsn: Some(confirmed), .. }) if *confirmed > at => Some(Self::Ahead(*confirmed)),
            Some(_) => None,
        }
    }

    /// The error of a connector whose stored position, or slot, stood at a place.
    pub fn error(self, at: u64, slot: &str, connector: &str) -> Error {
        let at = lsn_text(at);
        let restart = format!("take a new snapshot with PUT /jobs/{connector}/restart");
        let (message, remedy) = match self {
            Self::Dropped => (
                format!(
                    "replication slot \"{slot}\" does not exist: it was dropped while the connector was down; changes since \
                     LSN {at} are lost"
                ),
                format!("recreate it and {restart}"),
            ),
            Self::Invalidated => (
                format!(
                    "replication slot \"{slot}\" was invalidated: the server removed WAL that it needs, because it kept more \
                     than max_slot_wal_keep_size allows; changes since LSN {at} are lost"
                ),
                format!("raise max_slot_wal_keep_size (-1 is without limit), then {restart}"),
            ),
            Self::Ahead(confirmed) => (
                format!(
                    "replication slot \"{slot}\" stands at LSN {}, after the stored position: changes since LSN {at} are \
                     lost",
                    lsn_text(confirmed)
                ),
                format!("let nothing else read this slot, then {restart}"),
            ),
        };
        let cause = Error::new(ErrorKind::PositionLost, message).hint(remedy.clone());
        Error::new(
            ErrorKind::PositionLost,
            format!(
                "The connector is trying to read change stream starting at {at}, but this is no longer available on the \
                 server. Reconfigure the connector to use a snapshot mode when needed."
            ),
        )
        .class("io.debezium.DebeziumException")
        .hint(remedy)
        .caused_by(cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(lost: bool, restart: Option<u64>, confirmed: u64) -> SlotState {
        SlotState {
            plugin: "pgoutput".to_owned(),
            database: "d".to_owned(),
            active: false,
            restart_lsn: restart,
            confirmed_lsn: Some(confirmed),
            lost,
            synced: false,
        }
    }

    #[test]
    fn a_slot_that_is_gone_or_given_up_or_ahead_is_told_apart() {
        assert_eq!(Lost::of(None, 100), Some(Lost::Dropped));
        assert_eq!(Lost::of(Some(&slot(true, Some(90), 95)), 100), Some(Lost::Invalidated));
        assert_eq!(Lost::of(Some(&slot(false, None, 95)), 100), Some(Lost::Invalidated));
        assert_eq!(Lost::of(Some(&slot(false, Some(90), 101)), 100), Some(Lost::Ahead(101)));
        assert_eq!(Lost::of(Some(&slot(false, Some(90), 100)), 100), None);
    }

    #[test]
    fn the_innermost_error_says_what_happened_and_what_to_do() {
        let error = Lost::Dropped.error(0x1A3_E5F8, "x", "shop");
        assert!(error.message().contains("but this is no longer available on the server"), "{error}");
        assert_eq!(error.java_class(), "io.debezium.DebeziumException");
        let root = error.root();
        assert_eq!(root.kind(), ErrorKind::PositionLost);
        assert_eq!(
            root.message(),
            "replication slot \"x\" does not exist: it was dropped while the connector was down; changes since LSN \
             0/1A3E5F8 are lost"
        );
        assert_eq!(root.remedy(), Some("recreate it and take a new snapshot with PUT /jobs/shop/restart"));
        let error = Lost::Invalidated.error(1, "x", "shop");
        assert!(error.root().message().contains("max_slot_wal_keep_size"));
        assert!(error.trace().contains("Caused by: "), "{}", error.trace());
    }
}
