//! The worker's membership: in a Kafka group, or alone.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connect_kafka::group::{GroupConfig, GroupEvent, GroupMember, Joined, Membership};
use connect_kafka::{ClientProps, Error};
use tokio::sync::{mpsc, oneshot};

/// A running membership.
#[async_trait]
pub trait Group: Send + Sync {
    /// Asks for a new round.
    fn rejoin(&self);

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

    async fn leave(self: Box<Self>, _timeout: Duration) {}
}

/// Plays the coordinator; ends with the worker.
async fn play(mut asked: mpsc::Receiver<()>, events: mpsc::Sender<GroupEvent>) {
    let mut generation = 0;
    while round(generation, &events).await.is_some() && asked.recv().await.is_some() {
        generation += 1;
    }
}

async fn round(generation: i32, events: &mpsc::Sender<GroupEvent>) -> Option<()> {
    let (reply, offered) = oneshot::channel();
    events.send(GroupEvent::Prepare { reply }).await.ok()?;
    let protocol = offered.await.ok()?.into_iter().next()?;
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
    events.send(GroupEvent::Joined(joined)).await.ok()
}
