//! The testbed keeps its own promises.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use integration_tests::testbed::process::Ask;
use integration_tests::testbed::{Process, eventually, reaper};

const CHILD: &str = "TESTBED_CHILD_REPORTS_TO";

/// Not a test by itself: the body of the child process in the test below.
#[test]
fn child_that_waits_to_be_killed() {
    let Some(report) = std::env::var_os(CHILD) else { return };
    let mut command = Command::new("sleep");
    command.arg("600");
    let process = Process::start("sleeper", command, Ask::Term).unwrap();
    let run = reaper::run_directory().unwrap();
    let text = format!("{} {}", process.id(), run.display());
    let part = std::path::Path::new(&report).with_extension("part");
    std::fs::write(&part, text).unwrap();
    std::fs::rename(&part, &report).unwrap();
    std::thread::sleep(Duration::from_secs(600));
}

#[test]
fn nothing_outlives_a_process_that_was_killed() {
    let directory = tempfile::tempdir().unwrap();
    let report = directory.path().join("report");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "testbed::child_that_waits_to_be_killed"])
        .env(CHILD, &report)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let limit = Duration::from_secs(90);
    let text = eventually("the child's report", limit, || std::fs::read_to_string(&report).ok()).unwrap();
    let (sleeper, run) = text.split_once(' ').unwrap();
    let alive = || std::path::Path::new("/proc").join(sleeper).exists();
    assert!(alive() && std::path::Path::new(run).exists());
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    eventually("the end of the grandchild", limit, || (!alive()).then_some(())).unwrap();
    eventually("the end of the run's directory", limit, || (!std::path::Path::new(run).exists()).then_some(()))
        .unwrap();
}
