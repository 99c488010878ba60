//! An Apache Kafka broker: one KRaft node, tuned to start quickly.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::failure::{Advise, Failure, OrFail};
use super::packages::{self, Program};
use super::process::{Ask, Process};
use super::{cache, notice, ports, reaper};

const VERSION: &str = "4.1.1";
const POM: &str = include_str!("../../servers/pom.xml");
const LOGGING: &str = include_str!("../../servers/log4j2.properties");
const START_LIMIT: Duration = Duration::from_secs(90);
const PROBE: Duration = Duration::from_millis(500);
/// A port may be taken between the look and the broker's bind.
const ATTEMPTS: usize = 3;
const CLUSTER_ID: &str = "dGlkZWdhdGUtdGVzdGJlZA";

/// A running broker.
#[derive(Debug)]
pub struct Kafka {
    pub process: Process,
    /// `host:port`.
    pub bootstrap: String,
}

impl Kafka {
    /// Fetches the broker when it is missing, and starts it.
    pub fn start(name: &str) -> Result<Self, Failure> {
        let jars = fetch()?;
        let mut last = Failure::new("failed to start Kafka");
        for attempt in 1..=ATTEMPTS {
            match start_once(&jars, &format!("{name}-{attempt}")) {
                Ok(kafka) => return Ok(kafka),
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }
}

fn fetch() -> Result<PathBuf, Failure> {
    packages::ensure(&[Program::Java])?;
    cache::once(&format!("kafka-{VERSION}"), maven)
}

/// Copies the broker's jars from Maven Central.
fn maven(jars: &Path) -> Result<(), Failure> {
    packages::ensure_locked(&[Program::Maven])?;
    notice::say(&format!("fetching Kafka {VERSION} from Maven Central (about 60 MB)"));
    let pom = jars.join("pom.xml");
    std::fs::write(&pom, POM).or_fail(format!("failed to write {}", pom.display()))?;
    let output = Command::new("mvn")
        .args(["-q", "-B", "-f"])
        .arg(&pom)
        .arg("dependency:copy-dependencies")
        .arg(format!("-DoutputDirectory={}", jars.display()))
        .arg("-DincludeScope=runtime")
        .stdin(Stdio::null())
        .output()
        .or_fail("failed to run mvn")?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stdout);
    Err(Failure::new(format!("mvn could not fetch Kafka {VERSION}: {}", said.trim())))
        .advise("is Maven Central (or your mirror in ~/.m2/settings.xml) reachable? Or use a running broker: --bootstrap HOST:PORT")
}

fn start_once(jars: &Path, name: &str) -> Result<Kafka, Failure> {
    let port = ports::free()?;
    let directory = reaper::data_directory(name)?;
    let data = directory.join("log");
    std::fs::create_dir_all(&data).or_fail(format!("failed to make {}", data.display()))?;
    let write = |path: PathBuf, text: String| {
        std::fs::write(&path, text).or_fail(format!("failed to write {}", path.display()))
    };
    write(data.join("meta.properties"), meta_properties())?;
    write(directory.join("log4j2.properties"), LOGGING.to_owned())?;
    write(directory.join("server.properties"), server_properties(port, ports::free()?, &data))?;

    let mut command = Command::new("java");
    command
        .args(["-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"])
        .arg(format!("-Dlog4j2.configurationFile={}", directory.join("log4j2.properties").display()))
        .arg("-cp")
        .arg(jars.join("*"))
        .arg("kafka.Kafka")
        .arg(directory.join("server.properties"));
    let mut process = Process::start(name, command, Ask::Term)?;
    let bootstrap = format!("127.0.0.1:{port}");
    let probe: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &bootstrap)
        .set("log_level", "0")
        .set("reconnect.backoff.max.ms", "250")
        .create()
        .or_fail("failed to make a Kafka client")?;
    process.ready(START_LIMIT, || {
        probe.fetch_metadata(None, PROBE).ok().filter(|metadata| !metadata.brokers().is_empty()).map(drop)
    })?;
    Ok(Kafka { process, bootstrap })
}

/// What `kafka-storage format` would write, without the seconds of another JVM.
fn meta_properties() -> String {
    format!("version=1\ncluster.id={CLUSTER_ID}\nnode.id=1\ndirectory.id=dGlkZWdhdGUtZGlyZWN0bw\n")
}

fn server_properties(port: u16, controller: u16, data: &Path) -> String {
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={}
num.partitions=1
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=16777216
",
        data.display()
    )
}
