//! What went wrong in the testbed, and what to do about it.

use std::error::Error;
use std::fmt;

type Cause = Box<dyn Error + Send + Sync>;

/// A step that failed: what it was, why, and what the reader can do.
pub struct Failure {
    what: String,
    advice: Option<String>,
    cause: Option<Cause>,
}

impl Failure {
    /// A failure without a cause of its own.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), advice: None, cause: None }
    }

    /// Says what to do. The first advice stays: it is nearest to the cause.
    #[must_use]
    pub fn with_advice(mut self, advice: impl Into<String>) -> Self {
        self.advice.get_or_insert_with(|| advice.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        let mut cause = self.cause.as_ref().map(|cause| &**cause as &dyn Error);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        match &self.advice {
            Some(advice) => write!(f, "\n  {}", advice.replace('\n', "\n  ")),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Failure {
    // A test that unwraps shows the same text as the quickstart.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Failure {}

/// Turns any error into a [`Failure`] that names the step.
pub trait OrFail<T> {
    /// Names the step that failed: "failed to ...".
    fn or_fail(self, what: impl Into<String>) -> Result<T, Failure>;
}

impl<T, E: Into<Cause>> OrFail<T> for Result<T, E> {
    fn or_fail(self, what: impl Into<String>) -> Result<T, Failure> {
        self.map_err(|cause| Failure { what: what.into(), advice: None, cause: Some(cause.into()) })
    }
}

/// Adds what to do to a failure.
pub trait Advise {
    /// Adds it.
    #[must_use]
    fn advise(self, advice: impl Into<String>) -> Self;
}

impl<T> Advise for Result<T, Failure> {
    fn advise(self, advice: impl Into<String>) -> Self {
        self.map_err(|failure| failure.with_advice(advice))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_step_the_causes_and_the_first_advice() {
        let result: Result<(), Failure> = "x"
            .parse::<u16>()
            .map(drop)
            .or_fail("failed to read the port")
            .advise("give a number")
            .advise("call somebody");
        let text = result.unwrap_err().to_string();
        assert_eq!(text, "failed to read the port: invalid digit found in string\n  give a number");
    }
}
