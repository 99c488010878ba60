//! The messages of a committed transaction, read in order: first from its file, then from memory.

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use connect_api::{Error, ErrorKind};

use super::{broken, on_disk};

/// Read at a time. Records are slices of what was read, so that it stays in memory for as long as they do.
const CHUNK: u64 = 256 * 1024;
/// Before each message: its part, its place in the log, and its length.
const HEADER: usize = 16;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the log.
    pub lsn: u64,
    pub payload: Bytes,
}

pub(super) fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// Writes a message behind others.
pub(super) fn write(out: &mut Vec<u8>, part: u32, lsn: u64, payload: &[u8]) -> Result<(), Error> {
    let length = u32::try_from(payload.len())
        .map_err(|_| Error::new(ErrorKind::Bug, format!("a message of {} bytes", payload.len())))?;
    out.reserve(HEADER + payload.len());
    out.extend_from_slice(&part.to_be_bytes());
    out.extend_from_slice(&lsn.to_be_bytes());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(payload);
    Ok(())
}

/// What waited of a transaction that is committed.
#[derive(Debug)]
pub struct Kept {
    xid: u32,
    begun: u64,
    file: Option<Arc<File>>,
    in_file: u64,
    /// Up to where the file was read.
    read: u64,
    memory: Option<Bytes>,
    /// What was read and not given out.
    ready: Bytes,
    rolled_back: HashSet<u32>,
}

impl Kept {
    pub(super) fn new(
        xid: u32,
        begun: u64,
        (file, in_file): (Option<Arc<File>>, u64),
        memory: Vec<u8>,
        rolled_back: HashSet<u32>,
    ) -> Self {
        let memory = Some(memory.into());
        Self { xid, begun, file, in_file, read: 0, memory, ready: Bytes::new(), rolled_back }
    }

    /// The place in the log where the first of its blocks began.
    pub fn begun(&self) -> u64 {
        self.begun
    }

    /// Bytes of it that waited on disk.
    pub fn in_file(&self) -> u64 {
        self.in_file
    }

    /// The next message that was not rolled back, when it is there already.
    pub fn ready(&mut self) -> Option<Entry> {
        while let Some(header) = self.ready.get(..HEADER) {
            let mut header = header;
            let (part, lsn, length) = (header.get_u32(), header.get_u64(), header.get_u32() as usize);
            if self.ready.len() - HEADER < length {
                return None;
            }
            self.ready.advance(HEADER);
            let payload = self.ready.split_to(length);
            if !self.rolled_back.contains(&part) {
                return Some(Entry { lsn, payload });
            }
        }
        None
    }

    /// The next message that was not rolled back; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Entry>, Error> {
        loop {
            if let Some(entry) = self.ready() {
                return Ok(Some(entry));
            }
            if self.read < self.in_file {
                self.fill().await?;
                continue;
            }
            if !self.ready.is_empty() {
                let message = format!("the file of transaction {} ends within a message", self.xid);
                return Err(Error::new(ErrorKind::Bug, message));
            }
            match self.memory.take() {
                Some(memory) => self.ready = memory,
                None => return Ok(None),
            }
        }
    }

    /// Reads on in the file, as far as the next message needs it.
    async fn fill(&mut self) -> Result<(), Error> {
        let Some(file) = self.file.clone() else {
            return Err(Error::new(ErrorKind::Bug, format!("the file of transaction {} is not there", self.xid)));
        };
        let left = std::mem::take(&mut self.ready);
        let length_of_next = left.get(12..HEADER).map_or(0, |mut bytes| u64::from(bytes.get_u32()));
        let missing = (length_of_next + HEADER as u64).saturating_sub(length(&left));
        let count = CHUNK.max(missing).min(self.in_file - self.read);
        let (at, xid) = (self.read, self.xid);
        let before = left.len();
        let size =
            usize::try_from(count).map_err(|_| Error::new(ErrorKind::Bug, format!("a message of {count} bytes")))?;
        // Made here, where it is freed as well: what a thread that only reads leaves to others comes back late.
        let mut bytes = Vec::with_capacity(before + size);
        bytes.extend_from_slice(&left);
        bytes.resize(before + size, 0);
        let read = on_disk(move || {
            file.read_exact_at(&mut bytes[before..], at)?;
            Ok(bytes)
        });
        let bytes =
            read.await.map_err(|error| broken(&format!("read the changes of transaction {xid} back"), error))?;
        self.ready = bytes.into();
        self.read += count;
        Ok(())
    }
}
