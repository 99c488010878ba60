//! Passwords that a configuration only refers to: Kafka's providers, from the file to the database; and what the worker shows of
//! them, which is nothing.

use integration_tests::testbed::{Servers, Topics, Worker, WorkerSetup};
use serde_json::{Value, json};

use crate::metrics::{SCRAPER, get};
use crate::support::{self, source, topics, unique, wait_records, with};

/// In both passwords, and in nothing else.
const MARK: &str = "kq7$1Vx";
const RIGHT: &str = "kq7$1Vx-good";
const WRONG: &str = "kq7$1Vx-bad";
const VARIABLE: &str = "SHOP_PASSWORD";

/// A worker with a provider of each kind, which tells as much as it can.
async fn worker() -> Worker {
    let class = |name: &str| format!("org.apache.kafka.common.config.provider.{name}");
    let setup = WorkerSetup::new(&unique("secrets"), &Servers::shared().kafka.bootstrap)
        .unwrap()
        .with("config.providers", "file,env,dir")
        .with("config.providers.file.class", &class("FileConfigProvider"))
        .with("config.providers.env.class", &class("EnvVarConfigProvider"))
        .with("config.providers.dir.class", &class("DirectoryConfigProvider"))
        .with_variable(VARIABLE, RIGHT);
    let worker = Worker::start(setup).await.unwrap();
    let level = worker.api().put("/admin/loggers/root", Some(&json!({"level": "TRACE"}))).await.unwrap();
    level.expect(&[200]).unwrap();
    worker
}

fn assert_hidden(text: &str, place: &str) {
    if let Some(at) = text.find(MARK) {
        let around: String = text[..at].chars().rev().take(200).collect::<Vec<_>>().into_iter().rev().collect();
        panic!("{place} shows a password behind: {around}");
    }
}

/// Looks at all that the worker answers and stores, and at its log.
async fn assert_shown_nowhere(worker: &Worker, topics: &Topics, names: &[String]) {
    let everywhere = ["", "health", "connectors", "connectors?expand=info&expand=status", "admin/loggers", "jobs"];
    let mut pages: Vec<String> = everywhere.iter().map(|page| format!("/{page}")).collect();
    let own = ["", "/config", "/status", "/tasks", "/tasks/0/status", "/topics", "/offsets"];
    pages.extend(names.iter().flat_map(|name| own.map(|page| format!("/connectors/{name}{page}"))));
    for page in &pages {
        let answer = worker.api().get(page).await.unwrap();
        assert_eq!(answer.status, 200, "{page}: {}", answer.text);
        assert_hidden(&answer.text, page);
    }
    let (status, _, samples) = get(&format!("{}/metrics", worker.api().base()), SCRAPER).await;
    assert_eq!(status, 200, "{samples}");
    assert_hidden(&samples, "/metrics");
    for kind in ["configs", "offsets", "status"] {
        let topic = format!("{}-{kind}", worker.setup().name);
        let records = topics.read(&topic).unwrap();
        assert!(kind == "offsets" || !records.is_empty(), "{topic}");
        for record in records {
            assert_hidden(&String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()), &topic);
        }
    }
    let log = std::fs::read(worker.process().log()).unwrap();
    let log = String::from_utf8_lossy(&log);
    assert!(names.iter().all(|name| log.contains(name.as_str())) && log.contains(" DEBUG "), "the log is another one");
    assert_hidden(&log, "the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_behind_a_reference_opens_the_database_and_is_shown_nowhere() {
    let directory = tempfile::tempdir().unwrap();
    let (secrets, vault) = (directory.path().join("secrets.properties"), directory.path().join("vault"));
    let write = |password: &str| std::fs::write(&secrets, format!("# The shop's.\npassword = {password}\n")).unwrap();
    write(RIGHT);
    std::fs::create_dir(&vault).unwrap();
    std::fs::write(vault.join("password"), RIGHT).unwrap();
    let references = [
        ("by_file", format!("${{file:{}:password}}", secrets.display())),
        ("by_env", format!("${{env:{VARIABLE}}}")),
        ("by_dir", format!("${{dir:{}:password}}", vault.display())),
    ];
    let (worker, topics, base) = (worker().await, topics(), unique("secrets"));
    let api = worker.api();
    let (address, client) = support::database(&base).await;
    let role = format!("{base}_role");
    let make = format!("create role {role} with login superuser replication password '{RIGHT}'");
    client.batch_execute(&make).await.unwrap();

    let config = |name: &str, table: &str, reference: &str| {
        let login = json!({"database.user": role, "database.password": reference});
        with(source(&address, name, &format!("public.{table}")), &login)
    };
    let mut names = Vec::new();
    for (table, reference) in &references {
        let name = format!("{base}_{table}");
        let make = format!("create table {table} (id int primary key); insert into {table} values (1)");
        client.batch_execute(&make).await.unwrap();
        api.create(&name, &config(&name, table, reference)).await.unwrap();
        wait_records(&topics, &format!("{name}.public.{table}"), 1).await;
        let shown = api.get(&format!("/connectors/{name}/config")).await.unwrap();
        assert_eq!(shown.body["database.password"], json!(reference));
        let shown = api.get(&format!("/connectors/{name}/tasks")).await.unwrap();
        assert_eq!(shown.body[0]["config"]["database.password"], json!(reference), "{}", shown.text);
        names.push(name);
    }
    assert_shown_nowhere(&worker, &topics, &names).await;

    // What a wrong one is answered with: by the task, and by looks at the server before anything is changed.
    write(WRONG);
    let (name, (table, reference)) = (&names[0], &references[0]);
    let restart = format!("/connectors/{name}/tasks/0/restart");
    api.post(&restart, &Value::Null).await.unwrap().expect(&[204]).unwrap();
    let failed = api.wait_for(name, "RUNNING", &["FAILED"]).await.unwrap();
    let trace = failed["tasks"][0]["trace"].as_str().unwrap();
    assert!(trace.contains("password authentication failed"), "{trace}");
    let other = with(config(&format!("{base}_other"), table, reference), &json!({"name": "other"}));
    let path = "/connector-plugins/io.debezium.connector.postgresql.PostgresConnector/config/validate";
    let validated = api.put(path, Some(&other)).await.unwrap().expect(&[200]).unwrap();
    assert_ne!(validated.body["error_count"], 0, "{}", validated.text);
    assert_hidden(&validated.text, "a validation");
    let refused = api.post("/connectors", &json!({"name": "other", "config": other})).await.unwrap();
    assert_eq!(refused.status, 400, "{}", refused.text);
    assert_hidden(&refused.text, "a refusal");
    assert_shown_nowhere(&worker, &topics, &names).await;

    // Only the file has to be changed.
    write(RIGHT);
    api.post(&restart, &Value::Null).await.unwrap().expect(&[204]).unwrap();
    client.batch_execute(&format!("insert into {table} values (2)")).await.unwrap();
    wait_records(&topics, &format!("{name}.public.{table}"), 2).await;
    assert_shown_nowhere(&worker, &topics, &names).await;
    for name in &names {
        api.remove(name).await.unwrap();
    }
}
