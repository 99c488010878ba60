//! PostgreSQL servers of other versions than the system's, from Maven Central.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use super::failure::{Advise, Failure, OrFail};
use super::packages::{self, Program};
use super::{cache, maven, reaper};

/// A project that fixes the version of Maven's own plugin.
const POM: &str = include_str!("../../servers/connect.pom.xml");
const RELEASES: [(u32, &str); 6] =
    [(13, "13.22.0"), (14, "14.19.0"), (15, "15.14.0"), (16, "16.10.0"), (17, "17.6.0"), (18, "18.1.0")];

/// Those of this run: the cache may be where the user of Postgres can't go.
static READY: Mutex<Option<HashMap<u32, PathBuf>>> = Mutex::new(None);

/// The directory of a major version's programs: `initdb` and `postgres`, without clients.
pub(crate) fn binaries(major: u32) -> Result<PathBuf, Failure> {
    let mut ready = READY.lock().unwrap_or_else(PoisonError::into_inner);
    let ready = ready.get_or_insert_default();
    if let Some(path) = ready.get(&major) {
        return Ok(path.clone());
    }
    let release = RELEASES.iter().find(|(version, _)| *version == major).map(|(_, release)| *release);
    let release = release.ok_or_else(|| Failure::new(format!("no release of PostgreSQL {major} is known")))?;
    packages::ensure(&[Program::Java, Program::Maven])?;
    let fetched = cache::once(&format!("postgres-{release}"), |path| fetch(release, path))?;
    let copied = reaper::data_directory(&format!("postgres-{release}"))?;
    run(Command::new("cp").arg("-a").arg(fetched.join("server")).arg(&copied))?;
    let path = copied.join("server").join("bin");
    ready.insert(major, path.clone());
    Ok(path)
}

fn fetch(release: &str, path: &Path) -> Result<(), Failure> {
    let machine = if std::env::consts::ARCH == "aarch64" { "arm64v8" } else { "amd64" };
    let artifact = format!("io.zonky.test.postgres:embedded-postgres-binaries-linux-{machine}:{release}");
    let pom = path.join("pom.xml");
    std::fs::write(&pom, POM).or_fail(format!("failed to write {}", pom.display()))?;
    maven::unpack(&artifact, &pom, path).advise("Maven Central must be reachable")?;
    let server = path.join("server");
    std::fs::create_dir_all(&server).or_fail(format!("failed to make {}", server.display()))?;
    let files = std::fs::read_dir(path).or_fail(format!("failed to read {}", path.display()))?;
    let archive = files.flatten().map(|file| file.path()).find(|file| file.extension().is_some_and(|end| end == "txz"));
    let archive = archive.ok_or_else(|| Failure::new(format!("{artifact} has no archive in it")))?;
    run(Command::new("tar").arg("xJf").arg(&archive).arg("-C").arg(&server))?;
    std::fs::remove_file(&archive).or_fail(format!("failed to remove {}", archive.display()))
}

fn run(command: &mut Command) -> Result<(), Failure> {
    let output = command.stdin(Stdio::null()).output().or_fail(format!("failed to run {command:?}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(format!("{command:?} ended with {}: {}", output.status, said.trim())))
}
