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

/// Bytes that are not of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to read the group protocol's bytes: {0}")]
pub struct ProtocolError(&'static str);

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

/// Reads a member's metadata.
pub fn decode_metadata(bytes: &[u8]) -> Result<Metadata, ProtocolError> {
    let mut reader = Reader(bytes);
    let version = reader.i16()?;
    let url = reader.string()?;
    let config_offset = reader.i64()?;
    let assignment = match version {
        ..=0 => None,
        _ => match reader.nullable_bytes()? {
            Some(bytes) => Some(decode_assignment(bytes)?),
            None => None,
        },
    };
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

/// Reads an assignment of any version.
pub fn decode_assignment(bytes: &[u8]) -> Result<Assignment, ProtocolError> {
    let mut reader = Reader(bytes);
    let version = reader.i16()?;
    let error = reader.i16()?;
    let leader = reader.string()?;
    let leader_url = reader.string()?;
    let config_offset = reader.i64()?;
    let (connectors, tasks) = reader.units()?;
    let (revoked_connectors, revoked_tasks) = if reader.0.is_empty() { Default::default() } else { reader.units()? };
    let delay_ms = if reader.0.is_empty() { 0 } else { reader.i32()? };
    Ok(Assignment {
        version,
        error,
        leader,
        leader_url,
        config_offset,
        connectors,
        tasks,
        revoked_connectors,
        revoked_tasks,
        delay_ms,
    })
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

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], ProtocolError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(ProtocolError("it ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ProtocolError> {
        self.take(N)?.try_into().map_err(|_| ProtocolError("it ends too early"))
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

    fn string(&mut self) -> Result<String, ProtocolError> {
        let len = usize::try_from(self.i16()?).map_err(|_| ProtocolError("a text is null"))?;
        String::from_utf8(self.take(len)?.to_vec()).map_err(|_| ProtocolError("a text is not UTF-8"))
    }

    fn nullable_bytes(&mut self) -> Result<Option<&'a [u8]>, ProtocolError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        match usize::try_from(self.i32()?) {
            Ok(len) => self.take(len).map(Some),
            Err(_) => Ok(None),
        }
    }

    fn units(&mut self) -> Result<(Vec<ConnectorId>, Vec<TaskId>), ProtocolError> {
        let (mut connectors, mut tasks) = (Vec::new(), Vec::new());
        for _ in 0..self.i32()?.max(0) {
            let name = ConnectorId::from(self.string()?);
            for _ in 0..self.i32()?.max(0) {
                match u32::try_from(self.i32()?) {
                    Ok(task) => tasks.push(TaskId { connector: Arc::clone(&name), task }),
                    Err(_) => connectors.push(Arc::clone(&name)),
                }
            }
        }
        Ok((connectors, tasks))
    }
}
