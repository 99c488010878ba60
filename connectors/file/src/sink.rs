//! `FileStreamSinkConnector`: the value of each record as a line of a file, or of standard output.

use async_trait::async_trait;
use connect_api::java::display;
use connect_api::{
    ConfigDef, Error, Props, Rejected, Result, SinkConnector, SinkContext, SinkRecord, SinkTask, TopicPartition,
};
use tokio::fs::File;
use tokio::io::{AsyncWrite, AsyncWriteExt};

connect_config::config! {
    /// The keys of the sink.
    pub struct FileStreamSinkConfig {
        /// The file to append to. When it is missing or empty, lines go to standard output.
        "file" => file: Option<String> = NULL { importance(High) },
    }
}

/// The connector.
pub struct FileStreamSinkConnector;

#[async_trait]
impl SinkConnector for FileStreamSinkConnector {
    fn config_def(&self) -> &'static ConfigDef {
        FileStreamSinkConfig::def()
    }

    async fn task_configs(&self, props: &Props, max: usize) -> Result<Vec<Props>> {
        FileStreamSinkConfig::parse(props).map_err(crate::first_problem)?;
        Ok(vec![props.clone(); max])
    }

    async fn start_task(&self, props: Props, _context: SinkContext) -> Result<Box<dyn SinkTask>> {
        let config = FileStreamSinkConfig::parse(&props).map_err(crate::first_problem)?;
        let Some(name) = crate::named(config.file) else {
            return Ok(Box::new(FileStreamSinkTask { output: Box::new(tokio::io::stdout()), lines: String::new() }));
        };
        let file = File::options().create(true).append(true).open(&name).await.map_err(|error| {
            Error::connect(format!("Couldn't find or create file '{name}' for FileStreamSinkTask"))
                .hint("check that the folder exists and that the worker's user may write there")
                .caused_by(error)
        })?;
        Ok(Box::new(FileStreamSinkTask { output: Box::new(file), lines: String::new() }))
    }

    async fn alter_offsets(&self, _props: &Props, _offsets: &[(TopicPartition, Option<i64>)]) -> Result<bool> {
        // Any offset will do: nothing outside Kafka depends on it.
        Ok(true)
    }
}

struct FileStreamSinkTask {
    output: Box<dyn AsyncWrite + Send + Sync + Unpin>,
    /// The lines of a batch, to write them together.
    lines: String,
}

#[async_trait]
impl SinkTask for FileStreamSinkTask {
    async fn put(&mut self, batch: &[SinkRecord]) -> Result<Vec<Rejected>> {
        self.lines.clear();
        for record in batch {
            let value = &record.record.value;
            display::write(&value.value, value.schema.as_ref(), &mut self.lines);
            self.lines.push('\n');
        }
        let write = self.output.write_all(self.lines.as_bytes()).await;
        write.map_err(|error| Error::connect("Couldn't write lines").caused_by(error))?;
        Ok(Vec::new())
    }

    async fn flush(&mut self) -> Result<()> {
        self.output.flush().await.map_err(|error| Error::connect("Couldn't flush lines").caused_by(error))
    }

    async fn stop(mut self: Box<Self>) -> Result<()> {
        self.flush().await
    }
}
