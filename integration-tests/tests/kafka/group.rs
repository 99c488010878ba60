//! The group of workers.

use std::time::Duration;

use bytes::Bytes;
use connect_kafka::group::{GroupConfig, GroupEvent, Joined, Membership, Offer, OfferedProtocol};
use tokio::sync::mpsc;

use super::{LIMIT, admin, props, unique};

/// So long that nothing of it may be waited for.
const SESSION: Duration = Duration::from_secs(30);

/// A member that offers its name as metadata, and as leader gives each member its name back.
struct Member {
    name: &'static str,
    membership: Membership,
    events: mpsc::Receiver<GroupEvent>,
}

impl Member {
    fn start(name: &'static str, group: &str) -> Self {
        let config = GroupConfig {
            group_id: group.to_owned(),
            client_id: format!("connect-{name}"),
            protocol_type: "connect".to_owned(),
            session_timeout: SESSION,
            heartbeat_interval: Duration::from_millis(200),
            rebalance_timeout: Duration::from_secs(10),
            retry_backoff: Duration::from_millis(50),
        };
        let (membership, events) = Membership::start(config, &props(&[])).unwrap();
        Self { name, membership, events }
    }

    /// Answers events until the member has joined a generation later than this one. Gives also whether it was told of the
    /// rebalance before.
    async fn joined_after(&mut self, generation: i32) -> (Joined, bool) {
        let mut told = false;
        let joining = async {
            loop {
                match self.events.recv().await.expect("the membership goes on") {
                    GroupEvent::Prepare { reply } => {
                        let protocol =
                            |name: &str| OfferedProtocol { name: name.to_owned(), metadata: Bytes::from(self.name) };
                        let _void = reply.send(Offer::Join(vec![protocol("sessioned"), protocol("default")]));
                    }
                    GroupEvent::Elected { members, reply, .. } => {
                        let given = members.into_iter().map(|member| (member.member_id, member.metadata));
                        let _void = reply.send(given.collect());
                    }
                    GroupEvent::Rebalancing => told = true,
                    GroupEvent::Joined(joined) if joined.generation > generation => return joined,
                    GroupEvent::Joined(_) => {}
                    GroupEvent::Lost { reason } => panic!("{} lost its membership: {reason}", self.name),
                    GroupEvent::Trouble(error) => panic!("{} has trouble: {error}", self.name),
                }
            }
        };
        let joined = tokio::time::timeout(LIMIT, joining).await.expect("a join in time");
        (joined, told)
    }
}

#[tokio::test]
async fn members_come_and_go_and_each_gets_its_assignment() {
    let group = unique("workers");
    let mut first = Member::start("first", &group);
    let (alone, _) = first.joined_after(0).await;
    assert!(alone.is_leader() && alone.member_id.starts_with("connect-first-"), "{alone:?}");
    assert_eq!((alone.protocol.as_str(), &alone.assignment[..]), ("sessioned", &b"first"[..]));

    let mut second = Member::start("second", &group);
    let ((with_second, told), (joined, _)) =
        tokio::join!(first.joined_after(alone.generation), second.joined_after(alone.generation));
    assert!(told);
    assert_eq!((with_second.generation, &with_second.assignment[..]), (joined.generation, &b"first"[..]));
    assert_eq!((joined.leader_id.as_str(), &joined.assignment[..]), (alone.member_id.as_str(), &b"second"[..]));
    let described = admin().describe_group(&group).await.unwrap();
    assert_eq!((described.state.as_str(), described.protocol_type.as_str()), ("Stable", "connect"));
    assert_eq!(described.members.len(), 2);

    // The leader asks for a round: everybody joins again.
    first.membership.rejoin();
    let ((again, _), (second_again, _)) =
        tokio::join!(first.joined_after(joined.generation), second.joined_after(joined.generation));
    assert_eq!(again.generation, second_again.generation);

    // The leader leaves: the other takes over at its next heartbeat, long before the session would be over.
    let started = std::time::Instant::now();
    first.membership.leave(LIMIT).await.unwrap();
    let (left_alone, _) = second.joined_after(again.generation).await;
    assert!(left_alone.is_leader());
    assert!(started.elapsed() < SESSION * 2 / 3, "{:?}", started.elapsed());
    second.membership.leave(LIMIT).await.unwrap();
    assert!(admin().describe_group(&group).await.unwrap().members.is_empty());
}
