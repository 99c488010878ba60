//! Which transactions a snapshot sees.
//!
//! When a slot is older than the snapshot, the stream repeats what the snapshot has shown. Comparing places in the log
//! would not do: a transaction's end is in the log a moment before snapshots see it. Its id tells exactly.

use std::collections::HashSet;

/// What `txid_current_snapshot()` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visible {
    /// The first id that was not given yet.
    end: u64,
    /// Below this, all are finished.
    begin: u64,
    /// Those between that were running.
    running: HashSet<u64>,
}

impl Visible {
    /// Reads `begin:end:running,running`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let begin = parts.next()?.parse().ok()?;
        let end = parts.next()?.parse().ok()?;
        let running = parts.next()?.split(',').filter(|id| !id.is_empty());
        Some(Self { begin, end, running: running.map(|id| id.parse().ok()).collect::<Option<_>>()? })
    }

    /// True when the snapshot sees what a transaction did.
    pub fn sees(&self, xid: u32) -> bool {
        let id = self.whole(xid);
        id < self.begin || (id < self.end && !self.running.contains(&id))
    }

    /// The stream gives the lower half of an id only: the upper half is that of the nearest id around the snapshot.
    fn whole(&self, xid: u32) -> u64 {
        let low = u64::from(xid);
        let epoch = self.end & !0xffff_ffff;
        let near = |id: u64| id.abs_diff(self.end);
        [Some(epoch | low), epoch.checked_sub(1 << 32).map(|epoch| epoch | low), Some((epoch + (1 << 32)) | low)]
            .into_iter()
            .flatten()
            .min_by_key(|&id| near(id))
            .unwrap_or(low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finished_transactions_are_seen_and_running_ones_are_not() {
        let visible = Visible::parse("100:105:101,103").expect("a snapshot");
        let seen: Vec<u32> = (99..107).filter(|&xid| visible.sees(xid)).collect();
        assert_eq!(seen, vec![99, 100, 102, 104]);
    }

    #[test]
    fn ids_wrap_around() {
        let end = (3_u64 << 32) + 10;
        let visible = Visible::parse(&format!("{end}:{end}:")).expect("a snapshot");
        assert!(visible.sees(9));
        assert!(visible.sees(u32::MAX));
        assert!(!visible.sees(11));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "1", "1:2", "a:b:", "1:2:x"] {
            assert_eq!(Visible::parse(text), None, "{text}");
        }
    }
}
