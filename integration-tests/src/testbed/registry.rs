//! A schema registry: Apicurio's, which speaks the API of Confluent's, and Confluent's own client for Python.
//!
//! Its schemas are in files, so that they and their ids are there again after a restart. It is told at its start to hold new
//! versions against those before them (`BACKWARD`), as Confluent's does by itself.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::failure::{Advise, Failure, OrFail};
use super::packages::{self, Program};
use super::process::{Ask, Process};
use super::{cache, maven, notice, ports, python, reaper, servers};

const VERSION: &str = "3.0.9";
/// A project that fixes the version of Maven's own plugin.
const POM: &str = include_str!("../../servers/connect.pom.xml");
const CLIENT: &str = "2.16.1";
/// The compiler of Protobuf, which the client leaves to its users.
const PROTOC: &str = "1.85.1";
/// Where Confluent's clients find their API.
const API: &str = "/apis/ccompat/v7";
/// Four seconds, where nothing else wants the cores.
const START_LIMIT: Duration = Duration::from_secs(240);
const PROBE: Duration = Duration::from_secs(5);
/// A port may be taken between the look and the server's bind.
const ATTEMPTS: usize = 3;

static SHARED: OnceLock<Result<Registry, String>> = OnceLock::new();

/// A running registry.
#[derive(Debug)]
pub struct Registry {
    pub process: Process,
    /// For `schema.registry.url`.
    pub url: String,
    home: Home,
}

/// What a registry starts with, again and again.
#[derive(Debug)]
struct Home {
    name: String,
    jar: PathBuf,
    directory: PathBuf,
    port: u16,
}

impl Registry {
    /// Fetches the registry when it is missing, and starts it.
    pub fn start(name: &str) -> Result<Self, Failure> {
        let jar = fetch()?;
        let mut last = Failure::new("failed to start the schema registry");
        for attempt in 1..=ATTEMPTS {
            match start_once(&jar, &format!("{name}-{attempt}")) {
                Ok(registry) => return Ok(registry),
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }

    /// The registry of this process, started by the first caller. Logs stay when a test fails.
    ///
    /// # Panics
    /// When it does not start: no test can go on then.
    pub fn shared() -> &'static Self {
        let registry = SHARED.get_or_init(|| {
            servers::keep_logs_on_panic();
            Self::start("registry").map_err(|failure| failure.to_string())
        });
        match registry {
            Ok(registry) => registry,
            Err(message) => panic!("{message}"),
        }
    }

    /// SIGTERM.
    pub fn stop(&mut self) -> Result<(), Failure> {
        self.process.stop().map(drop)
    }

    /// Starts it again at its address, with the schemas it had.
    pub fn start_again(&mut self) -> Result<(), Failure> {
        self.process.kill()?;
        self.process = self.home.launch()?;
        ready(&mut self.process, self.home.port)
    }
}

/// A Python that has Confluent's client of a registry, and protoc.
pub fn python_client() -> Result<PathBuf, Failure> {
    let client = format!("confluent-kafka[avro,json,protobuf]=={CLIENT}");
    let protoc = format!("grpcio-tools=={PROTOC}");
    python::environment(&format!("confluent-kafka-{CLIENT}-{PROTOC}"), &[&client, &protoc])
        .advise("is PyPI (or your mirror in pip.conf) reachable?")
}

fn fetch() -> Result<PathBuf, Failure> {
    packages::ensure(&[Program::Java])?;
    let home = cache::once(&format!("apicurio-registry-{VERSION}"), |home| {
        packages::ensure_locked(&[Program::Maven])?;
        notice::say(&format!("fetching Apicurio Registry {VERSION} from Maven Central (about 110 MB)"));
        let pom = home.join("pom.xml");
        std::fs::write(&pom, POM).or_fail(format!("failed to write {}", pom.display()))?;
        maven::unpack(&format!("io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"), &pom, home)
            .advise("is Maven Central (or your mirror in ~/.m2/settings.xml) reachable?")
    })?;
    Ok(home.join(format!("apicurio-registry-app-{VERSION}-runner.jar")))
}

fn start_once(jar: &Path, name: &str) -> Result<Registry, Failure> {
    let (port, directory) = (ports::free()?, reaper::data_directory(name)?);
    let home = Home { name: name.to_owned(), jar: jar.to_owned(), directory, port };
    let mut process = home.launch()?;
    ready(&mut process, port)?;
    Ok(Registry { process, url: format!("http://127.0.0.1:{port}{API}"), home })
}

impl Home {
    fn launch(&self) -> Result<Process, Failure> {
        let property = |name: &str, value: &str| format!("-D{name}={value}");
        let directory = self.directory.display().to_string();
        let mut command = Command::new("java");
        command
            .args(["-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"])
            .arg(property("java.io.tmpdir", &directory))
            .arg(property("quarkus.http.host", "127.0.0.1"))
            .arg(property("quarkus.http.port", &self.port.to_string()))
            .arg(property("apicurio.datasource.url", &format!("jdbc:h2:file:{directory}/registry")))
            .arg(property("apicurio.datasource.jdbc.initial-size", "2"))
            .arg(property("apicurio.datasource.jdbc.min-size", "2"))
            .arg("-jar")
            .arg(&self.jar);
        Process::start(&self.name, command, Ask::Term)
    }
}

fn ready(process: &mut Process, port: u16) -> Result<(), Failure> {
    process.ready(START_LIMIT, || set_compatibility(port).ok().filter(|answer| answer.contains(" 200 ")).map(drop))
}

/// Sets the level of all subjects that have none of their own; the first line of the answer.
fn set_compatibility(port: u16) -> std::io::Result<String> {
    let body = r#"{"compatibility":"BACKWARD"}"#;
    let mut connection = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), PROBE)?;
    connection.set_read_timeout(Some(PROBE))?;
    write!(
        connection,
        "PUT {API}/config HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\
         Content-Type: application/vnd.schemaregistry.v1+json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}
