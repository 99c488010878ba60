//! Reselection (`post.processors`): what the stream did not bring of a row, or brought as null, is read from its table.
//!
//! When a record is made it is noted what of it is to be looked up ([`plan`]). Before the batch is handed over, many rows are
//! looked up with one message to the server ([`lookup`]), over a session that is opened when it is needed first. A table has the
//! row as it is by then: like the reference, this gives the newest value, not that of the record's moment.
//!
//! What is noted outlives a connection, as the records do: the next one looks it up before it does anything else.

pub mod lookup;
pub mod plan;
pub mod settings;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connect_api::{Error, Value};

use crate::error::{DbError, PgError, within};
use crate::event;
use crate::left_out::leave_out;
use crate::outlet::Outlet;
use crate::pgoutput::Tuple;
use crate::reselect::lookup::{Answers, ask};
use crate::reselect::plan::{KeyTexts, NoKey, Plan};
use crate::reselect::settings::OnFailure;
use crate::session::{End, Session};
use crate::settings::Settings;
use crate::slot::lsn_text;
use crate::table::Table;
use crate::wire::{Purpose, Wire, cells};

/// Rows that are looked up with one message.
const TOGETHER: usize = 64;
const WHAT: &str = "reselect columns";
/// What the reference throws.
const CLASS: &str = "io.debezium.DebeziumException";

/// A row that is to be looked up.
#[derive(Debug)]
struct Lookup {
    /// The record's place in the batch; `None` when it was left out.
    record: Option<usize>,
    /// Of the event, for what is told.
    lsn: u64,
    table: Arc<Table>,
    plan: Arc<Plan>,
    /// The columns, by their places in the plan.
    wanted: Vec<usize>,
    key: Result<KeyTexts, NoKey>,
}

/// What is to be looked up, and the session for that.
#[derive(Default)]
pub struct Reselects {
    waiting: VecDeque<Lookup>,
    /// The session, once it was needed.
    pub sql: Option<Wire>,
}

/// A record that was made of a row just now.
pub struct Made<'a> {
    pub lsn: u64,
    /// Its place in the batch.
    pub record: usize,
    /// The row as the record shows it.
    pub after: &'a [Value],
    pub new: &'a Tuple,
    /// The old row, where that was sent as a whole.
    pub old: Option<&'a Tuple>,
}

impl Reselects {
    /// True when nothing is to be looked up.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// True when enough is to be looked up for a message to the server.
    pub fn is_due(&self) -> bool {
        self.waiting.len() >= TOGETHER
    }

    /// Notes what is to be looked up for a record.
    pub fn note(&mut self, table: &Arc<Table>, made: &Made<'_>) {
        for plan in &table.reselect {
            let wanted = plan.wanted(made.new, made.old.is_none(), made.after);
            if !wanted.is_empty() {
                self.waiting.push_back(Lookup {
                    record: Some(made.record),
                    lsn: made.lsn,
                    table: Arc::clone(table),
                    plan: Arc::clone(plan),
                    wanted,
                    key: plan.key_of(made.new, made.old),
                });
            }
        }
    }

    /// The statements for those that come first.
    fn statements(&self) -> Vec<String> {
        let statement = |lookup: &Lookup| {
            let key = lookup.key.as_ref().ok()?;
            Some(lookup.plan.statement(&lookup.wanted, key))
        };
        self.waiting.iter().take(TOGETHER).map_while(statement).collect()
    }

    /// A record was taken out of the batch: those behind it moved up.
    fn left_out(&mut self, record: usize) {
        for lookup in &mut self.waiting {
            lookup.record = match lookup.record {
                Some(own) if own == record => None,
                Some(own) if own > record => Some(own - 1),
                other => other,
            };
        }
    }
}

impl Lookup {
    fn key(&self) -> &[Option<Bytes>] {
        self.key.as_deref().unwrap_or_default()
    }

    /// Why there is nothing to look it up by.
    fn without_key(&self, why: &NoKey) -> Error {
        Error::config(format!("Failed to re-select columns for table {}: {why}", self.table.name))
            .class(CLASS)
            .hint(why.remedy())
    }

    fn not_found(&self) -> Error {
        let key = self.plan.shown_key(self.key());
        let error = Error::data(format!("Failed to find row in table {} with key {key}", self.table.name)).class(CLASS);
        self.advised(error, "the row was deleted since, or its key changed")
    }

    fn refused(&self, error: DbError) -> Error {
        let error = PgError::Db(error);
        let text = |text: &Option<Bytes>| {
            text.as_ref().map_or("null".into(), |text| String::from_utf8_lossy(text).into_owned())
        };
        let key: Vec<String> = self.key().iter().map(text).collect();
        let message = format!("Failed to re-select columns for table {} and key [{}]", self.table.name, key.join(", "));
        let remedy = error.remedy();
        self.advised(Error::new(error.kind(), message).class(CLASS).caused_by(error), remedy)
    }

    /// The error with what can be done about it.
    fn advised(&self, error: Error, known: &'static str) -> Error {
        const GO_ON: &str = "set reselect.error.handling.mode=warn to go on with what the stream brought";
        match (known, self.plan.on_failure) {
            ("", OnFailure::Warn) => error,
            ("", OnFailure::Fail) => error.hint(GO_ON),
            (known, OnFailure::Warn) => error.hint(known),
            (known, OnFailure::Fail) => error.hint(format!("{known}; or {GO_ON}")),
        }
    }

    /// Puts the values into the record.
    fn put(&self, row: &Bytes, outlet: &mut Outlet) -> Result<(), Error> {
        let texts = cells(row).map_err(|e| e.failed_to(WHAT))?;
        // All of them are read before one is put.
        let values = self.plan.candidates(&self.wanted).zip(&texts);
        let values = values.map(|(column, text)| Ok((column.slot, self.table.shown(column.place, text.as_ref())?)));
        let values: Vec<(usize, Value)> = values.collect::<Result<_, Error>>()?;
        outlet.count_bytes(row.len());
        let record = self.record.and_then(|record| outlet.records().get_mut(record));
        let Some(after) = record.and_then(event::after_mut) else { return Ok(()) };
        for (slot, value) in values {
            if let Some(field) = after.fields.get_mut(slot) {
                *field = value;
            }
        }
        Ok(())
    }
}

/// Looks up all that is to be. What is left when the connection breaks is looked up over another one.
pub async fn resolve(session: &mut Session) -> Result<(), End> {
    while let Some(lookup) = session.reselects.waiting.front() {
        if let Err(why) = &lookup.key {
            let error = lookup.without_key(why);
            failed(session, error)?;
            continue;
        }
        let known = session.reselects.sql.take();
        let fresh = known.is_none();
        let limit = limit(&session.settings);
        let mut sql = match known {
            Some(sql) => sql,
            None => connect(&session.settings, limit)
                .await
                .map_err(|e| e.failed_to("open a session to reselect columns"))?,
        };
        match ask(&mut sql, &session.reselects.statements(), limit).await {
            Ok(answers) => {
                session.reselects.sql = Some(sql);
                settle(session, answers)?;
            }
            Err(error) if fresh => return Err(error.failed_to(WHAT).into()),
            // The server ends sessions that are idle for long, and a restart ends all of them.
            Err(error) => tracing::debug!(%error, "the session for reselection ended: opening another"),
        }
    }
    Ok(())
}

/// How long an answer may take.
fn limit(settings: &Settings) -> Option<Duration> {
    match (settings.query_timeout, settings.silence) {
        (Some(query), Some(silence)) => Some(query.min(silence)),
        (query, silence) => query.or(silence),
    }
}

async fn connect(settings: &Settings, limit: Option<Duration>) -> Result<Wire, PgError> {
    let mut sql = Wire::connect(&settings.server, Purpose::Sql).await?;
    if let Some(limit) = limit {
        // The server gives up first, and says what it was.
        let statement = format!("SET statement_timeout = {}", limit.as_millis());
        within(Some(limit), sql.query(&statement), |limit| PgError::silent(&settings.server.address(), limit)).await?;
    }
    Ok(sql)
}

/// Puts what was answered into the records.
fn settle(session: &mut Session, answers: Answers) -> Result<(), Error> {
    for answer in answers.rows {
        let Some(lookup) = session.reselects.waiting.front() else { return Ok(()) };
        if answer.several {
            tracing::warn!(
                table = %lookup.table.name,
                "Re-selection detected multiple rows for the same key, using first: name columns that tell rows apart in \
                 message.key.columns"
            );
        }
        match answer.first.map(|row| lookup.put(&row, &mut session.outlet)) {
            Some(Ok(())) => drop(session.reselects.waiting.pop_front()),
            // A value that can't be read is no failure to find it.
            Some(Err(error)) => leave(session, error)?,
            None => {
                let error = lookup.not_found();
                failed(session, error)?;
            }
        }
    }
    let Some(error) = answers.failure else { return Ok(()) };
    let Some(lookup) = session.reselects.waiting.front() else { return Ok(()) };
    let error = lookup.refused(error);
    failed(session, error)
}

/// The first one could not be looked up: its processor says what becomes of it.
fn failed(session: &mut Session, error: Error) -> Result<(), Error> {
    let Some(lookup) = session.reselects.waiting.front() else { return Ok(()) };
    if lookup.plan.on_failure == OnFailure::Fail {
        return leave(session, error);
    }
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    tracing::warn!(
        source = %session.settings.prefix,
        at = %lsn_text(lookup.lsn),
        cause,
        remedy = error.remedy(),
        "{error}: the record has what the stream brought"
    );
    session.reselects.waiting.pop_front();
    Ok(())
}

/// No record can be made of the first one's event: `event.processing.failure.handling.mode` says what becomes of the task.
fn leave(session: &mut Session, error: Error) -> Result<(), Error> {
    let Session { settings, reselects, outlet, signals, metrics, .. } = session;
    let Some(lookup) = reselects.waiting.front() else { return Ok(()) };
    leave_out(settings.event_failure, error, &settings.prefix, &lsn_text(lookup.lsn))?;
    metrics.erroneous();
    let record = lookup.record;
    reselects.waiting.pop_front();
    if let Some(record) = record {
        outlet.take_out(record);
        reselects.left_out(record);
        if signals.event_at > record {
            signals.event_at -= 1;
        }
    }
    Ok(())
}
