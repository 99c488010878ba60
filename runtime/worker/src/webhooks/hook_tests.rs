//! How webhooks are named, and what is said about those that can't be.

use connect_config::Props;
use connect_config::worker::JobsConfig;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::event::EventKind;
use super::hook::{HOOKS_MAX, Webhook};

fn parsed(value: &Value) -> Vec<Webhook> {
    Webhook::parse_option(value).unwrap()
}

fn said(value: &Value) -> String {
    Webhook::parse_option(value).unwrap_err()
}

fn config(pairs: &[(&str, &str)]) -> JobsConfig {
    let props: Props = pairs.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect();
    JobsConfig::parse(&props).unwrap()
}

#[test]
fn a_job_names_one_or_many() {
    assert_eq!(parsed(&Value::Null), []);
    assert_eq!(parsed(&json!([])), []);
    let one = parsed(&json!("https://hooks.example.com/T0/B1"));
    assert_eq!(one[0].url, "https://hooks.example.com/T0/B1");
    assert_eq!((&one[0].events, &one[0].secret), (&None, &None));

    let many = parsed(&json!([
        "http://a.example.com",
        {"url": "https://b.example.com/x", "events": ["job.failing", "job.flapping"], "secret": "s3cret"},
        {"url": "https://c.example.com/x", "events": "job.warning", "secret": null},
        {"url": "https://d.example.com/x", "events": []},
    ]));
    assert_eq!(many[0].url, "http://a.example.com/");
    assert!(many[1].wants(EventKind::Failing) && !many[1].wants(EventKind::StateChanged));
    assert_eq!(many[1].secret.as_ref().unwrap().expose(), "s3cret");
    assert!(many[2].wants(EventKind::Warning) && !many[2].wants(EventKind::Failing));
    assert!(EventKind::ALL.into_iter().all(|kind| many[3].wants(kind)));
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let cases = [
        (json!(7), "webhooks: a number is no webhook: give a URL, or an object with url, events and secret"),
        (json!(["https://a.example.com", true]), "webhooks[1]: a boolean is no webhook"),
        (json!("hooks.example.com/x"), "webhooks: not a URL (relative URL without a base): write http(s)://host/path"),
        (json!("ftp://example.com/x"), "webhooks: the URL begins neither with http:// nor with https://"),
        (json!("https:///"), "webhooks: not a URL (empty host)"),
        (json!("https://example.com:0/"), "webhooks: the URL names port 0, where nobody listens"),
        (json!("https://example.com:99999/"), "webhooks: not a URL (invalid port number)"),
        (json!(format!("https://example.com/{}", "a".repeat(3_000))), "webhooks: the URL is longer than 2048 bytes"),
        (json!({}), "webhooks: url is missing"),
        (json!([{"url": 1}]), "webhooks[0].url: a number is no URL"),
        (json!({"url": "x"}), "webhooks.url: not a URL"),
        (json!({"url": "https://a.example.com", "event": []}), "webhooks: \"event\" is not known here: known are url"),
        (json!({"url": "https://a.example.com", "secret": 5}), "webhooks.secret: a number is no secret: give a text"),
        (json!({"url": "https://a.example.com", "secret": ""}), "webhooks.secret: it is empty: leave it out"),
        (
            json!({"url": "https://a.example.com", "events": ["job.failed"]}),
            "webhooks.events: \"job.failed\" is no event: known are job.state_changed, job.warning, job.failing, \
             job.flapping",
        ),
        (json!({"url": "https://a.example.com", "events": [null]}), "webhooks.events: null is no event"),
        (json!({"url": "https://a.example.com", "events": {}}), "webhooks.events: an object is no list of events"),
        (
            json!(["https://a.example.com/x", "https://A.example.com:443/x#y"]),
            "webhooks: a URL at a.example.com is named twice",
        ),
        (json!(vec!["https://a.example.com"; HOOKS_MAX + 1]), "webhooks: at most 16 webhooks can be named"),
    ];
    for (value, expected) in cases {
        let said = said(&value);
        assert!(said.starts_with(expected), "{value}: {said}");
    }
}

#[test]
fn the_worker_names_its_own() {
    assert_eq!(Webhook::from_config(&config(&[])).unwrap(), []);
    let hooks = Webhook::from_config(&config(&[
        ("job.webhooks", "https://a.example.com/x, https://b.example.com/y"),
        ("job.webhooks.events", "job.failing"),
        ("job.webhooks.secret", "s3cret"),
    ]))
    .unwrap();
    assert_eq!(hooks.iter().map(Webhook::host).collect::<Vec<_>>(), ["a.example.com", "b.example.com"]);
    for hook in hooks {
        assert!(hook.wants(EventKind::Failing) && !hook.wants(EventKind::Warning));
        assert_eq!(hook.secret.unwrap().expose(), "s3cret");
    }

    let said = |pairs: &[(&str, &str)]| Webhook::from_config(&config(pairs)).unwrap_err().to_string();
    assert_eq!(
        said(&[("job.webhooks", "https://a.example.com/x,mailto:t0ken@example.com")]),
        "Invalid value [hidden] for configuration job.webhooks: URL 2: the URL begins neither with http:// nor with \
         https://"
    );
    assert!(said(&[("job.webhooks", "https://a.example.com/x,https://a.example.com/x")]).contains("is named twice"));
    assert_eq!(
        said(&[("job.webhooks.events", "job.failed")]),
        "Invalid value job.failed for configuration job.webhooks.events: known are job.state_changed, job.warning, \
         job.failing, job.flapping"
    );
}

#[test]
fn an_id_names_the_url_and_not_who_posts_to_it() {
    let id = |url: &str| Webhook::new(url).unwrap().id();
    // Records of the jobs topic have it in their keys: it must never change.
    assert_eq!(id("https://hooks.example.com/T0"), "38a79f466af5");
    assert_eq!(id("https://user:pass@HOOKS.example.com:443/T0#top"), id("https://hooks.example.com/T0"));
    assert_ne!(id("https://hooks.example.com/T1"), id("https://hooks.example.com/T0"));
    assert_ne!(id("http://hooks.example.com/T0"), id("https://hooks.example.com/T0"));
}

#[test]
fn debug_shows_neither_path_nor_user_nor_secret() {
    let hook = parsed(&json!({"url": "https://ann:pa55@hooks.example.com:8443/T0ken?key=qu3ry", "secret": "s3cret"}));
    let shown = format!("{hook:?}");
    for hidden in ["ann", "pa55", "T0ken", "qu3ry", "s3cret"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
    assert!(shown.contains("hooks.example.com:8443") && shown.contains(&hook[0].id()), "{shown}");
}

#[test]
fn errors_repeat_neither_url_nor_secret() {
    for value in [
        json!("nohttp://ann:s3cret@example.com/s3cret"),
        json!("https://example.com:s3cret/"),
        json!("https://ex ample.com/s3cret"),
        json!(["https://example.com/s3cret", "https://example.com/s3cret"]),
        json!({"url": "https://example.com/s3cret", "secret": ["s3cret"]}),
        json!({"url": "https://example.com/s3cret", "secret": "s3cret", "events": 1}),
    ] {
        assert!(!said(&value).contains("s3cret"), "{}", said(&value));
    }
}

#[test]
fn an_address_inside_is_seen_in_every_spelling() {
    for url in [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f.0.0.1/",
        "http://0177.0.0.1:8083/",
        "http://127.0.0.1./",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://ann:pass@10.0.0.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://[fd00:ec2::254]/",
        "http://１２７.0.0.1/",
    ] {
        let hook = Webhook::new(url).unwrap();
        let why = hook.check_target(false).unwrap_err();
        assert!(why.contains("job.webhooks.allow.private=true"), "{why}");
        assert!(!why.contains("pass") && !why.contains("latest"), "{why}");
        hook.check_target(true).unwrap();
    }
    for url in ["https://8.8.8.8/", "https://[2606:4700::1111]/", "https://hooks.example.com/"] {
        Webhook::new(url).unwrap().check_target(false).unwrap();
    }
}

/// Any JSON, with the keys and texts that mean something to the parser among the others.
fn json_values() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        any::<String>(),
        prop::sample::select(vec![
            "https://a.example.com/x".to_owned(),
            "http://[::1]:8080/".to_owned(),
            "http://1.2.3.4:0".to_owned(),
            "http://".to_owned(),
            "job.failing".to_owned(),
            "job.warning".to_owned(),
        ]),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    let key = prop_oneof![
        4 => prop::sample::select(vec!["url".to_owned(), "events".to_owned(), "secret".to_owned()]),
        1 => any::<String>(),
    ];
    leaf.prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Whatever is given, there are usable webhooks, or an error that says where and stays readable.
    #[test]
    fn anything_is_understood_or_refused_clearly(value in json_values()) {
        match Webhook::parse_option(&value) {
            Ok(hooks) => {
                for hook in hooks {
                    prop_assert_eq!(Webhook::new(&hook.url).unwrap().id(), hook.id());
                    prop_assert!(hook.url.starts_with("http://") || hook.url.starts_with("https://"));
                    prop_assert_ne!(hook.host(), "?");
                    prop_assert!(hook.events.is_none_or(|events| !events.is_empty()));
                }
            }
            Err(why) => {
                prop_assert!(why.starts_with("webhooks"), "{}", why);
                prop_assert!(why.contains(": ") && why.chars().count() < 500, "{}", why);
                prop_assert!(!why.contains('\n'), "{}", why);
            }
        }
    }

    #[test]
    fn any_url_is_taken_or_refused(text in "(https?://)?[ -~]{0,30}(:[0-9]{0,6})?(/[ -~]{0,20})?") {
        if let Ok(hook) = Webhook::new(&text) {
            prop_assert_eq!(&Webhook::new(&hook.url).unwrap(), &hook);
            prop_assert!(hook.parsed().is_some());
        }
    }
}
