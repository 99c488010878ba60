//! Sees to it that nothing started here outlives this process, and that the run's directory goes with it.
//!
//! A small shell (`servers/reaper.sh`) reads from a pipe of ours. When this process ends, in whatever way, the pipe closes
//! and the shell ends the process groups it was told of. A signal that the kernel sends at the parent's death
//! would not do: it comes when the *thread* ends that started the child, and tests run in threads.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::failure::{Failure, OrFail};

const SCRIPT: &str = include_str!("../../servers/reaper.sh");
/// Seconds that a process gets to end by itself.
const GRACE: &str = "4";

struct Reaper {
    shell: Child,
    orders: Option<ChildStdin>,
}

static RUN: OnceLock<Result<PathBuf, String>> = OnceLock::new();
static REAPER: Mutex<Option<Reaper>> = Mutex::new(None);

/// The directory of this run, with `logs` and `data` in it. The first call starts the reaper.
pub fn run_directory() -> Result<&'static Path, Failure> {
    let run = RUN.get_or_init(|| prepare().map_err(|failure| failure.to_string()));
    run.as_deref().map_err(|message| Failure::new(message.clone()))
}

fn prepare() -> Result<PathBuf, Failure> {
    let run = tempfile::Builder::new()
        .prefix("tidegate-")
        .tempdir()
        .or_fail("failed to make a directory for the run")?
        .keep();
    // Postgres refuses to run as root: its own user has to be able to walk through.
    for path in [run.clone(), run.join("data"), run.join("logs")] {
        std::fs::create_dir_all(&path).or_fail(format!("failed to make {}", path.display()))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o711))
            .or_fail(format!("failed to open {} to other users", path.display()))?;
    }
    let mut shell = Command::new("sh")
        .args(["-c", SCRIPT, "reaper"])
        .arg(&run)
        .arg(GRACE)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .or_fail("failed to start sh")?;
    let orders = shell.stdin.take();
    *lock() = Some(Reaper { shell, orders });
    Ok(run)
}

/// A directory for data that goes when the run ends.
pub fn data_directory(name: &str) -> Result<PathBuf, Failure> {
    let path = run_directory()?.join("data").join(name);
    std::fs::create_dir_all(&path).or_fail(format!("failed to make {}", path.display()))?;
    Ok(path)
}

/// Where a process writes its log.
pub fn log_file(name: &str) -> Result<PathBuf, Failure> {
    Ok(run_directory()?.join("logs").join(format!("{name}.log")))
}

/// The process group of `pid` is to end with us; `signal` asks it to.
pub(crate) fn watch(pid: u32, signal: &str) {
    order(&format!("watch {pid} {signal}"));
}

/// It has ended.
pub(crate) fn forget(pid: u32) {
    order(&format!("forget {pid}"));
}

/// Leaves the logs behind for the reader.
pub fn keep_logs() {
    order("keep");
}

/// Ends everything now and waits for it.
pub fn finish() {
    let Some(mut reaper) = lock().take() else { return };
    drop(reaper.orders.take());
    if let Err(error) = reaper.shell.wait() {
        tracing::warn!(%error, "the reaper is gone");
    }
}

fn order(line: &str) {
    if let Some(orders) = lock().as_mut().and_then(|reaper| reaper.orders.as_mut())
        && let Err(error) = writeln!(orders, "{line}").and_then(|()| orders.flush())
    {
        tracing::warn!(%error, "the reaper does not listen");
    }
}

fn lock() -> std::sync::MutexGuard<'static, Option<Reaper>> {
    REAPER.lock().unwrap_or_else(PoisonError::into_inner)
}
