//! Which server's log a position belongs to: the system's identifier, the timeline, and where that began.
//!
//! Positions of two servers can be compared as numbers and mean nothing to each other. Of one server's, those of a timeline
//! that was left (the standby that was promoted had not received all of it) stand in a log that is not there any more. In both
//! cases a stream that began at the number would leave a gap that nobody sees.

use std::fmt;

use crate::error::PgError;
use crate::slot::{lsn_text, parse_lsn};
use crate::wire::Wire;

/// The field of an offset that keeps it, with `server.identity.stored`.
pub const FIELD: &str = "server_identity";

/// A branch of a server's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    pub system: String,
    pub timeline: u32,
    /// The timelines before it, and where each was left.
    past: Vec<(u32, u64)>,
}

impl Lineage {
    /// Reads what was stored: `system/timeline`, and behind it `@timeline:place` for each one before.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('@');
        let (system, timeline) = parts.next()?.split_once('/')?;
        let left = |part: &str| {
            let (timeline, place) = part.split_once(':')?;
            Some((timeline.parse().ok()?, parse_lsn(place)?))
        };
        let past = parts.map(left).collect::<Option<_>>()?;
        Some(Self { system: system.to_owned(), timeline: timeline.parse().ok()?, past })
    }

    /// The timelines one after the other, and where each was left; the last one was not.
    fn path(&self) -> impl Iterator<Item = (u32, Option<u64>)> {
        let past = self.past.iter().map(|(timeline, left)| (*timeline, Some(*left)));
        past.chain([(self.timeline, None)])
    }

    /// How a server is related to what was known before.
    pub fn after(&self, known: &Self) -> Relation {
        if self.system != known.system {
            return Relation::OtherSystem;
        }
        // Without a history nothing can be said of where the two parted.
        let unknown = |of: &Self| of.timeline > 1 && of.past.is_empty();
        if unknown(self) || unknown(known) {
            return Relation::Same;
        }
        // Up to here the two are the same.
        let mut common = 0;
        for (now, before) in self.path().zip(known.path()) {
            match (now, before) {
                // Two standbys may call what they began by the same number.
                ((one, _), (other, _)) if one != other => return Relation::Left(common),
                ((_, Some(now)), (_, Some(before))) if now == before => common = now,
                ((_, Some(now)), (_, Some(before))) => return Relation::Left(now.min(before)),
                ((_, Some(left)), (_, None)) => return Relation::Left(left),
                ((_, None), (_, Some(_))) => return Relation::Older,
                ((_, None), (_, None)) => break,
            }
        }
        Relation::Same
    }
}

impl fmt::Display for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.system, self.timeline)?;
        self.past.iter().try_for_each(|(timeline, left)| write!(f, "@{timeline}:{}", lsn_text(*left)))
    }
}

/// A server as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Now {
    pub lineage: Lineage,
    /// The end of its log, as far as it can be sent.
    pub end: u64,
}

/// How what was read before and what a server has are related.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    Same,
    /// The server went another way from here on.
    Left(u64),
    /// The server is on an older timeline.
    Older,
    OtherSystem,
}

impl Now {
    /// Asks over a replication session.
    pub async fn ask(replication: &mut Wire) -> Result<Self, PgError> {
        let missing = || PgError::Protocol("IDENTIFY_SYSTEM without an identity".to_owned());
        let rows = replication.query("IDENTIFY_SYSTEM").await?;
        let cell = |at: usize| rows.first().and_then(|row| row.get(at)?.as_deref());
        let timeline: u32 = cell(1).and_then(|text| text.parse().ok()).ok_or_else(missing)?;
        let end = cell(2).and_then(parse_lsn).ok_or_else(missing)?;
        let system = cell(0).ok_or_else(missing)?.to_owned();
        let past = if timeline > 1 {
            match replication.query(&format!("TIMELINE_HISTORY {timeline}")).await {
                Ok(rows) => read_history(rows.first().and_then(|row| row.get(1)?.as_deref()).unwrap_or_default()),
                // The file may have been removed, and not every service has the command.
                Err(PgError::Db(error)) => {
                    tracing::warn!(%error, timeline, "the server has no history of its timeline");
                    Vec::new()
                }
                Err(error) => return Err(error),
            }
        } else {
            Vec::new()
        };
        Ok(Self { lineage: Lineage { system, timeline, past }, end })
    }
}

/// Reads a history file: a line for each timeline that was left, with the place where that was.
fn read_history(text: &str) -> Vec<(u32, u64)> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.parse().ok()?, words.next().and_then(parse_lsn)?))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HISTORY: &str = "1\t0/3000000\tno recovery target specified\n\n# a remark\n2\t0/5000060\tbefore 2000-01-01\n";

    fn on(timeline: u32, past: &[(u32, u64)]) -> Lineage {
        Lineage { system: "7".to_owned(), timeline, past: past.to_vec() }
    }

    #[test]
    fn what_is_stored_comes_back() {
        let lineage = on(3, &[(1, 0x300_0000), (2, 0x500_0060)]);
        assert_eq!(lineage.to_string(), "7/3@1:0/3000000@2:0/5000060");
        for lineage in [lineage, on(1, &[])] {
            assert_eq!(Lineage::parse(&lineage.to_string()), Some(lineage));
        }
        assert_eq!(Lineage::parse("7"), None);
    }

    #[test]
    fn a_history_is_read() {
        assert_eq!(read_history(HISTORY), [(1, 0x300_0000), (2, 0x500_0060)]);
    }

    #[test]
    fn branches_are_told_apart() {
        let third = on(3, &[(1, 100), (2, 200)]);
        for (known, relation) in [
            (third.clone(), Relation::Same),
            (on(2, &[(1, 100)]), Relation::Left(200)),
            (on(1, &[]), Relation::Left(100)),
            // Another standby began a second timeline elsewhere, or one that this server does not have.
            (on(2, &[(1, 90)]), Relation::Left(90)),
            (on(2, &[(1, 110)]), Relation::Left(100)),
            (on(4, &[(1, 100)]), Relation::Left(100)),
            (on(4, &[(1, 100), (2, 200)]), Relation::Left(200)),
            (on(4, &[(1, 100), (2, 200), (3, 300)]), Relation::Older),
            (Lineage { system: "8".to_owned(), ..third.clone() }, Relation::OtherSystem),
        ] {
            assert_eq!(third.after(&known), relation, "{known}");
        }
        assert_eq!(on(1, &[]).after(&third), Relation::Older);
    }
}
