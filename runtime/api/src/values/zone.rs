//! The time zone in which dates, times and timestamps are read from text and written as text: in the JVM that of the
//! process, here UTC until the program says otherwise.

use std::sync::{PoisonError, RwLock};

use jiff::Timestamp;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

static PROCESS: RwLock<Zone> = RwLock::new(Zone::UTC);

/// Java knows a zone's changes from 1900 on; before that it takes the zone's own time.
const KNOWN_FROM_MS: i64 = -2_208_988_800_000;
/// The end of the year 9000, which the zones can look up.
const KNOWN_TO_MS: i64 = 221_876_755_200_000;

/// A time zone.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    /// None is UTC.
    zone: Option<TimeZone>,
}

impl Zone {
    /// UTC.
    pub const UTC: Self = Self { zone: None };

    /// The zone of a name like `America/New_York`; nothing for a name that is unknown.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "UTC" | "GMT" => Some(Self::UTC),
            name => TimeZone::get(name).ok().map(|zone| Self { zone: Some(zone) }),
        }
    }

    /// The zone of the process.
    pub fn of_process() -> Self {
        PROCESS.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes this the zone of the process (`TimeZone.setDefault`).
    pub fn set_for_process(self) {
        *PROCESS.write().unwrap_or_else(PoisonError::into_inner) = self;
    }

    /// What a clock in this zone shows at an instant, both in milliseconds since the epoch.
    pub(crate) fn local(&self, millis: i64) -> i64 {
        let Some(zone) = &self.zone else { return millis };
        let offset = if millis < KNOWN_FROM_MS { standard(zone) } else { zone.to_offset(instant(millis)) };
        millis.wrapping_add(in_millis(offset))
    }

    /// The instant at which a clock in this zone shows a time. One that it skips is taken as if the clock had not been
    /// changed yet, one that it shows twice is the second.
    pub(crate) fn instant(&self, local: i64) -> i64 {
        let Some(zone) = &self.zone else { return local };
        if local < KNOWN_FROM_MS {
            return local.wrapping_sub(in_millis(standard(zone)));
        }
        let shown = Offset::UTC.to_datetime(instant(local));
        let offset = match zone.to_ambiguous_timestamp(shown).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            AmbiguousOffset::Gap { before, .. } => before,
            AmbiguousOffset::Fold { after, .. } => after,
        };
        local.wrapping_sub(in_millis(offset))
    }
}

/// The zone's own time, without daylight saving.
fn standard(zone: &TimeZone) -> Offset {
    // January and July of 2000: one of them is not summer.
    let [january, july] = [946_684_800_000, 962_409_600_000].map(|millis| zone.to_offset_info(instant(millis)));
    if january.dst().is_std() { january.offset() } else { july.offset() }
}

fn instant(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis.clamp(KNOWN_FROM_MS, KNOWN_TO_MS)).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn in_millis(offset: Offset) -> i64 {
    i64::from(offset.seconds()) * 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    #[test]
    fn a_clock_shows_what_the_zone_says() {
        let york = Zone::named("America/New_York").unwrap();
        assert_eq!(york.local(1_577_934_245_123), 1_577_934_245_123 - 5 * HOUR);
        assert_eq!(york.instant(1_593_684_672_345), 1_593_684_672_345 + 4 * HOUR);
        // Before the railways, and far away: no panic, the zone's own time.
        for millis in [i64::MIN / 4, -3_000_000_000_000] {
            assert_eq!(york.local(millis), millis - 5 * HOUR);
            assert_eq!(york.instant(millis - 5 * HOUR), millis);
        }
        assert_eq!(york.instant(york.local(i64::MAX / 4)), i64::MAX / 4);
        assert_eq!(Zone::UTC.local(5), 5);
        assert_eq!(Zone::named("Nowhere/City"), None);
    }

    #[test]
    fn a_skipped_time_has_the_offset_before_and_one_shown_twice_the_offset_after() {
        let paris = Zone::named("Europe/Paris").unwrap();
        // 29 March 2020, 02:30; 25 October 2020, 02:30.
        assert_eq!(paris.instant(1_585_449_000_000), 1_585_449_000_000 - HOUR);
        assert_eq!(paris.instant(1_603_593_000_000), 1_603_593_000_000 - HOUR);
    }
}
