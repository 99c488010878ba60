//! A child process in a group of its own, with its output in a log file.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::failure::{Failure, OrFail};
use super::wait::eventually;
use super::{reaper, wait};

/// How long a process may take to end when asked, before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(240);
const LOG_TAIL_LINES: usize = 25;

/// The signal that asks a process to end.
#[derive(Clone, Copy, Debug)]
pub enum Ask {
    /// SIGTERM.
    Term,
    /// SIGINT: Postgres then disconnects its clients.
    Int,
}

impl Ask {
    const fn signal(self) -> Signal {
        match self {
            Self::Term => Signal::TERM,
            Self::Int => Signal::INT,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Term => "TERM",
            Self::Int => "INT",
        }
    }
}

/// A running child. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    ask: Ask,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts `command` with its output appended to the log `name`.
    pub fn start(name: &str, mut command: Command, ask: Ask) -> Result<Self, Failure> {
        let log = reaper::log_file(name)?;
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .or_fail(format!("failed to open the log {}", log.display()))?;
        let errors = file.try_clone().or_fail(format!("failed to open the log {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .or_fail(format!("failed to start {}", command.get_program().display()))?;
        reaper::watch(child.id(), ask.name());
        Ok(Self { name: name.to_owned(), child, log, ask, ended: None })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last lines of its log, to show in failures.
    pub fn log_tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none()
            && let Ok(Some(status)) = self.child.try_wait()
        {
            reaper::forget(self.child.id());
            self.ended = Some(status);
        }
        self.ended
    }

    /// Waits until `check` answers; fails early when the process ends.
    pub fn ready<T>(&mut self, limit: Duration, mut check: impl FnMut() -> Option<T>) -> Result<T, Failure> {
        let name = self.name.clone();
        let found = wait::eventually(&format!("{name} to be ready"), limit, || match self.ended() {
            Some(status) => Some(Err(Failure::new(format!("{name} ended at once, {status}")))),
            None => check().map(Ok),
        });
        found.and_then(|found| found).map_err(|failure| {
            failure.with_advice(format!("its log, {}, ends with:\n{}", self.log.display(), self.log_tail()))
        })
    }

    /// Sends a signal to the process alone.
    pub fn signal(&self, signal: Signal) -> Result<(), Failure> {
        kill_process(self.pid(), signal).or_fail(format!("failed to send {signal:?} to {}", self.name))
    }

    /// kill -9 of the whole group, and waits for its end.
    pub fn kill(&mut self) -> Result<(), Failure> {
        if self.ended().is_none() {
            // It may end between the look and the signal: then there is nothing left to kill.
            let sent = kill_process_group(self.pid(), Signal::KILL);
            if let Err(error) = sent
                && error != rustix::io::Errno::SRCH
            {
                return Err(error).or_fail(format!("failed to kill {}", self.name));
            }
        }
        self.wait_end(STOP_LIMIT).map(drop)
    }

    /// Asks it to end and waits for that; kills it when it does not. Returns how it ended.
    pub fn stop(&mut self) -> Result<ExitStatus, Failure> {
        if let Some(status) = self.ended() {
            return Ok(status);
        }
        self.signal(self.ask.signal())?;
        match self.wait_end(STOP_LIMIT) {
            Ok(status) => Ok(status),
            Err(failure) => {
                self.kill()?;
                Err(failure)
            }
        }
    }

    /// Waits for its end.
    pub fn wait_end(&mut self, limit: Duration) -> Result<ExitStatus, Failure> {
        let what = format!("the end of {}", self.name);
        eventually(&what, limit, || self.ended())
    }

    /// Resident memory in bytes, from `/proc`.
    pub fn resident_bytes(&self) -> Result<u64, Failure> {
        let path = format!("/proc/{}/status", self.id());
        let text = std::fs::read_to_string(&path).or_fail(format!("failed to read {path}"))?;
        let kilobytes = text
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok())
            .ok_or_else(|| Failure::new(format!("{path} has no VmRSS")))?;
        Ok(kilobytes * 1024)
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(failure) = self.kill() {
            tracing::warn!(%failure, "left behind for the reaper");
        }
    }
}
