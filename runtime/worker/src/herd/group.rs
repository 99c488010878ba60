//! The worker's membership: in a Kafka group, or alone.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connect_kafka::group::{GroupConfig, GroupEvent, GroupMember, Joined, Lease, Membership, Offer};
use connect_kafka::{ClientProps, ClientStats, Error};
use tokio::sync::{mpsc, oneshot};

/// A running membership.
#[async_trait]
pub trait Group: Send + Sync {
    /// Asks for a new round.
    fn rejoin(&self);

    /// The right to work that the membership gives, renewed as long as the group knows this worker.
    fn lease(&self) -> Lease;

    /// What its connections carry; nothing where there are none.
    fn stats(&self) -> Option<Arc<ClientStats>> {
        None
    }

    /// Leaves the group; the others take the work over at once.
    async fn leave(self: Box<Self>, timeout: Duration);
}

/// A membership with its events.
pub type GroupHandle = (Box<dyn Group>, mpsc::Receiver<GroupEvent>);

/// A group of Kafka.
pub struct KafkaGroup(Membership);

impl KafkaGroup {
    /// Starts to join.
    pub fn start(config: GroupConfig, props: &ClientProps) -> Result<GroupHandle, Error> {
        let (membership, events) = Membership::start(config, props)?;
        Ok((Box::new(Self(membership)), events))
    }
}

#[async_trait]
impl Group for KafkaGroup {
    fn rejoin(&self) {
        self.0.rejoin();
    }

    fn lease(&self) -> Lease {
        self.0.lease()
    }

    fn stats(&self) -> Option<Arc<ClientStats>> {
        Some(Arc::clone(self.0.stats()))
    }

    async fn leave(self: Box<Self>, timeout: Duration) {
        if let Err(error) = self.0.leave(timeout).await {
            tracing::warn!(%error, "left the group without telling it: the others wait for the session to end");
        }
    }
}

/// A group of one that needs no Kafka: each round elects this worker at once.
pub struct Alone {
    rounds: mpsc::Sender<()>,
}

const MEMBER: &str = "alone";
/// Rounds that are asked for while one is on its way are one.
const ROUNDS_AHEAD: usize = 1;
const EVENTS_AHEAD: usize = 16;

impl Alone {
    /// Starts; the first round follows at once.
    pub fn start() -> GroupHandle {
        let (rounds, asked) = mpsc::channel(ROUNDS_AHEAD);
        let (events, receiver) = mpsc::channel(EVENTS_AHEAD);
        tokio::spawn(play(asked, events));
        (Box::new(Self { rounds }), receiver)
    }
}

#[async_trait]
impl Group for Alone {
    fn rejoin(&self) {
        if self.rounds.try_send(()).is_err() {
            tracing::trace!("a round is on its way already");
        }
    }

    fn lease(&self) -> Lease {
        Lease::endless()
    }

    async fn leave(self: Box<Self>, _timeout: Duration) {}
}

/// Plays the coordinator; ends with the worker.
async fn play(mut asked: mpsc::Receiver<()>, events: mpsc::Sender<GroupEvent>) {
    let mut generation = 0;
    while let Some(played) = round(generation, &events).await {
        generation += 1;
        if matches!(played, Played::Whole) && asked.recv().await.is_none() {
            return;
        }
    }
}

enum Played {
    Whole,
    /// The worker did not take part; it is asked again.
    Abstained,
}

async fn round(generation: i32, events: &mpsc::Sender<GroupEvent>) -> Option<Played> {
    let (reply, offered) = oneshot::channel();
    events.send(GroupEvent::Prepare { reply }).await.ok()?;
    let protocol = match offered.await.ok()? {
        Offer::Join(offered) => offered.into_iter().next()?,
        Offer::Abstain(pause) => {
            tokio::time::sleep(pause).await;
            return Some(Played::Abstained);
        }
    };
    let (reply, assigned) = oneshot::channel();
    let elected = GroupEvent::Elected {
        generation,
        protocol: protocol.name.clone(),
        leader_id: MEMBER.to_owned(),
        members: vec![GroupMember { member_id: MEMBER.to_owned(), metadata: protocol.metadata }],
        reply,
    };
    events.send(elected).await.ok()?;
    let assignment = assigned.await.ok()?.into_iter().next().map_or_else(Bytes::new, |(_, bytes)| bytes);
    let joined = Joined {
        generation,
        member_id: MEMBER.to_owned(),
        leader_id: MEMBER.to_owned(),
        protocol: protocol.name,
        assignment,
    };
    events.send(GroupEvent::Joined(joined)).await.ok().map(|()| Played::Whole)
}
