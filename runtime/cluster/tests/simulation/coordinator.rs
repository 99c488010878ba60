//! Kafka's group coordinator, as far as a group of workers sees it.

use std::collections::BTreeMap;

use bytes::Bytes;
use connect_cluster::protocol::Protocol;

/// What a member offered in the round under way.
type Offer = Vec<(Protocol, Vec<u8>)>;

#[derive(Default)]
pub(crate) struct Coordinator {
    pub(crate) generation: i32,
    /// Members by id; `None` until they joined the round under way.
    members: BTreeMap<String, Option<Offer>>,
    /// A round is under way.
    pub(crate) preparing: bool,
    leader: Option<String>,
}

/// A round in which all have joined.
pub(crate) struct Complete {
    pub(crate) generation: i32,
    pub(crate) leader: String,
    pub(crate) protocol: Protocol,
    pub(crate) members: Vec<(String, Bytes)>,
}

impl Coordinator {
    pub(crate) fn members(&self) -> Vec<String> {
        self.members.keys().cloned().collect()
    }

    pub(crate) fn has(&self, member: &str) -> bool {
        self.members.contains_key(member)
    }

    /// Begins a round: everybody has to join again. Those that joined already need not.
    pub(crate) fn begin(&mut self) -> Vec<String> {
        if !self.preparing {
            self.preparing = true;
            self.members.values_mut().for_each(|offer| *offer = None);
        }
        self.members.iter().filter(|(_, offer)| offer.is_none()).map(|(id, _)| id.clone()).collect()
    }

    pub(crate) fn add(&mut self, member: &str) {
        self.members.insert(member.to_owned(), None);
    }

    pub(crate) fn remove(&mut self, member: &str) {
        self.members.remove(member);
        if self.leader.as_deref() == Some(member) {
            self.leader = None;
        }
    }

    /// A member joins; the round is complete when it was the last.
    pub(crate) fn join(&mut self, member: &str, offer: Offer) -> Option<Complete> {
        if let Some(known) = self.members.get_mut(member) {
            *known = Some(offer);
        }
        self.complete()
    }

    /// The round, when everybody has joined.
    pub(crate) fn complete(&mut self) -> Option<Complete> {
        if !self.preparing || self.members.is_empty() || self.members.values().any(Option::is_none) {
            return None;
        }
        self.preparing = false;
        self.generation += 1;
        let leader = self.leader.clone().or_else(|| self.members.keys().next().cloned())?;
        self.leader = Some(leader.clone());
        let offers: Vec<(&String, &Offer)> =
            self.members.iter().filter_map(|(id, offer)| Some((id, offer.as_ref()?))).collect();
        let protocol = [Protocol::Sessioned, Protocol::Compatible, Protocol::Eager]
            .into_iter()
            .find(|protocol| offers.iter().all(|(_, offer)| offer.iter().any(|(known, _)| known == protocol)))?;
        let metadata = |offer: &Offer| {
            let bytes = offer.iter().find(|(known, _)| *known == protocol).map(|(_, bytes)| bytes.clone());
            Bytes::from(bytes.unwrap_or_default())
        };
        let members = offers.iter().map(|(id, offer)| ((*id).clone(), metadata(offer))).collect();
        Some(Complete { generation: self.generation, leader, protocol, members })
    }
}
