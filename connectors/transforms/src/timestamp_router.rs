//! `TimestampRouter`: puts the record's time into its topic's name.

use connect_api::{Error, Plugin, Record, Result, Transform};

use crate::simple_date::Pattern;

connect_config::config! {
    /// The keys of the transform.
    pub struct TimestampRouterConfig {
        /// The new name; `${topic}` and `${timestamp}` stand for the old name and the time.
        "topic.format" => topic_format: String = "${topic}-${timestamp}" { importance(High) },
        /// How the time is written, as `java.text.SimpleDateFormat` reads it.
        "timestamp.format" => timestamp_format: String = "yyyyMMdd" { importance(High) },
    }
}

pub(crate) fn plugin() -> Plugin {
    crate::plugin("org.apache.kafka.connect.transforms.TimestampRouter", TimestampRouterConfig::def, |props| {
        let config = TimestampRouterConfig::parse(props).map_err(crate::first_problem)?;
        // The JVM finds a bad pattern with the first record only, and so a configuration that has one still starts.
        let pattern = Pattern::parse(&config.timestamp_format);
        Ok(Box::new(TimestampRouter { topic_format: config.topic_format, pattern }))
    })
}

struct TimestampRouter {
    topic_format: String,
    pattern: std::result::Result<Pattern, String>,
}

impl Transform for TimestampRouter {
    fn apply(&self, mut record: Record) -> Result<Option<Record>> {
        let Some(millis) = record.timestamp else {
            return Err(Error::data(format!("Timestamp missing on record: topic {}", record.topic)));
        };
        let pattern = self.pattern.as_ref();
        let pattern = pattern.map_err(|why| Error::data(why.clone()).class("java.lang.IllegalArgumentException"))?;
        let topic = self.topic_format.replace("${topic}", &record.topic);
        record.topic = topic.replace("${timestamp}", &pattern.format(millis)).into();
        Ok(Some(record))
    }
}
