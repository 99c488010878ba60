//! The snapshot that REST reads, rebuilt for the connectors that changed.

use std::sync::Arc;

use super::Herder;
use crate::herd::{ClusterView, ConnectorId, ConnectorInfo, ConnectorStatus, ConnectorView, TaskId, TaskInfo};

impl Herder {
    /// The newest snapshot; the same one when nothing changed.
    pub fn view(&mut self) -> Arc<ClusterView> {
        for name in std::mem::take(&mut self.dirty) {
            match self.connector_view(&name) {
                Some(view) => drop(self.views.insert(name, Arc::new(view))),
                None => drop(self.views.remove(&name)),
            }
            self.view = Arc::default();
        }
        let seat = self.seat.as_ref();
        let leader_url = seat.map(|seat| seat.leader_url.clone()).filter(|url| !url.is_empty());
        let is_unsettled_leader = seat.is_some_and(|seat| !seat.settled && seat.member_id == seat.leader_id);
        let ready = self.started && seat.is_some();
        let been_ready = ready || self.completed_generation >= 0;
        let unchanged = self.view.ready == ready
            && self.view.loaded == self.started
            && self.view.been_ready == been_ready
            && self.view.leader_url == leader_url
            && self.view.is_leader == self.leads()
            && self.view.is_unsettled_leader == is_unsettled_leader
            && self.view.connectors.len() == self.views.len()
            && Arc::ptr_eq(&self.view.recoveries, &self.recoveries);
        if !unchanged {
            self.view = Arc::new(ClusterView {
                connectors: self.views.clone(),
                recoveries: Arc::clone(&self.recoveries),
                kafka_cluster_id: self.config.kafka_cluster_id.clone(),
                leader_url,
                is_leader: self.leads(),
                is_unsettled_leader,
                loaded: self.started,
                ready,
                been_ready,
                problem: self.problem(),
            });
        }
        Arc::clone(&self.view)
    }

    fn problem(&self) -> Option<String> {
        if !self.started {
            return Some("The internal topics have not been read to their ends yet.".to_owned());
        }
        self.seat.is_none().then(|| "The worker is not a member of its group.".to_owned())
    }

    pub(super) fn connector_info(&self, name: &ConnectorId) -> Option<ConnectorInfo> {
        let connector = self.state.connector(name)?;
        let config = connector.config.as_ref()?;
        let tasks = connector.tasks().map(|(task, _)| TaskId { connector: Arc::clone(name), task }).collect();
        Some(ConnectorInfo { name: Arc::clone(name), config: config.as_ref().clone(), tasks, kind: self.kind_of(name) })
    }

    fn connector_view(&self, name: &ConnectorId) -> Option<ConnectorView> {
        let info = self.connector_info(name)?;
        let connector = self.state.connector(name)?;
        let tasks = connector
            .tasks()
            .map(|(task, config)| TaskInfo {
                id: TaskId { connector: Arc::clone(name), task },
                config: config.as_ref().clone(),
            })
            .collect();
        let topics = self.statuses.connector(name).map(|s| s.topics.keys().cloned().collect()).unwrap_or_default();
        Some(ConnectorView {
            info,
            target: self.state.target(name),
            tasks,
            status: self.connector_status(name),
            topics,
        })
    }

    pub(super) fn connector_status(&self, name: &ConnectorId) -> Option<ConnectorStatus> {
        let statuses = self.statuses.connector(name)?;
        Some(ConnectorStatus {
            name: Arc::clone(name),
            connector: statuses.connector.clone()?,
            tasks: statuses.tasks.iter().map(|(task, status)| (*task, status.clone())).collect(),
            kind: self.kind_of(name),
        })
    }

    fn facts(&self, name: &ConnectorId) -> Option<super::PluginFacts> {
        let config = self.state.config(name)?;
        let class = config.get("connector.class")?.as_ref()?;
        (self.config.catalog)(class)
    }

    fn kind_of(&self, name: &ConnectorId) -> &'static str {
        self.facts(name).map_or("unknown", |facts| facts.kind)
    }

    pub(super) fn version_of(&self, name: &ConnectorId) -> Option<String> {
        self.facts(name).map(|facts| facts.version)
    }
}
