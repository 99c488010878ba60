//! Which connectors make up which job.
//!
//! Every connector belongs to exactly one: to the pipeline that lists it, else to the job of its own name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::log::JobsLog;
use crate::herd::{ClusterView, ConnectorView};

/// The connectors of one job that there are.
#[derive(Clone, Debug, Default)]
pub struct Members {
    pub connectors: Vec<Arc<ConnectorView>>,
}

impl Members {
    /// Its sources; a job made through the job API has at most one.
    pub fn sources(&self) -> impl Iterator<Item = &Arc<ConnectorView>> {
        self.connectors.iter().filter(|connector| connector.info.kind == "source")
    }

    /// Its first source.
    pub fn source(&self) -> Option<&Arc<ConnectorView>> {
        self.sources().next()
    }

    /// Its sinks.
    pub fn sinks(&self) -> impl Iterator<Item = &Arc<ConnectorView>> {
        self.connectors.iter().filter(|connector| connector.info.kind != "source")
    }

    /// The names of all.
    pub fn names(&self) -> Vec<String> {
        self.connectors.iter().map(|connector| connector.info.name.to_string()).collect()
    }
}

/// The members of one job.
pub fn members(job: &str, log: &JobsLog, view: &ClusterView) -> Members {
    let listed = log.entry(job).and_then(|entry| entry.definition.as_ref());
    let mut names: Vec<&str> =
        listed.iter().flat_map(|def| def.source.iter().chain(&def.sinks)).map(String::as_str).collect();
    if !names.contains(&job) && log.pipeline_of(job).is_none() {
        names.push(job);
    }
    Members { connectors: names.into_iter().filter_map(|name| view.connectors.get(name).cloned()).collect() }
}

/// The job of a connector.
pub fn job_of(connector: &str, log: &JobsLog) -> Arc<str> {
    log.pipeline_of(connector).map_or_else(|| Arc::from(connector), Arc::clone)
}

/// The names of all jobs.
pub fn names(log: &JobsLog, view: &ClusterView) -> BTreeSet<Arc<str>> {
    let mut listed: BTreeMap<&str, &Arc<str>> = BTreeMap::new();
    let mut names = BTreeSet::new();
    for (name, entry) in log.entries() {
        let Some(definition) = entry.definition.as_ref().filter(|definition| definition.pipeline) else { continue };
        names.insert(Arc::clone(name));
        listed.extend(definition.source.iter().chain(&definition.sinks).map(|member| (member.as_str(), name)));
    }
    names.extend(view.connectors.keys().filter(|name| !listed.contains_key(&***name)).cloned());
    names
}
