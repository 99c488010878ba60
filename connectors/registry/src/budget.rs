//! How many values a record may stand for.
//!
//! Fields that a record doesn't have become values all the same: nulls, and what stands for nothing. Schemas decide how many there
//! are for a few bytes, and a list repeats them, so that a short record can stand for more than there is memory.

use std::cell::Cell;

use connect_api::{Error, Result};

/// Values that any record may stand for.
const VALUES_MAX: usize = 1 << 20;
/// Values besides for each of its bytes.
const VALUES_OF_BYTE: usize = 4;
/// How many bytes of a text that is no part of the record are as much as a value.
const TEXT_OF_VALUE: usize = 32;
/// How many characters of a place an error says.
const PLACE_MAX: usize = 200;

/// What one record may still stand for.
pub(crate) struct Budget {
    left: Cell<usize>,
    max: usize,
}

impl Budget {
    /// What a record of so many bytes may stand for.
    pub(crate) fn of(bytes: usize) -> Self {
        let max = bytes.saturating_mul(VALUES_OF_BYTE).saturating_add(VALUES_MAX);
        Self { left: Cell::new(max), max }
    }

    /// Counts values before they are made; `place` says of what they are.
    #[inline]
    pub(crate) fn take(&self, values: usize, place: impl FnOnce() -> String) -> Result<()> {
        match self.left.get().checked_sub(values) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => Err(self.exceeded(&place())),
        }
    }

    /// Counts a text that is made.
    pub(crate) fn take_text(&self, bytes: usize, place: impl FnOnce() -> String) -> Result<()> {
        self.take(bytes / TEXT_OF_VALUE, place)
    }

    #[cold]
    fn exceeded(&self, place: &str) -> Error {
        // A name is as long as the schema has it.
        let (max, place) = (self.max, place.chars().take(PLACE_MAX).collect::<String>());
        Error::data(format!("the record stands for more than {max} values with all that it does not have: {place}"))
            .hint("write fewer of what has few of its fields into one record")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_record_may_stand_for_more() {
        let place = || "of here".to_owned();
        let budget = Budget::of(10);
        budget.take(VALUES_MAX, place).unwrap();
        budget.take_text(40 * TEXT_OF_VALUE, place).unwrap();
        let error = budget.take(1, place).unwrap_err();
        assert!(error.message().ends_with("more than 1048616 values with all that it does not have: of here"));
        Budget::of(usize::MAX).take(usize::MAX, place).unwrap();
    }
}
