//! A run of a connector: which tasks it wants (`WorkerConnector`, `Worker.connectorTaskConfigs`).

use std::sync::Arc;

use connect_api::{Error, ErrorKind, PluginKind, Result};
use connect_config::Props;
use connect_plugins::ConnectorSettings;
use indexmap::IndexMap;

use crate::control::{Control, Wanted};
use crate::task::plugin_of;
use crate::unit::{ConnectorStart, UnitNews};
use crate::units::{Shared, present};

/// Runs a connector until its end is wanted.
pub(crate) async fn run(shared: Arc<Shared>, start: ConnectorStart, mut control: Control) -> Result<()> {
    let mut wanted = control.wanted();
    loop {
        match wanted {
            Wanted::End => return Ok(()),
            Wanted::Rest => control.tell(UnitNews::Paused).await,
            Wanted::Run => {
                let configs = tokio::select! {
                    configs = task_configs(&shared, &start) => configs?,
                    () = control.cancel.cancelled() => return Ok(()),
                };
                control.tell(UnitNews::Running).await;
                control.tell(UnitNews::TaskConfigs(configs)).await;
            }
        }
        wanted = control.changed_from(wanted).await;
    }
}

async fn task_configs(shared: &Shared, start: &ConnectorStart) -> Result<Vec<IndexMap<String, String>>> {
    let props = (shared.resolve)(&start.config)?;
    let plugin = plugin_of(&shared.registry, &props)?;
    let kind = match plugin.kind {
        PluginKind::Sink(_) => connect_api::PluginType::Sink,
        _ => connect_api::PluginType::Source,
    };
    let settings = ConnectorSettings::parse(kind, &props)?;
    let max = usize::try_from(settings.common.tasks_max).unwrap_or(1);
    let (configs, task_class) = match &plugin.kind {
        PluginKind::Source(source) => (source.task_configs(&props, max).await?, source.task_class()),
        PluginKind::Sink(sink) => (sink.task_configs(&props, max).await?, sink.task_class()),
        _ => return Err(Error::connect(format!("{} is not a connector", plugin.class))),
    };
    if configs.len() > max {
        let (name, count) = (&*start.name, configs.len());
        if settings.common.tasks_max_enforce {
            return Err(Error::new(
                ErrorKind::Bug,
                format!(
                    "The connector {name} has generated {count} tasks, which is greater than {max}, the maximum number \
                     of tasks it is configured to create. "
                ),
            )
            .class("org.apache.kafka.connect.errors.TooManyTasksException"));
        }
        tracing::warn!(connector = name, count, max, "the connector has made more tasks than tasks.max");
    }
    let class = task_class.map_or_else(|| plugin.class.replace("Connector", "Task"), str::to_owned);
    Ok(configs.iter().map(|config| finish(config, &props, &start.config, &class)).collect())
}

/// Adds what the worker adds, and puts variables back where the user had them: secrets never reach the config topic.
fn finish(config: &Props, props: &Props, raw: &Props, class: &str) -> IndexMap<String, String> {
    let mut config = present(config);
    config.insert("task.class".to_owned(), class.to_owned());
    for key in ["topics", "topics.regex"] {
        if let Some(Some(topics)) = props.get(key) {
            config.insert(key.to_owned(), topics.clone());
        }
    }
    for (key, value) in &mut config {
        if let Some(Some(given)) = raw.get(key)
            && has_variable(given)
        {
            value.clone_from(given);
        }
    }
    config
}

/// True when a text has a variable, `${provider:path:key}` or `${provider:key}`.
fn has_variable(text: &str) -> bool {
    text.match_indices("${").any(|(at, open)| {
        let inside = text.get(at + open.len()..).unwrap_or_default();
        inside.split_once('}').is_some_and(|(inside, _)| inside.contains(':'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn props(pairs: &[(&str, &str)]) -> Props {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), Some((*v).to_owned()))).collect()
    }

    #[test]
    fn variables_come_back_and_topics_are_added() {
        let resolved = props(&[("password", "secret"), ("user", "me"), ("topics", "t")]);
        let raw = props(&[("password", "${file:/x:pw}"), ("user", "me"), ("topics", "t")]);
        let task = finish(&props(&[("password", "secret"), ("user", "me")]), &resolved, &raw, "a.b.Task");
        let expected = [("password", "${file:/x:pw}"), ("user", "me"), ("task.class", "a.b.Task"), ("topics", "t")];
        let expected: IndexMap<String, String> = expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        assert_eq!(task, expected);
    }

    #[test]
    fn variables_are_told_from_other_text() {
        for (text, expected) in [
            ("${a:b}", true),
            ("x${a:b:c}y", true),
            ("${a}", false),
            ("$a:b", false),
            ("${a", false),
            ("${a}:${", false),
        ] {
            assert_eq!(has_variable(text), expected, "{text}");
        }
    }
}
