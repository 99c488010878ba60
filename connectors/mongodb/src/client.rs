//! The connection to MongoDB and bulks of raw statements over it.
//!
//! The driver has no bulk of updates for servers before 8.0, so the commands are made here, as the drivers'
//! specifications say: retryable where the deployment is a replica set or sharded, with the write concern of the
//! connection string, tried once more after an error that allows it.

use std::collections::HashSet;
use std::time::Duration;

use bson::{Document, RawDocument, RawDocumentBuf, doc};
use connect_api::Error;
use mongodb::options::{ClientOptions, ServerApi, ServerApiVersion, Tls, TlsOptions};
use mongodb::{Client, ClientSession};

use crate::batch::{Batch, Op, Sent, Unanswered};
use crate::doc::Writer;
use crate::failure::{ConcernError, Failure, WriteError, driver_error, read_reply, retryable};
use crate::kinds::retryable_code;
use crate::settings::SinkConfig;
use crate::statement::Kind;

/// The largest statement that a server takes: a document of 16 MiB and what surrounds it.
pub(crate) const MAX_STATEMENT: usize = 16 * 1024 * 1024 + 16 * 1024;
/// What a command's buffer is made for beside its statements: it grows where that is not enough.
const COMMAND_MAX: usize = 512;
/// Type and index of a statement in a command.
const ELEMENT_MAX: usize = 8;

/// The driver's options from the configuration.
pub async fn options(config: &SinkConfig) -> Result<ClientOptions, Error> {
    let uri = config.connection_uri.expose();
    let mut options = ClientOptions::parse(uri).await.map_err(|error| unusable(uri, &error.kind))?;
    options.app_name.get_or_insert_with(|| "tidegate".to_owned());
    if !config.server_api_version.is_empty() {
        let mut api = ServerApi::builder().version(ServerApiVersion::V1).build();
        api.strict = Some(config.server_api_strict);
        api.deprecation_errors = Some(config.server_api_deprecation_errors);
        options.server_api = Some(api);
    }
    let file = |path: &str| Some(path.trim()).filter(|path| !path.is_empty()).map(std::path::PathBuf::from);
    let (ca, key) = (file(&config.connection_ssl_truststore), file(&config.connection_ssl_keystore));
    if ca.is_some() || key.is_some() {
        let mut tls = match options.tls.take() {
            Some(Tls::Enabled(tls)) => tls,
            _ => TlsOptions::default(),
        };
        for store in [&ca, &key].into_iter().flatten() {
            refuse_java_store(store)?;
        }
        tls.ca_file_path = ca.or(tls.ca_file_path);
        tls.cert_key_file_path = key.or(tls.cert_key_file_path);
        options.tls = Some(Tls::Enabled(tls));
    }
    Ok(options)
}

/// The driver's words repeat parts of the address, and where a password was not percent-encoded such a part may be a piece
/// of it: with credentials in the string, only what to look for is said.
fn unusable(uri: &str, why: &dyn std::fmt::Display) -> Error {
    if uri.contains('@') {
        Error::config("the connection string cannot be used: it does not parse")
            .hint("percent-encode the characters : / ? # [ ] @ % in the user name and the password")
    } else {
        Error::config(format!("the connection string cannot be used: {why}"))
    }
}

fn refuse_java_store(path: &std::path::Path) -> Result<(), Error> {
    let java = path
        .extension()
        .is_some_and(|extension| ["jks", "p12", "pfx"].iter().any(|java| extension.eq_ignore_ascii_case(java)));
    if !java {
        return Ok(());
    }
    let shown = path.display();
    Err(Error::config(format!("{shown} is a Java keystore; PEM files are read here")).hint(format!(
        "Convert it: keytool -importkeystore -srckeystore {shown} -destkeystore store.p12 -deststoretype PKCS12, then \
         openssl pkcs12 -in store.p12 -nodes -out store.pem"
    )))
}

/// A client that writes bulks.
pub struct BulkClient {
    client: Client,
    session: ClientSession,
    /// Number of the last retryable write of the session.
    txn_number: i64,
    retry_writes: bool,
    /// Whether the deployment takes retryable writes; unknown until the first write.
    retryable_deployment: Option<bool>,
    write_concern: Option<Document>,
    /// Writes within transactions, which the server ends with the first statement that it refuses.
    transactional: bool,
    server: String,
}

impl BulkClient {
    /// Makes the client. Nothing is connected yet.
    pub async fn new(config: &SinkConfig) -> Result<Self, Error> {
        let mut options = options(config).await?;
        // The JVM's driver's default; that of this one is less than lanes there may be.
        options.max_pool_size.get_or_insert(100);
        let write_concern = match &options.write_concern {
            None => None,
            Some(concern) => Some(
                bson::serialize_to_document(concern)
                    .map_err(|error| Error::config(format!("the write concern cannot be used: {error}")))?,
            ),
        };
        let server = options.hosts.first().map(ToString::to_string).unwrap_or_default();
        let retry_writes = options.retry_writes.unwrap_or(true);
        let client = Client::with_options(options)
            .map_err(|error| Error::config(format!("the connection string cannot be used: {}", error.kind)))?;
        let session = client.start_session().await.map_err(|error| driver_error(error, &server).into_error(&server))?;
        Ok(Self {
            client,
            session,
            txn_number: 0,
            retry_writes,
            retryable_deployment: None,
            write_concern,
            transactional: false,
            server,
        })
    }

    /// One more with a session of its own, over the same pool of connections.
    pub async fn sibling(&self) -> Result<Self, Error> {
        let session = self.client.start_session().await;
        let session = session.map_err(|error| driver_error(error, &self.server).into_error(&self.server))?;
        Ok(Self {
            client: self.client.clone(),
            session,
            txn_number: 0,
            retry_writes: self.retry_writes,
            retryable_deployment: self.retryable_deployment,
            write_concern: self.write_concern.clone(),
            transactional: false,
            server: self.server.clone(),
        })
    }

    /// A sibling that writes within transactions of its session, which the driver numbers and whose write concern counts
    /// when they are committed.
    pub async fn for_transactions(&self) -> Result<Self, Error> {
        Ok(Self { retry_writes: false, write_concern: None, transactional: true, ..self.sibling().await? })
    }

    /// The session of everything that it writes.
    pub fn session(&mut self) -> &mut ClientSession {
        &mut self.session
    }

    /// The write concern of the connection string.
    pub fn write_concern(&self) -> Option<&Document> {
        self.write_concern.as_ref()
    }

    /// The first host of the connection string.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The driver's client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Writes what is open of a batch: every statement is acknowledged when it returns without a failure. After one, the batch
    /// knows how far it came. With `waits`, a command that was not confirmed in time ends it too, to be asked for again.
    pub async fn write(&mut self, batch: &mut Batch, buffer: &[u8], ordered: bool, waits: bool) -> Result<(), Failure> {
        let mut errors: Vec<WriteError> = Vec::new();
        let mut concern: Option<ConcernError> = None;
        let mut runs = batch.open_runs(ordered);
        while let Some(run) = runs.pop_front() {
            check(batch, &run)?;
            let number = match batch.unanswered.take() {
                // The server knows only the last number of a session.
                Some(Unanswered { number: Some(number), ops }) if ops == run && number == self.txn_number => {
                    Some(number)
                }
                _ => self.next_number().await?,
            };
            let (run_errors, run_concern) = match self.run(batch, buffer, &run, ordered, number).await {
                Ok(reply) => read_reply(&reply, &run),
                Err(failure) => {
                    batch.left_unanswered(run, number);
                    return Err(failure);
                }
            };
            let unconfirmed = run_concern.is_some();
            if let Some(error) = run_concern {
                if waits && error.kind().retriable() && (number.is_some() || repeatable(batch, buffer, &run)) {
                    batch.left_unanswered(run, number);
                    return Err(Failure::Unconfirmed(Box::new(error)));
                }
                concern = Some(error);
            }
            let (own, run_errors): (Vec<_>, Vec<_>) = run_errors.into_iter().partition(|error| is_own(batch, error));
            let done = if unconfirmed { Sent::Unsure } else { Sent::Written };
            let left = acknowledge(batch, &run, ordered, done, (&own, &run_errors));
            errors.extend(run_errors);
            if self.transactional && !errors.is_empty() {
                break;
            }
            match left {
                None => break,
                Some(left) if left.is_empty() => {}
                Some(left) => runs.push_front(left),
            }
        }
        if errors.is_empty() && concern.is_none() {
            return Ok(());
        }
        errors.sort_by_key(|error| error.index);
        Err(Failure::Bulk { errors, concern: concern.map(Box::new) })
    }

    /// The number of the next retryable write, where the deployment takes them.
    async fn next_number(&mut self) -> Result<Option<i64>, Failure> {
        if !(self.retry_writes && self.deployment_retries().await?) {
            return Ok(None);
        }
        self.txn_number += 1;
        Ok(Some(self.txn_number))
    }

    async fn run(
        &mut self,
        batch: &Batch,
        buffer: &[u8],
        run: &[usize],
        ordered: bool,
        number: Option<i64>,
    ) -> Result<Document, Failure> {
        let command = self.command(batch, buffer, run, ordered, number)?;
        let first = self.send(batch, command).await;
        let again = match &first {
            Ok(reply) => reply
                .get_document("writeConcernError")
                .ok()
                .and_then(|error| error.get_i32("code").ok())
                .is_some_and(retryable_code),
            Err(error) => retryable(error),
        };
        if !again || number.is_none() {
            return first.map_err(|error| driver_error(error, &self.server));
        }
        tracing::info!(server = %self.server, "trying a write once more");
        // Made anew: a copy kept for this rare case would cost every command as much as it is long.
        let command = self.command(batch, buffer, run, ordered, number)?;
        self.send(batch, command).await.map_err(|error| driver_error(error, &self.server))
    }

    async fn send(&mut self, batch: &Batch, command: RawDocumentBuf) -> mongodb::error::Result<Document> {
        let database = self.client.database(&batch.namespace.database);
        database.run_raw_command(command).session(&mut self.session).await
    }

    /// Asks the deployment once whether it is a replica set or sharded.
    pub async fn deployment_retries(&mut self) -> Result<bool, Failure> {
        if let Some(known) = self.retryable_deployment {
            return Ok(known);
        }
        let reply = self
            .client
            .database("admin")
            .run_command(doc! { "hello": 1 })
            .await
            .map_err(|error| driver_error(error, &self.server))?;
        let retries = reply.contains_key("setName") || reply.get_str("msg").is_ok_and(|msg| msg == "isdbgrid");
        self.retryable_deployment = Some(retries);
        Ok(retries)
    }

    fn command(
        &self,
        batch: &Batch,
        buffer: &[u8],
        run: &[usize],
        ordered: bool,
        number: Option<i64>,
    ) -> Result<RawDocumentBuf, Failure> {
        let kind = run.first().and_then(|index| batch.ops.get(*index)).map_or(Kind::Insert, |op| op.kind);
        let (command, statements) = match kind {
            Kind::Insert => ("insert", "documents"),
            Kind::Replace | Kind::Update => ("update", "updates"),
            Kind::Delete => ("delete", "deletes"),
        };
        let length: usize =
            run.iter().filter_map(|index| batch.ops.get(*index)).map(|op| op.bytes.len() + ELEMENT_MAX).sum();
        let mut w = Writer::with_capacity(length + COMMAND_MAX);
        let open = w.open();
        let at = w.literal(command);
        w.put_str(at, &batch.namespace.collection);
        let at = w.literal("ordered");
        w.put_bool(at, ordered);
        if let Some(concern) = self.write_concern.as_ref().filter(|concern| !concern.is_empty()) {
            let at = w.literal("writeConcern");
            w.put_document_at(at, concern).map_err(Failure::Whole)?;
        }
        if let Some(number) = number {
            let at = w.literal("txnNumber");
            w.put_i64(at, number);
        }
        let at = w.literal(statements);
        let array = w.begin_array(at);
        for (place, index) in run.iter().enumerate() {
            let bytes = batch.ops.get(*index).and_then(|op| buffer.get(op.bytes.clone())).unwrap_or_default();
            let at = w.index(place);
            w.put_raw_document(at, bytes);
        }
        w.close(array);
        w.close(open);
        RawDocumentBuf::from_bytes(w.into_bytes()).map_err(|error| {
            Failure::Whole(Error::connect(format!("a {command} command could not be encoded: {error}")))
        })
    }

    /// Closes the connections.
    pub async fn close(self) {
        let Self { client, session, .. } = self;
        drop(session);
        client.shutdown().await;
    }
}

/// Finds a statement of a command that can't be sent.
fn check(batch: &mut Batch, run: &[usize]) -> Result<(), Failure> {
    for &index in run {
        let op = &mut batch.ops[index];
        if let Some(error) = op.deferred.take() {
            return Err(Failure::Statement { index, error });
        }
        if op.bytes.len() > MAX_STATEMENT {
            return Err(Failure::Statement { index, error: too_large(op.bytes.len()) });
        }
    }
    Ok(())
}

fn too_large(size: usize) -> Error {
    let message = format!("Payload document size is larger than maximum of 16793600. The statement has {size} bytes.");
    Error::data(message).class("org.bson.BsonMaximumSizeExceededException")
}

/// True when the document that is in the way is the record's own, of an attempt without an answer.
fn is_own(batch: &Batch, error: &WriteError) -> bool {
    let op = batch.ops.get(error.index);
    error.id_taken && op.is_some_and(|op| op.sent == Sent::Unsure && op.own_id && op.kind == Kind::Insert)
}

/// True when the statements of a command leave the same when they are done twice.
fn repeatable(batch: &Batch, buffer: &[u8], run: &[usize]) -> bool {
    run.iter().filter_map(|index| batch.ops.get(*index)).all(|op| is_repeatable(op, buffer))
}

/// True when a statement leaves the same when it is done twice, or its second time is told from another record's.
pub(crate) fn is_repeatable(op: &Op, buffer: &[u8]) -> bool {
    match op.kind {
        Kind::Insert => op.own_id,
        Kind::Replace | Kind::Update => true,
        // Of several documents that fit, each one deletes another.
        Kind::Delete => buffer
            .get(op.bytes.clone())
            .and_then(|bytes| RawDocument::from_bytes(bytes).ok())
            .and_then(|statement| statement.get_document("q").ok())
            .is_some_and(|filter| filter.get("_id").is_ok_and(|id| id.is_some())),
    }
}

/// Notes as `done` what the answer to a command says was done: all but what failed and, in an ordered one, what stands
/// behind that. Gives what is to be sent next of the command, when nothing but a record's own document was in the way; `None`
/// ends the batch.
fn acknowledge(
    batch: &mut Batch,
    run: &[usize],
    ordered: bool,
    done: Sent,
    (own, errors): (&[WriteError], &[WriteError]),
) -> Option<Vec<usize>> {
    let indexes = |errors: &[WriteError]| errors.iter().map(|error| error.index).collect::<HashSet<_>>();
    let (own, failed) = (indexes(own), indexes(errors));
    let stop = if ordered { own.iter().chain(&failed).min().copied() } else { None };
    let mut behind = Vec::new();
    for index in run {
        if failed.contains(index) {
            continue;
        }
        if own.contains(index) || stop.is_none_or(|stop| *index < stop) {
            batch.ops[*index].sent = done;
        } else {
            behind.push(*index);
        }
    }
    (!ordered || failed.is_empty()).then_some(behind)
}

/// Reads one command's reply within a time.
pub async fn within(
    limit: Duration,
    command: impl std::future::IntoFuture<Output = mongodb::error::Result<Document>>,
) -> Option<mongodb::error::Result<Document>> {
    tokio::time::timeout(limit, command.into_future()).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_piece_of_a_password_is_shown() {
        let error = unusable("mongodb://user:p55x/word@host", &"invalid port number, got p55x");
        assert!(!format!("{error} {error:?}").contains("p55x"), "{error:?}");
        assert!(unusable("nonsense", &"no scheme").to_string().contains("no scheme"));
    }
}
