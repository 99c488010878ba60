//! Positions that can't be continued from: why, and what is left to do.
//!
//! The outer error is the reference's own sentence, which operators' alerts look for; its cause says what happened to the
//! slot, up to where changes are there, and how to go on.

use connect_api::{Error, ErrorKind};

use crate::slot::{SlotState, lsn_text};

/// What became of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// It is not there any more.
    Dropped,
    /// It is there, but the server gave up what it needs.
    Invalidated,
    /// It stands after the position, at this place: what is between them was confirmed by somebody.
    Ahead(u64),
    /// The server is another one than the one that was read before, by its identifier.
    OtherSystem { server: String, known: String, now: String },
    /// The server's log went another way from this place on, to a new timeline, and changes behind the place were delivered.
    Left { left: u64, timeline: u32 },
    /// The server's log ends here, before the position.
    Beyond(u64),
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
        // A position that the user chooses, as the offset has it.
        let from = |place: u64| {
            format!(
                "stop the connector, set lsn, lsn_proc and lsn_commit to {place} with PATCH /connectors/{connector}/offsets, \
                 without other fields, and resume it"
            )
        };
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
            Self::OtherSystem { server, known, now } => (
                format!(
                    "{server} is another server than the one that was read before (its system identifier is {now}, and was \
                     {known}): LSN {at} is a place in the log of that one"
                ),
                format!(
                    "let database.hostname name the server that was read before; or, to read this one from now on, {restart}; \
                     or, if it is the same database after pg_upgrade, which keeps the slot, restart the connector, with \
                     server.identity.stored after taking server_identity out of its offset"
                ),
            ),
            Self::Left { left, timeline } => (
                format!(
                    "the server went over to timeline {timeline} at LSN {}, and changes up to LSN {at} of the timeline before \
                     were delivered: the server does not have those between, and what it has in their place would be left out",
                    lsn_text(left)
                ),
                format!("{restart}; or, to keep what was delivered and go on from there, {}", from(left)),
            ),
            Self::Beyond(end) => (
                format!(
                    "LSN {at} lies after the end of the server's log at LSN {}: the server was restored from an older backup, \
                     lost what it had not written out, or is another one than the one that was read before",
                    lsn_text(end)
                ),
                format!(
                    "let database.hostname name the server that was read before; or {restart}; or, to leave out what changed \
                     meanwhile and go on from the end of its log, {}",
                    from(end)
                ),
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
            failover: false,
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
