//! `ActivateTracingSpan`: continues a distributed trace with the events that carry its context.
//!
//! Debezium's distribution does not contain the tracing library that it needs, and so it is here: change events are
//! refused with Debezium's own words for that, everything else passes.

use std::sync::LazyLock;

use connect_api::{ConfigDef, Plugin, Record, Result, Transform};
use connect_config::{ConfigKey, Importance::High, Type, Width};

use super::envelope::{debezium_error, is_envelope};
use super::settings::{definition, key};

static DEF: LazyLock<ConfigDef> = LazyLock::new(|| definition(keys()));

/// The keys, which the outbox router has as well.
pub(super) fn keys() -> [ConfigKey; 3] {
    let key = |name, ty, display, documentation| -> ConfigKey {
        key(name, ty, display, documentation).importance(High).width(Width::Medium)
    };
    [
        key(
            "tracing.span.context.field",
            Type::String,
            "Serialized tracing span context field",
            "The field with the context of the trace, as text of java.util.Properties.",
        )
        .default("tracingspancontext"),
        key(
            "tracing.operation.name",
            Type::String,
            "Tracing operation name",
            "What the span is called that stands for the work on the event.",
        )
        .default("debezium-read"),
        key(
            "tracing.with.context.field.only",
            Type::Boolean,
            "Trace only events with context field present",
            "Traces events only that have a context.",
        )
        .default("false"),
    ]
}

pub(super) fn plugin() -> Plugin {
    super::plugin("io.debezium.transforms.tracing.ActivateTracingSpan", || &DEF, |_| Ok(Box::new(ActivateTracingSpan)))
}

struct ActivateTracingSpan;

impl Transform for ActivateTracingSpan {
    fn apply(&self, record: Record) -> Result<Option<Record>> {
        if record.value.is_null() || !is_envelope(&record) {
            return Ok(Some(record));
        }
        let message = "Failed to record tracing information, tracing libraries not available";
        Err(debezium_error(message).hint("remove the transform: traces are not supported"))
    }
}
