//! Several servers in `database.hostname`, and slots that outlive their primary.

use connect_api::{ErrorKind, Props, SourceConnector};
use connect_postgres::connector::PostgresConnector;
use integration_tests::testbed::{Postgres, PostgresAddress, PostgresOptions, eventually_async};
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::support::{ARRIVAL, unique, with};
use crate::upkeep_rig::{Running, props, start};

/// The first version whose standbys keep copies of slots.
pub(crate) const SYNCED: u32 = 17;

/// A primary, a standby of it, and a table.
pub(crate) struct Pair {
    pub(crate) primary: Postgres,
    pub(crate) standby: Postgres,
    pub(crate) client: Client,
    pub(crate) name: String,
}

impl Pair {
    pub(crate) async fn start(name: &str) -> Self {
        let name = unique(name);
        let options = PostgresOptions { version: Some(SYNCED), ..PostgresOptions::default() };
        let primary = Postgres::start(&format!("primary_{name}"), options).unwrap();
        let client = primary.address.connect().await.unwrap();
        client.batch_execute("create table t (id int primary key); create table other (id int)").await.unwrap();
        let standby = primary.follow(&format!("standby_{name}"), options).await.unwrap();
        Self { primary, standby, client, name }
    }

    /// The list with the standby first, and the changes.
    pub(crate) fn changes(&self, more: &Value) -> Value {
        let list = format!("127.0.0.1:{},127.0.0.1", self.standby.address.port);
        let all = json!({
            "database.hostname": list,
            "slot.failover": "true",
            "errors.max.retries": "-1",
            "retriable.restart.connector.wait.ms": "300",
            "status.update.interval.ms": "200",
        });
        with(all, more)
    }

    /// A task that streams, and has stored a first row.
    pub(crate) async fn reads_a_row(&self, props: &Props) -> Running {
        let task = start(props, None).await;
        task.streams().await;
        self.client.batch_execute("insert into t values (1)").await.unwrap();
        task.until("the row", |seen| seen.records() == 1 && seen.stored()).await;
        task
    }

    /// The slot's copy on the standby may be read after a promotion.
    pub(crate) async fn synced(&self) {
        let standby = self.standby.address.connect().await.unwrap();
        let query = "select 1 from pg_replication_slots where slot_name = $1 and synced and not temporary";
        eventually_async("the slot's copy", ARRIVAL, async || {
            // A slot is copied once the standby has its own idea of what runs.
            self.client.batch_execute("select pg_log_standby_snapshot()").await.map_err(|error| error.to_string())?;
            let rows = standby.query(query, &[&self.name]).await.map_err(|error| error.to_string())?;
            if rows.is_empty() { Err("not there".to_owned()) } else { Ok(()) }
        })
        .await
        .unwrap();
    }

    /// The standby has what the primary has.
    pub(crate) async fn followed(&self) {
        let standby = self.standby.address.connect().await.unwrap();
        let place = "select (pg_current_wal_insert_lsn() - '0/0')::bigint";
        let written: i64 = self.client.query_one(place, &[]).await.unwrap().get(0);
        eventually_async("the standby to follow", ARRIVAL, async || {
            let place = "select (pg_last_wal_replay_lsn() - '0/0')::bigint";
            let replayed: i64 = standby.query_one(place, &[]).await.map_err(|error| error.to_string())?.get(0);
            if replayed >= written { Ok(()) } else { Err(format!("{replayed} of {written}")) }
        })
        .await
        .unwrap();
    }

    /// The standby receives nothing any more.
    pub(crate) async fn part(&self) {
        self.followed().await;
        let standby = self.standby.address.connect().await.unwrap();
        standby.batch_execute("alter system set primary_conninfo = ''").await.unwrap();
        standby.batch_execute("select pg_reload_conf()").await.unwrap();
        eventually_async("the standby to be alone", ARRIVAL, async || {
            let rows = standby.query("select 1 from pg_stat_wal_receiver", &[]).await.map_err(|e| e.to_string())?;
            if rows.is_empty() { Ok(()) } else { Err("it receives".to_owned()) }
        })
        .await
        .unwrap();
    }

    /// The standby becomes the primary; gives a client of it.
    pub(crate) async fn promote(&self) -> Client {
        promoted(&self.standby.address).await
    }
}

pub(crate) async fn promoted(standby: &PostgresAddress) -> Client {
    let client = standby.connect().await.unwrap();
    client.batch_execute("select pg_promote()").await.unwrap();
    eventually_async("the promotion", ARRIVAL, async || {
        let row = client.query_one("select pg_is_in_recovery()", &[]).await.map_err(|error| error.to_string())?;
        if row.get::<_, bool>(0) { Err("in recovery".to_owned()) } else { Ok(()) }
    })
    .await
    .unwrap();
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_with_the_promoted_standby_without_a_loss() {
    let mut pair = Pair::start("goes_on").await;
    let props = props(&pair.primary.address, &pair.name, "public.t", &pair.changes(&json!({})));
    let task = start(&props, None).await;
    task.streams().await;
    // Both sessions are the primary's, though the standby stands first.
    let sessions = "select count(*) from pg_stat_activity where application_name = 'tidegate'";
    assert!(pair.client.query_one(sessions, &[]).await.unwrap().get::<_, i64>(0) >= 2);
    let standby = pair.standby.address.connect().await.unwrap();
    assert_eq!(standby.query_one(sessions, &[]).await.unwrap().get::<_, i64>(0), 0);
    pair.client.batch_execute("insert into t select generate_series(1, 50)").await.unwrap();
    task.until("the rows", |seen| seen.records() == 50 && seen.stored()).await;
    pair.synced().await;
    pair.followed().await;

    pair.primary.process.kill().unwrap();
    let client = pair.promote().await;
    client.batch_execute("insert into t select generate_series(51, 60)").await.unwrap();
    task.until("the rows of the new primary", |seen| seen.records() == 60).await;
    assert_eq!(task.seen.records(), 60);
    task.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_exists_becomes_a_failover_slot_when_that_is_wanted() {
    let name = unique("altered");
    let options = PostgresOptions { version: Some(SYNCED), ..PostgresOptions::default() };
    let server = Postgres::start(&unique("postgres_altered"), options).unwrap();
    let client = server.address.connect().await.unwrap();
    client.batch_execute("create table t (id int primary key)").await.unwrap();
    let fails_over = async || {
        let query = "select failover from pg_replication_slots where slot_name = $1";
        client.query_one(query, &[&name]).await.unwrap().get::<_, bool>(0)
    };
    for (wanted, has) in [("false", false), ("true", true), ("false", true)] {
        let props = props(&server.address, &name, "public.t", &json!({"slot.failover": wanted}));
        let task = start(&props, None).await;
        task.streams().await;
        assert_eq!(fails_over().await, has, "slot.failover={wanted}");
        task.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_primary_is_passed_over() {
    let pair = Pair::start("left_behind").await;
    // The list's order counts, whatever was found of its servers a moment ago: both say that they are primaries.
    let changes = pair.changes(&json!({"server.identity.stored": "true", "database.hostRecheckSeconds": "0"}));
    let at = props(&pair.primary.address, &pair.name, "public.t", &changes);
    let task = pair.reads_a_row(&at).await;
    // A copy becomes one to be read after a promotion only when the slot moves on.
    pair.synced().await;
    let offset = task.stop().await;
    pair.part().await;
    let client = pair.promote().await;

    // The new one is read first, so that its timeline is known.
    let task = start(&at, offset).await;
    task.streams().await;
    client.batch_execute("insert into t values (2)").await.unwrap();
    task.until("the row of the new primary", |seen| seen.records() == 1 && seen.stored()).await;
    let offset = task.stop().await;
    // The old one still runs and says that it is a primary.
    let old = json!({"database.hostname": "127.0.0.1", "errors.max.retries": "0"});
    let only_old = props(&pair.primary.address, &pair.name, "public.t", &with(changes.clone(), &old));
    let error = start(&only_old, offset.clone()).await.fails().await;
    assert!(error.root().message().contains("is on timeline 1, and timeline 2 was read before"), "{}", error.trace());
    assert_eq!(error.root().kind(), ErrorKind::Unavailable);
    let list = format!("127.0.0.1:{},127.0.0.1", pair.primary.address.port);
    let old_first = with(changes, &json!({"database.hostname": list}));
    let at = props(&pair.standby.address, &pair.name, "public.t", &old_first);
    let task = start(&at, offset).await;
    client.batch_execute("insert into t values (3)").await.unwrap();
    task.until("the row after", |seen| seen.records() == 1).await;
    task.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wanted_server_is_chosen_and_all_are_named_when_there_is_none() {
    let pair = Pair::start("chosen").await;
    let (primary, standby) = (pair.primary.address.port, pair.standby.address.port);
    let problems = async |hosts: &str, more: Value| {
        let changes = with(json!({"database.hostname": hosts}), &more);
        let props = props(&pair.primary.address, &pair.name, "public.t", &changes);
        let answer = PostgresConnector.validate(&props).await.unwrap();
        let errors = answer.entries.into_iter().flat_map(|entry| entry.errors).collect::<Vec<_>>();
        errors.join("\n")
    };
    let list = format!("localhost:{standby},127.0.0.1:1,127.0.0.1");
    for target in ["any", "primary", "master", "secondary", "slave", "preferSecondary", "preferPrimary"] {
        let none = problems(&list, json!({"database.targetServerType": target})).await;
        assert_eq!(none, "", "{target}");
    }
    for attrs in ["any", "read-write", "read-only", "primary", "standby", "prefer-standby"] {
        assert_eq!(problems(&list, json!({"database.target.session.attrs": attrs})).await, "", "{attrs}");
    }
    let one = json!({"database.targetServerType": "secondary"});
    let said = problems("127.0.0.1:1,127.0.0.1", one).await;
    let none = "Could not find a server with specified targetServerType: secondary: 127.0.0.1:1: Connection to 127.0.0.1:1 \
                refused.";
    assert!(said.contains(none) && said.contains(&format!("127.0.0.1:{primary}: it is a primary")), "{said}");
    let said = problems(&list, json!({"database.targetServerType": "Primary"})).await;
    assert!(said.contains("Invalid targetServerType value: Primary"), "{said}");
    let said = problems("a:x,b", json!({})).await;
    assert!(said.contains("Unable to parse URL jdbc:postgresql://a:x,b:"), "{said}");
    let said = problems("127.0.0.1:1,[::1]:1,127.0.0.1:2", json!({})).await;
    for host in ["127.0.0.1:1: ", "[::1]:1: ", "127.0.0.1:2: "] {
        assert!(said.contains(host), "{said}");
    }
}
