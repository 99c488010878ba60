//! Jars from Maven Central.

use std::path::Path;
use std::process::{Command, Stdio};

use super::failure::{Failure, OrFail};
use super::wait::fetched;

/// Copies what the project `pom` needs at run time, and all that this needs, to `directory`.
pub(crate) fn dependencies(pom: &str, directory: &Path) -> Result<(), Failure> {
    let file = directory.join("pom.xml");
    std::fs::write(&file, pom).or_fail(format!("failed to write {}", file.display()))?;
    run(&file, &["dependency:copy-dependencies", "-DincludeScope=runtime"], directory)
}

/// Copies one artifact (`group:name:version:type:classifier`) to `directory`; `pom` fixes the version of Maven's own plugin.
pub(crate) fn copy(artifact: &str, pom: &Path, directory: &Path) -> Result<(), Failure> {
    run(pom, &["dependency:copy", &format!("-Dartifact={artifact}")], directory)
}

/// Unpacks one artifact into `directory`.
pub(crate) fn unpack(artifact: &str, pom: &Path, directory: &Path) -> Result<(), Failure> {
    run(pom, &["dependency:unpack", &format!("-Dartifact={artifact}")], directory)
}

fn run(pom: &Path, goal: &[&str], directory: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(directory).or_fail(format!("failed to make {}", directory.display()))?;
    fetched(|| run_once(pom, goal, directory))
}

fn run_once(pom: &Path, goal: &[&str], directory: &Path) -> Result<(), Failure> {
    // With -U, what a mirror did not have once is asked for again.
    let output = Command::new("mvn")
        .args(["-q", "-B", "-U", "-f"])
        .arg(pom)
        .args(goal)
        .arg(format!("-DoutputDirectory={}", directory.display()))
        .stdin(Stdio::null())
        .output()
        .or_fail("failed to run mvn")?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stdout);
    Err(Failure::new(format!("mvn {} failed: {}", goal.join(" "), said.trim())))
}
