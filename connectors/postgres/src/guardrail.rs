//! A limit on the number of captured tables (`guardrail.collections.max`).

use connect_api::{Error, Result};

use crate::settings::{GuardrailAction, Settings};
use crate::slot;
use crate::wire::Wire;

/// How many tables may be captured, and what happens when there are more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guardrail {
    pub max: usize,
    pub action: GuardrailAction,
}

impl Guardrail {
    /// Judges a number of tables.
    fn judge(self, tables: usize, source: &str) -> Result<()> {
        if tables <= self.max {
            tracing::info!(source, tables, limit = self.max, "Guardrail validation passed");
            return Ok(());
        }
        let message = format!(
            "Guardrail limit exceeded: {tables} tables/collections configured for capture, but maximum allowed is {}.",
            self.max
        );
        match self.action {
            GuardrailAction::Warn => {
                tracing::warn!(source, "{message}");
                Ok(())
            }
            GuardrailAction::Fail => Err(Error::config(message)
                .class("io.debezium.DebeziumException")
                .hint("narrow table.include.list, or raise guardrail.collections.max")),
        }
    }
}

/// Counts the captured tables, where there is a limit.
pub async fn check(sql: &mut Wire, settings: &Settings) -> Result<()> {
    let Some(guardrail) = settings.guardrail else { return Ok(()) };
    let tables = slot::captured(sql, settings).await?;
    guardrail.judge(tables.len(), &settings.prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_tables_than_allowed_are_told_or_refused() {
        let fail = Guardrail { max: 2, action: GuardrailAction::Fail };
        assert!(fail.judge(2, "p").is_ok());
        let refused = fail.judge(3, "p").expect_err("one too many");
        assert_eq!(
            refused.message(),
            "Guardrail limit exceeded: 3 tables/collections configured for capture, but maximum allowed is 2."
        );
        assert!(!refused.kind().retriable());
        assert!(Guardrail { action: GuardrailAction::Warn, ..fail }.judge(3, "p").is_ok());
    }
}
