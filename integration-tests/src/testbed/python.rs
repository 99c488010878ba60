//! Programs and libraries from PyPI, in environments of their own.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::failure::{Failure, OrFail};
use super::packages::{self, Program};
use super::wait::fetched;
use super::{cache, notice};

/// The Python of an environment that has these requirements; it is made once, under `name` in the cache.
pub(crate) fn environment(name: &str, requirements: &[&str]) -> Result<PathBuf, Failure> {
    packages::ensure(&[Program::PythonVenv])?;
    let home = cache::once(name, |directory| {
        notice::say(&format!("fetching {} from PyPI", requirements.join(" and ")));
        run(Command::new("python3").args(["-m", "venv"]).arg(directory))?;
        let pip = ["-m", "pip", "install", "-q", "--disable-pip-version-check", "--retries", "10", "--timeout", "60"];
        let mut install = Command::new(directory.join("bin/python"));
        install.args(pip).args(requirements);
        fetched(|| run(&mut install))
    })?;
    Ok(home.join("bin/python"))
}

fn run(command: &mut Command) -> Result<(), Failure> {
    let output =
        command.stdin(Stdio::null()).output().or_fail(format!("failed to run {}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(format!("{command:?} ended with {}: {}", output.status, said.trim())))
}
