//! What a webhook is told.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What happened to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EventKind {
    /// It is in another state.
    #[serde(rename = "job.state_changed")]
    StateChanged,
    /// Something needs a look before it becomes a failure.
    #[serde(rename = "job.warning")]
    Warning,
    /// It has been failed for long.
    #[serde(rename = "job.failing")]
    Failing,
    /// It fails again and again.
    #[serde(rename = "job.flapping")]
    Flapping,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::StateChanged, Self::Warning, Self::Failing, Self::Flapping];

    /// The name in configurations and notices.
    pub const fn name(self) -> &'static str {
        match self {
            Self::StateChanged => "job.state_changed",
            Self::Warning => "job.warning",
            Self::Failing => "job.failing",
            Self::Flapping => "job.flapping",
        }
    }

    /// The kind of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an event says besides its kind; what it has nothing to say about is null for the receiver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventFields {
    pub previous_state: Option<String>,
    pub new_state: Option<String>,
    /// INIT, SNAPSHOT or STREAMING.
    pub phase: Option<String>,
    pub error: Option<String>,
    /// For people: what a warning warns of. Left out where there is none.
    pub message: Option<String>,
}

/// An event of a job, on its way to the webhooks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxEvent {
    /// Grows from event to event of a job.
    pub seq: u64,
    /// The same however often the event is delivered, so that a receiver can drop repeats.
    pub id: String,
    /// When it happened, in milliseconds since 1970.
    pub at_ms: i64,
    pub job: Arc<str>,
    pub kind: EventKind,
    pub fields: EventFields,
}

/// The order of the fields is that of the specification.
#[derive(Serialize)]
struct Body<'a> {
    event: EventKind,
    job_id: &'a str,
    previous_state: Option<&'a str>,
    new_state: Option<&'a str>,
    error: Option<&'a str>,
    timestamp: String,
    id: &'a str,
    phase: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

impl OutboxEvent {
    /// The JSON that is posted and signed.
    pub(super) fn body(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(&Body {
            event: self.kind,
            job_id: &self.job,
            previous_state: self.fields.previous_state.as_deref(),
            new_state: self.fields.new_state.as_deref(),
            error: self.fields.error.as_deref(),
            timestamp: timestamp(self.at_ms),
            id: &self.id,
            phase: self.fields.phase.as_deref(),
            message: self.fields.message.as_deref(),
        })
    }
}

/// `2026-01-15T10:30:00Z`: whole seconds, which parsers of any language read.
fn timestamp(at_ms: i64) -> String {
    // A time that no calendar has is one of no event; the notice is worth more than its time.
    Timestamp::from_millisecond(at_ms).unwrap_or(Timestamp::UNIX_EPOCH).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> OutboxEvent {
        OutboxEvent {
            seq: 7,
            id: "a-7".to_owned(),
            at_ms: 1_768_473_000_999,
            job: "orders".into(),
            kind: EventKind::StateChanged,
            fields: EventFields {
                previous_state: Some("running".to_owned()),
                new_state: Some("failed".to_owned()),
                phase: Some("STREAMING".to_owned()),
                error: Some("Connection refused".to_owned()),
                message: None,
            },
        }
    }

    fn body(event: &OutboxEvent) -> String {
        String::from_utf8(event.body().unwrap()).unwrap()
    }

    #[test]
    fn the_body_is_as_specified() {
        assert_eq!(
            body(&event()),
            r#"{"event":"job.state_changed","job_id":"orders","previous_state":"running","new_state":"failed","error":"Connection refused","timestamp":"2026-01-15T10:30:00Z","id":"a-7","phase":"STREAMING"}"#
        );
        let fields =
            EventFields { message: Some("the slot keeps 80 % of its budget".to_owned()), ..Default::default() };
        assert_eq!(
            body(&OutboxEvent { kind: EventKind::Warning, fields, ..event() }),
            r#"{"event":"job.warning","job_id":"orders","previous_state":null,"new_state":null,"error":null,"timestamp":"2026-01-15T10:30:00Z","id":"a-7","phase":null,"message":"the slot keeps 80 % of its budget"}"#
        );
    }

    #[test]
    fn any_time_can_be_told() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00Z");
        assert_eq!(timestamp(-1), "1969-12-31T23:59:59Z");
        assert_eq!(timestamp(i64::MAX), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn an_event_survives_being_kept() {
        let kept = serde_json::to_string(&event()).unwrap();
        assert!(kept.contains("\"kind\":\"job.state_changed\""), "{kept}");
        assert_eq!(serde_json::from_str::<OutboxEvent>(&kept).unwrap(), event());
        for kind in EventKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
            assert_eq!(EventKind::from_name(kind.name()), Some(kind));
        }
    }
}
