//! Offsets of a standalone worker, in `offset.storage.file.filename`.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use connect_api::{Error, ErrorKind, Result};
use indexmap::IndexMap;
use parking_lot::Mutex;

use super::java_map::{self, Pair};
use crate::io::OffsetLog;
use crate::offsets::OffsetTable;

type Offsets = IndexMap<Bytes, Option<Bytes>>;

/// The file as a log: what is written replaces the file as a whole, so that a crash leaves the old or the new one.
pub struct FileOffsets {
    path: PathBuf,
    table: OffsetTable,
    offsets: Mutex<Offsets>,
}

impl FileOffsets {
    /// Reads the file into the table; a file that is missing or empty holds nothing.
    ///
    /// # Errors
    /// When it can't be read, or is not what the JVM worker writes.
    pub fn open(path: &Path, table: OffsetTable) -> Result<Self> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed("read", path, error)),
        };
        let pairs = if bytes.is_empty() {
            Vec::new()
        } else {
            java_map::read(&bytes).map_err(|error| failed("read", path, error))?
        };
        let mut offsets = Offsets::new();
        for (key, value) in pairs {
            table.apply(key.as_deref(), value.as_deref());
            if let Some(key) = key {
                offsets.insert(Bytes::from(key), value.map(Bytes::from));
            }
        }
        Ok(Self { path: path.to_owned(), table, offsets: Mutex::new(offsets) })
    }

    fn save(&self, offsets: &Offsets) -> Result<()> {
        let pairs: Vec<Pair> = offsets
            .iter()
            .map(|(key, value)| (Some(key.to_vec()), value.as_ref().map(|value| value.to_vec())))
            .collect();
        let beside = self.path.with_extension("new");
        std::fs::write(&beside, java_map::write(&pairs))
            .and_then(|()| std::fs::File::open(&beside)?.sync_all())
            .and_then(|()| std::fs::rename(&beside, &self.path))
            .map_err(|error| failed("write", &self.path, error))
    }
}

fn failed(verb: &str, path: &Path, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let message = format!("failed to {verb} the offsets file {}", path.display());
    Error::new(ErrorKind::Unavailable, message).caused_by(cause)
}

#[async_trait]
impl OffsetLog for FileOffsets {
    async fn append_all(&self, records: &[(Option<Bytes>, Option<Bytes>)]) -> Result<()> {
        let mut offsets = self.offsets.lock();
        let mut changed = offsets.clone();
        for (key, value) in records {
            if let Some(key) = key {
                changed.insert(key.clone(), value.clone());
            }
        }
        self.save(&changed)?;
        *offsets = changed;
        for (key, value) in records {
            self.table.apply(key.as_deref(), value.as_deref());
        }
        Ok(())
    }

    async fn read_to_end(&self) -> Result<()> {
        Ok(())
    }
}
