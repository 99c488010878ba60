//! The outside of the API over real sockets: HTTPS, who is let in, what is forwarded, and what a bad client can't do.

#![allow(clippy::unwrap_used)] // Helpers of tests fail by panicking.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connect_cluster::{ClusterView, Command, ConnectorInfo, Herd, HerdError, Hop, PluginInfo, Reply};
use connect_config::worker::Listener;
use connect_config::{ConfigDef, Props, Validated};
use connect_rest::{
    AdminListeners, BasicAuth, Bind, Cors, HeaderRule, Limits, Listeners, LogLevels, RestServer, RestSettings,
    peer_client, serve,
};
use connect_tls::TlsSettings;
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use reqwest::{Identity, Method, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

const EXTENSION: &str = "org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension";
/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(30);
const DENIED: &str = "User cannot access the resource.";

/// Knows nothing; asks the leader for everything when there is one.
#[derive(Default)]
struct Follower {
    leader: Mutex<Option<String>>,
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl Herd for Follower {
    fn view(&self) -> Arc<ClusterView> {
        Arc::new(ClusterView { loaded: true, ready: true, ..ClusterView::default() })
    }

    async fn ask(&self, command: Command, _: Hop) -> Result<Reply, HerdError> {
        self.asked.lock().push(format!("{command:?}"));
        match self.leader.lock().clone() {
            Some(leader) => Err(HerdError::Elsewhere { url: Some(leader) }),
            None => Ok(match command {
                Command::PutConfig { name, config } => {
                    let (name, tasks) = (name.as_str().into(), Vec::new());
                    Reply::Created(ConnectorInfo { name, config, tasks, kind: "source" })
                }
                _ => Reply::Done,
            }),
        }
    }

    async fn validate(&self, _: &str, config: &Props) -> Result<Validated, HerdError> {
        Ok(ConfigDef::new().validate(config))
    }

    fn plugins(&self) -> Vec<PluginInfo> {
        Vec::new()
    }

    fn plugin_config(&self, plugin: &str) -> Result<ConfigDef, HerdError> {
        Err(HerdError::not_found(plugin))
    }
}

/// An authority, and what it signed for `127.0.0.1`.
struct Certificates {
    authority: String,
    chain: String,
    key: String,
}

impl Certificates {
    fn make() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let chain = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap().pem();
        Self { authority, chain, key: key.serialize_pem() }
    }

    fn tls(&self, client_auth: &str) -> TlsSettings {
        let value = |name: &str| {
            Some(match name {
                "ssl.keystore.certificate.chain" => self.chain.as_str(),
                "ssl.keystore.key" => self.key.as_str(),
                "ssl.truststore.certificates" => self.authority.as_str(),
                "ssl.client.auth" => client_auth,
                _ => return None,
            })
        };
        TlsSettings::from_properties(value).unwrap()
    }

    fn client(&self, with_certificate: bool) -> reqwest::Client {
        let authority = reqwest::Certificate::from_pem(self.authority.as_bytes()).unwrap();
        let mut builder = reqwest::Client::builder().add_root_certificate(authority).no_proxy();
        if with_certificate {
            builder = builder.identity(Identity::from_pem(format!("{}{}", self.key, self.chain).as_bytes()).unwrap());
        }
        builder.build().unwrap()
    }
}

struct Worker {
    herd: Arc<Follower>,
    server: RestServer,
    cancel: CancellationToken,
    scheme: &'static str,
}

impl Worker {
    async fn start(settings: RestSettings, tls: Option<&TlsSettings>) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let (scheme, server_tls) = match tls {
            Some(tls) => ("https", Some(Arc::new(tls.server_config().unwrap()))),
            None => ("http", None),
        };
        let listener = Listener::parse(&format!("{scheme}://127.0.0.1:0")).unwrap();
        let settings = RestSettings { listeners: vec![Bind { listener, tls: server_tls }], ..settings };
        let listeners = Listeners::bind(&settings).await.unwrap();
        let peers = peer_client(tls.map(|tls| tls.client_config().unwrap())).unwrap();
        let herd = Arc::new(Follower::default());
        let levels = Arc::new(LogLevels::new("INFO", || 1, |_| {}));
        let cancel = CancellationToken::new();
        let server = serve(listeners, &settings, herd.clone(), None, levels, peers, &cancel);
        Self { herd, server, cancel, scheme }
    }

    fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.server.addresses()[0])
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.server.addresses()[0]).await.unwrap()
    }

    /// Sends bytes as they are; what comes back until the server closes, or nothing more comes for a second.
    async fn raw(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let mut wait = LIMIT;
        while let Ok(Ok(1..)) = tokio::time::timeout(wait, stream.read_buf(&mut answer)).await {
            wait = Duration::from_secs(1);
        }
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn stop(self) {
        self.cancel.cancel();
        tokio::time::timeout(Duration::from_secs(10), self.server.stopped()).await.unwrap();
    }
}

/// Lets `ann` in by her password.
fn basic_auth(directory: &tempfile::TempDir) -> Arc<BasicAuth> {
    let users = directory.path().join("users.properties");
    std::fs::write(&users, "ann=se:cret\n").unwrap();
    let login = format!(
        "KafkaConnect {{ org.apache.kafka.connect.rest.basic.auth.extension.PropertyFileLoginModule required \
         file=\"{}\"; }};",
        users.display()
    );
    Arc::new(BasicAuth::from_extensions(&[EXTENSION.to_owned()], Some(&login)).unwrap().unwrap())
}

async fn body(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    (status, response.json().await.unwrap())
}

#[tokio::test]
async fn https_serves_those_who_trust_it_and_nobody_else() {
    let certificates = Certificates::make();
    let worker = Worker::start(RestSettings::default(), Some(&certificates.tls("none"))).await;
    let (status, root) = body(certificates.client(false).get(worker.url("/")).send().await.unwrap()).await;
    assert_eq!((status, &root["version"]), (200, &json!("4.1.1")));
    let stranger = Certificates::make().client(false).get(worker.url("/")).send().await;
    assert!(stranger.unwrap_err().is_connect());
    // Plain HTTP gets an alert of TLS and the end of the connection, and the listener goes on.
    let answer = worker.raw("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(!answer.contains("HTTP/"), "{answer:?}");
    assert_eq!(certificates.client(false).get(worker.url("/")).send().await.unwrap().status(), 200);
    worker.stop().await;
}

#[tokio::test]
async fn clients_show_a_certificate_where_one_is_required() {
    let certificates = Certificates::make();
    for (auth, without, with) in [("required", false, true), ("requested", true, true), ("none", true, true)] {
        let worker = Worker::start(RestSettings::default(), Some(&certificates.tls(auth))).await;
        let served = async |with| certificates.client(with).get(worker.url("/")).send().await.is_ok();
        assert_eq!((served(false).await, served(true).await), (without, with), "{auth}");
        worker.stop().await;
    }
}

#[tokio::test]
async fn a_handshake_that_stalls_holds_up_nobody() {
    let certificates = Certificates::make();
    let worker = Worker::start(RestSettings::default(), Some(&certificates.tls("none"))).await;
    let mut stalled = Vec::new();
    for _ in 0..20 {
        let mut stream = worker.connect().await;
        stream.write_all(&[0x16, 0x03, 0x01, 0x02]).await.unwrap();
        stalled.push(stream);
    }
    let answer = certificates.client(false).get(worker.url("/")).timeout(LIMIT).send().await;
    assert_eq!(answer.unwrap().status(), 200);
    // Nor does it hold up the end.
    worker.stop().await;
}

#[tokio::test]
async fn requests_go_to_the_leader_over_https_with_certificate_and_password() {
    let certificates = Certificates::make();
    let directory = tempfile::tempdir().unwrap();
    let settings = RestSettings { auth: Some(basic_auth(&directory)), ..RestSettings::default() };
    let tls = certificates.tls("required");
    let leader = Worker::start(settings.clone(), Some(&tls)).await;
    let follower = Worker::start(settings, Some(&tls)).await;
    *follower.herd.leader.lock() = Some(leader.url("/"));
    let client = certificates.client(true);
    let pause = || client.put(follower.url("/connectors/x/pause"));
    let done = pause().basic_auth("ann", Some("se:cret")).send().await.unwrap();
    assert_eq!(done.status(), 202);
    assert_eq!(leader.herd.asked.lock().len(), 1);
    let created = client.put(follower.url("/connectors/x/config")).json(&json!({"a": "b"}));
    let created = created.basic_auth("ann", Some("se:cret")).send().await.unwrap();
    assert_eq!(created.headers()["location"], follower.url("/connectors/x").as_str());
    assert_eq!(leader.herd.asked.lock().len(), 2);
    let denied = pause().basic_auth("ann", Some("other")).send().await.unwrap();
    assert_eq!(denied.status(), 401);
    assert_eq!(leader.herd.asked.lock().len(), 2);
    // A worker that does not trust the leader can't forward.
    let stranger = Certificates::make();
    let other = Worker::start(RestSettings::default(), Some(&stranger.tls("none"))).await;
    *other.herd.leader.lock() = Some(leader.url("/"));
    let failed = stranger.client(false).put(other.url("/connectors/x/pause")).send().await.unwrap();
    assert_eq!(failed.status(), 500);
    for worker in [leader, follower, other] {
        worker.stop().await;
    }
}

#[tokio::test]
async fn who_has_no_password_gets_the_jvms_401_once_a_route_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let settings = RestSettings { auth: Some(basic_auth(&directory)), ..RestSettings::default() };
    let worker = Worker::start(settings, None).await;
    let client = reqwest::Client::new();
    let request = |method: Method, path: &str| client.request(method, worker.url(path));
    let denied = request(Method::GET, "/connectors").send().await.unwrap();
    assert_eq!(
        (denied.status().as_u16(), &denied.headers()["content-type"]),
        (401, &"application/json".parse().unwrap())
    );
    assert!(!denied.headers().contains_key("www-authenticate"));
    assert_eq!(denied.text().await.unwrap(), DENIED);
    let options = request(Method::OPTIONS, "/connectors").send().await.unwrap();
    assert_eq!((options.status().as_u16(), &options.headers()["content-type"]), (401, &"text/plain".parse().unwrap()));
    assert_eq!(options.text().await.unwrap(), DENIED);
    let garbled = request(Method::GET, "/").header("Authorization", "Basic !!!").send().await.unwrap();
    assert_eq!(body(garbled).await, (500, json!({"error_code": 500, "message": "Illegal base64 character 21"})));
    let cases = [
        (Method::GET, "/nope", 404),
        (Method::DELETE, "/connectors", 405),
        (Method::GET, "/admin/loggers", 401),
        (Method::GET, "/health", 401),
    ];
    for (method, path, status) in cases {
        assert_eq!(request(method, path).send().await.unwrap().status().as_u16(), status, "{path}");
    }
    let html = request(Method::GET, "/connectors").header("Accept", "text/html").send().await.unwrap();
    assert_eq!(html.status(), 406);
    // Workers sign these, and the herder checks the signature.
    let tasks = request(Method::POST, "/connectors/x/tasks").json(&json!([])).send().await.unwrap();
    let fence = request(Method::PUT, "/connectors/x/fence").send().await.unwrap();
    assert_eq!((tasks.status().as_u16(), fence.status().as_u16()), (204, 204));
    let ours = request(Method::GET, "/connectors").basic_auth("ann", Some("se:cret")).send().await.unwrap();
    assert_eq!(body(ours).await, (200, json!([])));
    worker.stop().await;
}

#[tokio::test]
async fn admin_listeners_of_their_own_ask_nobody_and_mark_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let admin = Bind { listener: Listener::parse("http://127.0.0.1:0").unwrap(), tls: None };
    let settings = RestSettings {
        auth: Some(basic_auth(&directory)),
        admin_listeners: AdminListeners::Own(vec![admin]),
        cors: Cors::parse("*", "").unwrap(),
        response_headers: HeaderRule::parse_all("set X-Frame-Options: DENY").unwrap(),
        ..RestSettings::default()
    };
    let worker = Worker::start(settings, None).await;
    let client = reqwest::Client::new();
    let admin = format!("http://{}", worker.server.admin_addresses()[0]);
    let get = |url: String| client.get(url).header("Origin", "http://x").basic_auth("ann", Some("se:cret")).send();
    let loggers = client.get(format!("{admin}/admin/loggers")).header("Origin", "http://x").send().await.unwrap();
    assert_eq!(loggers.status(), 200);
    for header in ["x-frame-options", "vary", "access-control-allow-origin"] {
        assert!(!loggers.headers().contains_key(header), "{header}");
    }
    let main = get(worker.url("/")).await.unwrap();
    assert_eq!(
        (&main.headers()["x-frame-options"], &main.headers()["vary"]),
        (&"DENY".parse().unwrap(), &"Origin".parse().unwrap())
    );
    assert_eq!(main.headers()["access-control-allow-origin"], "http://x");
    assert_eq!(get(worker.url("/admin/loggers")).await.unwrap().status(), 404);
    assert_eq!(get(format!("{admin}/connectors")).await.unwrap().status(), 404);
    worker.stop().await;
}

#[tokio::test]
async fn preflights_are_answered_as_jetty_answers_them() {
    let settings = RestSettings { cors: Cors::parse("http://ui", "").unwrap(), ..RestSettings::default() };
    let worker = Worker::start(settings, None).await;
    let client = reqwest::Client::new();
    let preflight = |origin: &'static str, path: &str| {
        let request = client.request(Method::OPTIONS, worker.url(path)).header("Origin", origin);
        request.header("Access-Control-Request-Method", "DELETE").send()
    };
    let ours = preflight("http://ui", "/connectors").await.unwrap();
    let header = |response: &Response, name: &str| response.headers().get(name).map(|v| v.to_str().unwrap().to_owned());
    for (name, value) in [
        ("access-control-allow-origin", "http://ui"),
        ("access-control-allow-methods", "GET,POST,HEAD"),
        ("access-control-allow-headers", "Content-Type"),
        ("access-control-max-age", "60"),
        ("vary", "Origin"),
    ] {
        assert_eq!(header(&ours, name).as_deref(), Some(value), "{name}");
    }
    assert_eq!((ours.status().as_u16(), header(&ours, "access-control-allow-credentials")), (200, None));
    assert!(ours.headers().contains_key("allow"));
    let evil = preflight("http://evil", "/connectors").await.unwrap();
    assert_eq!((evil.status().as_u16(), header(&evil, "access-control-allow-methods")), (200, None));
    assert_eq!(preflight("http://ui", "/nope").await.unwrap().status(), 404);
    worker.stop().await;
}

#[tokio::test]
async fn bodies_and_heads_that_are_too_large_are_refused() {
    let limits = Limits { max_body: 1000, ..Limits::default() };
    let worker = Worker::start(RestSettings { limits, ..RestSettings::default() }, None).await;
    let client = reqwest::Client::new();
    let create = |body: String| {
        client.post(worker.url("/connectors")).header("Content-Type", "application/json").body(body).send()
    };
    let (status, answer) = body(create(" ".repeat(1001)).await.unwrap()).await;
    assert_eq!((status, &answer["error_code"]), (413, &json!(413)));
    assert!(answer["message"].as_str().unwrap().contains("rest.max.request.bytes"));
    let chunked = format!(
        "POST /connectors HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
         3e9\r\n{}\r\n0\r\n\r\n",
        " ".repeat(1001)
    );
    assert!(worker.raw(&chunked).await.starts_with("HTTP/1.1 413"));
    assert_eq!(create(" ".repeat(1000)).await.unwrap().status(), 500);
    let large = client.get(worker.url("/")).header("X-Large", "a".repeat(9000)).send().await.unwrap();
    assert_eq!(body(large).await, (431, json!({"error_code": 431, "message": "Request Header Fields Too Large"})));
    let huge = worker.raw(&format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(100_000))).await;
    assert!(huge.is_empty() || huge.starts_with("HTTP/1.1 431"), "{huge}");
    worker.stop().await;
}

#[tokio::test]
async fn slow_clients_hold_up_neither_others_nor_the_end() {
    let limits = Limits { max_connections: 4, ..Limits::default() };
    let worker = Worker::start(RestSettings { limits, ..RestSettings::default() }, None).await;
    let mut slow = Vec::new();
    for _ in 0..3 {
        let mut stream = worker.connect().await;
        stream.write_all(b"GET / HTTP/1.1\r\nX-Slow: ").await.unwrap();
        slow.push(stream);
    }
    let client = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
    let get = || client.get(worker.url("/")).timeout(LIMIT).send();
    assert_eq!(get().await.unwrap().status(), 200);
    // With no room left, one more waits until another one goes.
    let fourth = worker.connect().await;
    slow.push(fourth);
    slow.last_mut().unwrap().write_all(b"GET").await.unwrap();
    let waiting = get();
    tokio::pin!(waiting);
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut waiting).await.is_err());
    slow.pop();
    assert_eq!(waiting.await.unwrap().status(), 200);
    worker.stop().await;
}

#[tokio::test]
async fn a_connection_serves_several_requests_and_old_clients_one() {
    let worker = Worker::start(RestSettings::default(), None).await;
    let twice = "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /nope HTTP/1.1\r\nHost: a\r\n\r\n";
    let answers = worker.raw(twice).await;
    assert!(answers.starts_with("HTTP/1.1 200") && answers.contains("HTTP/1.1 404"), "{answers}");
    let old = worker.raw("GET / HTTP/1.0\r\nHost: a\r\n\r\n").await;
    assert!(old.starts_with("HTTP/1.0 200") && old.contains("4.1.1"), "{old}");
    let head = worker.raw("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
    worker.stop().await;
}
