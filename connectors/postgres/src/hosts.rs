//! The servers that `database.hostname` names, and which of them will do.
//!
//! The list has the grammar of the JVM's driver, because the reference puts the key into `jdbc:postgresql://HOSTNAME:PORT/DBNAME`:
//! names are separated by commas, each may have a port of its own, those without one have 5432, and the last one has
//! `database.port`. Here the last one may have its own as well.

mod known;
mod target;

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use connect_api::ErrorKind;
use rand::seq::SliceRandom as _;

use crate::error::PgError;

pub use known::{Status, note, note_for};
pub use target::{Role, Target};

/// The port of a name that has none and is not the last one.
const PORT: u16 = 5432;

/// One server of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// A name or an address, without brackets.
    pub name: String,
    pub port: u16,
    /// Where it was reached: sessions that belong together go there, whatever the name leads to by then.
    pub reached: Option<SocketAddr>,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port)
        } else {
            write!(f, "{}:{}", self.name, self.port)
        }
    }
}

/// The list, and what is wanted of a server in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    list: Vec<Host>,
    pub target: Target,
    /// Those that will do are tried in any order (`loadBalanceHosts`).
    balance: bool,
    /// For how long a server that would not do is tried after the others (`hostRecheckSeconds`).
    recheck: Duration,
}

impl fmt::Display for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, host) in self.list.iter().enumerate() {
            write!(f, "{}{host}", if at == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// The list can't be read: the words of the JVM's driver, as far as it has some.
fn unreadable(text: &str, port: u16, database: &str) -> String {
    format!("Unable to parse URL jdbc:postgresql://{text}:{port}/{database}")
}

impl Hosts {
    /// Reads the list.
    pub fn parse(text: &str, port: u16, database: &str, target: Target) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        let last = parts.len() - 1;
        let read = |(at, part): (usize, &&str)| {
            let (name, own) = split(part)?;
            let port = if at == last { port } else { PORT };
            Some(Host { name: name.to_owned(), port: own.unwrap_or(port), reached: None })
        };
        let list: Option<Vec<Host>> = parts.iter().enumerate().map(read).collect();
        let list = list.ok_or_else(|| unreadable(text, port, database))?;
        let target = if list.len() > 1 { target.in_list() } else { target };
        Ok(Self { list, target, balance: false, recheck: Duration::from_secs(10) })
    }

    /// The same with the settings of the choice.
    #[must_use]
    pub fn choosing(self, balance: bool, recheck: Duration) -> Self {
        Self { balance, recheck, ..self }
    }

    /// One that was reached, and no other.
    #[must_use]
    pub fn only(&self, host: &Host) -> Self {
        Self { list: vec![host.clone()], target: Target::Any, ..self.clone() }
    }

    /// The first one of the list.
    pub fn first(&self) -> &Host {
        &self.list[0]
    }

    /// True when there is no choice.
    pub fn is_one(&self) -> bool {
        self.list.len() == 1
    }

    /// The servers in the order in which they are tried: those that would not do a moment ago come last.
    pub fn in_order(&self) -> Vec<Host> {
        let mut order = self.list.clone();
        if self.is_one() {
            return order;
        }
        let mut rng = rand::rng();
        if self.balance {
            order.shuffle(&mut rng);
        }
        order.sort_by_cached_key(|host| known::would_do(host, self.target, self.recheck).is_some_and(|would| !would));
        order
    }

    /// The error when none will do: every server with its reason.
    pub fn none(&self, reasons: Vec<(Host, Reason)>) -> PgError {
        let wanted = match self.target {
            Target::Any => "No connection to any server of the list".to_owned(),
            target => format!("Could not find a server with specified targetServerType: {target}"),
        };
        let passes = reasons.iter().any(|(_, reason)| reason.kind().retriable());
        // What passes at one of them is worth waiting for, whatever another one says.
        let kind = reasons.iter().map(|(_, reason)| reason.kind()).find(|kind| kind.retriable() == passes);
        let texts: Vec<String> = reasons.iter().map(|(host, reason)| format!("{host}: {reason}")).collect();
        let remedy = match reasons.iter().find(|(_, reason)| reason.kind().retriable() == passes) {
            Some((_, Reason::Role(_))) | None => {
                "wait for a promotion, or correct database.hostname, database.targetServerType and \
                 database.target.session.attrs"
            }
            Some((_, Reason::Failed(error))) => error.remedy(),
        };
        PgError::NoneOf {
            message: format!("{wanted}: {}", texts.join("; ")),
            kind: kind.unwrap_or(ErrorKind::Unavailable),
            remedy,
        }
    }
}

/// Why a server will not do.
#[derive(Debug)]
pub enum Reason {
    /// It has another role than the one that is wanted.
    Role(Role),
    Failed(PgError),
}

impl Reason {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Role(_) => ErrorKind::Unavailable,
            Self::Failed(error) => error.kind(),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(role) => write!(f, "it is {role}"),
            Self::Failed(error) => {
                write!(f, "{error}")?;
                match std::error::Error::source(error) {
                    Some(cause) => write!(f, " ({cause})"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// Splits a name from its port: `name`, `name:port`, `[address]`, `[address]:port` or an address of IPv6.
fn split(part: &str) -> Option<(&str, Option<u16>)> {
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    let named = |name: &str, own: Option<u16>| (!name.is_empty()).then_some(own);
    if let Some(rest) = part.strip_prefix('[') {
        let (name, after) = rest.split_once(']')?;
        let own = match after.strip_prefix(':') {
            Some(text) => Some(port(text)?),
            None if after.is_empty() => None,
            None => return None,
        };
        return named(name, own).map(|own| (name, own));
    }
    // The zone of a local address is the system's to know.
    if part.split('%').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()) {
        return Some((part, None));
    }
    match part.rsplit_once(':') {
        Some((name, text)) if !name.contains(':') => {
            let own = Some(port(text)?);
            named(name, own).map(|own| (name, own))
        }
        Some(_) => None,
        None => named(part, None).map(|own| (part, own)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        Hosts::parse(text, 6000, "db", Target::Unset).map(|hosts| hosts.to_string())
    }

    #[test]
    fn a_list_is_read_as_the_driver_of_the_jvm_reads_it() {
        for (text, hosts) in [
            ("h1", "h1:6000"),
            ("h1,h2", "h1:5432,h2:6000"),
            ("h1:1,h2", "h1:1,h2:6000"),
            (" h1 , h2 ", "h1:5432,h2:6000"),
            ("[::1]:99,[fe80::1]", "[::1]:99,[fe80::1]:6000"),
            ("::1", "[::1]:6000"),
            // There the port of the last one is `database.port`, whatever stands before it.
            ("h1,h2:5433", "h1:5432,h2:5433"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(hosts), "{text}");
        }
        for text in ["h1:0,h2", "h1:x,h2", "h1:70000,h2", "h1,,h2", "h1,", "h1:", ":77,b", "[::1", "[::1]x", "a:b:c"] {
            let refused = format!("Unable to parse URL jdbc:postgresql://{text}:6000/db");
            assert_eq!(read(text), Err(refused), "{text}");
        }
    }

    #[test]
    fn a_primary_is_preferred_in_a_list_where_nothing_else_is_said() {
        let target = |text: &str, target| Hosts::parse(text, 1, "db", target).unwrap().target;
        assert_eq!(target("a", Target::Unset), Target::Unset);
        assert_eq!(target("a,b", Target::Unset), Target::PreferPrimary);
        assert_eq!(target("a,b", Target::Any), Target::Any);
    }

    #[test]
    fn the_order_follows_what_is_known() {
        let hosts = Hosts::parse("order1,order2,order3", 1, "db", Target::Primary).unwrap();
        let hosts = hosts.choosing(false, Duration::from_secs(3600));
        let names = |hosts: &Hosts| hosts.in_order().into_iter().map(|host| host.name).collect::<Vec<_>>();
        assert_eq!(names(&hosts), ["order1", "order2", "order3"]);
        note(&hosts.list[0], Status::Failed);
        note(&hosts.list[1], Status::Is(Role { standby: true, read_only: true }));
        assert_eq!(names(&hosts), ["order3", "order1", "order2"]);
        let standbys = Hosts { target: Target::Secondary, ..hosts.clone() };
        assert_eq!(names(&standbys), ["order2", "order3", "order1"]);
        assert_eq!(names(&hosts.clone().choosing(false, Duration::ZERO)), ["order1", "order2", "order3"]);
        let mut shuffled = names(&hosts.choosing(true, Duration::ZERO));
        shuffled.sort();
        assert_eq!(shuffled, ["order1", "order2", "order3"]);
    }

    #[test]
    fn every_server_is_named_with_its_reason_and_what_passes_counts() {
        let hosts = Hosts::parse("a,b:5433", 5432, "db", Target::Primary).unwrap();
        let [a, b] = [hosts.list[0].clone(), hosts.list[1].clone()];
        let standby = Reason::Role(Role { standby: true, read_only: true });
        let config = || Reason::Failed(PgError::Setup("no TLS".to_owned()));
        let error = hosts.none(vec![(a.clone(), config()), (b.clone(), standby)]);
        assert_eq!(
            error.to_string(),
            "Could not find a server with specified targetServerType: primary: a:5432: no TLS; \
             b:5433: it is a standby (in recovery)"
        );
        assert!(error.kind().retriable());
        let error = hosts.none(vec![(a, config()), (b, config())]);
        assert_eq!(error.kind(), ErrorKind::Config);
    }
}
