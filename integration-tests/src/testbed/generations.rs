//! The history of a group of workers as its coordinator wrote it down: every generation with its leader, what each member
//! said it ran and what it was given.
//!
//! The coordinator's own topic is read, because nothing that a worker says of itself proves that it is the only one to say so.

use std::collections::{BTreeMap, BTreeSet};

use connect_cluster::UnitId;
use connect_cluster::protocol::{Assignment, Protocol, decode_assignment, decode_metadata};

use super::failure::{Failure, OrFail};
use super::topics::Topics;

const TOPIC: &str = "__consumer_offsets";
/// `GroupMetadataKey`.
const GROUP_KEY_VERSION: i16 = 2;
/// The newest `GroupMetadataValue` that has no tagged fields; brokers write it.
const NEWEST_VALUE_VERSION: i16 = 3;

/// A member in a generation.
#[derive(Clone, Debug)]
pub struct Member {
    pub id: String,
    /// The advertised address, with a slash at the end.
    pub url: String,
    /// What it ran when it joined.
    pub claimed: BTreeSet<UnitId>,
    pub assignment: Assignment,
}

impl Member {
    /// What it runs once it has carried out its assignment.
    pub fn runs(&self) -> BTreeSet<UnitId> {
        let revoked: BTreeSet<UnitId> = self.assignment.revoked().collect();
        self.claimed.difference(&revoked).cloned().chain(self.assignment.units()).collect()
    }
}

/// A completed round of the group.
#[derive(Clone, Debug)]
pub struct Generation {
    pub number: i32,
    pub timestamp: i64,
    /// `default`, `compatible` or `sessioned`; empty when nobody is left.
    pub protocol: String,
    pub leader: String,
    pub members: Vec<Member>,
}

impl Generation {
    /// The address of the leader.
    pub fn leader_url(&self) -> &str {
        self.members.iter().find(|member| member.id == self.leader).map_or("", |member| member.url.as_str())
    }

    /// Who runs what.
    pub fn owners(&self) -> BTreeMap<UnitId, Vec<&str>> {
        let mut owners: BTreeMap<UnitId, Vec<&str>> = BTreeMap::new();
        for member in &self.members {
            for unit in member.runs() {
                owners.entry(unit).or_default().push(&member.url);
            }
        }
        owners
    }

    /// Nothing is on its way: nothing revoked, nothing delayed, no error.
    pub fn at_rest(&self) -> bool {
        let rests = |of: &Assignment| of.error == 0 && of.delay_ms == 0 && of.revoked().next().is_none();
        !self.members.is_empty() && self.members.iter().all(|member| rests(&member.assignment))
    }

    /// Units that more than one member runs.
    pub fn contested(&self) -> Vec<(UnitId, Vec<&str>)> {
        self.owners().into_iter().filter(|(_, owners)| owners.len() > 1).collect()
    }
}

/// All generations of a group, oldest first.
#[derive(Clone, Debug)]
pub struct Generations(pub Vec<Generation>);

impl Generations {
    /// Reads what the coordinator has written so far. Blocks.
    pub fn read(topics: &Topics, group: &str) -> Result<Self, Failure> {
        let mut found = Vec::new();
        for record in topics.read(TOPIC)? {
            let (Some(key), Some(value)) = (&record.key, &record.value) else { continue };
            if group_of(key) != Some(group) {
                continue;
            }
            let generation = parse(value).ok_or_else(|| {
                Failure::new(format!("failed to read a record of group {group} in {TOPIC}, offset {}", record.offset))
            });
            found.push(Generation { timestamp: record.timestamp, ..generation.and_then(|parsed| parsed)? });
        }
        Ok(Self(found))
    }

    /// The newest.
    pub fn last(&self) -> Result<&Generation, Failure> {
        self.0.last().ok_or_else(|| Failure::new("the group has no generation yet"))
    }

    /// Those in which a unit belonged to two members at once.
    pub fn contested(&self) -> Vec<String> {
        let bad = self.0.iter().filter(|generation| !generation.contested().is_empty());
        bad.map(|generation| format!("generation {}: {:?}", generation.number, generation.contested())).collect()
    }
}

/// The group of a `GroupMetadataKey`.
fn group_of(key: &[u8]) -> Option<&str> {
    let mut reader = Reader(key);
    if reader.int16()? == GROUP_KEY_VERSION { reader.string()? } else { None }
}

/// A `GroupMetadataValue`; `None` when it is none that is known here.
fn parse(value: &[u8]) -> Option<Result<Generation, Failure>> {
    let mut reader = Reader(value);
    let version = reader.int16().filter(|version| *version == NEWEST_VALUE_VERSION)?;
    tracing::trace!(version, "a generation");
    let _protocol_type = reader.string()?;
    let number = reader.int32()?;
    let protocol = reader.string()?.unwrap_or_default().to_owned();
    let leader = reader.string()?.unwrap_or_default().to_owned();
    let timestamp = reader.int64()?;
    let mut members = Vec::new();
    for _ in 0..reader.int32()? {
        let id = reader.string()?.unwrap_or_default().to_owned();
        let _instance = reader.string()?;
        let (_client, _host) = (reader.string()?, reader.string()?);
        let (_rebalance, _session) = (reader.int32()?, reader.int32()?);
        let (metadata, assignment) = (reader.bytes()?, reader.bytes()?);
        match member(&protocol, id, metadata, assignment) {
            Ok(member) => members.push(member),
            Err(failure) => return Some(Err(failure)),
        }
    }
    Some(Ok(Generation { number, timestamp, protocol, leader, members }))
}

fn member(protocol: &str, id: String, metadata: &[u8], assignment: &[u8]) -> Result<Member, Failure> {
    let protocol = Protocol::from_name(protocol)
        .ok_or_else(|| Failure::new(format!("the group chose the unknown protocol {protocol}")))?;
    let metadata = decode_metadata(protocol, metadata).or_fail(format!("failed to read the metadata of {id}"))?;
    let assignment = if assignment.is_empty() {
        Assignment::default()
    } else {
        decode_assignment(protocol, assignment).or_fail(format!("failed to read the assignment of {id}"))?
    };
    let claimed = metadata.assignment.as_ref().map(|claimed| claimed.units().collect()).unwrap_or_default();
    Ok(Member { id, url: metadata.url, claimed, assignment })
}

/// Reads Kafka's fields, big endian.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn int16(&mut self) -> Option<i16> {
        Some(i16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn int32(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn int64(&mut self) -> Option<i64> {
        Some(i64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }

    /// The inner `None` is null.
    fn string(&mut self) -> Option<Option<&'a str>> {
        match usize::try_from(self.int16()?) {
            Ok(length) => std::str::from_utf8(self.take(length)?).ok().map(Some),
            Err(_) => Some(None),
        }
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.int32()?).unwrap_or(0);
        self.take(length)
    }
}
