//! Kafka's group coordinator, as far as a group of workers sees it.

use std::collections::BTreeMap;

use bytes::Bytes;
use connect_cluster::protocol::Protocol;

/// What a member offered in the round under way.
type Offer = Vec<(Protocol, Vec<u8>)>;

#[derive(Default)]
struct Member {
    /// `None` until it joined the round under way.
    offer: Option<Offer>,
    /// When it was last heard.
    heard: u64,
}

#[derive(Default)]
pub(crate) struct Coordinator {
    pub(crate) generation: i32,
    members: BTreeMap<String, Member>,
    /// A round is under way.
    pub(crate) preparing: bool,
    /// Counts the rounds that were begun.
    pub(crate) rounds: u64,
    leader: Option<String>,
    /// Of the last round.
    pub(crate) protocol: Option<Protocol>,
}

/// A round in which all have joined.
pub(crate) struct Complete {
    pub(crate) generation: i32,
    pub(crate) leader: String,
    pub(crate) protocol: Protocol,
    pub(crate) members: Vec<(String, Bytes)>,
}

impl Coordinator {
    pub(crate) fn members(&self) -> impl Iterator<Item = &String> {
        self.members.keys()
    }

    pub(crate) fn has(&self, member: &str) -> bool {
        self.members.contains_key(member)
    }

    /// Begins a round: everybody has to join again. Those that joined already need not.
    pub(crate) fn begin(&mut self) -> Vec<String> {
        if !self.preparing {
            self.preparing = true;
            self.rounds += 1;
            self.members.values_mut().for_each(|member| member.offer = None);
        }
        self.members.iter().filter(|(_, member)| member.offer.is_none()).map(|(id, _)| id.clone()).collect()
    }

    pub(crate) fn add(&mut self, member: &str, now: u64) {
        self.members.insert(member.to_owned(), Member { offer: None, heard: now });
    }

    pub(crate) fn remove(&mut self, member: &str) {
        self.members.remove(member);
        if self.leader.as_deref() == Some(member) {
            self.leader = None;
        }
    }

    pub(crate) fn hear(&mut self, member: &str, now: u64) {
        if let Some(member) = self.members.get_mut(member) {
            member.heard = now;
        }
    }

    /// After a restart of the broker every session begins anew.
    pub(crate) fn hear_all(&mut self, now: u64) {
        self.members.values_mut().for_each(|member| member.heard = now);
    }

    /// Members whose session is over. One that waits for the others to join counts as present.
    pub(crate) fn silent(&self, now: u64, session: u64) -> Vec<String> {
        let silent = |member: &&Member| now > member.heard + session && !(self.preparing && member.offer.is_some());
        self.members.iter().filter(|(_, member)| silent(member)).map(|(id, _)| id.clone()).collect()
    }

    /// Members that have not joined the round under way.
    pub(crate) fn late(&self) -> Vec<String> {
        self.members.iter().filter(|(_, member)| member.offer.is_none()).map(|(id, _)| id.clone()).collect()
    }

    /// A member joins; the round is complete when it was the last.
    pub(crate) fn join(&mut self, member: &str, offer: Offer) -> Option<Complete> {
        if let Some(known) = self.members.get_mut(member) {
            known.offer = Some(offer);
        }
        self.complete()
    }

    /// The round, when everybody has joined.
    pub(crate) fn complete(&mut self) -> Option<Complete> {
        if !self.preparing || self.members.is_empty() || self.members.values().any(|member| member.offer.is_none()) {
            return None;
        }
        self.preparing = false;
        self.generation += 1;
        let leader = self.leader.clone().or_else(|| self.members.keys().next().cloned())?;
        self.leader = Some(leader.clone());
        let offers: Vec<(&String, &Offer)> =
            self.members.iter().filter_map(|(id, member)| Some((id, member.offer.as_ref()?))).collect();
        let protocol = [Protocol::Sessioned, Protocol::Compatible, Protocol::Eager]
            .into_iter()
            .find(|protocol| offers.iter().all(|(_, offer)| offer.iter().any(|(known, _)| known == protocol)))?;
        self.protocol = Some(protocol);
        let metadata = |offer: &Offer| {
            let bytes = offer.iter().find(|(known, _)| *known == protocol).map(|(_, bytes)| bytes.clone());
            Bytes::from(bytes.unwrap_or_default())
        };
        let members = offers.iter().map(|(id, offer)| ((*id).clone(), metadata(offer))).collect();
        Some(Complete { generation: self.generation, leader, protocol, members })
    }
}
