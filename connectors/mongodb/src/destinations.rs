//! The collections that topics are written to, and dropping them before everything is read anew.

use std::collections::BTreeSet;

use bson::doc;
use connect_api::{Error, Result};
use connect_config::Props;
use mongodb::Client;
use regex::Regex;

use crate::client::options;
use crate::connector::fail_start;
use crate::kinds::{advised, of_driver};
use crate::namespace::{Mapper, Namespace};
use crate::settings::SinkConfig;
use crate::topic::Plan;

/// The collections of those of the topics that the sink reads. Where records say themselves which one they go to, nobody
/// can know beforehand.
pub fn of(props: &Props, topics: &[String]) -> Result<Vec<Namespace>> {
    let config = SinkConfig::parse(props).map_err(|problems| fail_start(problems.into_iter().next()))?;
    let pattern = match config.topics_regex.as_str() {
        "" => None,
        text => Some(
            Regex::new(&format!("^(?:{text})$"))
                .map_err(|error| Error::config(format!("topics.regex can't be used: {error}")))?,
        ),
    };
    let reads = |topic: &str| {
        config.topics.iter().any(|own| own == topic) || pattern.as_ref().is_some_and(|pattern| pattern.is_match(topic))
    };
    let mut names = BTreeSet::new();
    for topic in topics.iter().filter(|topic| reads(topic)) {
        match Plan::new(topic, props).map_err(crate::connector::refused_error)?.mapper {
            Mapper::Fixed(namespace) => {
                names.insert((namespace.database.clone(), namespace.collection.clone()));
            }
            Mapper::Fields { .. } => {
                return Err(Error::config(format!(
                    "the collections of topic {topic} are not known before its records: namespace.mapper takes them from \
                     fields"
                ))
                .hint(
                    "drop the collections yourself, or use the DefaultNamespaceMapper with database and collection, which \
                     topic.override.<topic>.* may set for each topic",
                ));
            }
        }
    }
    Ok(names.into_iter().map(|(database, collection)| Namespace { database, collection }).collect())
}

/// Drops the collections of topics, with everything in them; gives the names of those that were there.
pub async fn drop_all(props: &Props, topics: &[String]) -> Result<Vec<String>> {
    let namespaces = of(props, topics)?;
    if namespaces.is_empty() {
        return Ok(Vec::new());
    }
    let config = SinkConfig::parse(props).map_err(|problems| fail_start(problems.into_iter().next()))?;
    let client = Client::with_options(options(&config).await?)
        .map_err(|error| Error::config(format!("the connection string cannot be used: {}", error.kind)))?;
    let mut dropped = Vec::new();
    let mut failure = None;
    for namespace in &namespaces {
        match drop_one(&client, namespace).await {
            Ok(true) => dropped.push(namespace.full_name()),
            Ok(false) => {}
            Err(error) => {
                let text = format!("failed to drop collection {}: {}", namespace.full_name(), error.kind);
                failure = Some(advised(Error::new(of_driver(&error), text)));
                break;
            }
        }
    }
    client.shutdown().await;
    if !dropped.is_empty() {
        tracing::info!(collections = dropped.join(", "), "collections dropped");
    }
    failure.map_or(Ok(dropped), Err)
}

/// Drops a collection; false when there was none.
async fn drop_one(client: &Client, namespace: &Namespace) -> mongodb::error::Result<bool> {
    let database = client.database(&namespace.database);
    let names = database.list_collection_names().filter(doc! { "name": &namespace.collection }).await?;
    if names.is_empty() {
        return Ok(false);
    }
    database.collection::<bson::Document>(&namespace.collection).drop().await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(settings: &[(&str, &str)], topics: &[&str]) -> Result<Vec<String>> {
        let mut props: Props = settings.iter().map(|(k, v)| ((*k).to_owned(), Some((*v).to_owned()))).collect();
        props.entry("database".to_owned()).or_insert_with(|| Some("shop".to_owned()));
        let topics: Vec<String> = topics.iter().map(|topic| (*topic).to_owned()).collect();
        Ok(of(&props, &topics)?.iter().map(Namespace::full_name).collect())
    }

    #[test]
    fn only_collections_of_topics_that_the_sink_reads_are_named() {
        let all = ["s.public.a", "s.public.b", "s.public.c", "other.s.public.a"];
        assert_eq!(
            named(&[("topics", "s.public.a, s.public.c")], &all).unwrap(),
            ["shop.s.public.a", "shop.s.public.c"]
        );
        let pattern = ("topics.regex", "s\\.public\\.[ab]");
        assert_eq!(named(&[pattern], &all).unwrap(), ["shop.s.public.a", "shop.s.public.b"], "the whole name matches");
        assert!(named(&[("topics", "x")], &all).unwrap().is_empty());
    }

    #[test]
    fn overrides_count_and_a_shared_collection_is_named_once() {
        let settings = [
            ("topics", "a,b,c"),
            ("collection", "all"),
            ("topic.override.c.database", "archive"),
            ("topic.override.c.collection", "old"),
        ];
        assert_eq!(named(&settings, &["a", "b", "c"]).unwrap(), ["archive.old", "shop.all"]);
    }

    #[test]
    fn what_records_decide_is_refused_in_words() {
        let mapper = "com.mongodb.kafka.connect.sink.namespace.mapping.FieldPathNamespaceMapper";
        let settings =
            [("topics", "a"), ("namespace.mapper", mapper), ("namespace.mapper.value.collection.field", "kind")];
        let error = named(&settings, &["a"]).unwrap_err();
        assert_eq!(error.kind(), connect_api::ErrorKind::Config);
        assert!(error.message().contains("topic a") && error.remedy().is_some(), "{error:?}");
        assert!(named(&settings, &["b"]).unwrap().is_empty(), "topics that it does not read do not matter");
    }
}
