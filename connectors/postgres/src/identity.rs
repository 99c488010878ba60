//! Replica identities that are set at start (`replica.identity.autoset.values`): what of an old row the log carries.
//!
//! As in the reference, a table whose identity can't be set is told of, and streamed as it is.

use std::fmt;

use connect_api::Error;
use regex::Regex;

use crate::error::PgError;
use crate::filters::anchored;
use crate::settings::Settings;
use crate::slot;
use crate::wire::{Row, Wire, identifier};

/// What a table's log tells of old rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    Default,
    Full,
    Nothing,
    /// The columns of a unique index.
    Index(String),
}

impl Identity {
    /// The identity of a name. Lower case passes the check of the configuration and means nothing, as in the reference.
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "DEFAULT" => Ok(Self::Default),
            "FULL" => Ok(Self::Full),
            "NOTHING" => Ok(Self::Nothing),
            other => match other.split_once(' ') {
                Some(("INDEX", name)) => Ok(Self::Index(name.to_owned())),
                _ => Err(format!("'{other}' is no replica identity: write DEFAULT, FULL, NOTHING or INDEX and a name")),
            },
        }
    }

    /// The identity of a row of the catalogue: its letter, and the index that it uses.
    fn of(row: &Row) -> Option<Self> {
        let cell = |at: usize| row.get(at).and_then(Option::as_deref);
        match cell(1)? {
            "d" => Some(Self::Default),
            "f" => Some(Self::Full),
            "n" => Some(Self::Nothing),
            _ => Some(Self::Index(cell(2)?.to_owned())),
        }
    }

    /// As it is now, or as the server makes it of what is written: a plain name has no upper case there.
    fn is(&self, current: &Self) -> bool {
        match (self, current) {
            (Self::Index(wanted), Self::Index(current)) => folded(wanted) == *current,
            _ => self == current,
        }
    }
}

/// The name of an index as the server reads it without quotes.
fn folded(name: &str) -> String {
    if name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        name.to_ascii_lowercase()
    } else {
        name.to_owned()
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("DEFAULT"),
            Self::Full => f.write_str("FULL"),
            Self::Nothing => f.write_str("NOTHING"),
            Self::Index(name) => write!(f, "USING INDEX {}", identifier(&folded(name))),
        }
    }
}

/// The identities that are wanted, by the names of tables.
#[derive(Clone, Debug, Default)]
pub struct Identities {
    rules: Vec<(Regex, Identity)>,
    /// What can't be read: then none is set.
    unread: Option<String>,
}

impl Identities {
    /// Reads `expression:identity,expression:identity`.
    pub fn parse(text: &str) -> Self {
        let rule = |part: &str| {
            let (table, identity) = part.trim().split_once(':').ok_or_else(|| format!("'{part}' has no identity"))?;
            let table = anchored(table).map_err(|e| e.to_string())?;
            Ok((table, Identity::parse(identity)?))
        };
        match text.split(',').filter(|part| !part.trim().is_empty()).map(rule).collect::<Result<_, String>>() {
            Ok(rules) => Self { rules, unread: None },
            Err(why) => Self { rules: Vec::new(), unread: Some(why) },
        }
    }

    fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.unread.is_none()
    }

    /// The identity that is wanted of a table, or why that is not known.
    fn of(&self, table: &str) -> Result<Option<&Identity>, String> {
        if let Some(why) = &self.unread {
            return Err(why.clone());
        }
        let mut fitting = self.rules.iter().filter(|(pattern, _)| pattern.is_match(table));
        let first = fitting.next();
        if fitting.next().is_some() {
            return Err(format!("More than one Regular expressions matched table {table}"));
        }
        Ok(first.map(|(_, identity)| identity))
    }
}

/// Sets the identities of the captured tables that are not as wanted.
pub async fn set(sql: &mut Wire, settings: &Settings) -> Result<(), Error> {
    if settings.identities.is_empty() {
        return Ok(());
    }
    tracing::info!(source = %settings.prefix, "Updating Replica Identity");
    let tables = slot::captured(sql, settings).await?;
    let oids: Vec<String> = tables.iter().map(|table| table.oid.to_string()).collect();
    if oids.is_empty() {
        return Ok(());
    }
    let query = format!(
        "SELECT c.oid, c.relreplident, (SELECT x.relname FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x \
         ON x.oid = i.indexrelid WHERE i.indrelid = c.oid AND i.indisreplident LIMIT 1) \
         FROM pg_catalog.pg_class c WHERE c.oid IN ({})",
        oids.join(",")
    );
    let current = sql.query(&query).await.map_err(|e| e.failed_to("read the replica identities"))?;
    for table in &tables {
        let name = table.name.to_string();
        let wanted = match settings.identities.of(&name) {
            Ok(Some(wanted)) => wanted,
            Ok(None) => continue,
            Err(why) => {
                tracing::error!(source = %settings.prefix, table = %name, why, "Unable to update Replica Identity for table {name}");
                continue;
            }
        };
        let oid = table.oid.to_string();
        let row = current.iter().find(|row| row.first().and_then(Option::as_deref) == Some(&*oid));
        if row.and_then(Identity::of).is_some_and(|current| wanted.is(&current)) {
            tracing::info!(source = %settings.prefix, table = %name, identity = %wanted, "the replica identity is as wanted");
            continue;
        }
        let (schema, relation) = (identifier(&table.name.schema), identifier(&table.name.table));
        match sql.query(&format!("ALTER TABLE {schema}.{relation} REPLICA IDENTITY {wanted}")).await {
            Ok(_) => {
                tracing::info!(source = %settings.prefix, "Replica identity set to {wanted} for table '{name}'");
            }
            Err(error) if error.sqlstate() == Some("42501") => {
                tracing::error!(
                    source = %settings.prefix, table = %name, %error,
                    "Replica identity could not be updated because of lack of privileges: make the role an owner of the table"
                );
            }
            Err(error @ PgError::Db(_)) => {
                tracing::error!(
                    source = %settings.prefix, table = %name, %error,
                    "Unexpected error while attempting to alter Replica Identity"
                );
            }
            Err(error) => return Err(error.failed_to(&format!("set the replica identity of {name}"))),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_gets_the_identity_of_the_one_expression_that_it_fits() {
        let wanted = Identities::parse("public.t:FULL, s\\.(a|b):INDEX My_Idx,S.c:NOTHING,s.c:DEFAULT");
        assert_eq!(wanted.of("public.t"), Ok(Some(&Identity::Full)));
        assert_eq!(
            wanted.of("s.b").map(|found| found.map(ToString::to_string)),
            Ok(Some("USING INDEX \"my_idx\"".to_owned()))
        );
        assert_eq!(wanted.of("public.other"), Ok(None));
        assert_eq!(wanted.of("s.c"), Err("More than one Regular expressions matched table s.c".to_owned()));
        assert!(Identities::default().is_empty());
    }

    #[test]
    fn what_can_not_be_read_sets_nothing() {
        for (text, why) in
            [("public.t:full", "'full' is no replica identity"), ("public.t:FULL,a(:FULL", "Unclosed group")]
        {
            let wanted = Identities::parse(text);
            assert!(!wanted.is_empty());
            assert!(wanted.of("public.t").expect_err(text).contains(why), "{text}");
        }
    }

    #[test]
    fn an_identity_that_is_as_wanted_is_left_alone() {
        let row = |kind: &str, index: Option<&str>| -> Row {
            vec![Some("1".to_owned()), Some(kind.to_owned()), index.map(str::to_owned)]
        };
        assert_eq!(Identity::of(&row("f", None)), Some(Identity::Full));
        let current = Identity::of(&row("i", Some("my_idx"))).expect("an index");
        assert!(Identity::Index("My_Idx".to_owned()).is(&current));
        assert!(!Identity::Index("other".to_owned()).is(&current));
        assert!(!Identity::Default.is(&current));
    }
}
