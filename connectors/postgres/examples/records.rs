//! Runs the source without a worker and prints what it delivers: `cargo run -p connect-postgres --example records --
//! key=value ...`. Checkpoints are confirmed as soon as they come. With `count=N` it stops after so many records and
//! prints the rate.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use connect_api::{OffsetMap, OffsetReader, PluginKind, Props, Result, SourceContext};

struct Stored(Option<OffsetMap>);

#[async_trait]
impl OffsetReader for Stored {
    async fn offset(&self, _partition: &OffsetMap) -> Result<Option<OffsetMap>> {
        Ok(self.0.clone())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let mut props: Props = std::env::args()
        .skip(1)
        .filter_map(|arg| arg.split_once('=').map(|(key, value)| (key.to_owned(), Some(value.to_owned()))))
        .collect();
    let take = |props: &mut Props, key: &str| props.shift_remove(key).flatten();
    let stored = take(&mut props, "offset").map(|text| serde_json::from_str(&text)).transpose()?;
    let limit: Option<usize> = take(&mut props, "count").map(|text| text.parse()).transpose()?;
    let plugin = connect_postgres::plugins().into_iter().next().ok_or("no plugin")?;
    let PluginKind::Source(connector) = plugin.kind else { return Err("not a source".into()) };
    for entry in connector.validate(&props).await?.entries {
        for error in entry.errors {
            println!("{}: {error}", entry.name);
        }
    }
    let context = SourceContext {
        connector: "example".into(),
        task: 0,
        offsets: Arc::new(Stored(stored)),
        cancel: tokio_util::sync::CancellationToken::new(),
        progress: Arc::new(|_| {}),
        metrics: connect_api::Metrics::default(),
        transactions: None,
        recovers: false,
    };
    let mut task = connector.start_task(props, context).await?;
    let mut begun: Option<Instant> = None;
    let (mut seen, mut batches) = (0, 0);
    loop {
        let batch = tokio::select! {
            batch = task.poll() => batch,
            _ = tokio::signal::ctrl_c() => break,
        };
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => {
                print!("{}", error.trace());
                break;
            }
        };
        let begun = *begun.get_or_insert_with(Instant::now);
        seen += batch.records.len();
        batches += 1;
        if limit.is_none() {
            for record in &batch.records {
                println!("{} {:?}\n  {:?}", record.topic, record.key.value, record.value.value);
            }
        }
        for checkpoint in &batch.checkpoints {
            if limit.is_none() {
                println!("checkpoint after {} {}", checkpoint.after, serde_json::to_string(&checkpoint.offset)?);
            }
            task.committed(checkpoint).await?;
        }
        if limit.is_some_and(|limit| seen >= limit) {
            let seconds = begun.elapsed().as_secs_f64();
            println!("{seen} records in {batches} batches, {seconds:.2} s, {:.0} a second", seen as f64 / seconds);
            break;
        }
    }
    task.stop().await?;
    Ok(())
}
