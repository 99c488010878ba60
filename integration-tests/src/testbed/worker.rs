//! The worker itself: the real binary, started, killed, frozen and started again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::failure::{Advise, Failure, OrFail};
use super::process::{Ask, Process};
use super::wait::eventually_async;
use super::{Api, jvm, notice, ports, reaper};

/// Ours needs a second or two, a JVM worker 10 s, and where ten compilers want the same two cores 90 s.
const START_LIMIT: Duration = Duration::from_secs(240);
const LOG4J: &str = "log4j2.properties";
const JVM_LOGGING: &str = include_str!("../../servers/log4j2.properties");

/// Whose worker runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// This checkout's.
    Tidegate,
    /// Apache Kafka's.
    Jvm,
}

/// The variable that holds the worker's own name in its environment, for configurations that differ from worker to worker.
pub const WORKER_NAME: &str = "TESTBED_WORKER";

/// What a worker runs with.
#[derive(Clone, Debug)]
pub struct WorkerSetup {
    /// Names the log, and of a worker with a group of its own also the group and the internal topics.
    pub name: String,
    pub kind: Kind,
    pub properties: BTreeMap<String, String>,
    /// Variables of its environment besides [`WORKER_NAME`].
    environment: BTreeMap<String, String>,
    port: u16,
}

impl WorkerSetup {
    /// A distributed worker of its own group, with internal topics of its own, JSON converters with schemas (Connect's
    /// defaults) and a free port.
    pub fn new(name: &str, bootstrap: &str) -> Result<Self, Failure> {
        let port = ports::free()?;
        let mut setup = Self {
            name: name.to_owned(),
            kind: Kind::Tidegate,
            properties: BTreeMap::new(),
            environment: BTreeMap::new(),
            port,
        };
        let json = "org.apache.kafka.connect.json.JsonConverter";
        for (key, value) in [
            ("bootstrap.servers", bootstrap),
            ("group.id", name),
            ("listeners", &format!("http://127.0.0.1:{port}")),
            ("key.converter", json),
            ("value.converter", json),
            ("config.storage.topic", &format!("{name}-configs")),
            ("config.storage.replication.factor", "1"),
            ("offset.storage.topic", &format!("{name}-offsets")),
            ("offset.storage.replication.factor", "1"),
            ("offset.storage.partitions", "1"),
            ("status.storage.topic", &format!("{name}-status")),
            ("status.storage.replication.factor", "1"),
            ("status.storage.partitions", "1"),
            ("offset.flush.interval.ms", "1000"),
            // Who can't flush in time sends again, and tests count what comes after a clean stop.
            ("offset.flush.timeout.ms", "30000"),
            ("task.shutdown.graceful.timeout.ms", "30000"),
            ("scheduled.rebalance.max.delay.ms", "0"),
            // After a kill -9 the groups wait this long for the member that is gone; brokers allow no less.
            ("session.timeout.ms", "6000"),
            ("heartbeat.interval.ms", "1500"),
            ("consumer.session.timeout.ms", "6000"),
            ("consumer.heartbeat.interval.ms", "1500"),
        ] {
            setup = setup.with(key, value);
        }
        Ok(setup)
    }

    /// Sets a property.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.properties.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Leaves a property to its default.
    #[must_use]
    pub fn without(mut self, key: &str) -> Self {
        self.properties.remove(key);
        self
    }

    /// A further worker of the same group, with a name and a port of its own.
    pub fn member(&self, name: &str, kind: Kind) -> Result<Self, Failure> {
        let port = ports::free()?;
        let member = Self { name: name.to_owned(), kind, port, ..self.clone() };
        Ok(member.with("listeners", &format!("http://127.0.0.1:{port}")))
    }

    /// What the status of a connector or task says of this worker.
    pub fn worker_id(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Fetches the JVM worker, so that either worker runs with these properties.
    pub fn for_either(self) -> Result<Self, Failure> {
        let plugins = jvm::fetch()?.plugins;
        let plugins = plugins.display().to_string();
        Ok(self.with("plugin.path", &plugins))
    }

    fn text(&self) -> String {
        self.properties.iter().map(|(key, value)| format!("{key}={}\n", value.replace('\\', "\\\\"))).collect()
    }
}

/// A running worker.
#[derive(Debug)]
pub struct Worker {
    setup: WorkerSetup,
    file: PathBuf,
    process: Process,
    api: Api,
    /// From the start of the process to the first list of connectors.
    pub started_in: Duration,
}

impl Worker {
    /// Builds the binary if need be, starts it and waits until its REST API answers.
    pub async fn start(setup: WorkerSetup) -> Result<Self, Failure> {
        let directory = reaper::data_directory(&setup.name)?;
        let file = directory.join("worker.properties");
        for (file, text) in [(&file, setup.text()), (&directory.join(LOG4J), JVM_LOGGING.to_owned())] {
            std::fs::write(file, text).or_fail(format!("failed to write {}", file.display()))?;
        }
        let api = Api::new(format!("http://127.0.0.1:{}", setup.port))?;
        let began = Instant::now();
        let process = launch(&setup, &file)?;
        let mut worker = Self { setup, file, process, api, started_in: Duration::ZERO };
        worker.wait_ready(began).await?;
        Ok(worker)
    }

    /// What it runs with.
    pub fn setup(&self) -> &WorkerSetup {
        &self.setup
    }

    /// The worker's REST API.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// Its process, for its log and its memory.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// kill -9.
    pub fn kill(&mut self) -> Result<(), Failure> {
        self.process.kill()
    }

    /// SIGTERM; fails when the worker does not end by itself.
    pub fn stop(&mut self) -> Result<std::process::ExitStatus, Failure> {
        self.process.stop()
    }

    /// SIGSTOP: it stays in memory and does nothing.
    pub fn freeze(&self) -> Result<(), Failure> {
        self.process.signal(Signal::STOP)
    }

    /// SIGCONT.
    pub fn thaw(&self) -> Result<(), Failure> {
        self.process.signal(Signal::CONT)
    }

    /// Starts it again, with the same properties, after it was killed or stopped.
    pub async fn start_again(&mut self) -> Result<(), Failure> {
        self.process.kill()?;
        let began = Instant::now();
        self.process = launch(&self.setup, &self.file)?;
        self.wait_ready(began).await
    }

    /// Starts the other kind of worker in its place, with the very same properties file.
    pub async fn start_as(&mut self, kind: Kind) -> Result<(), Failure> {
        self.setup.kind = kind;
        self.start_again().await
    }

    async fn wait_ready(&mut self, began: Instant) -> Result<(), Failure> {
        let Self { process, api, .. } = self;
        let ready = eventually_async("the worker's REST API", START_LIMIT, async || {
            if let Some(status) = process.ended() {
                return Ok(Err(Failure::new(format!("the worker ended at once, {status}"))));
            }
            match api.get("/connectors").await {
                Ok(answer) if answer.status == 200 => Ok(Ok(())),
                Ok(answer) => Err(answer.text),
                Err(failure) => Err(failure.to_string()),
            }
        });
        let mut outcome = ready.await.and_then(|outcome| outcome);
        self.started_in = began.elapsed();
        if outcome.is_ok() {
            // It answers before it has joined its group and read its connectors.
            outcome = eventually_async("a healthy worker", START_LIMIT, async || match api.get("/health").await {
                Ok(answer) if answer.status == 200 => Ok(()),
                Ok(answer) => Err(answer.text),
                Err(failure) => Err(failure.to_string()),
            })
            .await;
        }
        outcome.advise(format!("its log, {}, ends with:\n{}", self.process.log().display(), self.process.log_tail()))
    }
}

fn launch(setup: &WorkerSetup, file: &Path) -> Result<Process, Failure> {
    let mut command = match setup.kind {
        Kind::Tidegate => {
            let mut command = Command::new(binary()?);
            command.arg("distributed").arg(file);
            command
        }
        Kind::Jvm => jvm::command(&jvm::fetch()?, &file.with_file_name(LOG4J), file),
    };
    command.envs(&setup.environment).env(WORKER_NAME, &setup.name);
    Process::start(&setup.name, command, Ask::Term)
}

/// The worker's binary: the one that `TIDEGATE_BIN` names, else what cargo builds from this checkout, once.
pub fn binary() -> Result<&'static Path, Failure> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let binary = BINARY.get_or_init(|| match std::env::var_os("TIDEGATE_BIN") {
        Some(path) => Ok(PathBuf::from(path)),
        None => build().map_err(|failure| failure.to_string()),
    });
    binary.as_deref().map_err(|message| Failure::new(message.clone()))
}

fn build() -> Result<PathBuf, Failure> {
    notice::say("building the worker");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // The whole workspace is selected, as `cargo test` does, so that both share what they compile.
    let output = Command::new(cargo)
        .args(["build", "--bin", "tidegate", "--message-format", "json-render-diagnostics"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stdin(Stdio::null())
        .output()
        .or_fail("failed to run cargo")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(format!("cargo build --bin tidegate ended with {}: {}", output.status, said.trim())));
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "tidegate")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .ok_or_else(|| Failure::new("cargo built no binary tidegate"))
}
