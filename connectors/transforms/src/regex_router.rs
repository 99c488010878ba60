//! `RegexRouter`: renames topics that match a pattern as a whole.

use connect_api::{Plugin, Props, Record, Result, Transform};

use crate::java_regex::FullMatch;

connect_config::config! {
    /// The keys of the transform.
    pub struct RegexRouterConfig {
        /// A Java regular expression for the whole name of a topic.
        "regex" => regex: String { importance(High), validator(valid_regex()) },
        /// The new name, in which `$1` stands for the first group.
        "replacement" => replacement: String { importance(High) },
    }
}

pub(crate) fn plugin() -> Plugin {
    crate::plugin("org.apache.kafka.connect.transforms.RegexRouter", RegexRouterConfig::def, |props| {
        Ok(Box::new(RegexRouter::new(props)?))
    })
}

struct RegexRouter {
    regex: FullMatch,
    replacement: String,
}

impl RegexRouter {
    fn new(props: &Props) -> Result<Self> {
        let config = RegexRouterConfig::parse(props).map_err(crate::first_problem)?;
        Ok(Self { regex: FullMatch::new("regex", &config.regex)?, replacement: config.replacement })
    }
}

impl Transform for RegexRouter {
    fn apply(&self, mut record: Record) -> Result<Option<Record>> {
        if let Some(topic) = self.regex.replace(&record.topic, &self.replacement)? {
            record.topic = topic.into();
        }
        Ok(Some(record))
    }
}
