//! What was downloaded once, shared by all processes of a user.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::failure::{Advise, Failure, OrFail};

/// `${XDG_CACHE_HOME:-~/.cache}/tidegate`.
pub fn directory() -> Result<PathBuf, Failure> {
    let base = match std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        Some(base) => PathBuf::from(base),
        None => std::env::home_dir()
            .ok_or_else(|| Failure::new("found no home directory to keep downloads in"))
            .advise("set XDG_CACHE_HOME")?
            .join(".cache"),
    };
    let path = base.join("tidegate");
    std::fs::create_dir_all(&path)
        .or_fail(format!("failed to make {}", path.display()))
        .advise("set XDG_CACHE_HOME to a directory that may be written")?;
    Ok(path)
}

/// The directory `name` of the cache; `fill` fills it, once, however many processes ask at a time.
///
/// `fill` gets the final path, because some of what is installed there remembers where it lives; a directory that was not
/// filled to its end has no mark and is filled anew.
pub fn once(name: &str, fill: impl FnOnce(&Path) -> Result<(), Failure>) -> Result<PathBuf, Failure> {
    let cache = directory()?;
    let path = cache.join(name);
    let mark = cache.join(format!("{name}.complete"));
    if mark.exists() && path.exists() {
        return Ok(path);
    }
    let _held = lock(&cache)?;
    if mark.exists() && path.exists() {
        return Ok(path);
    }
    if path.exists() {
        std::fs::remove_dir_all(&path).or_fail(format!("failed to remove the incomplete {}", path.display()))?;
    }
    std::fs::create_dir_all(&path).or_fail(format!("failed to make {}", path.display()))?;
    fill(&path)?;
    File::create(&mark).or_fail(format!("failed to write {}", mark.display()))?;
    Ok(path)
}

/// Runs `work` while no other process holds the cache's lock.
pub fn alone<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let _held = lock(&directory()?)?;
    work()
}

/// The lock goes with the file, also when the process is killed.
fn lock(cache: &Path) -> Result<File, Failure> {
    let path = cache.join("lock");
    let file = File::create(&path).or_fail(format!("failed to open {}", path.display()))?;
    flock(&file, FlockOperation::LockExclusive).or_fail(format!("failed to lock {}", path.display()))?;
    Ok(file)
}
