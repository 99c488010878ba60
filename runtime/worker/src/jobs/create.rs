//! New jobs: checked as a whole, then made with all their connectors or not at all.

use connect_cluster::jobs::record::Definition;
use connect_cluster::jobs::{NewConnector, NewJob, Validation, options};
use connect_cluster::{Command, Herd, HerdError, Hop, RecoveryPolicy, Target};
use connect_config::Props;

use crate::webhooks::Webhook;

/// A connector that is to be made.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub name: String,
    pub config: Props,
}

/// A job with what jobs set for their sinks, where it does not say otherwise.
pub(super) fn with_defaults(herd: &dyn Herd, job: &NewJob) -> NewJob {
    let mut job = job.clone();
    for sink in &mut job.sinks {
        let class = sink.config.get("connector.class").cloned().flatten().unwrap_or_default();
        for (key, value) in herd.job_defaults(class.trim()) {
            sink.config.entry((*key).to_owned()).or_insert_with(|| Some((*value).to_owned()));
        }
    }
    job
}

/// The connectors of a job, each with its name: as given, or made from the job's.
pub(super) fn connectors(job: &NewJob) -> (Option<Planned>, Vec<Planned>) {
    let source = job.source.as_ref().map(|source| planned(source, format!("{}-source", job.name)));
    let many = job.sinks.len() > 1;
    let sinks = job.sinks.iter().enumerate().map(|(index, sink)| {
        let name = if many { format!("{}-sink-{}", job.name, index + 1) } else { format!("{}-sink", job.name) };
        planned(sink, name)
    });
    (source, sinks.collect())
}

fn planned(connector: &NewConnector, otherwise: String) -> Planned {
    let mut config = connector.config.clone();
    let given = config.get("name").cloned().flatten().filter(|name| !name.trim().is_empty());
    let name = given.map_or(otherwise, |name| name.trim().to_owned());
    config.insert("name".to_owned(), Some(name.clone()));
    Planned { name, config }
}

/// The definition of a job.
pub(super) fn definition(job: &NewJob, now_ms: i64) -> Definition {
    let (source, sinks) = connectors(job);
    Definition {
        source: source.map(|source| source.name),
        sinks: sinks.into_iter().map(|sink| sink.name).collect(),
        options: job.options.clone(),
        pipeline: true,
        made: false,
        created_ms: now_ms,
        started: false,
        dropped: false,
    }
}

/// What is wrong with a job itself, as sentences.
pub(super) fn problems(job: &NewJob, policy: &RecoveryPolicy) -> Vec<String> {
    let mut problems = Vec::new();
    if job.name.trim().is_empty() {
        problems.push("name is missing".to_owned());
    }
    if job.source.is_none() && job.sinks.is_empty() {
        problems.push("a job needs a source or a sink".to_owned());
    }
    let (source, sinks) = connectors(job);
    let mut names: Vec<&str> = source.iter().chain(&sinks).map(|planned| planned.name.as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        problems.push(format!("two connectors are named {}", twice[0]));
    }
    problems.extend(options::problems(&job.options));
    let transforms = |planned: &&Planned| {
        planned
            .config
            .get("transforms")
            .is_some_and(|value| value.as_deref().is_some_and(|text| !text.trim().is_empty()))
    };
    if options::drops_destinations(&job.options)
        && let Some(planned) = source.iter().chain(&sinks).find(transforms)
    {
        // They may send records elsewhere: what would be dropped might belong to somebody else.
        problems.push(format!("options.drop_destination_collections can't be used with transforms ({})", planned.name));
    }
    if let Err(problem) = policy.with_options(&job.options) {
        problems.push(problem.to_string());
    }
    if let Some(webhooks) = job.options.get("webhooks")
        && let Err(problem) = Webhook::parse_option(webhooks)
    {
        problems.push(problem);
    }
    problems
}

/// What validation says of a whole job, with live checks of both ends.
pub(super) async fn validate(herd: &dyn Herd, job: &NewJob, policy: &RecoveryPolicy) -> Result<Validation, HerdError> {
    let mut problems = problems(job, policy);
    let (source, sinks) = connectors(job);
    let view = herd.view();
    let kinds = [(source.as_ref(), "source")].into_iter().chain(sinks.iter().map(|sink| (Some(sink), "sink")));
    let mut checked = Vec::new();
    for (planned, kind) in kinds {
        let Some(planned) = planned else { continue };
        if view.connectors.contains_key(planned.name.as_str()) {
            problems.push(format!("there is a connector {} already", planned.name));
        }
        let class = planned.config.get("connector.class").cloned().flatten().unwrap_or_default();
        if class.is_empty() {
            problems.push(format!("{kind} {} has no connector.class", planned.name));
            continue;
        }
        let known = herd.plugins().into_iter().find(|plugin| {
            plugin.class == class || plugin.class.rsplit('.').next().is_some_and(|simple| is_simple(simple, &class))
        });
        match known {
            Some(plugin) if plugin.kind != kind => {
                problems.push(format!("{class} is no {kind} connector"));
                continue;
            }
            Some(_) => {}
            None => {
                problems.push(format!("there is no connector {class}"));
                continue;
            }
        }
        checked.push((kind, planned, class));
    }
    let validations = checked.iter().map(|(_, planned, class)| herd.validate(class, &planned.config));
    let outcomes = futures_util::future::join_all(validations).await;
    let mut validation = Validation { problems, source: None, sinks: Vec::new() };
    for ((kind, planned, _), outcome) in checked.iter().zip(outcomes) {
        match outcome {
            Ok(validated) if *kind == "source" => validation.source = Some(validated),
            Ok(validated) => validation.sinks.push(validated),
            Err(error) => validation.problems.push(format!("{}: {error}", planned.name)),
        }
    }
    Ok(validation)
}

/// The simple name of a class, or that without `Connector`, stands for it.
fn is_simple(simple: &str, given: &str) -> bool {
    simple == given || simple.strip_suffix("Connector") == Some(given)
}

/// A validation with problems as one refusal, in the words of `POST /connectors`.
pub(super) fn refusal(validation: &Validation) -> Option<HerdError> {
    let entries = validation.source.iter().chain(&validation.sinks).flat_map(|validated| &validated.entries);
    let errors: Vec<&str> = validation
        .problems
        .iter()
        .map(String::as_str)
        .chain(entries.flat_map(|entry| &entry.errors).map(String::as_str))
        .collect();
    if errors.is_empty() {
        return None;
    }
    let mut message = format!("Job configuration is invalid and contains the following {} error(s):", errors.len());
    for error in errors {
        message.push('\n');
        message.push_str(error);
    }
    message.push_str("\nYou can also find the above list of errors at the endpoint `/jobs/validate`");
    Some(HerdError::bad_request(message))
}

/// Makes the connectors of a job, stopped; when one can't be made, none is left.
pub(super) async fn make(herd: &dyn Herd, job: &NewJob) -> Result<(), HerdError> {
    let (source, sinks) = connectors(job);
    let mut made: Vec<String> = Vec::new();
    for Planned { name, config } in source.into_iter().chain(sinks) {
        let command = Command::Create { name: name.clone(), config, target: Target::Stopped };
        match herd.ask(command, Hop::Client).await {
            Ok(_) => made.push(name),
            Err(error) => {
                for name in made {
                    if let Err(left) = herd.ask(Command::Delete { name: name.clone() }, Hop::Client).await {
                        tracing::warn!(connector = name, error = %left, "a connector of a job that was not made is left");
                    }
                }
                return Err(error);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use connect_cluster::{ClusterView, PluginInfo, Reply};
    use connect_config::{ConfigDef, Validated};

    use super::*;

    /// Knows what jobs set for sinks of class `Known`, and nothing else.
    struct Defaults;

    #[async_trait::async_trait]
    impl Herd for Defaults {
        fn view(&self) -> Arc<ClusterView> {
            panic!("nobody asks")
        }

        async fn ask(&self, _command: Command, _hop: Hop) -> Result<Reply, HerdError> {
            panic!("nobody asks")
        }

        async fn validate(&self, _plugin: &str, _config: &Props) -> Result<Validated, HerdError> {
            panic!("nobody asks")
        }

        fn plugins(&self) -> Vec<PluginInfo> {
            Vec::new()
        }

        fn plugin_config(&self, plugin: &str) -> Result<ConfigDef, HerdError> {
            Err(HerdError::not_found(plugin))
        }

        fn job_defaults(&self, class: &str) -> &'static [(&'static str, &'static str)] {
            if class == "Known" { &[("patience", "long"), ("own", "default")] } else { &[] }
        }
    }

    #[test]
    fn sinks_get_what_jobs_set_unless_they_say_otherwise() {
        let of = |settings: &[(&str, Option<&str>)]| {
            let config = settings.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned))).collect();
            NewConnector { config }
        };
        let own = of(&[("connector.class", Some(" Known ")), ("own", None)]);
        let given =
            job(Some(of(&[("connector.class", Some("Known"))])), vec![own, of(&[("connector.class", Some("Other"))])]);
        let made = with_defaults(&Defaults, &given);
        assert_eq!(made.source, given.source);
        assert_eq!(made.sinks[1], given.sinks[1]);
        let config = &made.sinks[0].config;
        assert_eq!((config["patience"].as_deref(), config["own"].as_deref()), (Some("long"), None));
    }

    fn connector(name: Option<&str>) -> NewConnector {
        let name = name.map(|name| ("name".to_owned(), Some(name.to_owned())));
        NewConnector { config: name.into_iter().collect() }
    }

    fn job(source: Option<NewConnector>, sinks: Vec<NewConnector>) -> NewJob {
        NewJob { name: "shop".into(), source, sinks, options: serde_json::Map::new(), start: true }
    }

    fn names(job: &NewJob) -> Vec<String> {
        let (source, sinks) = connectors(job);
        source.into_iter().chain(sinks).map(|planned| planned.name).collect()
    }

    #[test]
    fn connectors_are_named_after_the_job_unless_they_have_names() {
        assert_eq!(names(&job(Some(connector(None)), vec![connector(None)])), ["shop-source", "shop-sink"]);
        assert_eq!(names(&job(None, vec![connector(Some(" a ")), connector(None)])), ["a", "shop-sink-2"]);
    }

    #[test]
    fn what_is_wrong_with_a_job_is_named() {
        let found = |job: &NewJob| problems(job, &RecoveryPolicy::default());
        assert_eq!(found(&job(None, vec![])), ["a job needs a source or a sink"]);
        let twice = job(Some(connector(Some("a"))), vec![connector(Some("a"))]);
        assert_eq!(found(&twice), ["two connectors are named a"]);
        let mut bad = job(Some(connector(None)), vec![]);
        bad.options.insert("recovery.attempts.max".into(), "many".into());
        bad.options.insert("webhooks".into(), "ftp://x".into());
        assert_eq!(found(&bad).len(), 2, "{:?}", found(&bad));
    }
}
