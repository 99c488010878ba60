//! What a reader of the logs sees.

use std::io::Write;

use serde_json::Value;
use tracing::subscriber::with_default;

use super::*;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The lines that `log` makes.
fn lines(logging: &Logging, log: impl FnOnce()) -> Vec<String> {
    let lines = Lines::default();
    with_default(logging.subscriber(lines.clone()), log);
    let bytes = lines.0.lock().clone();
    String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
}

fn something() {
    tracing::info!(target: "connect_rest::routes", "outside");
    tracing::debug!(target: "connect_postgres::stream", "debug outside");
    let task = tracing::error_span!("task", connector = "orders", task = 0_u32);
    task.in_scope(|| {
        tracing::info!(target: "connect_worker::sink", rows = 3, table = "a b", "inside\nof it");
        tracing::debug!(target: "connect_postgres::stream", "debug inside");
    });
    let connector = tracing::error_span!("connector", connector = "payments");
    connector.in_scope(|| tracing::warn!(target: "connect_worker::connector", error = %"broke", "trouble"));
    tracing::info!(target: "connect_worker::herd::carry", connector = %"orders", task = 1_u32, "starting task");
}

/// Without the time.
fn tails(lines: &[String]) -> Vec<&str> {
    lines.iter().map(|line| line.split_once("] ").unwrap().1).collect()
}

#[test]
fn text_is_the_jvms_with_connector_and_task() {
    let lines = lines(&Logging::new(), something);
    assert_eq!(
        tails(&lines),
        [
            "INFO outside (org.apache.kafka.connect.runtime.rest.RestServer)",
            "INFO [orders|task-0] inside\\nof it rows=3 table=\"a b\" (org.apache.kafka.connect.runtime.WorkerSinkTask)",
            "WARN [payments|worker] trouble error=broke (org.apache.kafka.connect.runtime.WorkerConnector)",
            "INFO [orders|task-1] starting task (org.apache.kafka.connect.runtime.distributed.DistributedHerder)",
        ]
    );
    let time = lines[0].strip_prefix('[').unwrap().split_once(']').unwrap().0;
    assert_eq!(time.len(), "2026-01-15 10:30:00,123".len(), "{time}");
}

#[test]
fn json_has_one_object_a_line() {
    let logging = Logging::new();
    assert!(logging.format.choose("JSON") && !logging.format.choose("xml"));
    let lines = lines(&logging, something);
    let line: Value = serde_json::from_str(&lines[1]).unwrap();
    assert_eq!(line["message"], "inside\nof it");
    assert_eq!((&line["connector"], &line["task"], &line["rows"]), (&"orders".into(), &0.into(), &3.into()));
    assert_eq!((line["level"].as_str(), line["module"].as_str()), (Some("INFO"), Some("connect_worker::sink")));
    assert_eq!(line["logger"], "org.apache.kafka.connect.runtime.WorkerSinkTask");
    assert_eq!(lines.len(), 4);
}

#[test]
fn levels_by_javas_names_change_what_is_written() {
    let logging = Logging::new();
    let seen = |logging: &Logging| lines(logging, something).len();
    assert_eq!(seen(&logging), 4);
    let changed = logging.loggers.set("io.debezium", "DEBUG");
    assert!(changed.contains(&"io.debezium".to_owned()), "{changed:?}");
    assert!(changed.contains(&"io.debezium.connector.postgresql.PostgresConnector".to_owned()), "{changed:?}");
    assert_eq!(seen(&logging), 6);
    logging.loggers.set("org.apache.kafka.connect", "ERROR");
    assert_eq!(seen(&logging), 2);
    logging.loggers.set("io.debezium", "OFF");
    assert_eq!(seen(&logging), 0);
}

#[test]
fn the_roots_level_counts_where_no_other_does() {
    let logging = Logging::new();
    logging.loggers.set("root", "WARN");
    assert_eq!(lines(&logging, something).len(), 1);
    logging.loggers.set("org.apache.kafka.connect.runtime.WorkerSinkTask", "INFO");
    assert_eq!(lines(&logging, something).len(), 2);
}

#[test]
fn a_connector_has_a_level_of_its_own() {
    let logging = Logging::new();
    logging.loggers.set("connector.orders", "DEBUG");
    let seen = lines(&logging, something);
    assert!(seen.iter().any(|line| line.contains("debug inside")), "{seen:?}");
    assert!(!seen.iter().any(|line| line.contains("debug outside")), "{seen:?}");
    logging.loggers.set("connector.order", "TRACE");
    assert_eq!(logging.loggers.get("connector.orders").unwrap().level, "DEBUG", "another connector");
}

#[test]
fn levels_of_the_file_stay_below_those_that_are_asked_for() {
    let logging = Logging::new();
    logging.read("root=ERROR,io.debezium=DEBUG", "log.levels");
    let level = |name: &str| logging.loggers.get(name).map(|level| (level.level, level.last_modified));
    assert_eq!((level("root"), level("io.debezium")), (Some(("ERROR", None)), Some(("DEBUG", None))));
    assert_eq!(lines(&logging, something).len(), 2);
    logging.loggers.set("io.debezium", "ERROR");
    assert_eq!(lines(&logging, something).len(), 0);
    logging.loggers.set("root", "INFO");
    assert_eq!(lines(&logging, something).len(), 4);
}
