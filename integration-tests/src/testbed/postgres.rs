//! A PostgreSQL server of the system's newest version.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio_postgres::{Client, NoTls};

use super::failure::{Advise, Failure, OrFail};
use super::packages::{self, Program};
use super::process::{Ask, Process};
use super::tls::Certificates;
use super::{ports, reaper, versions};

const START_LIMIT: Duration = Duration::from_secs(240);
const CONNECT_LIMIT: Duration = Duration::from_secs(60);
const ATTEMPTS: usize = 3;
const INSTALLED: &str = "/usr/lib/postgresql";
/// Who Postgres runs as when we are root, in order of preference: it refuses to run as root.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// The superuser's name and password in servers of the testbed.
pub const USER: &str = "postgres";
pub const PASSWORD: &str = "tide-and-gate";

/// How a server differs from the usual one.
#[derive(Clone, Copy, Debug)]
pub struct PostgresOptions<'a> {
    pub wal_level: &'a str,
    pub certificates: Option<&'a Certificates>,
    /// Another major version than the system's newest.
    pub version: Option<u32>,
    /// More settings (`name=value`); a later one wins over those that all servers have.
    pub settings: &'a [&'a str],
}

impl Default for PostgresOptions<'_> {
    fn default() -> Self {
        Self { wal_level: "logical", certificates: None, version: None, settings: &[] }
    }
}

/// Where a server is and who we are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresAddress {
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: String,
    pub database: String,
}

impl PostgresAddress {
    /// Reads `postgres://user:password@host:port/database`.
    pub fn parse(url: &str) -> Result<Self, Failure> {
        let advice = "write it as postgres://user:password@host:port/database";
        let config: tokio_postgres::Config =
            url.parse().or_fail("failed to read the address of Postgres").advise(advice)?;
        let host = match config.get_hosts() {
            [tokio_postgres::config::Host::Tcp(host)] => host.clone(),
            _ => return Err(Failure::new("the address of Postgres must name one host").with_advice(advice)),
        };
        let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        let user = config.get_user().unwrap_or(USER).to_owned();
        Ok(Self {
            host,
            port: config.get_ports().first().copied().unwrap_or(5432),
            password: text(config.get_password()),
            database: config.get_dbname().unwrap_or(&user).to_owned(),
            user,
        })
    }

    /// The same server, another database.
    #[must_use]
    pub fn database(&self, name: &str) -> Self {
        Self { database: name.to_owned(), ..self.clone() }
    }

    /// Connects without TLS. The connection lives as long as the client and the runtime.
    pub async fn connect(&self) -> Result<Client, Failure> {
        let mut config = tokio_postgres::Config::new();
        config.host(&self.host).port(self.port).user(&self.user).dbname(&self.database);
        config.connect_timeout(CONNECT_LIMIT);
        if !self.password.is_empty() {
            config.password(&self.password);
        }
        let (client, connection) = config.connect(NoTls).await.or_fail(format!(
            "failed to connect to Postgres at {}:{}, database {}",
            self.host, self.port, self.database
        ))?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection to Postgres ended");
            }
        });
        Ok(client)
    }
}

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    pub process: Process,
    pub address: PostgresAddress,
    data: PathBuf,
}

impl Postgres {
    /// Installs the server when it is missing and possible, and starts it.
    pub fn start(name: &str, options: PostgresOptions<'_>) -> Result<Self, Failure> {
        packages::ensure(&[Program::Postgres]).advise(
            "or use a running server: cargo quickstart --postgres postgres://user:password@host:port/database",
        )?;
        let binaries = binaries_of(options.version)?;
        let data = initialise(name, &binaries, options)?;
        start_at(name, &binaries, &data, options)
    }

    /// Starts a standby of a running server, which follows it until it is promoted (`select pg_promote()`). It has none of the
    /// primary's slots.
    pub fn start_standby(name: &str, primary: &PostgresAddress, options: PostgresOptions<'_>) -> Result<Self, Failure> {
        let binaries =
            binaries().ok_or_else(|| Failure::new(format!("found no pg_basebackup in {INSTALLED} or on the PATH")))?;
        let data = copy(name, &binaries, primary)?;
        start_at(name, &binaries, &data, options)
    }

    /// Starts a standby of this server, of the same version and with its slots' copies where that version has them (17 and
    /// later). It follows until it is promoted.
    pub async fn follow(&self, name: &str, options: PostgresOptions<'_>) -> Result<Self, Failure> {
        let home = reaper::data_directory(name)?;
        own(&home)?;
        let data = home.join("data");
        let client = self.address.connect().await?;
        let failed = "failed to copy the data of a running server";
        client.batch_execute("select pg_backup_start('standby', true)").await.or_fail(failed)?;
        // Files may go meanwhile: what is missing then comes from the log.
        Command::new("cp")
            .arg("-a")
            .arg(&self.data)
            .arg(&data)
            .stderr(Stdio::null())
            .status()
            .or_fail("failed to run cp")?;
        let row = client.query_one("select labelfile from pg_backup_stop(false)", &[]).await.or_fail(failed)?;
        std::fs::write(data.join("backup_label"), row.get::<_, String>(0)).or_fail(failed)?;
        std::fs::write(data.join("standby.signal"), "").or_fail(failed)?;
        for file in ["backup_label", "standby.signal"] {
            own(&data.join(file))?;
        }
        for file in ["postmaster.pid", "postmaster.opts"] {
            std::fs::remove_file(data.join(file)).or_fail(failed)?;
        }
        for slot in std::fs::read_dir(data.join("pg_replslot")).or_fail(failed)?.flatten() {
            std::fs::remove_dir_all(slot.path()).or_fail(failed)?;
        }
        let slot = format!("of_{name}");
        client.execute("select pg_create_physical_replication_slot($1, true)", &[&slot]).await.or_fail(failed)?;
        let PostgresAddress { host, port, user, password, database } = &self.address;
        let primary = format!("host={host} port={port} user={user} password={password} dbname={database}");
        let mut follows =
            format!("primary_conninfo = '{primary}'\nprimary_slot_name = '{slot}'\nhot_standby_feedback = on\n");
        if options.version.is_some_and(|version| version >= 17) {
            follows.push_str("sync_replication_slots = on\n");
        }
        let mut file = OpenOptions::new().append(true).open(data.join("postgresql.auto.conf")).or_fail(failed)?;
        file.write_all(follows.as_bytes()).or_fail(failed)?;
        start_at(name, &binaries_of(options.version)?, &data, options)
    }

    /// Creates a database.
    pub async fn create_database(&self, name: &str) -> Result<PostgresAddress, Failure> {
        let client = self.address.connect().await?;
        client.batch_execute(&format!("create database {name}")).await.or_fail(format!("failed to create {name}"))?;
        Ok(self.address.database(name))
    }
}

fn binaries_of(version: Option<u32>) -> Result<PathBuf, Failure> {
    match version {
        Some(version) => versions::binaries(version),
        None => binaries().ok_or_else(|| Failure::new(format!("found no initdb in {INSTALLED} or on the PATH"))),
    }
}

/// The directory of the newest server that is installed.
pub(crate) fn binaries() -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir(INSTALLED)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, directory)| directory.join("initdb").is_file())
        .collect();
    versions.sort();
    let newest = versions.pop().map(|(_, directory)| directory);
    newest.or_else(|| Some(packages::find("initdb")?.parent()?.to_path_buf()))
}

/// The user and group id for a command that root must not run.
fn unprivileged() -> Result<Option<(u32, u32)>, Failure> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd").or_fail("failed to read /etc/passwd")?;
    let find = |wanted: &str| {
        users.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, user, group, ..] = fields[..] else { return None };
            if name == wanted { Some((user.parse().ok()?, group.parse().ok()?)) } else { None }
        })
    };
    let found = UNPRIVILEGED.into_iter().find_map(find);
    found
        .map(Some)
        .ok_or_else(|| Failure::new("Postgres refuses to run as root, and there is no user postgres or nobody"))
        .advise("run as another user than root, or add a user postgres")
}

/// A command as the user that may run Postgres.
fn command(program: &Path) -> Result<Command, Failure> {
    let mut command = Command::new(program);
    command.current_dir("/").env_remove("PGDATA").env("LC_ALL", "C");
    if let Some((user, group)) = unprivileged()? {
        command.uid(user).gid(group);
    }
    Ok(command)
}

fn own(path: &Path) -> Result<(), Failure> {
    match unprivileged()? {
        None => Ok(()),
        Some((user, group)) => std::os::unix::fs::chown(path, Some(user), Some(group))
            .or_fail(format!("failed to give {} to the user of Postgres", path.display())),
    }
}

fn initialise(name: &str, binaries: &Path, options: PostgresOptions<'_>) -> Result<PathBuf, Failure> {
    let home = reaper::data_directory(name)?;
    own(&home)?;
    let password = home.join("password");
    std::fs::write(&password, PASSWORD).or_fail(format!("failed to write {}", password.display()))?;
    own(&password)?;
    let data = home.join("data");
    let output = command(&binaries.join("initdb"))?
        .args(["-U", USER, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync"])
        .arg("--pwfile")
        .arg(&password)
        .arg("-D")
        .arg(&data)
        .stdin(Stdio::null())
        .output()
        .or_fail("failed to run initdb")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(format!("initdb ended with {}: {}", output.status, said.trim())));
    }
    if let Some(certificates) = options.certificates {
        for (from, to) in [(&certificates.server, "server.crt"), (&certificates.server_key, "server.key")] {
            let to = data.join(to);
            std::fs::copy(from, &to).or_fail(format!("failed to copy {}", from.display()))?;
            // Postgres refuses a key that others may read.
            std::fs::set_permissions(&to, std::os::unix::fs::PermissionsExt::from_mode(0o600))
                .or_fail(format!("failed to protect {}", to.display()))?;
            own(&to)?;
        }
    }
    Ok(data)
}

/// The data of a server that follows another one.
fn copy(name: &str, binaries: &Path, primary: &PostgresAddress) -> Result<PathBuf, Failure> {
    let home = reaper::data_directory(name)?;
    own(&home)?;
    let data = home.join("data");
    let output = command(&binaries.join("pg_basebackup"))?
        .args(["-h", &primary.host, "-p", &primary.port.to_string(), "-U", &primary.user])
        .args(["-w", "-R", "-X", "stream", "-c", "fast", "--no-sync", "-D"])
        .arg(&data)
        .env("PGPASSWORD", &primary.password)
        .stdin(Stdio::null())
        .output()
        .or_fail("failed to run pg_basebackup")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(format!("pg_basebackup ended with {}: {}", output.status, said.trim())));
    }
    Ok(data)
}

fn start_at(name: &str, binaries: &Path, data: &Path, options: PostgresOptions<'_>) -> Result<Postgres, Failure> {
    let mut last = Failure::new("failed to start Postgres");
    for _ in 0..ATTEMPTS {
        match start_once(name, binaries, data, options) {
            Ok(postgres) => return Ok(postgres),
            Err(failure) => last = failure,
        }
    }
    Err(last)
}

fn start_once(name: &str, binaries: &Path, data: &Path, options: PostgresOptions<'_>) -> Result<Postgres, Failure> {
    let port = ports::free()?;
    let mut server = command(&binaries.join("postgres"))?;
    server.arg("-D").arg(data);
    let settings = [
        format!("port={port}"),
        "listen_addresses=127.0.0.1".to_owned(),
        "unix_socket_directories=".to_owned(),
        format!("wal_level={}", options.wal_level),
        format!("ssl={}", if options.certificates.is_some() { "on" } else { "off" }),
        "max_replication_slots=500".to_owned(),
        "max_wal_senders=100".to_owned(),
        "max_connections=200".to_owned(),
        // Only the worker crashes here, not the database.
        "fsync=off".to_owned(),
        "full_page_writes=off".to_owned(),
        "max_wal_size=4GB".to_owned(),
    ];
    for setting in settings.iter().map(String::as_str).chain(options.settings.iter().copied()) {
        server.arg("-c").arg(setting);
    }
    let mut process = Process::start(name, server, Ask::Int)?;
    // Servers that were fetched come without clients.
    let probe = Some(binaries.join("pg_isready")).filter(|probe| probe.is_file());
    let probe = probe.or_else(|| Some(self::binaries()?.join("pg_isready"))).unwrap_or_else(|| "pg_isready".into());
    process.ready(START_LIMIT, || {
        let status = Command::new(&probe)
            .args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .status()
            .ok()?;
        status.success().then_some(())
    })?;
    let address = PostgresAddress {
        host: "127.0.0.1".to_owned(),
        port,
        user: USER.to_owned(),
        password: PASSWORD.to_owned(),
        database: "postgres".to_owned(),
    };
    Ok(Postgres { process, address, data: data.to_path_buf() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_with_its_defaults() {
        let address = PostgresAddress::parse("postgres://ann:s%40fe@db.example:6432/shop").unwrap();
        assert_eq!((address.host.as_str(), address.port, address.user.as_str()), ("db.example", 6432, "ann"));
        assert_eq!((address.password.as_str(), address.database.as_str()), ("s@fe", "shop"));
        let address = PostgresAddress::parse("postgres://localhost").unwrap();
        assert_eq!((address.port, address.user.as_str(), address.database.as_str()), (5432, "postgres", "postgres"));
        let failure = PostgresAddress::parse("nonsense").unwrap_err().to_string();
        assert!(failure.contains("postgres://user:password@host:port/database"), "{failure}");
    }
}
