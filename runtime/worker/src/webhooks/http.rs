//! Posts a notice.
//!
//! Where it goes is decided by looking at the address that is connected to, not at the name: [`Names`] takes the place
//! of the client's look-up, so a name that is public when somebody looks and private a moment later gains nothing. Redirects
//! are not followed and proxies of the environment not asked, because both would connect for us to places we did not judge.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use connect_config::Secret;
use futures_util::future::BoxFuture;
use hmac::{Hmac, Mac};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use sha2::Sha256;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::address::not_public;
use super::backoff::{Answer, judge};
use super::event::OutboxEvent;
use super::hook::{Webhook, hex, refusal};
use super::outbox::OutboxSettings;

/// What is read of a response, so that the receiver sees its connection end in peace. Nobody looks at it.
const RESPONSE_MAX: usize = 16 * 1024;
/// How long that may take.
const REST_TIMEOUT: Duration = Duration::from_secs(1);
const USER_AGENT: &str = concat!("tidegate/", env!("CARGO_PKG_VERSION"));

/// The way to the receivers.
#[async_trait]
pub(super) trait Post: Send + Sync + 'static {
    /// Posts once. Ends by itself, in bounded time.
    async fn post(&self, hook: &Webhook, event: &OutboxEvent) -> Answer;
}

/// Looks a name up.
pub(super) type LookUp = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// By HTTP and HTTPS.
pub(super) struct HttpPost {
    timeout: Duration,
    allow_private: bool,
    tls: Option<ClientConfig>,
    look_up: LookUp,
    /// Made with the first notice: without webhooks nobody reads this machine's certificates.
    client: OnceCell<Client>,
}

impl HttpPost {
    pub(super) fn new(settings: &OutboxSettings) -> Self {
        let look_up: LookUp =
            Arc::new(|name| Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) }));
        Self::looking_up(settings, look_up)
    }

    pub(super) fn looking_up(settings: &OutboxSettings, look_up: LookUp) -> Self {
        Self {
            timeout: settings.timeout,
            allow_private: settings.allow_private,
            tls: settings.tls.clone(),
            look_up,
            client: OnceCell::new(),
        }
    }

    async fn client(&self) -> Result<&Client, String> {
        self.client.get_or_try_init(|| self.make_client()).await
    }

    async fn make_client(&self) -> Result<Client, String> {
        let tls = match &self.tls {
            Some(tls) => tls.clone(),
            None => tokio::task::spawn_blocking(trust_of_this_machine).await.map_err(|error| error.to_string())??,
        };
        let builder = Client::builder()
            .use_preconfigured_tls(tls)
            .user_agent(USER_AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            // Notices are few: none should meet a connection that the receiver closed meanwhile.
            .pool_max_idle_per_host(0)
            .dns_resolver(Arc::new(Names { look_up: Arc::clone(&self.look_up), allow_private: self.allow_private }));
        builder.build().map_err(|error| because(&error))
    }

    /// Posts, and waits for the head of the response.
    async fn send(&self, hook: &Webhook, event: &OutboxEvent) -> Result<Response, Answer> {
        // An address in place of a name is not looked up.
        hook.check_target(self.allow_private).map_err(Answer::Final)?;
        let (Some(url), Ok(body)) = (hook.parsed(), event.body()) else {
            return Err(Answer::Final("the notice can't be written".to_owned()));
        };
        let client = self.client().await.map_err(|why| failed(format!("there is no HTTP client: {why}")))?;
        let mut request = client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("X-Tidegate-Event", event.kind.name())
            .header("X-Tidegate-Delivery", &event.id);
        if let Some(signature) = hook.secret.as_ref().and_then(|secret| sign(secret, &body)) {
            request = request.header("X-Tidegate-Signature", signature);
        }
        request.body(body).send().await.map_err(|error| {
            refused_name(&error).map_or_else(|| failed(because(&error)), |refused| Answer::Refused(refused.to_string()))
        })
    }
}

#[async_trait]
impl Post for HttpPost {
    async fn post(&self, hook: &Webhook, event: &OutboxEvent) -> Answer {
        match timeout(self.timeout, self.send(hook, event)).await {
            Ok(Ok(response)) => {
                let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                let answer = judge(response.status(), asked, SystemTime::now());
                // Whatever becomes of the rest, the receiver has answered.
                timeout(REST_TIMEOUT, read_little(response)).await.ok();
                answer
            }
            Ok(Err(answer)) => answer,
            Err(_) => failed(format!("it did not answer within {} ms", self.timeout.as_millis())),
        }
    }
}

fn failed(why: String) -> Answer {
    Answer::Failed { why, wait: None }
}

/// Looks names up, and gives away public addresses only, unless others are allowed.
pub(super) struct Names {
    pub look_up: LookUp,
    pub allow_private: bool,
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        let found = (self.look_up)(name.clone());
        let allow_private = self.allow_private;
        Box::pin(async move {
            let mut private = None;
            let public = found.await?.into_iter().filter(|found| match not_public(found.ip()) {
                Some(why) if !allow_private => {
                    private = Some(why);
                    false
                }
                _ => true,
            });
            let public = public.collect::<Vec<_>>();
            match private {
                Some(why) if public.is_empty() => Err(RefusedName { name, why }.into()),
                _ => Ok(Box::new(public.into_iter()) as Addrs),
            }
        })
    }
}

/// A name at which only addresses were found that are not public.
#[derive(Debug)]
struct RefusedName {
    name: String,
    why: &'static str,
}

impl fmt::Display for RefusedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&refusal(&self.name, self.why))
    }
}

impl StdError for RefusedName {}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

fn refused_name(error: &reqwest::Error) -> Option<&RefusedName> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// What went wrong with a request, from its outermost to its innermost cause. The first of them would name the whole URL.
fn because(error: &reqwest::Error) -> String {
    let what = if error.is_connect() { "it can't be connected to" } else { "the request failed" };
    let inner = causes(error).skip(1).map(ToString::to_string);
    std::iter::once(what.to_owned()).chain(inner).collect::<Vec<_>>().join(": ")
}

/// `sha256=` and the HMAC of the body, in hexadecimal digits.
fn sign(secret: &Secret, body: &[u8]) -> Option<String> {
    // Any length of key is fine for an HMAC.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).ok()?;
    mac.update(body);
    Some(format!("sha256={}", hex(&mac.finalize().into_bytes())))
}

async fn read_little(mut response: Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = response.chunk().await {
        read += chunk.len();
        if read > RESPONSE_MAX {
            return;
        }
    }
}

/// Receivers are trusted as this machine trusts servers (`SSL_CERT_FILE` and `SSL_CERT_DIR` name other authorities).
fn trust_of_this_machine() -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    // Single unreadable certificates do not matter while others can be read.
    let (_added, skipped) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if skipped > 0 {
        tracing::debug!(skipped, "certificates of this machine can't be read");
    }
    if roots.is_empty() {
        tracing::warn!("this machine trusts no certificate: no webhook can be told by HTTPS");
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
