//! Dates and times between their object, milliseconds since the epoch, and the number that stands for them
//! (`Date.fromLogical` and so on).

use super::temporal::{DAY_MS, days_of};
use crate::error::{Error, Result};
use crate::java::display::civil;

/// The days of a date.
pub(super) fn days_of_date(millis: i64) -> Result<i32> {
    if millis.rem_euclid(DAY_MS) != 0 {
        return Err(Error::data("Kafka Connect Date type should not have any time fields set to non-zero values."));
    }
    Ok((millis / DAY_MS) as i32)
}

/// The milliseconds of a time of day. Midnight at the end of the day is one.
pub(super) fn millis_of_time(millis: i64) -> Result<i32> {
    if !(0..=DAY_MS).contains(&millis) {
        return Err(Error::data("Kafka Connect Time type should not have any date fields set to non-zero values."));
    }
    Ok(millis as i32)
}

/// The date of a number of days.
pub(super) fn date_of_days(days: i32) -> i64 {
    i64::from(days) * DAY_MS
}

/// The time of day of a number of milliseconds.
pub(super) fn time_of_millis(millis: i32) -> Result<i64> {
    let millis = i64::from(millis);
    if !(0..=DAY_MS).contains(&millis) {
        let message = "Time values must use number of milliseconds greater than 0 and less than 86400000";
        return Err(Error::data(message));
    }
    Ok(millis)
}

/// What is left of a timestamp when a calendar is set to the first of January 1970, whatever its era.
pub(super) fn on_the_first_day(millis: i64) -> i64 {
    let of_day = millis.rem_euclid(DAY_MS);
    let (year, ..) = civil(millis.div_euclid(DAY_MS));
    if year > 0 {
        return of_day;
    }
    // 1970 before Christ: year 0 is the first before.
    days_of(1 - 1970, 1, 1).unwrap_or(0) * DAY_MS + of_day
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_place_in_the_type_is_refused() {
        assert_eq!(days_of_date(-DAY_MS).unwrap(), -1);
        assert!(days_of_date(1).is_err());
        assert_eq!(millis_of_time(DAY_MS).unwrap(), 86_400_000);
        assert!(millis_of_time(-1).is_err());
        assert!(time_of_millis(86_400_001).is_err());
    }

    #[test]
    fn the_time_of_day_is_left_of_a_timestamp() {
        assert_eq!(on_the_first_day(1_577_934_245_123), 11_045_123);
        assert_eq!(on_the_first_day(-1), DAY_MS - 1);
        assert!(on_the_first_day(-70_000_000_000_000) < 0);
    }
}
