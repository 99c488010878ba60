//! `FileStreamSourceConnector`: each line of a file, or of standard input, becomes a record.
//!
//! The file need not exist yet, and is followed as it grows. Offsets are `{"filename": ...}` and `{"position": ...}`, where
//! the position counts UTF-16 units from the start. (The JVM counts like that, but skips bytes when it resumes; here
//! what is counted is also what is skipped, so text beyond ASCII is not read twice.)

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use connect_api::source::OffsetMap;
use connect_api::{
    Bytes, Checkpoint, ConfigDef, Datum, Error, ExactlyOnce, Kind, Props, Record, Result, Schema, SchemaRef,
    SourceBatch, SourceConnector, SourceContext, SourceTask, Value,
};
use serde_json::Value as Json;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::sync::{Mutex, mpsc};

use crate::lines::Lines;

const FILENAME: &str = "filename";
const POSITION: &str = "position";

/// How long an idle source waits before it looks again.
const IDLE_WAIT: Duration = Duration::from_millis(250);
/// Bytes read together.
const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks of standard input that wait for their task.
const STDIN_CHUNKS_MAX: usize = 16;

static STRING: LazyLock<SchemaRef> = LazyLock::new(|| Schema::of(Kind::String).shared());

connect_config::config! {
    /// The keys of the source.
    pub struct FileStreamSourceConfig {
        /// The file to read. When it is missing or empty, standard input is read.
        "file" => file: Option<String> = NULL { importance(High) },
        /// The topic to publish data to
        "topic" => topic: String { importance(High), validator(non_empty()) },
        /// How many records the source gives out together at most.
        "batch.size" => batch_size: i32 = "2000" { importance(Low) },
    }
}

/// The connector.
pub struct FileStreamSourceConnector;

fn connect_error(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::connect(message)
}

#[async_trait]
impl SourceConnector for FileStreamSourceConnector {
    fn config_def(&self) -> &'static ConfigDef {
        FileStreamSourceConfig::def()
    }

    async fn task_configs(&self, props: &Props, _max: usize) -> Result<Vec<Props>> {
        FileStreamSourceConfig::parse(props).map_err(crate::first_problem)?;
        // A file has one reader.
        Ok(vec![props.clone()])
    }

    async fn start_task(&self, props: Props, context: SourceContext) -> Result<Box<dyn SourceTask>> {
        let config = FileStreamSourceConfig::parse(&props).map_err(crate::first_problem)?;
        let file = crate::named(config.file);
        let partition = OffsetMap::from_iter([(FILENAME.to_owned(), file.clone().map_or(Json::Null, Json::String))]);
        Ok(Box::new(FileStreamSourceTask {
            input: if file.is_some() { Input::Unopened } else { Input::Stdin },
            file,
            topic: config.topic.into(),
            batch_size: usize::try_from(config.batch_size).unwrap_or(0).max(1),
            lines: Lines::from_position(0),
            chunk: vec![0; CHUNK_BYTES],
            ready: VecDeque::new(),
            partition: Arc::new(partition),
            context,
        }))
    }

    async fn alter_offsets(&self, props: &Props, offsets: &[(OffsetMap, Option<OffsetMap>)]) -> Result<bool> {
        let config = FileStreamSourceConfig::parse(props).map_err(crate::first_problem)?;
        if crate::named(config.file).is_none() {
            return Err(connect_error(
                "Offsets cannot be modified if the 'file' configuration is unspecified. This is because stdin is used for \
                 input and offsets are not tracked.",
            ));
        }
        for (partition, offset) in offsets {
            // A reset is always fine: it is how garbage is cleaned up.
            let Some(offset) = offset else { continue };
            check_offset(partition, offset)?;
        }
        Ok(true)
    }

    fn exactly_once(&self, props: &Props) -> ExactlyOnce {
        match props.get("file").cloned().flatten().and_then(|file| crate::named(Some(file))) {
            Some(_) => ExactlyOnce::Supported,
            None => ExactlyOnce::Unsupported,
        }
    }
}

fn check_offset(partition: &OffsetMap, offset: &OffsetMap) -> Result<()> {
    let Some(position) = offset.get(POSITION) else {
        return Err(connect_error("Offset objects should either be null or contain the key 'position'"));
    };
    match position.as_i64() {
        None => Err(connect_error("The value for the 'position' key in the offset is expected to be a Long value")),
        Some(..0) => {
            Err(connect_error("The value for the 'position' key in the offset should be a non-negative value"))
        }
        Some(_) if !partition.contains_key(FILENAME) => {
            Err(connect_error("Partition objects should contain the key 'filename'"))
        }
        Some(_) => Ok(()),
    }
}

enum Input {
    /// A file that was not there yet, or not looked for.
    Unopened,
    File(File),
    Stdin,
}

/// A line, and the position behind it.
struct Line {
    text: connect_api::Text,
    position: u64,
}

struct FileStreamSourceTask {
    file: Option<String>,
    topic: Arc<str>,
    batch_size: usize,
    input: Input,
    lines: Lines,
    chunk: Vec<u8>,
    /// Lines that are read but not given out.
    ready: VecDeque<Line>,
    partition: Arc<OffsetMap>,
    context: SourceContext,
}

impl FileStreamSourceTask {
    /// Opens the file at the stored position. False when there is no file yet.
    async fn open(&mut self, name: &str) -> Result<bool> {
        let file = match File::open(name).await {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => {
                return Err(connect_error(format!("Couldn't open file '{name}' for FileStreamSourceTask"))
                    .hint("check that the worker's user may read it")
                    .caused_by(error));
            }
        };
        let offset = self.context.offsets.offset(&self.partition).await?;
        let position = match offset.as_ref().and_then(|offset| offset.get(POSITION)) {
            None | Some(Json::Null) => 0,
            Some(position) => {
                position.as_u64().ok_or_else(|| connect_error("Offset position is the incorrect type"))?
            }
        };
        tracing::debug!(connector = %self.context.connector, file = name, position, "opened the file");
        self.lines = Lines::from_position(position);
        self.input = Input::File(file);
        Ok(true)
    }

    /// Reads what is there. False when there is nothing now.
    async fn read(&mut self) -> Result<bool> {
        match &mut self.input {
            Input::Unopened => {
                let Some(name) = self.file.clone() else { return Ok(false) };
                if !self.open(&name).await? {
                    tracing::debug!(connector = %self.context.connector, file = name, "waiting for the file");
                    return Ok(false);
                }
                Ok(true)
            }
            Input::File(file) => {
                let name = self.file.as_deref().unwrap_or_default();
                let length = file.read(&mut self.chunk).await.map_err(|error| {
                    connect_error(format!("Couldn't read file '{name}' for FileStreamSourceTask")).caused_by(error)
                })?;
                self.lines.push(&self.chunk[..length])?;
                Ok(length > 0)
            }
            Input::Stdin => match stdin().lock().await.recv().await {
                Some(bytes) => self.lines.push(&bytes).map(|()| true),
                None => Ok(false),
            },
        }
    }

    fn collect(&mut self) {
        while self.ready.len() < self.batch_size {
            let Some(text) = self.lines.next() else { break };
            self.ready.push_back(Line { text, position: self.lines.position() });
        }
    }

    fn batch(&mut self) -> SourceBatch {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        let position = self.ready.back().map(|line| line.position);
        let record = |line: Line| {
            let value = Datum::new(Arc::clone(&STRING), Value::String(line.text));
            Record { timestamp: Some(now), ..Record::source(Arc::clone(&self.topic), Datum::null(), value) }
        };
        let records: Vec<Record> = self.ready.drain(..).map(record).collect();
        let position = position.filter(|_| self.file.is_some()).map_or(Json::Null, Json::from);
        let checkpoint = Checkpoint {
            after: records.len(),
            partition: Arc::clone(&self.partition),
            offset: OffsetMap::from_iter([(POSITION.to_owned(), position)]),
            tag: 0,
        };
        SourceBatch { records, checkpoints: vec![checkpoint], between: None }
    }
}

/// Standard input of the process: a thread reads it, because nothing can interrupt such a read.
fn stdin() -> &'static Mutex<mpsc::Receiver<Bytes>> {
    static STDIN: OnceLock<Mutex<mpsc::Receiver<Bytes>>> = OnceLock::new();
    STDIN.get_or_init(|| {
        let (sender, receiver) = mpsc::channel(STDIN_CHUNKS_MAX);
        std::thread::spawn(move || {
            let mut chunk = vec![0; CHUNK_BYTES];
            while let Ok(length @ 1..) = std::io::stdin().lock().read(&mut chunk) {
                if sender.blocking_send(Bytes::copy_from_slice(&chunk[..length])).is_err() {
                    break;
                }
            }
        });
        Mutex::new(receiver)
    })
}

#[async_trait]
impl SourceTask for FileStreamSourceTask {
    async fn poll(&mut self) -> Result<SourceBatch> {
        // Everything read is in `self` before the next await, so a dropped poll loses nothing.
        loop {
            self.collect();
            if self.ready.len() >= self.batch_size {
                return Ok(self.batch());
            }
            if !self.read().await? {
                self.collect();
                if !self.ready.is_empty() {
                    return Ok(self.batch());
                }
                tokio::time::sleep(IDLE_WAIT).await;
                if self.context.cancel.is_cancelled() {
                    return Ok(SourceBatch::default());
                }
            } else if matches!(self.input, Input::Stdin) {
                self.collect();
                if !self.ready.is_empty() {
                    return Ok(self.batch());
                }
            }
        }
    }

    async fn stop(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
