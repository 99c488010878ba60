//! The offsets of one source: in the worker's topic, or in its own (`offsets.storage.topic`).

use std::sync::Arc;

use connect_api::{OffsetMap, Result};
use connect_config::Props;
use connect_kafka::ClientProps;

use crate::clients::Resolved;
use crate::exactly_once::Delivery;
use crate::offsets::OffsetStore;
use crate::transactions::send_all;
use crate::units::{Shared, present};

/// The topic that a source's offsets are written to; `None` without exactly-once support and a topic of its own, or when
/// the worker keeps its offsets in a file.
pub(crate) fn topic_of(delivery: &Delivery, own: Option<&str>) -> Option<String> {
    let workers = || delivery.exactly_once.as_ref().and_then(|_| delivery.offsets_topic.clone());
    own.map(str::to_owned).or_else(workers)
}

/// The key of a connector's own topic.
pub(crate) fn own_topic(config: &Resolved) -> Option<&str> {
    config.get("offsets.storage.topic").map(|topic| topic.trim()).filter(|topic| !topic.is_empty())
}

/// The store of a source. One of its own is opened, and read while it is used.
pub(crate) async fn store_of(
    shared: &Shared,
    connector: &str,
    task: u32,
    config: &Resolved,
) -> Result<Arc<OffsetStore>> {
    let Some(topic) = topic_of(&shared.delivery, own_topic(config)) else { return Ok(Arc::clone(&shared.offsets)) };
    let exactly_once = shared.delivery.exactly_once.is_some();
    Ok(match shared.clients.offsets_log(connector, task, config, &topic, exactly_once).await? {
        None => Arc::clone(&shared.offsets),
        Some((table, log)) => Arc::new(OffsetStore::new(table, log).falling_back_on(Arc::clone(&shared.offsets))),
    })
}

/// Writes offsets of a stopped source on behalf of a user; `None` removes one. Under exactly-once support in a transaction of
/// the connector's first task, whose producer is fenced by that (`Worker.modifySourceConnectorOffsets`).
pub(crate) async fn write(
    shared: &Shared,
    connector: &str,
    props: &Props,
    offsets: &[(Option<OffsetMap>, Option<OffsetMap>)],
) -> Result<()> {
    let config = present(props);
    let store = store_of(shared, connector, 0, &config).await?;
    let topic = topic_of(&shared.delivery, own_topic(&config)).filter(|_| shared.delivery.exactly_once.is_some());
    let Some(topic) = topic else { return store.write(connector, offsets).await };
    let records = OffsetStore::records(connector, offsets)?;
    let producer = shared.clients.transactional_producer(connector, 0, &config)?;
    producer.init(&|| shared.lease.holds()).await?;
    store.remove_behind(&records).await?;
    producer.begin()?;
    send_all(&*producer, &topic, &records).await?;
    producer.commit().await?;
    store.copy_behind(&records);
    Ok(())
}

/// Whether two clients talk to the same cluster, as far as their properties tell (`Worker.sameOffsetTopicAsWorker`).
pub(crate) fn same_servers(a: &ClientProps, b: &ClientProps) -> bool {
    fn servers(props: &ClientProps) -> std::collections::BTreeSet<&str> {
        let list = props.get("bootstrap.servers").map_or("", String::as_str);
        list.split(',').map(str::trim).filter(|server| !server.is_empty()).collect()
    }
    servers(a) == servers(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_compared_as_a_set() {
        let props = |list: &str| ClientProps::from_iter([("bootstrap.servers".to_owned(), list.to_owned())]);
        assert!(same_servers(&props("a:1, b:2"), &props("b:2,a:1,")));
        assert!(!same_servers(&props("a:1"), &props("a:1,b:2")));
    }

    #[test]
    fn a_topic_of_its_own_comes_first() {
        let worker = Delivery { offsets_topic: Some("w".to_owned()), exactly_once: None };
        assert_eq!(topic_of(&worker, None), None, "the worker's store does it");
        assert_eq!(topic_of(&worker, Some("own")), Some("own".to_owned()));
    }
}
