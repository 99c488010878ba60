//! The steps of commands: what the leader does for a job in the cluster, in Kafka and at the ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use connect_api::{CleanUp, Error, Plugin, PluginKind, PluginType};
use connect_cluster::jobs::record::SinkEnd;
use connect_cluster::jobs::{Outcome, Work};
use connect_cluster::{Command, Herd, HerdError, Hop, State, Target};
use connect_config::Props;
use connect_kafka::TopicPartition;
use connect_kafka::consumer::TopicPattern;
use connect_plugins::{ConnectorSettings, Role, TopicSelection};

use super::start::World;
use crate::io::{Topics, kafka_error};
use crate::offset_changes::group_of;
use crate::task::plugin_of;
use crate::units::{present, resolved};

/// Does a step; an error is a sentence for people, and the step is tried again.
pub(super) async fn done(world: Arc<World>, herd: Arc<dyn Herd>, work: Work) -> Result<Outcome, String> {
    match work {
        Work::DropDestinations { source, sinks } => drop_destinations(&world, &*herd, source, &sinks).await,
        Work::Target { connectors, target } => set_target(&*herd, connectors, target).await,
        Work::LogEnd { source } => log_end(&world, &*herd, &source).await,
        Work::TopicEnds { sinks } => topic_ends(&world, &*herd, &sinks).await,
        Work::Verify { ends } => verify(&world, &*herd, &ends).await,
        Work::CleanUp { source, what } => {
            let Some((props, plugin)) = connector(&world, &*herd, &source).await? else {
                return Ok(Outcome::default());
            };
            let what = match shared_with(&*herd, &source) {
                Shared::Nothing => what,
                Shared::Publication(other) => {
                    tracing::warn!(connector = source, other, "the publication stays: another connector has it, too");
                    CleanUp::Position
                }
                Shared::Slot(other) => {
                    tracing::warn!(
                        connector = source,
                        other,
                        "slot and publication stay: another connector has them, too"
                    );
                    return Ok(Outcome::default());
                }
            };
            if let PluginKind::Source(source) = &plugin.kind {
                source.clean_up(&props, what).await.map_err(|error| told(&error))?;
            }
            Ok(Outcome::default())
        }
        Work::ResetOffsets { source } => {
            let command = Command::AlterOffsets { name: source, offsets: None };
            unless_gone(herd.ask(command, Hop::Client).await)
        }
        Work::RestartFailed { connectors } => restart_failed(&*herd, connectors).await,
        Work::DeleteConnectors { connectors } => {
            for name in connectors {
                unless_gone(herd.ask(Command::Delete { name }, Hop::Client).await)?;
            }
            Ok(Outcome::default())
        }
    }
}

/// What another connector uses of what was made for a source.
enum Shared {
    Nothing,
    Publication(String),
    Slot(String),
}

/// Whether another connector of the same class, at the same server and database, is configured with the same slot or
/// publication.
fn shared_with(herd: &dyn Herd, source: &str) -> Shared {
    let view = herd.view();
    let Some(own) = view.connectors.get(source) else { return Shared::Nothing };
    let value = |config: &Props, key: &str| config.get(key).cloned().flatten().unwrap_or_default();
    let same = |other: &Props, key: &str| value(other, key) == value(&own.info.config, key);
    let place = ["connector.class", "database.hostname", "database.port", "database.dbname"];
    let mut shared = Shared::Nothing;
    for (name, other) in view.connectors.iter().filter(|(name, _)| &***name != source) {
        let config = &other.info.config;
        if !place.iter().all(|key| same(config, key)) {
            continue;
        }
        if same(config, "slot.name") {
            return Shared::Slot(name.to_string());
        }
        if same(config, "publication.name") {
            shared = Shared::Publication(name.to_string());
        }
    }
    shared
}

/// What a connector does not have any more needs not be done.
fn unless_gone<T>(outcome: Result<T, HerdError>) -> Result<Outcome, String> {
    match outcome {
        Ok(_) | Err(HerdError::Refused { status: 404, .. }) => Ok(Outcome::default()),
        Err(error) => Err(error.to_string()),
    }
}

/// An error with its remedy, as a sentence.
fn told(error: &Error) -> String {
    let root = error.root();
    match root.remedy() {
        Some(remedy) => format!("{root}; {remedy}"),
        None => root.to_string(),
    }
}

async fn set_target(herd: &dyn Herd, names: Vec<String>, target: Target) -> Result<Outcome, String> {
    let view = herd.view();
    let names: Vec<String> = names.into_iter().filter(|name| view.connectors.contains_key(name.as_str())).collect();
    if names.is_empty() {
        return Ok(Outcome::default());
    }
    unless_gone(herd.ask(Command::SetTargets { names, target }, Hop::Client).await)
}

/// The resolved configuration of a connector and its plugin; `None` when it is gone.
async fn connector(world: &World, herd: &dyn Herd, name: &str) -> Result<Option<(Props, Plugin)>, String> {
    let view = herd.view();
    let Some(connector) = view.connectors.get(name) else { return Ok(None) };
    let props = resolved(&world.resolve, &connector.info.config).await.map_err(|error| told(&error))?;
    let plugin = plugin_of(&world.registry, &props).map_err(|error| told(&error))?.clone();
    Ok(Some((props, plugin)))
}

async fn log_end(world: &World, herd: &dyn Herd, source: &str) -> Result<Outcome, String> {
    let Some((props, plugin)) = connector(world, herd, source).await? else { return Ok(Outcome::default()) };
    let PluginKind::Source(source) = &plugin.kind else { return Ok(Outcome::default()) };
    let log_end = source.log_end(&props).await.map_err(|error| told(&error))?;
    Ok(Outcome { log_end, ..Outcome::default() })
}

async fn drop_destinations(
    world: &World,
    herd: &dyn Herd,
    source: Option<String>,
    sinks: &[String],
) -> Result<Outcome, String> {
    let mut topics = Vec::new();
    if let Some(source) = source
        && let Some((props, plugin)) = connector(world, herd, &source).await?
        && let PluginKind::Source(source) = &plugin.kind
    {
        topics = source.topics(&props).await.map_err(|error| told(&error))?.unwrap_or_default();
    }
    for name in sinks {
        let Some((props, plugin)) = connector(world, herd, name).await? else { continue };
        let PluginKind::Sink(sink) = &plugin.kind else { continue };
        let mut of_sink = topics.clone();
        if let TopicSelection::List(listed) = selection(&props).map_err(|error| told(&error))? {
            of_sink.extend(listed.into_iter().filter(|topic| !topics.contains(topic)));
        }
        let dropped = sink.drop_destinations(&props, &of_sink).await.map_err(|error| told(&error))?;
        tracing::info!(connector = name, dropped = dropped.join(", "), "dropped what was written before");
    }
    Ok(Outcome::default())
}

fn selection(props: &Props) -> Result<TopicSelection, Error> {
    match ConnectorSettings::parse(PluginType::Sink, props)?.role {
        Role::Sink { topics, .. } => Ok(topics),
        Role::Source { .. } => Ok(TopicSelection::List(Vec::new())),
    }
}

/// Where the topics of sinks end: what they have to commit.
async fn topic_ends(world: &World, herd: &dyn Herd, sinks: &[String]) -> Result<Outcome, String> {
    let mut ends = Vec::new();
    for name in sinks {
        let Some((props, _)) = connector(world, herd, name).await? else { continue };
        let of_sink = async {
            let topics = world.clients.sink_topics(name, 0, &present(&props))?;
            let selected = selection(&props)?;
            let partitions = partitions(&*topics, &selected).await?;
            topics.end_offsets(&partitions).await
        };
        let found = of_sink.await.map_err(|error| told(&error))?;
        ends.extend(found.into_iter().map(|(partition, end)| SinkEnd {
            sink: name.clone(),
            topic: partition.topic.to_string(),
            partition: partition.partition,
            end,
        }));
    }
    Ok(Outcome { ends, ..Outcome::default() })
}

async fn partitions(topics: &dyn Topics, selected: &TopicSelection) -> Result<Vec<TopicPartition>, Error> {
    let names: Vec<String> = match selected {
        TopicSelection::List(names) => names.clone(),
        TopicSelection::Regex(pattern) => {
            let pattern = TopicPattern::new(pattern).map_err(|error| kafka_error("topics.regex", error))?;
            topics.names().await?.into_iter().filter(|name| pattern.matches(name)).collect()
        }
    };
    topics.partitions(&names).await
}

/// What sinks have not committed yet of what they have to.
async fn verify(world: &World, herd: &dyn Herd, ends: &[SinkEnd]) -> Result<Outcome, String> {
    let mut by_sink: BTreeMap<&str, Vec<&SinkEnd>> = BTreeMap::new();
    for end in ends.iter().filter(|end| end.end > 0) {
        by_sink.entry(&end.sink).or_default().push(end);
    }
    for (name, ends) in by_sink {
        let Some((props, _)) = connector(world, herd, name).await? else { continue };
        let committed = async {
            let (topics, group) = group_of(&*world.clients, name, &props)?;
            topics.group_offsets(&group).await
        };
        let committed = committed.await.map_err(|error| told(&error))?;
        for end in ends {
            let partition = TopicPartition::new(end.topic.as_str(), end.partition);
            let at = committed.get(&partition).copied().unwrap_or(0);
            if at < end.end {
                let missing = format!("sink {name} has committed {partition} up to {at} of {}", end.end);
                return Ok(Outcome { missing: Some(missing), ..Outcome::default() });
            }
        }
    }
    Ok(Outcome::default())
}

/// Restarts what failed of connectors that are to run.
async fn restart_failed(herd: &dyn Herd, names: Vec<String>) -> Result<Outcome, String> {
    let view = herd.view();
    for name in names {
        let failed =
            view.connectors.get(name.as_str()).and_then(|connector| connector.status.as_ref()).is_some_and(|status| {
                let failed = |state| state == State::Failed;
                failed(status.connector.state) || status.tasks.iter().any(|(_, task)| failed(task.state))
            });
        if failed {
            let command = Command::Restart { name, include_tasks: true, only_failed: true };
            unless_gone(herd.ask(command, Hop::Client).await)?;
        }
    }
    Ok(Outcome::default())
}
