//! Shows both ends filling, until every row is a document.

use std::time::{Duration, Instant};

use super::ends::Ends;
use super::pipeline::{SINK, SOURCE};
use super::screen::Screen;
use super::shop::TABLES;
use crate::testbed::api::FAILED_LIMIT;
use crate::testbed::{Advise, Api, Failure};

/// When neither a record arrives nor the sink commits one for so long, the pipeline counts as stuck. It is many times what
/// passes between two commits of the sink and two counts of documents: on a slow machine both are late.
const STUCK_AFTER: Duration = Duration::from_secs(180);
const ASK_AFTER: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(200);
/// Counting documents may cost the server time that it needs for writing: per table, it may take this part of it.
const COUNTING_SHARE: u32 = 40;
/// But they are counted at least this often: what is not counted is not seen to move.
const COUNT_AT_LEAST: Duration = Duration::from_secs(20);

/// Waits until topics and collections hold `rows`.
pub(super) async fn watch(ends: &Ends, api: &Api, rows: [u64; 3], screen: &Screen) -> Result<(), Failure> {
    let total: u64 = rows.iter().sum();
    let began = Instant::now();
    let gauges: Vec<_> = TABLES
        .iter()
        .zip(rows)
        .flat_map(|(table, count)| {
            [screen.gauge(&format!("Kafka    {table}"), count), screen.gauge(&format!("MongoDB  {table}"), count)]
        })
        .collect();
    let mut moved = (0, None, Instant::now());
    let mut counted: [Counting; TABLES.len()] = Default::default();
    let mut in_kafka = None;
    let mut failed = None;
    while !gauges.iter().all(super::screen::Gauge::full) {
        let mut sum = 0;
        for ((pair, table), counted) in gauges.chunks_exact(2).zip(TABLES).zip(&mut counted) {
            let [records, documents] = pair else { continue };
            let count = ends.topics.end(&ends.topic(table))?.unsigned_abs();
            records.set(count);
            sum += count;
            if !documents.full() && counted.due() {
                let began = Instant::now();
                let collection = ends.collection(table).await?;
                let count = collection.estimated_document_count().await.unwrap_or_default();
                counted.took(began.elapsed());
                documents.set(count);
                sum += count;
            }
        }
        if in_kafka.is_none() && gauges.iter().step_by(2).all(super::screen::Gauge::full) {
            in_kafka = Some(began.elapsed());
        }
        if sum > moved.0 {
            moved = (sum, None, Instant::now());
        } else if moved.2.elapsed() > ASK_AFTER {
            // Documents are counted rarely where counting takes long: what the sink commits tells that it goes on.
            let left = Some(super::changes::lag(ends)?);
            if left != moved.1 {
                moved = (sum, left, Instant::now());
            }
        }
        check(api, moved.2, &mut failed).await?;
        tokio::time::sleep(PAUSE).await;
    }
    let rate = |time: Duration| total as f64 / time.as_secs_f64();
    let all = began.elapsed();
    let in_kafka = in_kafka.unwrap_or(all);
    screen.say(&format!(
        "Postgres to Kafka: {total} rows in {:.1} s, {:.0} rows/s; to MongoDB: {:.1} s, {:.0} documents/s",
        in_kafka.as_secs_f64(),
        rate(in_kafka),
        all.as_secs_f64(),
        rate(all)
    ));
    Ok(())
}

/// Fails when a connector stays failed or nothing moves. `failed` is since when one is.
async fn check(api: &Api, moved: Instant, failed: &mut Option<Instant>) -> Result<(), Failure> {
    let mut trace = None;
    for name in [SOURCE, SINK] {
        let status = api.status(name).await?;
        let part = std::iter::once(&status["connector"])
            .chain(status["tasks"].as_array().into_iter().flatten())
            .find(|part| part["state"] == "FAILED");
        trace = trace.or(part.map(|part| format!("{name} failed: {}", part["trace"].as_str().unwrap_or("no trace"))));
    }
    match trace {
        None => *failed = None,
        Some(trace) if failed.get_or_insert_with(Instant::now).elapsed() >= FAILED_LIMIT => {
            return Err(Failure::new(trace));
        }
        Some(_) => {}
    }
    if moved.elapsed() > STUCK_AFTER {
        return Err(Failure::new(format!("nothing moved for {STUCK_AFTER:?}")))
            .advise(format!("look at {}/connectors?expand=status and the worker's log", api.base()));
    }
    Ok(())
}

/// When to count documents again.
#[derive(Default)]
struct Counting {
    next: Option<Instant>,
}

impl Counting {
    fn due(&self) -> bool {
        self.next.is_none_or(|next| Instant::now() >= next)
    }

    fn took(&mut self, time: Duration) {
        self.next = Some(Instant::now() + (time * COUNTING_SHARE).min(COUNT_AT_LEAST));
    }
}
