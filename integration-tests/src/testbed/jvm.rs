//! Apache Kafka's own Connect worker, with Debezium's Postgres source, the MongoDB sink and the file connectors: what a
//! group is taken over from, handed back to and shared with.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::failure::{Advise, Failure, OrFail};
use super::packages::{self, Program};
use super::{cache, maven, notice};

const KAFKA: &str = "4.1.1";
const DEBEZIUM: &str = "3.3.1.Final";
const MONGO_SINK: &str = "2.0.1";
const POM: &str = include_str!("../../servers/connect.pom.xml");
const HEAP: &str = "-Xmx384m";

/// The folders of what was fetched.
#[derive(Clone, Debug)]
pub(crate) struct Jars {
    worker: PathBuf,
    /// For `plugin.path`.
    pub(crate) plugins: PathBuf,
}

/// Fetches the worker and its plugins when they are missing.
pub(crate) fn fetch() -> Result<Jars, Failure> {
    packages::ensure(&[Program::Java])?;
    let home = cache::once(&format!("connect-{KAFKA}-{DEBEZIUM}-{MONGO_SINK}"), fill)?;
    Ok(Jars { worker: home.join("worker"), plugins: home.join("plugins") })
}

fn fill(home: &Path) -> Result<(), Failure> {
    packages::ensure_locked(&[Program::Maven])?;
    notice::say(&format!(
        "fetching Kafka Connect {KAFKA}, Debezium {DEBEZIUM} and the MongoDB sink from Maven Central"
    ));
    let (worker, plugins) = (home.join("worker"), home.join("plugins"));
    for directory in [&worker, &plugins] {
        std::fs::create_dir_all(directory).or_fail(format!("failed to make {}", directory.display()))?;
    }
    download(&worker, &plugins).advise("is Maven Central (or your mirror in ~/.m2/settings.xml) reachable?")
}

fn download(worker: &Path, plugins: &Path) -> Result<(), Failure> {
    maven::dependencies(POM, worker)?;
    let pom = worker.join("pom.xml");
    // Its archive holds one folder.
    maven::unpack(&format!("io.debezium:debezium-connector-postgres:{DEBEZIUM}:tar.gz:plugin"), &pom, plugins)?;
    let sink = format!("org.mongodb.kafka:mongo-kafka-connect:{MONGO_SINK}:jar:all");
    maven::copy(&sink, &pom, &plugins.join("mongodb"))
}

/// The command that runs a distributed worker. It starts quickly rather than runs fast.
pub(crate) fn command(jars: &Jars, logging: &Path, properties: &Path) -> Command {
    let mut command = Command::new("java");
    command
        .args(["-Xms96m", HEAP, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"])
        .arg(format!("-Dlog4j2.configurationFile={}", logging.display()))
        .arg("-cp")
        .arg(jars.worker.join("*"))
        .arg("org.apache.kafka.connect.cli.ConnectDistributed")
        .arg(properties);
    command
}
