//! An Apache Kafka broker: one KRaft node, tuned to start quickly.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::failure::{Advise, Failure, OrFail};
use super::packages::{self, Program};
use super::process::{Ask, Process};
use super::{cache, maven, notice, ports, reaper};

const VERSION: &str = "4.1.1";
const POM: &str = include_str!("../../servers/pom.xml");
const LOGGING: &str = include_str!("../../servers/log4j2.properties");
/// Three seconds, where nothing else wants the cores.
const START_LIMIT: Duration = Duration::from_secs(240);
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
    /// Where the broker listens for what comes through a proxy, in the order in which the proxies' ports were given.
    pub behind: Vec<String>,
    home: Home,
}

/// What a broker starts with, again and again.
#[derive(Debug)]
struct Home {
    name: String,
    jars: PathBuf,
    directory: PathBuf,
}

impl Kafka {
    /// Fetches the broker when it is missing, and starts it.
    pub fn start(name: &str) -> Result<Self, Failure> {
        Self::start_as(name, &[], &[])
    }

    /// The same with further settings of the broker, `name=value`.
    pub fn start_with(name: &str, settings: &[&str]) -> Result<Self, Failure> {
        Self::start_as(name, &[], settings)
    }

    /// The same with a further listener for each of `proxies`: clients that come through such a proxy are told that the
    /// broker is there, at this port of the loopback interface, and so stay behind the proxy.
    pub fn start_behind(name: &str, proxies: &[u16]) -> Result<Self, Failure> {
        Self::start_as(name, proxies, &[])
    }

    fn start_as(name: &str, proxies: &[u16], settings: &[&str]) -> Result<Self, Failure> {
        let jars = fetch()?;
        let mut last = Failure::new("failed to start Kafka");
        for attempt in 1..=ATTEMPTS {
            match start_once(&jars, &format!("{name}-{attempt}"), proxies, settings) {
                Ok(kafka) => return Ok(kafka),
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }

    /// SIGTERM: the broker hands its partitions over and ends.
    pub fn stop(&mut self) -> Result<(), Failure> {
        self.process.stop().map(drop)
    }

    /// Starts it again on the same ports, with the data it had.
    pub fn start_again(&mut self) -> Result<(), Failure> {
        self.process.kill()?;
        self.process = self.home.launch()?;
        ready(&mut self.process, &self.bootstrap)
    }
}

fn fetch() -> Result<PathBuf, Failure> {
    packages::ensure(&[Program::Java])?;
    cache::once(&format!("kafka-{VERSION}"), copy)
}

/// Copies the broker's jars from Maven Central.
fn copy(jars: &Path) -> Result<(), Failure> {
    packages::ensure_locked(&[Program::Maven])?;
    notice::say(&format!("fetching Kafka {VERSION} from Maven Central (about 60 MB)"));
    maven::dependencies(POM, jars).advise(
        "is Maven Central (or your mirror in ~/.m2/settings.xml) reachable? Or use a running broker: --bootstrap HOST:PORT",
    )
}

fn start_once(jars: &Path, name: &str, proxies: &[u16], settings: &[&str]) -> Result<Kafka, Failure> {
    let port = ports::free()?;
    let mut listeners = vec![("PLAINTEXT".to_owned(), port, port)];
    for (index, proxy) in proxies.iter().enumerate() {
        listeners.push((format!("PROXIED{index}"), ports::free()?, *proxy));
    }
    let directory = reaper::data_directory(name)?;
    let data = directory.join("log");
    std::fs::create_dir_all(&data).or_fail(format!("failed to make {}", data.display()))?;
    let write = |path: PathBuf, text: String| {
        std::fs::write(&path, text).or_fail(format!("failed to write {}", path.display()))
    };
    write(data.join("meta.properties"), meta_properties())?;
    write(directory.join("log4j2.properties"), LOGGING.to_owned())?;
    let properties = server_properties(&listeners, ports::free()?, &data) + &settings.join("\n");
    write(directory.join("server.properties"), properties)?;

    let home = Home { name: name.to_owned(), jars: jars.to_owned(), directory };
    let mut process = home.launch()?;
    let bootstrap = format!("127.0.0.1:{port}");
    ready(&mut process, &bootstrap)?;
    let behind = listeners[1..].iter().map(|(_, port, _)| format!("127.0.0.1:{port}")).collect();
    Ok(Kafka { process, bootstrap, behind, home })
}

impl Home {
    fn launch(&self) -> Result<Process, Failure> {
        let mut command = Command::new("java");
        command
            .args(["-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"])
            .arg(format!("-Dlog4j2.configurationFile={}", self.directory.join("log4j2.properties").display()))
            .arg("-cp")
            .arg(self.jars.join("*"))
            .arg("kafka.Kafka")
            .arg(self.directory.join("server.properties"));
        Process::start(&self.name, command, Ask::Term)
    }
}

fn ready(process: &mut Process, bootstrap: &str) -> Result<(), Failure> {
    let probe: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("log_level", "0")
        .set("reconnect.backoff.max.ms", "250")
        .create()
        .or_fail("failed to make a Kafka client")?;
    process.ready(START_LIMIT, || {
        probe.fetch_metadata(None, PROBE).ok().filter(|metadata| !metadata.brokers().is_empty()).map(drop)
    })
}

/// What `kafka-storage format` would write, without the seconds of another JVM.
fn meta_properties() -> String {
    format!("version=1\ncluster.id={CLUSTER_ID}\nnode.id=1\ndirectory.id=dGlkZWdhdGUtZGlyZWN0bw\n")
}

/// A listener is its name, its port, and the port that clients are told.
fn server_properties(listeners: &[(String, u16, u16)], controller: u16, data: &Path) -> String {
    let list = |port: fn(&(String, u16, u16)) -> u16| {
        let one = |listener: &(String, u16, u16)| format!("{}://127.0.0.1:{}", listener.0, port(listener));
        listeners.iter().map(one).collect::<Vec<_>>().join(",")
    };
    let (bound, told) = (list(|listener| listener.1), list(|listener| listener.2));
    let protocols: Vec<String> = listeners.iter().map(|(name, ..)| format!("{name}:PLAINTEXT")).collect();
    let protocols = protocols.join(",");
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners={bound},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={told}
listener.security.protocol.map={protocols},CONTROLLER:PLAINTEXT
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
