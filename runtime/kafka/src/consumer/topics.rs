//! `topics.regex`: the topics whose whole name matches, looked for again from time to time.
//!
//! Matched here and not by librdkafka, whose regular expressions (POSIX) differ from Java's in everyday things such as `\d`.

use std::collections::BTreeSet;
use std::sync::Weak;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use regex::Regex;

use super::reader::ReaderContext;
use crate::security::text;
use crate::{Admin, ClientProps, Error, ErrorKind, Result};

/// How often new topics are looked for when `metadata.max.age.ms` is not set.
const REFRESH_DEFAULT: Duration = Duration::from_secs(30);
/// Topics that no pattern matches (`exclude.internal.topics`).
const INTERNAL: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// Follows the topics that match and keeps the subscription up to date, until the consumer is gone.
pub(super) fn watch(
    props: &ClientProps,
    pattern: &str,
    consumer: Weak<BaseConsumer<ReaderContext>>,
) -> Result<impl Future<Output = ()> + use<>> {
    let pattern = TopicPattern::new(pattern)?;
    let admin = Admin::open(props)?;
    let refresh = text(props, "metadata.max.age.ms")
        .and_then(|millis| millis.parse().ok())
        .map_or(REFRESH_DEFAULT, |millis: u64| Duration::from_millis(millis.max(100)));
    Ok(async move {
        let mut subscribed = BTreeSet::new();
        loop {
            match admin.list_topics().await {
                Ok(topics) => {
                    let found = topics.into_iter().filter(|topic| pattern.matches(topic)).collect::<BTreeSet<_>>();
                    let Some(consumer) = consumer.upgrade() else { return };
                    if found != subscribed && !found.is_empty() {
                        let names: Vec<&str> = found.iter().map(String::as_str).collect();
                        tracing::info!(topics = names.join(","), "subscribed to the topics that match");
                        if let Err(error) = consumer.subscribe(&names) {
                            tracing::warn!("failed to subscribe to the topics that match: {error}");
                        } else {
                            subscribed = found;
                        }
                    }
                }
                Err(error) => tracing::warn!("failed to list the topics: {error}"),
            }
            tokio::time::sleep(refresh).await;
        }
    })
}

/// The topics that a consumer with `topics.regex` reads.
#[derive(Clone, Debug)]
pub struct TopicPattern(Regex);

impl TopicPattern {
    /// Of a regular expression that has to match the whole name.
    pub fn new(pattern: &str) -> Result<Self> {
        let whole = Regex::new(&format!("^(?:{pattern})$")).map_err(|error| {
            Error::new(ErrorKind::Config, format!("'{pattern}' is not a regular expression that is supported"))
                .with_source(error)
        })?;
        Ok(Self(whole))
    }

    /// Whether it is one of them. Internal topics never are.
    pub fn matches(&self, topic: &str) -> bool {
        !INTERNAL.contains(&topic) && self.0.is_match(topic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_name_must_match_and_internal_topics_do_not() {
        let topics = ["shop.a1", "shop.b", "my.shop.a1", "__consumer_offsets"];
        let names = |pattern| {
            let pattern = TopicPattern::new(pattern).unwrap();
            topics.into_iter().filter(|topic| pattern.matches(topic)).collect::<Vec<_>>()
        };
        assert_eq!(names(r"shop\.\w\d"), ["shop.a1"]);
        assert_eq!(names("shop|shop.b"), ["shop.b"]);
        assert_eq!(names(".*"), ["shop.a1", "shop.b", "my.shop.a1"]);
    }

    #[test]
    fn what_is_no_regular_expression_is_said() {
        assert_eq!(TopicPattern::new("(").unwrap_err().kind(), ErrorKind::Config);
    }
}
