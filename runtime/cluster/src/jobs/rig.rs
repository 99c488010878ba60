//! What the tests of jobs share: a cluster to look at.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::herd::{
    ClusterView, ConnectorInfo, ConnectorStatus, ConnectorView, State, Target, TaskId, TaskInfo, TaskStatus,
};

/// A connector with its state and those of its tasks.
pub(super) fn connector(
    name: &str,
    kind: &'static str,
    target: Target,
    state: Option<State>,
    tasks: &[State],
) -> Arc<ConnectorView> {
    let name: Arc<str> = Arc::from(name);
    let status = |state: State| TaskStatus {
        state,
        worker_id: "w:1".to_owned(),
        trace: (state == State::Failed).then(|| TRACE.to_owned()),
        generation: 1,
        version: None,
    };
    let numbers = || (0..).zip(tasks);
    let ids: Vec<TaskId> = numbers().map(|(task, _)| TaskId { connector: Arc::clone(&name), task }).collect();
    Arc::new(ConnectorView {
        info: ConnectorInfo { name: Arc::clone(&name), config: IndexMap::new(), tasks: ids.clone(), kind },
        target,
        tasks: ids.into_iter().map(|id| TaskInfo { id, config: IndexMap::new() }).collect(),
        status: state.map(|state| ConnectorStatus {
            name: Arc::clone(&name),
            connector: status(state),
            tasks: numbers().map(|(id, state)| (id, status(*state))).collect(),
            kind,
        }),
        topics: Vec::new(),
    })
}

/// The trace of everything that fails here.
pub(super) const TRACE: &str = "org.apache.kafka.connect.errors.ConnectException: it broke\n";

/// A connector whose tasks all run.
pub(super) fn running(name: &str, kind: &'static str) -> Arc<ConnectorView> {
    connector(name, kind, Target::Started, Some(State::Running), &[State::Running])
}

/// A connector that was stopped.
pub(super) fn stopped(name: &str, kind: &'static str) -> Arc<ConnectorView> {
    connector(name, kind, Target::Stopped, Some(State::Stopped), &[])
}

/// A cluster that this worker leads.
pub(super) fn cluster(connectors: impl IntoIterator<Item = Arc<ConnectorView>>) -> Arc<ClusterView> {
    let connectors: BTreeMap<_, _> =
        connectors.into_iter().map(|connector| (Arc::clone(&connector.info.name), connector)).collect();
    Arc::new(ClusterView { connectors, is_leader: true, loaded: true, ready: true, ..ClusterView::default() })
}
