//! Where the database is, who we are there, and how it is reached.

use std::time::Duration;

use connect_api::{Error, Props, Secret};

use super::modes::{Binding, SslMode};
use super::{named, required};
use crate::config::{ExtraConfig, PostgresConfig};
use crate::error::PgError;
use crate::hosts::{Host, Hosts, Target};

/// What the reference passes on to its driver, from keys that begin with `database.` or, with more weight, with `driver.`.
const PASSED: &[&str] =
    &["targetServerType", "loadBalanceHosts", "hostRecheckSeconds", "channelBinding", "connectTimeout", "loginTimeout"];

/// TLS settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Tls {
    pub mode: SslMode,
    pub root_cert: Option<String>,
    pub cert: Option<String>,
    pub key: Option<String>,
    /// Password of an encrypted key, or of a PKCS12 file.
    pub key_password: Option<Secret>,
}

/// Where the database is and who we are there.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    pub hosts: Hosts,
    pub user: String,
    pub password: Option<Secret>,
    pub database: String,
    pub tls: Tls,
    /// `channelBinding`.
    pub binding: Binding,
    /// `connectTimeout`, where there is a limit: for the connection to one address.
    pub connect_timeout: Option<Duration>,
    /// `loginTimeout`, where one is given: for a session with one server.
    pub login_timeout: Option<Duration>,
    pub tcp_keep_alive: bool,
    pub initial_statements: Vec<String>,
    pub application: String,
}

impl Server {
    /// Reads everything of it.
    pub fn parse(props: &Props) -> Result<Self, Error> {
        let wrong = |problems: Vec<connect_config::ConfigError>| {
            problems.into_iter().next().map_or_else(|| Error::config("no configuration"), Error::from)
        };
        let config = PostgresConfig::parse(props).map_err(wrong)?;
        Self::from_config(&config, props)
    }

    pub(super) fn from_config(config: &PostgresConfig, props: &Props) -> Result<Self, Error> {
        let wrong = |problems: Vec<connect_config::ConfigError>| {
            problems.into_iter().next().map_or_else(|| Error::config("no configuration"), Error::from)
        };
        let extra = ExtraConfig::parse(&passed(props)).map_err(wrong)?;
        let port = u16::try_from(config.database_port).map_err(|_| {
            Error::config(format!("The 'database.port' value is invalid: {} is no port", config.database_port))
        })?;
        let file = |path: &Option<String>| path.clone().filter(|path| !path.trim().is_empty());
        let hostname = required(config.database_hostname.as_ref(), "database.hostname")?;
        let database = required(config.database_dbname.as_ref(), "database.dbname")?.to_owned();
        let seconds = |seconds: i32| Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        let limit = |of: i32| Some(seconds(of)).filter(|limit| !limit.is_zero());
        let hosts = Hosts::parse(hostname, port, &database, target(&extra)?).map_err(Error::config)?;
        Ok(Self {
            hosts: hosts.choosing(extra.load_balance_hosts, seconds(extra.host_recheck_seconds)),
            user: required(config.database_user.as_ref(), "database.user")?.to_owned(),
            password: config.database_password.clone(),
            database,
            tls: Tls {
                mode: named(SslMode::parse, "database.sslmode", &config.database_sslmode)?,
                root_cert: file(&config.database_sslrootcert),
                cert: file(&config.database_sslcert),
                key: file(&config.database_sslkey),
                key_password: config.database_sslpassword.clone(),
            },
            binding: Binding::parse(&extra.channel_binding)
                .ok_or_else(|| Error::config(format!("Invalid channelBinding value: {}", extra.channel_binding)))?,
            connect_timeout: limit(extra.connect_timeout),
            login_timeout: limit(extra.login_timeout),
            tcp_keep_alive: config.database_tcp_keep_alive,
            initial_statements: statements(config.database_initial_statements.as_deref().unwrap_or_default()),
            application: "tidegate".to_owned(),
        })
    }

    /// The servers, `host:port` each.
    pub fn address(&self) -> String {
        self.hosts.to_string()
    }

    /// The one server that was reached, for more sessions with it.
    #[must_use]
    pub fn only(&self, host: &Host) -> Self {
        Self { hosts: self.hosts.only(host), ..self.clone() }
    }

    /// The password, or why there is none.
    pub fn password(&self) -> Result<&str, PgError> {
        self.password.as_ref().map(Secret::expose).ok_or_else(|| {
            PgError::Setup(
                "The server requested password-based authentication, but no password was provided by database.password"
                    .to_owned(),
            )
        })
    }
}

/// Our own key counts more than the driver's.
fn target(extra: &ExtraConfig) -> Result<Target, Error> {
    let of = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    match (of(&extra.target_session_attrs), of(&extra.target_server_type)) {
        (Some(text), _) => Target::of_libpq(&text).map_err(Error::config),
        (None, Some(text)) => Target::of_driver(&text).map_err(Error::config),
        (None, None) => Ok(Target::Unset),
    }
}

/// The properties with those of the driver at the keys that are declared.
fn passed(props: &Props) -> Props {
    let mut all = props.clone();
    for name in PASSED {
        if let Some(value) = props.get(&format!("driver.{name}")) {
            all.insert(format!("database.{name}"), value.clone());
        }
    }
    all
}

/// Splits at single semicolons; a doubled one is a character.
fn statements(text: &str) -> Vec<String> {
    text.replace(";;", "\0")
        .split(';')
        .map(|part| part.replace('\0', ";").trim().to_owned())
        .filter(|part| !part.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::props;
    use super::*;

    fn server(extra: &[(&str, &str)]) -> Result<Server, String> {
        Server::parse(&props(extra)).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn statements_follow_their_syntax() {
        assert_eq!(statements("SET a = 1; SELECT ';;'"), vec!["SET a = 1", "SELECT ';'"]);
    }

    #[test]
    fn what_is_for_the_driver_is_read_under_both_prefixes() {
        let target = |extra: &[(&str, &str)]| server(extra).map(|server| server.hosts.target);
        let (first, second) = (("database.targetServerType", "primary"), ("driver.targetServerType", "secondary"));
        assert_eq!(target(&[]), Ok(Target::Unset));
        assert_eq!(target(&[first]), Ok(Target::Primary));
        assert_eq!(target(&[first, second]), Ok(Target::Secondary));
        assert_eq!(target(&[first, ("database.target.session.attrs", "read-write")]), Ok(Target::ReadWrite));
        let wrong = target(&[("driver.targetServerType", "bogus")]);
        assert_eq!(wrong, Err("Invalid targetServerType value: bogus".to_owned()));
        let wrong = server(&[("database.channelBinding", "bogus")]).unwrap_err();
        assert_eq!(wrong, "Invalid channelBinding value: bogus");
    }

    #[test]
    fn limits_are_seconds() {
        let limits =
            |extra: &[(&str, &str)]| server(extra).map(|server| (server.connect_timeout, server.login_timeout));
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(limits(&[]), Ok((seconds(10), None)));
        assert_eq!(limits(&[("database.connectTimeout", "0"), ("driver.loginTimeout", "3")]), Ok((None, seconds(3))));
    }
}
