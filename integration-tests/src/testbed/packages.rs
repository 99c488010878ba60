//! Programs that the system's package manager has to bring.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::failure::{Advise, Failure, OrFail};
use super::wait::fetched;
use super::{cache, notice};

/// A program that the testbed runs but does not fetch itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `java`, 17 or newer.
    Java,
    /// `mvn`.
    Maven,
    /// `initdb`, `postgres`, `pg_isready`.
    Postgres,
    /// `python3` with the modules `venv` and `ensurepip`.
    PythonVenv,
    /// `chromedriver` and the browser that it drives.
    Chromium,
}

impl Program {
    const fn name(self) -> &'static str {
        match self {
            Self::Java => "Java",
            Self::Maven => "Maven",
            Self::Postgres => "PostgreSQL",
            Self::PythonVenv => "Python with venv",
            Self::Chromium => "Chromium with its driver",
        }
    }

    const fn apt(self) -> &'static [&'static str] {
        match self {
            Self::Java => &["default-jre-headless"],
            Self::Maven => &["maven"],
            Self::Postgres => &["postgresql"],
            Self::PythonVenv => &["python3", "python3-venv"],
            Self::Chromium => &["chromium", "chromium-driver"],
        }
    }

    const fn dnf(self) -> &'static [&'static str] {
        match self {
            Self::Java => &["java-latest-openjdk-headless"],
            Self::Maven => &["maven"],
            Self::Postgres => &["postgresql-server"],
            Self::PythonVenv => &["python3", "python3-pip"],
            Self::Chromium => &["chromium", "chromedriver"],
        }
    }

    fn present(self) -> bool {
        match self {
            Self::Java => runs("java", &["-version"]),
            Self::Maven => find("mvn").is_some(),
            Self::Postgres => super::postgres::binaries().is_some(),
            Self::PythonVenv => runs("python3", &["-c", "import venv, ensurepip"]),
            Self::Chromium => runs("chromedriver", &["--version"]) && browser().is_some(),
        }
    }
}

/// The browser, whichever name it goes by.
pub fn browser() -> Option<PathBuf> {
    ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(find)
}

/// Installs what is missing of `programs`, or says what to install.
pub fn ensure(programs: &[Program]) -> Result<(), Failure> {
    if programs.iter().all(|program| program.present()) {
        return Ok(());
    }
    cache::alone(|| ensure_locked(programs))
}

/// [`ensure`] for a caller that holds the cache's lock already.
pub(crate) fn ensure_locked(programs: &[Program]) -> Result<(), Failure> {
    let missing: Vec<Program> = programs.iter().copied().filter(|program| !program.present()).collect();
    if missing.is_empty() { Ok(()) } else { install(&missing) }
}

fn install(missing: &[Program]) -> Result<(), Failure> {
    let names: Vec<&str> = missing.iter().map(|program| program.name()).collect();
    let names = names.join(", ");
    let (steps, advice) = plan(missing);
    let Some(sudo) = privilege().filter(|_| !steps.is_empty()) else {
        return Err(Failure::new(format!("{names} not found, and not allowed to install it")).with_advice(advice));
    };
    notice::say(&format!("installing {names} with the system's package manager"));
    for step in &steps {
        let words: Vec<&str> = sudo.iter().copied().chain(step.iter().copied()).collect();
        fetched(|| run(&words, &step.join(" "))).advise(advice.as_str())?;
    }
    match missing.iter().find(|program| !program.present()) {
        None => Ok(()),
        Some(program) => {
            Err(Failure::new(format!("{} was installed but is not found", program.name())).with_advice(advice))
        }
    }
}

fn run(words: &[&str], step: &str) -> Result<(), Failure> {
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    let mut command = Command::new(program);
    command.args(arguments);
    if words.contains(&"apt-get") {
        command.args(["-o", "Acquire::Retries=5"]);
    }
    let output = command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .or_fail(format!("failed to run {step}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(format!("{step} ended with {}: {}", output.status, said.trim())))
}

/// The commands that install the programs, and the same for a human.
fn plan(missing: &[Program]) -> (Vec<Vec<&'static str>>, String) {
    let packages =
        |of: fn(Program) -> &'static [&'static str]| missing.iter().flat_map(move |program| of(*program)).copied();
    if find("apt-get").is_some() {
        let update = vec!["apt-get", "update", "-qq"];
        let mut add = vec!["apt-get", "install", "-y", "-qq", "--no-install-recommends"];
        add.extend(packages(Program::apt));
        let advice = format!("install it: sudo apt-get update && sudo {}", add.join(" "));
        return (vec![update, add], advice);
    }
    if find("dnf").is_some() {
        let mut add = vec!["dnf", "install", "-y", "-q"];
        add.extend(packages(Program::dnf));
        let advice = format!("install it: sudo {}", add.join(" "));
        return (vec![add], advice);
    }
    let names: Vec<&str> = missing.iter().map(|program| program.name()).collect();
    (Vec::new(), format!("install {} with your system's package manager and put it on the PATH", names.join(", ")))
}

/// What to put before a command that needs root; `None` when we may not.
fn privilege() -> Option<&'static [&'static str]> {
    if rustix::process::geteuid().is_root() {
        Some(&[])
    } else if runs("sudo", &["-n", "true"]) {
        Some(&["sudo", "-n", "--preserve-env=DEBIAN_FRONTEND"])
    } else {
        None
    }
}

/// The path of a program on the PATH.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|file| file.is_file())
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
