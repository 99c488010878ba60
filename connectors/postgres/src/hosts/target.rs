//! What is wanted of a server in a list: `database.targetServerType` of the JVM's driver, and libpq's `target_session_attrs`.

use std::fmt;

use crate::error::PgError;
use crate::wire::Wire;

/// What a server may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Nothing is said. In a list that is a primary where there is one.
    Unset,
    Any,
    Primary,
    Secondary,
    PreferPrimary,
    PreferSecondary,
    ReadWrite,
    ReadOnly,
}

impl Target {
    /// The names of the JVM's driver, with regard to case as there.
    pub fn of_driver(text: &str) -> Result<Self, String> {
        match text.trim() {
            "any" => Ok(Self::Any),
            "primary" | "master" => Ok(Self::Primary),
            "secondary" | "slave" => Ok(Self::Secondary),
            "preferSecondary" | "preferSlave" => Ok(Self::PreferSecondary),
            "preferPrimary" => Ok(Self::PreferPrimary),
            other => Err(format!("Invalid targetServerType value: {other}")),
        }
    }

    /// The names of libpq.
    pub fn of_libpq(text: &str) -> Result<Self, String> {
        match text.trim() {
            "any" => Ok(Self::Any),
            "read-write" => Ok(Self::ReadWrite),
            "read-only" => Ok(Self::ReadOnly),
            "primary" => Ok(Self::Primary),
            "standby" => Ok(Self::Secondary),
            "prefer-standby" => Ok(Self::PreferSecondary),
            other => Err(format!(
                "invalid target_session_attrs value: \"{other}\"; any, read-write, read-only, primary, standby and \
                 prefer-standby are known"
            )),
        }
    }

    /// What it means in a list of several.
    pub(super) fn in_list(self) -> Self {
        if self == Self::Unset { Self::PreferPrimary } else { self }
    }

    /// True when a server's role matters.
    pub fn asks(self) -> bool {
        !matches!(self, Self::Unset | Self::Any)
    }

    /// True when another role will do where the wanted one is nowhere.
    pub fn settles(self) -> bool {
        matches!(self, Self::PreferPrimary | Self::PreferSecondary)
    }

    /// True for a server that is what is wanted.
    pub fn fits(self, role: Role) -> bool {
        match self {
            Self::Unset | Self::Any => true,
            Self::Primary | Self::PreferPrimary => !role.standby,
            Self::Secondary | Self::PreferSecondary => role.standby,
            Self::ReadWrite => !role.standby && !role.read_only,
            Self::ReadOnly => role.standby || role.read_only,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unset | Self::Any => "any",
            Self::Primary => "primary",
            Self::Secondary => "secondary",
            Self::PreferPrimary => "preferPrimary",
            Self::PreferSecondary => "preferSecondary",
            Self::ReadWrite => "read-write",
            Self::ReadOnly => "read-only",
        })
    }
}

/// What a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Role {
    pub standby: bool,
    /// Its sessions only read.
    pub read_only: bool,
}

impl Role {
    /// Asks the server.
    pub async fn ask(wire: &mut Wire) -> Result<Self, PgError> {
        let rows = wire.query("SELECT pg_is_in_recovery(), current_setting('transaction_read_only')").await?;
        let is = |at: usize, yes: &str| rows.first().and_then(|row| row.get(at)?.as_deref()) == Some(yes);
        Ok(Self { standby: is(0, "t"), read_only: is(1, "on") })
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.standby, self.read_only) {
            (true, _) => "a standby (in recovery)",
            (false, true) => "a primary that only reads (default_transaction_read_only)",
            (false, false) => "a primary",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_fit_what_is_wanted() {
        let role = |standby, read_only| Role { standby, read_only };
        let (primary, reads, standby) = (role(false, false), role(false, true), role(true, true));
        for (text, fits) in [
            ("any", [true, true, true]),
            ("read-write", [true, false, false]),
            ("read-only", [false, true, true]),
            ("primary", [true, true, false]),
            ("standby", [false, false, true]),
            ("prefer-standby", [false, false, true]),
        ] {
            let target = Target::of_libpq(text).unwrap();
            assert_eq!([primary, reads, standby].map(|role| target.fits(role)), fits, "{text}");
        }
        assert!(Target::of_libpq("master").is_err());
    }

    #[test]
    fn the_names_of_the_driver_are_known_with_their_case() {
        for (text, target) in [
            ("any", Target::Any),
            ("master", Target::Primary),
            ("slave", Target::Secondary),
            ("preferSlave", Target::PreferSecondary),
            ("preferPrimary", Target::PreferPrimary),
        ] {
            assert_eq!(Target::of_driver(text), Ok(target));
        }
        assert_eq!(Target::of_driver("Primary"), Err("Invalid targetServerType value: Primary".to_owned()));
    }
}
