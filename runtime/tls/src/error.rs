//! What can be wrong with TLS settings and with the files they name.

use std::error::Error;

/// A setting or file that TLS can't be set up with. The message names the setting and says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct TlsError {
    message: String,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl TlsError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}
