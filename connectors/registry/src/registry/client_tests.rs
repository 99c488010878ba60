//! The client against a registry within the test: errors, repetitions, credentials, what is asked for once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use connect_api::Error;
use parking_lot::Mutex;
use serde_json::json;

use super::client::{Definition, Format, Reference, Registry};
use super::failure::{Failure, Why};
use super::testing::FakeRegistry;
use super::wire::SchemaId;

fn registry(fake: &FakeRegistry, more: &[(&str, &str)]) -> Registry {
    Registry::new(&fake.props(more)).unwrap()
}

/// A clock that stands still until a test moves it on.
#[derive(Clone)]
struct Clock(Arc<Mutex<Instant>>);

impl Clock {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    fn advance(&self, by: Duration) {
        *self.0.lock() += by;
    }

    fn registry(&self, fake: &FakeRegistry, more: &[(&str, &str)]) -> Registry {
        let clock = Arc::clone(&self.0);
        Registry::with_clock(&fake.props(more), move || *clock.lock()).unwrap()
    }
}

fn avro(text: &str) -> Definition {
    Definition::new(Format::Avro, text)
}

fn error<T>(outcome: Result<T, Failure>) -> (Why, Error) {
    let failure = outcome.err().unwrap();
    (failure.why, failure.error)
}

#[test]
fn a_schema_is_registered_once_however_many_threads_meet_it() {
    let fake = FakeRegistry::start();
    fake.delay(Duration::from_millis(20));
    let registry = Arc::new(registry(&fake, &[]));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(registry.register("t-value", &avro("\"int\"")).unwrap(), 1));
        }
    });
    assert_eq!(fake.lines(), ["POST /subjects/t-value/versions?normalize=false"]);
    assert_eq!(registry.register("t-value", &avro("\"long\"")).unwrap(), 2);
    assert_eq!(registry.register("u-value", &avro("\"int\"")).unwrap(), 1);
    assert_eq!(fake.lines().len(), 2);
}

#[test]
fn schemas_are_found_by_id_and_by_subject() {
    let fake = FakeRegistry::start();
    let registry = registry(&fake, &[]);
    registry.register("a b/c-value", &avro("\"int\"")).unwrap();
    registry.register("a b/c-value", &avro("\"long\"")).unwrap();
    fake.take();
    let found = registry.by_id("a b/c-value", SchemaId::Id(2)).unwrap();
    assert_eq!(&*found.definition.text, "\"long\"");
    assert_eq!(registry.version_of("a b/c-value", &found.definition).unwrap(), 2);
    assert_eq!(registry.latest("a b/c-value").unwrap().version, Some(2));
    // Twice from memory, except the latest version.
    registry.by_id("a b/c-value", SchemaId::Id(2)).unwrap();
    registry.version_of("a b/c-value", &found.definition).unwrap();
    registry.latest("a b/c-value").unwrap();
    assert_eq!(
        fake.lines(),
        [
            "GET /schemas/ids/2?fetchMaxId=false&subject=a+b%2Fc-value",
            "POST /subjects/a%20b%2Fc-value?normalize=false&deleted=true",
            "GET /subjects/a%20b%2Fc-value/versions/latest",
            "GET /subjects/a%20b%2Fc-value/versions/latest",
        ]
    );
}

#[test]
fn what_the_registry_refuses_is_said_in_its_words_and_not_repeated() {
    let fake = FakeRegistry::start();
    let registry = registry(&fake, &[]);
    fake.script(&[(409, r#"{"error_code":409,"message":"Schema being registered is incompatible: {old, new}"}"#)]);
    let (why, told) = error(registry.register("t-value", &avro("\"int\"")));
    assert_eq!(why, Why::Status(409));
    assert_eq!(told.message(), "Schema being registered is incompatible: {old, new}; error code: 409");
    assert_eq!(fake.lines().len(), 1);
    fake.script(&[(404, "<html>nothing here</html>")]);
    let (_, told) = error(registry.by_id("", SchemaId::Id(1)));
    assert_eq!(
        told.message(),
        "Unable to parse error message from schema registry: '(<html>nothing here</html>)'; error code: 50005"
    );
    fake.script(&[(200, "hello")]);
    let (why, told) = error(registry.by_id("", SchemaId::Id(1)));
    assert_eq!(why, Why::Other);
    assert!(told.message().contains("is this the address of a schema registry?"), "{told}");
}

#[test]
fn a_registry_that_is_away_for_a_while_is_asked_again() {
    let fake = FakeRegistry::start();
    let registry = registry(&fake, &[]);
    fake.script(&[(503, "{}"), (0, ""), (500, r#"{"error_code":50003,"message":"forwarding"}"#)]);
    assert_eq!(registry.register("t-value", &avro("\"int\"")).unwrap(), 1);
    assert_eq!(fake.lines().len(), 4);
    fake.script(&[(503, r#"{"error_code":50302,"message":"no leader"}"#); 4]);
    let (why, told) = error(registry.latest("t-value"));
    assert_eq!((why, told.message()), (Why::Status(503), "no leader; error code: 50302"));
    assert_eq!(fake.lines().len(), 4);
}

#[test]
fn the_next_node_is_asked_when_one_is_away() {
    let (first, second) = (FakeRegistry::start(), FakeRegistry::start());
    let urls = format!("http://127.0.0.1:1, {}, {}", first.url(), second.url());
    let registry = registry(&first, &[("schema.registry.url", &urls)]);
    assert_eq!(registry.register("t-value", &avro("\"int\"")).unwrap(), 1);
    first.script(&[(502, "{}")]);
    assert_eq!(registry.register("t-value", &avro("\"long\"")).unwrap(), 1);
    // From then on the node that answers.
    assert_eq!(registry.register("t-value", &avro("\"float\"")).unwrap(), 2);
    assert_eq!((first.lines().len(), second.lines().len()), (2, 2));
}

#[test]
fn no_answer_names_the_address_and_no_password() {
    let fake = FakeRegistry::start();
    let url = "http://me:hush@127.0.0.1:1/";
    let registry = registry(&fake, &[("schema.registry.url", url), ("max.retries", "1")]);
    let (why, told) = error(registry.latest("t-value"));
    assert_eq!(why, Why::Network);
    let trace = told.trace();
    assert!(trace.contains("no answer from http://127.0.0.1:1/: ") && !trace.contains("hush"), "{trace}");
    fake.delay(Duration::from_millis(500));
    let slow = registry_with_timeout(&fake);
    assert_eq!(error(slow.latest("t-value")).0, Why::Timeout);
}

fn registry_with_timeout(fake: &FakeRegistry) -> Registry {
    registry(fake, &[("http.read.timeout.ms", "50"), ("max.retries", "0")])
}

#[test]
fn credentials_and_headers_go_with_each_request() {
    let fake = FakeRegistry::start();
    let url = fake.url().replace("http://", "http://me:pass@");
    registry(&fake, &[("schema.registry.url", &url), ("request.header.X-Team", "shop")]).latest("t").err();
    let token = [("bearer.auth.credentials.source", "STATIC_TOKEN"), ("bearer.auth.token", "abc")];
    registry(&fake, &token).latest("t").err();
    let seen = fake.take();
    assert_eq!(seen[0].headers["authorization"], "Basic bWU6cGFzcw==");
    assert_eq!(seen[0].headers["x-team"], "shop");
    assert_eq!(seen[0].headers["accept"], "application/vnd.schemaregistry.v1+json");
    assert_eq!(seen[1].headers["authorization"], "Bearer abc");
    fake.script(&[(401, r#"{"error_code":401,"message":"Unauthorized"}"#)]);
    let (why, told) = error(registry(&fake, &token).latest("t"));
    assert_eq!((why, told.message()), (Why::Status(401), "Unauthorized; error code: 401"));
}

#[test]
fn references_come_before_what_refers_to_them() {
    let fake = FakeRegistry::start();
    let reference = |name: &str, subject: &str| json!([{ "name": name, "subject": subject, "version": 1 }]);
    fake.add("c", json!({ "schema": "C" }));
    fake.add("b", json!({ "schema": "B", "references": reference("c", "c") }));
    fake.add("a", json!({ "schema": "A", "references": reference("b", "b"), "schemaType": "PROTOBUF" }));
    let registry = registry(&fake, &[]);
    let found = registry.latest("a").unwrap();
    assert_eq!(found.definition.format, Format::Protobuf);
    assert_eq!(found.definition.references, [Reference { name: "b".into(), subject: "b".into(), version: 1 }]);
    let names = |resolved: Vec<(String, Arc<super::client::Stored>)>| {
        resolved.into_iter().map(|(name, of)| format!("{name}={}", of.definition.text)).collect::<Vec<_>>()
    };
    assert_eq!(names(registry.resolve(&found.definition).unwrap()), ["c=C", "b=B"]);
    assert_eq!(fake.lines().len(), 3);
    assert_eq!(names(registry.resolve(&found.definition).unwrap()), ["c=C", "b=B"]);
    assert_eq!(fake.lines().len(), 0);
}

#[test]
fn normal_forms_and_tags_are_asked_for() {
    let fake = FakeRegistry::start();
    let more = [("normalize.schemas", "true"), ("schema.registry.propagate.schema.tags", "true")];
    registry(&fake, &more).register("t-value", &Definition::new(Format::Json, "{}")).unwrap();
    let seen = fake.take();
    assert_eq!(seen[0].line, "POST /subjects/t-value/versions?normalize=true");
    assert_eq!(seen[0].body, json!({ "schema": "{}", "schemaType": "JSON", "propagateSchemaTags": true }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_task_of_the_runtime_may_ask() {
    let fake = FakeRegistry::start();
    let registry = registry(&fake, &[]);
    let id = tokio::spawn(async move { registry.register("t-value", &avro("\"int\"")).unwrap() });
    assert_eq!(id.await.unwrap(), 1);
}

#[test]
fn an_address_that_is_none_is_not_repeated() {
    let fake = FakeRegistry::start();
    for (url, part) in [("me:hush@a", "begins with neither"), ("//me:hush@a", "is none"), ("", "Empty list")] {
        let error = Registry::new(&fake.props(&[("schema.registry.url", url)])).err().unwrap().trace();
        assert!(error.contains(part) && !error.contains("hush"), "{error}");
    }
}

#[test]
fn no_time_to_connect_is_no_bound() {
    let fake = FakeRegistry::start();
    let registry = registry(&fake, &[("http.connect.timeout.ms", "0"), ("http.read.timeout.ms", "0")]);
    assert_eq!(registry.register("t-value", &avro("\"int\"")).unwrap(), 1);
}

#[test]
fn an_id_that_is_missing_is_asked_for_once_a_second() {
    let fake = FakeRegistry::start();
    let clock = Clock::new();
    let registry = clock.registry(&fake, &[]);
    let told = |id| error(registry.by_id("t-value", SchemaId::Id(id))).1.message().to_owned();
    for _ in 0..3 {
        assert_eq!(told(1), "Schema 1 not found; error code: 40403");
    }
    assert_eq!(fake.lines(), ["GET /schemas/ids/1?fetchMaxId=false&subject=t-value"]);
    assert_eq!(told(2), "Schema 2 not found; error code: 40403");
    assert_eq!(fake.lines().len(), 1);
    fake.add("t-value", json!({ "schema": "\"int\"" }));
    clock.advance(Duration::from_millis(999));
    told(1);
    assert_eq!(fake.lines().len(), 0);
    clock.advance(Duration::from_millis(1));
    assert_eq!(&*registry.by_id("t-value", SchemaId::Id(1)).unwrap().definition.text, "\"int\"");
    assert_eq!(fake.lines().len(), 1);
}

#[test]
fn the_time_that_is_set_counts_for_what_it_is_set_for() {
    let fake = FakeRegistry::start();
    let clock = Clock::new();
    let keys = [
        ("schema.registry.missing.id.cache.ttl.sec", "-1"),
        ("missing.version.cache.ttl.sec", "60"),
        ("missing.schema.cache.ttl.sec", "5"),
    ];
    let registry = clock.registry(&fake, &keys);
    let all = || {
        error(registry.by_id("t", SchemaId::Id(1)));
        error(registry.latest("t"));
        error(registry.latest_with("t", &[("a".to_owned(), "b".to_owned())]));
        error(registry.id_of("t", &avro("\"int\"")));
        error(registry.version_of("t", &avro("\"int\"")));
        fake.lines().iter().filter(|line| !line.contains("/metadata?")).count()
    };
    assert_eq!([all(), all()], [4, 1]);
    clock.advance(Duration::from_secs(5));
    assert_eq!([all(), all()], [3, 1]);
    clock.advance(Duration::from_secs(55));
    assert_eq!([all(), all()], [4, 1]);
}

#[test]
fn only_what_the_registry_says_it_does_not_have_is_remembered() {
    let fake = FakeRegistry::start();
    let registry = Clock::new().registry(&fake, &[("max.retries", "0")]);
    for (status, body) in [
        (404, "<html>nothing here</html>"),
        (404, r#"{"error_code":404,"message":"HTTP 404 Not Found"}"#),
        (401, r#"{"error_code":40101,"message":"Unauthorized"}"#),
        (500, r#"{"error_code":40403,"message":"away"}"#),
        (0, ""),
    ] {
        fake.script(&[(status, body); 2]);
        for _ in 0..2 {
            error(registry.by_id("t-value", SchemaId::Id(1)));
        }
        assert_eq!(fake.lines().len(), 2, "{status} {body}");
    }
}

#[test]
fn no_more_is_remembered_than_is_set() {
    let fake = FakeRegistry::start();
    let registry = Clock::new().registry(&fake, &[("missing.cache.size", "2")]);
    for id in [1, 2, 3, 3, 1] {
        error(registry.by_id("t-value", SchemaId::Id(id)));
    }
    let asked = ["1", "2", "3", "1"].map(|id| format!("GET /schemas/ids/{id}?fetchMaxId=false&subject=t-value"));
    assert_eq!(fake.lines(), asked);
}

#[test]
fn what_is_over_takes_no_place_from_what_holds() {
    let fake = FakeRegistry::start();
    let clock = Clock::new();
    let registry = clock.registry(&fake, &[("missing.cache.size", "3")]);
    let ask = |ids: &[u32]| {
        ids.iter().for_each(|id| drop(error(registry.by_id("t-value", SchemaId::Id(*id)))));
        fake.lines().len()
    };
    assert_eq!(ask(&[1, 2]), 2);
    clock.advance(Duration::from_secs(1));
    assert_eq!(ask(&[3, 4, 3, 4]), 2);
}

#[test]
fn what_is_registered_is_not_missing_any_more() {
    let fake = FakeRegistry::start();
    let registry = Clock::new().registry(&fake, &[]);
    error(registry.version_of("t-value", &avro("\"int\"")));
    error(registry.latest("t-value"));
    registry.register("t-value", &avro("\"int\"")).unwrap();
    assert_eq!(registry.version_of("t-value", &avro("\"int\"")).unwrap(), 1);
    assert_eq!(registry.latest("t-value").unwrap().version, Some(1));
}

#[test]
fn a_reference_that_is_missing_is_asked_for_once() {
    let fake = FakeRegistry::start();
    let registry = Clock::new().registry(&fake, &[]);
    let references = vec![Reference { name: "a".into(), subject: "a".into(), version: 1 }];
    let definition = Definition { references, ..avro("\"int\"") };
    for _ in 0..2 {
        assert_eq!(error(registry.resolve(&definition)).0, Why::Status(404));
    }
    assert_eq!(fake.lines(), ["GET /subjects/a/versions/1?deleted=true"]);
}
