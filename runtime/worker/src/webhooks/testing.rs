//! What the tests of this module share: events, a receiver that really listens, and a way to receivers that does as told.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

use super::backoff::Answer;
use super::event::{EventFields, EventKind, OutboxEvent};
use super::hook::Webhook;
use super::http::Post;
use super::outbox::{Delivered, OutboxSettings};

pub(super) fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// An event of this moment. Its id is `<job>-<seq>`.
pub(super) fn event(job: &str, seq: u64) -> OutboxEvent {
    OutboxEvent {
        seq,
        id: format!("{job}-{seq}"),
        at_ms: now_ms(),
        job: job.into(),
        kind: EventKind::StateChanged,
        fields: EventFields { new_state: Some("running".to_owned()), ..EventFields::default() },
    }
}

pub(super) fn events(job: &str, seqs: std::ops::RangeInclusive<u64>) -> Vec<OutboxEvent> {
    seqs.map(|seq| event(job, seq)).collect()
}

pub(super) fn hook(url: &str) -> Webhook {
    Webhook::new(url).unwrap()
}

pub(super) fn nothing() -> BTreeMap<String, u64> {
    BTreeMap::new()
}

pub(super) fn settings() -> OutboxSettings {
    OutboxSettings {
        timeout: Duration::from_secs(5),
        retry_initial: Duration::from_millis(10),
        window: Duration::from_secs(3_600),
        allow_private: true,
        tls: None,
    }
}

/// What was told as delivered: job, webhook's id, number.
#[derive(Clone, Default)]
pub(super) struct Told(Arc<Mutex<Vec<(String, String, u64)>>>);

impl Told {
    pub(super) fn callback(&self) -> Delivered {
        let told = Arc::clone(&self.0);
        Arc::new(move |job, hook, seq| told.lock().push((job.to_owned(), hook.to_owned(), seq)))
    }

    pub(super) fn of(&self, job: &str) -> Vec<u64> {
        self.0.lock().iter().filter(|told| told.0 == job).map(|told| told.2).collect()
    }

    /// As the jobs topic keeps it.
    pub(super) fn got(&self, job: &str) -> BTreeMap<String, u64> {
        let told = self.0.lock();
        told.iter().filter(|told| told.0 == job).map(|told| (told.1.clone(), told.2)).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().len()
    }
}

/// Waits until something is so.
pub(super) async fn until(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(60), "never: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Received {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(super) fn id(&self) -> String {
        self.header("x-tidegate-delivery").unwrap().to_owned()
    }
}

type Respond = Arc<dyn Fn(Received, usize) -> BoxFuture<'static, Response> + Send + Sync>;

/// A receiver of webhooks on a free port of loopback.
#[derive(Clone)]
pub(super) struct Receiver {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

#[derive(Clone)]
struct Behind {
    received: Arc<Mutex<Vec<Received>>>,
    respond: Respond,
}

impl Receiver {
    /// Answers with what a function says to a request and its place among all of them.
    pub(super) async fn start<F>(respond: impl Fn(Received, usize) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Response> + Send + 'static,
    {
        let respond: Respond = Arc::new(move |request, index| Box::pin(respond(request, index)));
        let received = Arc::<Mutex<Vec<Received>>>::default();
        let behind = Behind { received: Arc::clone(&received), respond };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(take).with_state(behind);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, received }
    }

    /// Answers with statuses, the last of them for ever.
    pub(super) async fn answering(statuses: &'static [u16]) -> Self {
        Self::start(move |_, index| async move { status(statuses[index.min(statuses.len() - 1)]) }).await
    }

    pub(super) fn hook(&self, path: &str) -> Webhook {
        hook(&format!("http://{}{path}", self.address))
    }

    pub(super) fn received(&self) -> Vec<Received> {
        self.received.lock().clone()
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.received.lock().iter().map(Received::id).collect()
    }
}

async fn take(State(behind): State<Behind>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let request = Received { uri, headers, body };
    let index = {
        let mut received = behind.received.lock();
        received.push(request.clone());
        received.len() - 1
    };
    (behind.respond)(request, index).await
}

pub(super) fn status(status: u16) -> Response {
    Response::builder().status(status).body(axum::body::Body::empty()).unwrap()
}

type Script = Box<dyn Fn(&Webhook, &OutboxEvent, usize) -> (Duration, Answer) + Send + Sync>;

/// A way to receivers that needs no network: says how long a post takes and what is answered,
/// from the webhook, the event, and how often it was posted before.
pub(super) struct Scripted {
    script: Script,
    posts: Mutex<Vec<(String, String)>>,
    under_way: Mutex<BTreeMap<String, usize>>,
    most: Mutex<BTreeMap<String, usize>>,
}

impl Scripted {
    pub(super) fn new(
        script: impl Fn(&Webhook, &OutboxEvent, usize) -> (Duration, Answer) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            script: Box::new(script),
            posts: Mutex::default(),
            under_way: Mutex::default(),
            most: Mutex::default(),
        })
    }

    /// The ids of the events that were posted to a host, or to all.
    pub(super) fn ids(&self, host: Option<&str>) -> Vec<String> {
        let posts = self.posts.lock();
        posts.iter().filter(|post| host.is_none_or(|host| post.0 == host)).map(|post| post.1.clone()).collect()
    }

    /// The most posts at a time, to a host or over all (`""`).
    pub(super) fn most(&self, host: &str) -> usize {
        self.most.lock().get(host).copied().unwrap_or(0)
    }

    fn count(&self, host: &str, change: isize) {
        for of in [host, ""] {
            let mut under_way = self.under_way.lock();
            let count = under_way.entry(of.to_owned()).or_default();
            *count = count.saturating_add_signed(change);
            let mut most = self.most.lock();
            let most = most.entry(of.to_owned()).or_default();
            *most = (*most).max(*count);
        }
    }
}

#[async_trait]
impl Post for Scripted {
    async fn post(&self, hook: &Webhook, event: &OutboxEvent) -> Answer {
        let before = {
            let mut posts = self.posts.lock();
            let before = posts.iter().filter(|post| post.0 == hook.host() && post.1 == event.id).count();
            posts.push((hook.host(), event.id.clone()));
            before
        };
        let (takes, answer) = (self.script)(hook, event, before);
        self.count(&hook.host(), 1);
        tokio::time::sleep(takes).await;
        self.count(&hook.host(), -1);
        answer
    }
}

pub(super) fn failed() -> Answer {
    Answer::Failed { why: "it answered 500 Internal Server Error".to_owned(), wait: None }
}

/// What is logged on this thread, from the finest level on, until the guard is dropped.
#[derive(Clone, Default)]
pub(super) struct Logged(Arc<Mutex<Vec<u8>>>);

impl Logged {
    pub(super) fn begin() -> (Self, DefaultGuard) {
        let logged = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(logged.clone())
            .finish();
        (logged, tracing::subscriber::set_default(subscriber))
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).unwrap()
    }
}

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Logged {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
