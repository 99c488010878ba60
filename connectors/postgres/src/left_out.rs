//! Events that no record can be made of (`event.processing.failure.handling.mode`).

use connect_api::{Error, ErrorKind};

use crate::settings::EventFailure;

/// Tells of an event that is left out, or gives the error back when it is to fail the task. Only data can be at fault for that.
pub fn leave_out(mode: EventFailure, error: Error, source: &str, at: &str) -> Result<(), Error> {
    if mode == EventFailure::Fail || error.kind() != ErrorKind::Data {
        return Err(error);
    }
    if mode == EventFailure::Warn {
        tracing::warn!(source, at, %error, "Error while processing event: it is left out");
    } else {
        tracing::debug!(source, at, %error, "Error while processing event: it is left out");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_data_is_left_out_and_only_where_that_is_wanted() {
        for mode in [EventFailure::Warn, EventFailure::Skip, EventFailure::Ignore] {
            assert!(leave_out(mode, Error::data("NaN"), "p", "0/1").is_ok());
            assert!(leave_out(mode, Error::config("no"), "p", "0/1").is_err());
        }
        assert!(leave_out(EventFailure::Fail, Error::data("NaN"), "p", "0/1").is_err());
    }
}
