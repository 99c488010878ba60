//! The bytes that workers exchange through Kafka's group protocol (`ConnectProtocol`,
//! `IncrementalCooperativeConnectProtocol`): metadata of a member, assignment by the leader. Big endian.
//!
//! Reading is tolerant where the JVM is: trailing fields that are missing read as null or zero. It never panics.

use std::sync::Arc;

use crate::herd::{ConnectorId, TaskId};
use crate::unit::UnitId;

/// A protocol that members agree on (`ConnectProtocolCompatibility`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// `default`: everything is stopped before each rebalance.
    Eager,
    /// `compatible`: incremental cooperative (KIP-415).
    Compatible,
    /// `sessioned`: the same with signed requests between workers (KIP-507).
    Sessioned,
}

impl Protocol {
    /// The name in JoinGroup.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eager => "default",
            Self::Compatible => "compatible",
            Self::Sessioned => "sessioned",
        }
    }

    /// The protocol of a name in JoinGroup.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Eager, Self::Compatible, Self::Sessioned].into_iter().find(|protocol| protocol.name() == name)
    }

    /// The protocol of a setting of `connect.protocol`.
    pub fn from_setting(setting: &str) -> Option<Self> {
        match setting.to_ascii_lowercase().as_str() {
            "eager" => Some(Self::Eager),
            "compatible" => Some(Self::Compatible),
            "sessioned" => Some(Self::Sessioned),
            _ => None,
        }
    }

    /// The version in the bytes.
    pub const fn version(self) -> i16 {
        match self {
            Self::Eager => 0,
            Self::Compatible => 1,
            Self::Sessioned => 2,
        }
    }

    /// What a member with this setting offers, most wanted first.
    pub fn offered(self) -> Vec<Self> {
        [Self::Sessioned, Self::Compatible, Self::Eager].into_iter().filter(|offered| *offered <= self).collect()
    }
}

/// What the leader tells a member (`ExtendedAssignment`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    pub version: i16,
    /// 0, or [`CONFIG_MISMATCH`].
    pub error: i16,
    pub leader: String,
    pub leader_url: String,
    pub config_offset: i64,
    pub connectors: Vec<ConnectorId>,
    pub tasks: Vec<TaskId>,
    pub revoked_connectors: Vec<ConnectorId>,
    pub revoked_tasks: Vec<TaskId>,
    /// Milliseconds until the next rebalance that the leader wants.
    pub delay_ms: i32,
}

/// The leader knows less of the config topic than a member: all read it to its end and join again.
pub const CONFIG_MISMATCH: i16 = 1;

impl Assignment {
    /// Everything assigned.
    pub fn units(&self) -> impl Iterator<Item = UnitId> + '_ {
        units(&self.connectors, &self.tasks)
    }

    /// Everything revoked.
    pub fn revoked(&self) -> impl Iterator<Item = UnitId> + '_ {
        units(&self.revoked_connectors, &self.revoked_tasks)
    }
}

fn units<'a>(connectors: &'a [ConnectorId], tasks: &'a [TaskId]) -> impl Iterator<Item = UnitId> + 'a {
    connectors.iter().cloned().map(UnitId::Connector).chain(tasks.iter().cloned().map(UnitId::Task))
}

/// What a member tells the leader (`ExtendedWorkerState`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    pub url: String,
    pub config_offset: i64,
    /// What the member runs; `None` when nothing.
    pub assignment: Option<Assignment>,
}

/// Bytes that are not of the protocol, in the words of Kafka's `SchemaException`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ProtocolError(String);

const CONNECTOR_TASK: i32 = -1;

/// Bytes of a member's metadata.
pub fn encode_metadata(protocol: Protocol, metadata: &Metadata) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(protocol.version().to_be_bytes());
    put_string(&mut out, &metadata.url);
    out.extend(metadata.config_offset.to_be_bytes());
    if protocol != Protocol::Eager {
        match &metadata.assignment {
            None => out.extend((-1_i32).to_be_bytes()),
            Some(assignment) => {
                let bytes = encode_assignment(protocol, assignment);
                out.extend(length(bytes.len()));
                out.extend(bytes);
            }
        }
    }
    out
}

/// Reads a member's metadata under the protocol that the group chose.
pub fn decode_metadata(protocol: Protocol, bytes: &[u8]) -> Result<Metadata, ProtocolError> {
    let mut reader = Reader::after_version(protocol, bytes)?.0;
    let url = reader.field("url", Reader::string)?;
    let config_offset = reader.field("config-offset", Reader::i64)?;
    let allocation = match protocol {
        Protocol::Eager => None,
        Protocol::Compatible | Protocol::Sessioned => reader.optional("allocation", Reader::nullable_bytes)?.flatten(),
    };
    let assignment = allocation.map(|bytes| decode_assignment(protocol, bytes)).transpose()?;
    Ok(Metadata { url, config_offset, assignment })
}

/// Bytes of an assignment.
pub fn encode_assignment(protocol: Protocol, assignment: &Assignment) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(protocol.version().to_be_bytes());
    out.extend(assignment.error.to_be_bytes());
    put_string(&mut out, &assignment.leader);
    put_string(&mut out, &assignment.leader_url);
    out.extend(assignment.config_offset.to_be_bytes());
    put_units(&mut out, &assignment.connectors, &assignment.tasks);
    if protocol != Protocol::Eager {
        put_units(&mut out, &assignment.revoked_connectors, &assignment.revoked_tasks);
        out.extend(assignment.delay_ms.to_be_bytes());
    }
    out
}

/// Reads an assignment under the protocol that the group chose.
pub fn decode_assignment(protocol: Protocol, bytes: &[u8]) -> Result<Assignment, ProtocolError> {
    let (mut reader, version) = Reader::after_version(protocol, bytes)?;
    let error = reader.field("error", Reader::i16)?;
    let leader = reader.field("leader", Reader::string)?;
    let leader_url = reader.field("leader-url", Reader::string)?;
    let config_offset = reader.field("config-offset", Reader::i64)?;
    let (connectors, tasks) = reader.field("assignment", Reader::units)?;
    let mut assignment =
        Assignment { version, error, leader, leader_url, config_offset, connectors, tasks, ..Assignment::default() };
    if protocol != Protocol::Eager {
        (assignment.revoked_connectors, assignment.revoked_tasks) =
            reader.optional("revoked", Reader::units)?.unwrap_or_default();
        assignment.delay_ms = reader.optional("delay", Reader::i32)?.unwrap_or(0);
    }
    Ok(assignment)
}

fn length(len: usize) -> [u8; 4] {
    // What is written is made of what was read within these bounds.
    i32::try_from(len).unwrap_or(i32::MAX).to_be_bytes()
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    out.extend(i16::try_from(text.len()).unwrap_or(i16::MAX).to_be_bytes());
    out.extend(text.as_bytes());
}

/// Groups by connector in order of first mention; the connector itself is task -1.
fn put_units(out: &mut Vec<u8>, connectors: &[ConnectorId], tasks: &[TaskId]) {
    let mut groups: indexmap::IndexMap<&str, Vec<i32>> = indexmap::IndexMap::new();
    for name in connectors {
        groups.entry(name).or_default().push(CONNECTOR_TASK);
    }
    for id in tasks {
        groups.entry(&id.connector).or_default().push(i32::try_from(id.task).unwrap_or(i32::MAX));
    }
    out.extend(length(groups.len()));
    for (name, tasks) in groups {
        put_string(out, name);
        out.extend(length(tasks.len()));
        for task in tasks {
            out.extend(task.to_be_bytes());
        }
    }
}

/// Reads fields from the front. The newer protocols take fields that are missing at the end as their defaults.
struct Reader<'a> {
    rest: &'a [u8],
    tolerant: bool,
}

const UNDERFLOW: &str = "java.nio.BufferUnderflowException";

fn underflow() -> ProtocolError {
    ProtocolError(UNDERFLOW.to_owned())
}

type Units = (Vec<ConnectorId>, Vec<TaskId>);

impl<'a> Reader<'a> {
    /// Checks the version, and goes on behind it.
    fn after_version(protocol: Protocol, bytes: &'a [u8]) -> Result<(Self, i16), ProtocolError> {
        let mut reader = Self { rest: bytes, tolerant: false };
        let version = reader.field("version", Self::i16)?;
        if version < 0 {
            return Err(ProtocolError(format!("Unsupported subscription version: {version}")));
        }
        reader.tolerant = protocol != Protocol::Eager;
        Ok((reader, version))
    }

    fn field<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Self) -> Result<T, ProtocolError>,
    ) -> Result<T, ProtocolError> {
        let value = if self.tolerant && self.rest.is_empty() {
            Err(ProtocolError(format!("Missing value for field '{name}' which has no default value.")))
        } else {
            read(self)
        };
        value.map_err(|error| ProtocolError(format!("Error reading field '{name}': {error}")))
    }

    fn optional<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Self) -> Result<T, ProtocolError>,
    ) -> Result<Option<T>, ProtocolError> {
        if self.rest.is_empty() { Ok(None) } else { self.field(name, read).map(Some) }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], ProtocolError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or_else(underflow)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ProtocolError> {
        self.take(N)?.try_into().map_err(|_| underflow())
    }

    fn i16(&mut self) -> Result<i16, ProtocolError> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    fn i32(&mut self) -> Result<i32, ProtocolError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    fn i64(&mut self) -> Result<i64, ProtocolError> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    fn sized(&mut self, what: &str, len: usize) -> Result<&'a [u8], ProtocolError> {
        let available = self.rest.len();
        self.take(len)
            .map_err(|_| ProtocolError(format!("Error reading {what} of size {len}, only {available} bytes available")))
    }

    fn string(&mut self) -> Result<String, ProtocolError> {
        let len = self.i16()?;
        let len = usize::try_from(len).map_err(|_| ProtocolError(format!("String length {len} cannot be negative")))?;
        let bytes = self.sized("string", len)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| ProtocolError("the text is not UTF-8".to_owned()))
    }

    fn nullable_bytes(&mut self) -> Result<Option<&'a [u8]>, ProtocolError> {
        match usize::try_from(self.i32()?) {
            Ok(len) => self.sized("bytes", len).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// The length of an array, which can't have more elements than there are bytes left.
    fn count(&mut self) -> Result<usize, ProtocolError> {
        let count = usize::try_from(self.i32()?).unwrap_or(0);
        let available = self.rest.len();
        if count > available {
            return Err(ProtocolError(format!(
                "Error reading array of size {count}, only {available} bytes available"
            )));
        }
        Ok(count)
    }

    fn units(&mut self) -> Result<Units, ProtocolError> {
        let tolerant = std::mem::replace(&mut self.tolerant, false);
        let (mut connectors, mut tasks) = (Vec::new(), Vec::new());
        for _ in 0..self.count()? {
            let name = ConnectorId::from(self.field("connector", Self::string)?);
            let numbers = self.field("tasks", |reader| {
                let count = reader.count()?;
                (0..count).map(|_| reader.i32()).collect::<Result<Vec<_>, _>>()
            })?;
            for number in numbers {
                match u32::try_from(number) {
                    Ok(task) => tasks.push(TaskId { connector: Arc::clone(&name), task }),
                    Err(_) => connectors.push(Arc::clone(&name)),
                }
            }
        }
        self.tolerant = tolerant;
        Ok((connectors, tasks))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_setting_offers_what_older_workers_know() {
        let names = |setting| Protocol::from_setting(setting).map(|p| p.offered().iter().map(|p| p.name()).collect());
        assert_eq!(names("sessioned"), Some(vec!["sessioned", "compatible", "default"]));
        assert_eq!(names("COMPATIBLE"), Some(vec!["compatible", "default"]));
        assert_eq!(names("eager"), Some(vec!["default"]));
        assert_eq!(names("other"), None);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            names in proptest::collection::btree_set("[a-z]{1,3}", 0..5),
            tasks in proptest::collection::vec(("[a-z]{1,3}", 0_u32..9), 0..9),
            delay_ms in any::<i32>(),
        ) {
            let assignment = Assignment {
                version: 2,
                leader: "l".to_owned(),
                leader_url: "http://l/".to_owned(),
                config_offset: 7,
                connectors: names.iter().map(|name| Arc::from(name.as_str())).collect(),
                revoked_tasks: tasks.iter().map(|(c, t)| TaskId { connector: Arc::from(c.as_str()), task: *t }).collect(),
                delay_ms,
                ..Assignment::default()
            };
            let read = decode_assignment(Protocol::Sessioned, &encode_assignment(Protocol::Sessioned, &assignment)).unwrap();
            let sorted = |mut tasks: Vec<TaskId>| { tasks.sort(); tasks };
            prop_assert_eq!(sorted(read.revoked_tasks.clone()), sorted(assignment.revoked_tasks.clone()));
            prop_assert_eq!(Assignment { revoked_tasks: Vec::new(), ..read }, Assignment { revoked_tasks: Vec::new(), ..assignment });
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            for protocol in [Protocol::Eager, Protocol::Sessioned] {
                drop(decode_assignment(protocol, &bytes));
                drop(decode_metadata(protocol, &bytes));
            }
        }
    }
}
