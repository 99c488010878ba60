//! Notices on their way through a real socket.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use connect_config::Secret;
use futures_util::StreamExt as _;
use reqwest::dns::Resolve as _;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::backoff::Answer;
use super::event::EventKind;
use super::hook::Webhook;
use super::http::{HttpPost, LookUp, Names, Post};
use super::outbox::{Outbox, OutboxSettings};
use super::testing::{Logged, Receiver, Told, event, events, hook, nothing, settings, status, until};

/// HMAC-SHA256 as RFC 2104 writes it, without the library that signs.
fn hmac(key: &[u8], body: &[u8]) -> String {
    let key = if key.len() > 64 { Sha256::digest(key).to_vec() } else { key.to_vec() };
    let pad = |with: u8| (0..64).map(|at| key.get(at).copied().unwrap_or(0) ^ with).collect::<Vec<_>>();
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(body).finalize();
    let outer = Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize();
    outer.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Looks every name up as these addresses, and counts how often.
fn always(addresses: Vec<SocketAddr>) -> (LookUp, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&count);
    let look_up: LookUp = Arc::new(move |_| {
        asked.fetch_add(1, Ordering::Relaxed);
        let found = addresses.clone();
        Box::pin(async move { io::Result::Ok(found) })
    });
    (look_up, count)
}

fn strict() -> OutboxSettings {
    OutboxSettings { allow_private: false, ..settings() }
}

async fn post(settings: &OutboxSettings, hook: &Webhook) -> Answer {
    HttpPost::new(settings).post(hook, &event("orders", 1)).await
}

fn why(answer: Answer) -> String {
    match answer {
        Answer::Failed { why, .. } | Answer::Refused(why) | Answer::Final(why) => why,
        Answer::Taken => panic!("it was taken"),
    }
}

#[tokio::test]
async fn a_notice_is_as_documented_and_its_signature_holds() {
    let receiver = Receiver::answering(&[204]).await;
    for key in ["s3cret", "a key that is longer than a block of the hash, which is sixty-four bytes long: hashed first"]
    {
        let signed = Webhook { secret: Some(Secret::new(key)), ..receiver.hook("/hooks/T0?team=a") };
        assert_eq!(post(&settings(), &signed).await, Answer::Taken);
        let received = receiver.received().pop().unwrap();
        assert_eq!(
            received.header("x-tidegate-signature"),
            Some(&*format!("sha256={}", hmac(key.as_bytes(), &received.body)))
        );
    }
    assert_eq!(post(&settings(), &receiver.hook("/")).await, Answer::Taken);

    let received = receiver.received();
    assert_eq!(received[0].uri.to_string(), "/hooks/T0?team=a");
    assert_eq!(received[0].header("content-type"), Some("application/json"));
    assert_eq!(received[0].header("user-agent"), Some(&*format!("tidegate/{}", env!("CARGO_PKG_VERSION"))));
    assert_eq!(received[0].header("x-tidegate-event"), Some("job.state_changed"));
    assert_eq!(received[0].header("x-tidegate-delivery"), Some("orders-1"));
    assert_eq!(received[0].header("authorization"), None);
    let body: Value = serde_json::from_slice(&received[0].body).unwrap();
    assert_eq!(
        (&body["job_id"], &body["new_state"], &body["id"]),
        (&json!("orders"), &json!("running"), &json!("orders-1"))
    );
    assert_eq!(received[2].header("x-tidegate-signature"), None);
}

/// RFC 4231, test case 2: what we verify with is right itself.
#[test]
fn the_verifying_side_knows_the_published_vector() {
    assert_eq!(
        hmac(b"Jefe", b"what do ya want for nothing?"),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
}

/// The example of the documentation can be used to test a receiver.
#[test]
fn the_example_is_genuine() {
    let page = include_str!("README.md");
    let line = |begins: &str| page.lines().find(|line| line.starts_with(begins)).unwrap();
    let body = line("{\"event\"");
    let signature = line("X-Tidegate-Signature: ").trim_start_matches("X-Tidegate-Signature: ");
    assert_eq!(signature, format!("sha256={}", hmac(b"tell-nobody", body.as_bytes())));
    let told: Value = serde_json::from_str(body).unwrap();
    let mut example = event("orders", 1);
    example.id = told["id"].as_str().unwrap().to_owned();
    example.at_ms = 1_768_473_000_000;
    example.fields.previous_state = Some("running".to_owned());
    example.fields.new_state = Some("failed".to_owned());
    example.fields.error = Some("Connection refused".to_owned());
    example.fields.phase = Some("STREAMING".to_owned());
    assert_eq!(String::from_utf8(example.body().unwrap()).unwrap(), body);
}

#[tokio::test]
async fn credentials_of_a_url_are_sent_and_not_shown() {
    let (logged, _guard) = Logged::begin();
    let receiver = Receiver::answering(&[500]).await;
    let hook = hook(&format!("http://annabel:p%40ss@{}/T0ken?key=qu3ry", receiver.address));
    let told = Told::default();
    let outbox = Outbox::start(settings(), told.callback());
    outbox.lead(true);
    let hook = Webhook { secret: Some(Secret::new("s3cret")), ..hook };
    outbox.offer("orders", std::slice::from_ref(&hook), &nothing(), &events("orders", 1..=1));
    until("it was posted twice", || receiver.received().len() >= 2).await;
    tracing::info!(?hook, ?outbox, "shown");
    outbox.stop().await;

    let received = receiver.received();
    // annabel:p@ss
    assert_eq!(received[0].header("authorization"), Some("Basic YW5uYWJlbDpwQHNz"));
    let text = logged.text();
    assert!(text.contains("it answered 500 Internal Server Error") && text.contains(&hook.id()), "{text}");
    for hidden in ["p%40ss", "p@ss", "YW5uYWJlbDpwQHNz", "T0ken", "qu3ry", "s3cret", "annabel"] {
        assert!(!text.contains(hidden), "{hidden}: {text}");
    }
}

#[tokio::test]
async fn errors_of_the_network_do_not_name_the_path() {
    let closed = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let said = why(post(&settings(), &hook(&format!("http://ann:pass@{closed}/T0ken"))).await);
    assert!(said.starts_with("it can't be connected to: "), "{said}");
    assert!(said.contains("refused") && !said.contains("T0ken") && !said.contains("pass"), "{said}");

    let (look_up, _) = always(Vec::new());
    let nowhere = HttpPost::looking_up(&strict(), look_up);
    let answer = nowhere.post(&hook("http://hooks.example.com/T0ken"), &event("orders", 1)).await;
    assert!(matches!(answer, Answer::Failed { .. }), "a name without an address may get one: {answer:?}");
    assert!(!why(answer).contains("T0ken"));
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let target = Receiver::answering(&[200]).await;
    let location = format!("http://{}/elsewhere", target.address);
    for code in [301, 302, 303, 307, 308] {
        let location = location.clone();
        let receiver = Receiver::start(move |_, _| {
            let location = location.clone();
            async move { Response::builder().status(code).header("location", location).body(Body::empty()).unwrap() }
        })
        .await;
        let answer = post(&settings(), &receiver.hook("/")).await;
        assert!(matches!(&answer, Answer::Refused(why) if why.contains("redirects are never followed")), "{answer:?}");
    }
    assert!(target.received().is_empty());
}

#[tokio::test]
async fn private_addresses_are_not_connected_to() {
    let receiver = Receiver::answering(&[200]).await;
    let port = receiver.address.port();
    for host in ["127.0.0.1", "127.1", "0x7f000001", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "[::]"] {
        let answer = post(&strict(), &hook(&format!("http://{host}:{port}/"))).await;
        assert!(matches!(&answer, Answer::Final(why) if why.contains("allow.private")), "{host}: {answer:?}");
    }
    // The name of this machine, looked up by its system.
    let answer = post(&strict(), &hook(&format!("http://localhost:{port}/"))).await;
    assert!(matches!(&answer, Answer::Refused(why) if why.contains("loopback")), "{answer:?}");
    // Names that somebody lets point inside, in every form.
    for address in ["127.0.0.1", "169.254.169.254", "10.1.2.3", "100.64.0.1", "::1", "::ffff:127.0.0.1", "fd00::1"] {
        let (look_up, count) = always(vec![SocketAddr::new(address.parse().unwrap(), 0)]);
        let strict = HttpPost::looking_up(&strict(), look_up);
        let answer = strict.post(&hook(&format!("http://rebound.example.com:{port}/")), &event("orders", 1)).await;
        assert!(
            matches!(&answer, Answer::Refused(why) if why.contains("rebound.example.com")),
            "{address}: {answer:?}"
        );
        assert_eq!(count.load(Ordering::Relaxed), 1);
    }
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn of_many_addresses_only_public_ones_are_tried() {
    let found = ["127.0.0.1:0", "8.8.8.8:0", "[::1]:0", "[2606:4700::1111]:0", "192.0.2.1:0"];
    let found: Vec<SocketAddr> = found.iter().map(|address| address.parse().unwrap()).collect();
    let (look_up, _) = always(found.clone());
    let resolved = |allow_private| {
        let names = Names { look_up: Arc::clone(&look_up), allow_private };
        async move { names.resolve("hooks.example.com".parse().unwrap()).await.unwrap().collect::<Vec<_>>() }
    };
    assert_eq!(resolved(false).await, [found[1], found[3]]);
    assert_eq!(resolved(true).await, found);
}

#[tokio::test]
async fn what_was_looked_up_is_what_is_connected_to() {
    let receiver = Receiver::answering(&[200]).await;
    let (look_up, count) = always(vec![SocketAddr::new(receiver.address.ip(), 0)]);
    let lax = HttpPost::looking_up(&settings(), look_up);
    let hook = hook(&format!("http://hooks.example.com:{}/", receiver.address.port()));
    for posts in 1..=3 {
        assert_eq!(lax.post(&hook, &event("orders", 1)).await, Answer::Taken);
        // Once for each post, and nobody looks up beside us.
        assert_eq!(count.load(Ordering::Relaxed), posts);
    }
    assert_eq!(receiver.received()[0].header("host"), Some(&*format!("hooks.example.com:{}", receiver.address.port())));
}

#[tokio::test]
async fn a_response_is_not_waited_for_longer_than_allowed_and_not_read_to_its_end() {
    let receiver = Receiver::start(|request, _| async move {
        match request.uri.path() {
            "/slow" => {
                tokio::time::sleep(Duration::from_secs(30)).await;
                status(200)
            }
            // A head, and then a body without an end.
            "/endless" => {
                let chunk = axum::body::Bytes::from(vec![b'x'; 64 * 1024]);
                let body = futures_util::stream::repeat(chunk).map(io::Result::Ok);
                Response::new(Body::from_stream(body))
            }
            // A head, and then nothing.
            _ => Response::new(Body::from_stream(futures_util::stream::pending::<io::Result<axum::body::Bytes>>())),
        }
    })
    .await;
    let impatient = OutboxSettings { timeout: Duration::from_millis(300), ..settings() };
    let said = why(post(&impatient, &receiver.hook("/slow")).await);
    assert_eq!(said, "it did not answer within 300 ms");
    assert_eq!(post(&settings(), &receiver.hook("/endless")).await, Answer::Taken);
    assert_eq!(post(&settings(), &receiver.hook("/silent")).await, Answer::Taken);
}

#[tokio::test]
async fn a_slow_receiver_does_not_delay_another_job() {
    let slow = Receiver::start(|_, _| async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        status(200)
    })
    .await;
    let quick = Receiver::answering(&[200]).await;
    let told = Told::default();
    let outbox = Outbox::start(OutboxSettings { timeout: Duration::from_millis(500), ..settings() }, told.callback());
    outbox.lead(true);
    outbox.offer("slow", &[slow.hook("/")], &nothing(), &events("slow", 1..=1));
    until("the slow one is asked", || slow.received().len() == 1).await;
    let began = std::time::Instant::now();
    outbox.offer("quick", &[quick.hook("/")], &nothing(), &events("quick", 1..=5));
    until("the quick one is told", || told.of("quick").len() == 5).await;
    let asked = slow.received().len();
    assert!(asked == 1 || began.elapsed() > Duration::from_millis(400), "the slow one timed out before: {asked}");
    until("the slow one is asked again", || slow.received().len() >= 2).await;
    assert_eq!(slow.ids()[..2], ["slow-1", "slow-1"]);
    assert!(told.of("slow").is_empty());
    drop(outbox);
}

#[tokio::test]
async fn a_hundred_events_reach_a_receiver_that_stumbles() {
    // Every seventh request fails in one way or another.
    let receiver = Receiver::start(|_, index| async move {
        let codes = [500, 503, 429, 408, 425];
        status(if index % 7 == 3 { codes[index / 7 % codes.len()] } else { 200 })
    })
    .await;
    let told = Told::default();
    let outbox = Outbox::start(settings(), told.callback());
    outbox.lead(true);
    outbox.offer("orders", &[receiver.hook("/")], &nothing(), &events("orders", 1..=100));
    until("all are told", || told.len() == 100).await;
    assert_eq!(told.of("orders"), (1..=100).collect::<Vec<_>>());
    let mut ids = receiver.ids();
    assert!(ids.len() > 110, "{}", ids.len());
    // Repeats only of the one that failed, at once behind it.
    ids.dedup();
    assert_eq!(ids, (1..=100).map(|seq| format!("orders-{seq}")).collect::<Vec<_>>());
    assert_eq!((outbox.taken(), outbox.dropped(), outbox.waiting()), (100, 0, 0));
    outbox.stop().await;
}

#[tokio::test]
async fn warnings_carry_their_message() {
    let receiver = Receiver::answering(&[200]).await;
    let mut warning = event("orders", 1);
    warning.kind = EventKind::Warning;
    warning.fields.message = Some("the slot keeps 80 % of its budget".to_owned());
    assert_eq!(HttpPost::new(&settings()).post(&receiver.hook("/"), &warning).await, Answer::Taken);
    let received = receiver.received().pop().unwrap();
    assert_eq!(received.header("x-tidegate-event"), Some("job.warning"));
    let body: Value = serde_json::from_slice(&received.body).unwrap();
    assert_eq!(body["message"], "the slot keeps 80 % of its budget");
}

/// A receiver by HTTPS, whose certificate an authority of its own has signed.
async fn by_https() -> (SocketAddr, rustls::pki_types::CertificateDer<'static>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let authority = rcgen::generate_simple_self_signed(vec!["hooks.example.com".to_owned()]).unwrap();
    let certificate = authority.cert.der().clone();
    let key = rustls::pki_types::PrivateKeyDer::try_from(authority.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = Vec::new();
            while !request.ends_with(b"}") && stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {}
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.ok();
            stream.shutdown().await.ok();
        }
    });
    (address, certificate)
}

#[tokio::test]
async fn https_is_told_only_to_whom_is_trusted() {
    let (address, certificate) = by_https().await;
    let (look_up, _) = always(vec![SocketAddr::new(address.ip(), 0)]);
    let hook = hook(&format!("https://hooks.example.com:{}/T0ken", address.port()));

    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let tls = Some(builder.with_root_certificates(roots).with_no_client_auth());
    let trusting = HttpPost::looking_up(&OutboxSettings { tls, ..settings() }, Arc::clone(&look_up));
    assert_eq!(trusting.post(&hook, &event("orders", 1)).await, Answer::Taken);

    let as_the_machine = HttpPost::looking_up(&settings(), look_up);
    let said = why(as_the_machine.post(&hook, &event("orders", 1)).await);
    assert!(said.contains("certificate") && !said.contains("T0ken"), "{said}");
}
