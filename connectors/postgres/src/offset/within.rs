//! Where within the events of one place in the log a position stands.
//!
//! All rows that one record of the log holds (a page of a `COPY`) stand at the same place, so that `lsn_proc` can't tell which of
//! them are delivered. Where that matters, a field of our own says how many, beside the fields of the reference. The reference
//! ignores it and stores none, so that it never outlives the position that it was stored with; should somebody change the one
//! without the other, it does not fit any more and is ignored.

use super::Position;
use crate::slot::{lsn_text, parse_lsn};

/// The field's name in a stored offset.
pub(super) const FIELD: &str = "tidegate_within";

/// So many events at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Within {
    /// Where the commit record of their transaction starts.
    pub commit: u64,
    /// The place.
    pub lsn: u64,
    /// Events at that place that are delivered, or left out. Everything before it is, too.
    pub events: u64,
}

impl Within {
    /// The stored form, which names the position that it belongs to: `events=2 lsn=0/1F commit=0/2A after=0/1A,-`.
    pub(super) fn text(&self, position: &Position) -> String {
        let Self { commit, lsn, events } = *self;
        let (lsn, commit) = (lsn_text(lsn), lsn_text(commit));
        format!("events={events} lsn={lsn} commit={commit} after={}", after(position))
    }

    /// Reads it; `None` for what is not understood, or belongs to another position.
    pub(super) fn parse(text: &str, position: &Position) -> Option<Self> {
        let mut parts = text.split(' ');
        let mut part = |name: &str| parts.next()?.strip_prefix(name)?.strip_prefix('=');
        let events = part("events")?.parse().ok().filter(|&events| events > 0)?;
        let lsn = parse_lsn(part("lsn")?)?;
        let commit = parse_lsn(part("commit")?)?;
        let fits = part("after")? == after(position) && parts.next().is_none();
        fits.then_some(Self { commit, lsn, events })
    }
}

/// The position that the reference reads.
fn after(position: &Position) -> String {
    let text = |lsn: Option<u64>| lsn.map_or_else(|| "-".to_owned(), lsn_text);
    format!("{},{}", text(position.lsn_proc), text(position.lsn_commit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_only_beside_the_position_that_it_was_stored_with() {
        let position = Position { lsn_proc: Some(0x1a), ..Position::default() };
        let within = Within { commit: 0x2a, lsn: 0x1f, events: 2 };
        let text = within.text(&position);
        assert_eq!(text, "events=2 lsn=0/1F commit=0/2A after=0/1A,-");
        assert_eq!(Within::parse(&text, &position), Some(within));
        assert_eq!(Within::parse(&text, &Position { lsn_proc: Some(0x1b), ..position }), None);
        assert_eq!(Within::parse(&text, &Position { lsn_commit: Some(1), ..position }), None);
        for broken in ["", "events=0 lsn=0/1F commit=0/2A after=0/1A,-", "events=2 lsn=0/1F", &format!("{text} more=1")]
        {
            assert_eq!(Within::parse(broken, &position), None, "{broken}");
        }
    }
}
