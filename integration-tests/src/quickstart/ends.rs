//! The systems at both ends and between: our own servers, or those that were given.

use std::time::Duration;

use bson::Document;
use mongodb::Collection;
use tokio_postgres::Client;

use super::Options;
use super::screen::Screen;
use super::shop::TABLES;
use crate::testbed::{
    Advise, Failure, Kafka, Mongo, OrFail, Postgres, PostgresAddress, PostgresOptions, Topics, mongo,
};

const REACH_LIMIT: Duration = Duration::from_secs(60);
/// For a broker that was given: who mistyped its address is told soon.
const GIVEN_LIMIT: Duration = Duration::from_secs(10);

/// Where everything is. Names carry the run, so that runs on one set of servers do not meet.
pub(super) struct Ends {
    pub(super) run: String,
    pub(super) bootstrap: String,
    pub(super) postgres: PostgresAddress,
    pub(super) mongodb: String,
    /// The database's name in Postgres and in MongoDB, and the slot's and the publication's.
    pub(super) database: String,
    pub(super) topics: Topics,
    /// Servers of this run: they end when this is dropped.
    own_kafka: Option<Kafka>,
    own_postgres: Option<Postgres>,
    own_mongo: Option<Mongo>,
}

impl Ends {
    /// Starts what was not given, and looks whether what was given answers.
    pub(super) async fn open(options: &Options, screen: &Screen) -> Result<Self, Failure> {
        screen.step("find or start Kafka, Postgres and MongoDB");
        let (own_kafka, own_postgres, own_mongo) = start_missing(options).await?;
        let bootstrap = given_or(&options.bootstrap, own_kafka.as_ref().map(|kafka| kafka.bootstrap.clone()));
        let mongodb = given_or(&options.mongodb, own_mongo.as_ref().map(|mongo| mongo.uri.clone()));
        let postgres = match (&options.postgres, &own_postgres) {
            (Some(url), _) => PostgresAddress::parse(url)?,
            (None, own) => own.as_ref().map(|own| own.address.clone()).ok_or_else(|| Failure::new("no Postgres"))?,
        };
        let run = uuid::Uuid::new_v4().simple().to_string()[..6].to_owned();
        let database = format!("shop_{run}");
        let topics = Topics::new(&bootstrap)?;
        let ends = Self { run, bootstrap, postgres, mongodb, database, topics, own_kafka, own_postgres, own_mongo };
        ends.reach().await?;
        screen.say(&format!(
            "Kafka {}, Postgres {}:{}, MongoDB {} ({})",
            ends.bootstrap,
            ends.postgres.host,
            ends.postgres.port,
            ends.mongodb,
            ends.own_mongo.as_ref().map_or("given", |mongo| mongo.kind)
        ));
        Ok(ends)
    }

    async fn reach(&self) -> Result<(), Failure> {
        let limit = if self.own_kafka.is_some() { REACH_LIMIT } else { GIVEN_LIMIT };
        if !self.topics.reachable(limit) {
            return Err(Failure::new(format!("no Kafka answers at {}", self.bootstrap)))
                .advise("start it, or leave --bootstrap away: then one is fetched and started");
        }
        let client = self.postgres.connect().await.advise("start it, or leave --postgres away: then one is started")?;
        let level: String =
            client.query_one("show wal_level", &[]).await.or_fail("failed to look up wal_level")?.get(0);
        if level != "logical" {
            return Err(Failure::new(format!("wal_level of the given Postgres is {level}")))
                .advise("run: alter system set wal_level = 'logical'; and restart the server");
        }
        let ping = self.documents().await?.run_command(bson::doc! {"ping": 1}).await;
        ping.or_fail(format!("no MongoDB answers at {}", self.mongodb))
            .advise("start it, or leave --mongodb away: then one is fetched and started")
            .map(drop)
    }

    /// A connection to the shop's database.
    pub(super) async fn shop(&self) -> Result<Client, Failure> {
        self.postgres.database(&self.database).connect().await
    }

    /// `postgres://` of the shop.
    pub(super) fn postgres_url(&self) -> String {
        let PostgresAddress { host, port, user, password, .. } = &self.postgres;
        // A password that was given is not shown; ours is no secret.
        let shown = if self.own_postgres.is_some() { format!(":{password}") } else { String::new() };
        format!("postgres://{user}{shown}@{host}:{port}/{}", self.database)
    }

    /// The topic prefix of the source.
    pub(super) fn prefix(&self) -> &str {
        &self.database
    }

    /// The topic of a table, and the name of its collection.
    pub(super) fn topic(&self, table: &str) -> String {
        format!("{}.public.{table}", self.prefix())
    }

    async fn documents(&self) -> Result<mongodb::Database, Failure> {
        Ok(mongo::connect(&self.mongodb).await?.database(&self.database))
    }

    /// The collection of a table.
    pub(super) async fn collection(&self, table: &str) -> Result<Collection<Document>, Failure> {
        Ok(self.documents().await?.collection(&self.topic(table)))
    }

    /// Removes what was made in servers that are not ours.
    pub(super) async fn clean(&self, screen: &Screen) {
        if self.own_postgres.is_none()
            && let Err(failure) = self.clean_postgres().await
        {
            screen.say(&format!("left the database {} in Postgres: {failure}", self.database));
        }
        if self.own_mongo.is_none()
            && let Ok(database) = self.documents().await
            && let Err(error) = database.drop().await
        {
            screen.say(&format!("left the database {} in MongoDB: {error}", self.database));
        }
        if self.own_kafka.is_none() {
            let mut topics: Vec<String> = TABLES.iter().map(|table| self.topic(table)).collect();
            topics.extend(["configs", "offsets", "status"].map(|kind| format!("worker-{}-{kind}", self.run)));
            if let Err(failure) = self.topics.delete(&topics).await {
                screen.say(&format!("left topics in Kafka: {failure}"));
            }
        }
    }

    async fn clean_postgres(&self) -> Result<(), Failure> {
        let client = self.postgres.connect().await?;
        let slot = "select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1 and active";
        client.execute(slot, &[&self.database]).await.or_fail("failed to free the slot")?;
        crate::testbed::eventually_async("the slot to be free", REACH_LIMIT, async || {
            let slot = "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1";
            client.execute(slot, &[&self.database]).await.map_err(|error| error.to_string())
        })
        .await?;
        let drop = format!("drop database if exists {} with (force)", self.database);
        client.batch_execute(&drop).await.or_fail("failed to drop the database")
    }
}

fn given_or(given: &Option<String>, own: Option<String>) -> String {
    given.clone().or(own).unwrap_or_default()
}

type Own = (Option<Kafka>, Option<Postgres>, Option<Mongo>);

/// Starts the servers side by side; downloads and starts block, so they run on threads for that.
async fn start_missing(options: &Options) -> Result<Own, Failure> {
    let kafka = options.bootstrap.is_none().then(|| tokio::task::spawn_blocking(|| Kafka::start("kafka")));
    let postgres = options
        .postgres
        .is_none()
        .then(|| tokio::task::spawn_blocking(|| Postgres::start("postgres", PostgresOptions::default())));
    let mongo = options.mongodb.is_none().then(|| tokio::task::spawn_blocking(|| Mongo::start("mongodb")));
    Ok((started(kafka).await?, started(postgres).await?, started(mongo).await?))
}

async fn started<T>(starting: Option<tokio::task::JoinHandle<Result<T, Failure>>>) -> Result<Option<T>, Failure> {
    match starting {
        None => Ok(None),
        Some(starting) => starting.await.or_fail("a server's start panicked")?.map(Some),
    }
}
