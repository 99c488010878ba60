//! A headless browser, and the portal's pages as a test sees them. Nothing here knows which worker serves them.

use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use fantoccini::actions::{InputSource as _, KeyAction, KeyActions};
use fantoccini::elements::Element;
use fantoccini::key::Key;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use integration_tests::testbed::packages::{self, Program};
use integration_tests::testbed::process::Ask;
use integration_tests::testbed::{Process, eventually_async, ports};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

/// How long a test waits for what is bound to come, on machines that are busy with others.
pub(crate) const LIMIT: Duration = Duration::from_secs(240);
/// How long the driver may take to be there.
const START_LIMIT: Duration = Duration::from_secs(240);
/// How often a session is asked for: on a busy machine Chromium may be too late for its driver.
const ATTEMPTS: usize = 3;

/// A browser is large: one is enough at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

/// A browser with one page of the portal open.
pub(crate) struct Browser {
    client: Client,
    /// Where the driver takes what WebDriver has no command for.
    session: String,
    url: String,
    http: reqwest::Client,
    _driver: Process,
    _profile: TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Browser {
    /// Opens the portal of the worker at `url`.
    pub(crate) async fn open(url: &str) -> Self {
        let alone = ALONE.lock().await;
        rustls::crypto::ring::default_provider().install_default().ok();
        packages::ensure(&[Program::Chromium]).unwrap();
        let mut attempt = 1;
        let (driver, profile, client, address) = loop {
            match Self::session().await {
                Ok(session) => break session,
                Err(error) if attempt < ATTEMPTS => eprintln!("no session with Chromium: {error}"),
                Err(error) => panic!("no session with Chromium: {error}"),
            }
            attempt += 1;
        };
        let id = client.session_id().await.unwrap().unwrap();
        let browser = Self {
            client,
            session: format!("{address}/session/{id}"),
            url: url.to_owned(),
            http: reqwest::Client::new(),
            _driver: driver,
            _profile: profile,
            _alone: alone,
        };
        browser.client.goto(&format!("{url}/portal")).await.unwrap();
        browser
    }

    /// A driver of its own with a session, and where the driver is.
    async fn session() -> Result<(Process, TempDir, Client, String), String> {
        let port = ports::free().unwrap();
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={port}"));
        let mut driver = Process::start("chromedriver", command, Ask::Term).unwrap();
        driver.ready(START_LIMIT, || std::net::TcpStream::connect(("127.0.0.1", port)).ok()).unwrap();
        let profile = tempfile::tempdir().unwrap();
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1280,900",
            "--force-device-scale-factor=1",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        ];
        let own = format!("--user-data-dir={}", profile.path().display());
        let arguments: Vec<&str> = arguments.into_iter().chain([own.as_str()]).collect();
        let capabilities = json!({
            "browserName": "chrome",
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            "goog:chromeOptions": {"args": arguments, "binary": packages::browser().unwrap()},
        });
        let capabilities = capabilities.as_object().unwrap().clone();
        let address = format!("http://127.0.0.1:{port}");
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let client = builder.capabilities(capabilities).connect(&address).await.map_err(|error| error.to_string())?;
        Ok((driver, profile, client, address))
    }

    async fn driver(&self, path: &str, body: Value) -> Value {
        let sent = self.http.post(format!("{}/{path}", self.session)).json(&body).send().await.unwrap();
        sent.json::<Value>().await.unwrap()["value"].take()
    }

    /// Asks the browser itself (Chrome DevTools Protocol).
    pub(crate) async fn tell(&self, command: &str, parameters: Value) -> Value {
        self.driver("goog/cdp/execute", json!({"cmd": command, "params": parameters})).await
    }

    /// Goes to a page, `#/jobs/x` for example.
    pub(crate) async fn go(&self, hash: &str) {
        self.client.execute("location.hash = arguments[0]", vec![json!(hash)]).await.unwrap();
    }

    pub(crate) async fn hash(&self) -> String {
        self.run("return location.hash").await.as_str().unwrap().to_owned()
    }

    pub(crate) async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// The first element of a CSS selector that can be seen.
    pub(crate) async fn find(&self, css: &str) -> Element {
        eventually_async(css, LIMIT, async || {
            for element in self.client.find_all(Locator::Css(css)).await.map_err(|error| error.to_string())? {
                if element.is_displayed().await.unwrap_or(false) {
                    return Ok(element);
                }
            }
            Err("none can be seen".to_owned())
        })
        .await
        .unwrap()
    }

    pub(crate) async fn click(&self, css: &str) {
        eventually_async(&format!("a click on {css}"), LIMIT, async || {
            let element = self.client.find(Locator::Css(css)).await.map_err(|error| error.to_string())?;
            element.click().await.map_err(|error| error.to_string())
        })
        .await
        .unwrap();
    }

    /// The button of a label, wherever it stands within `css`.
    pub(crate) async fn press_button(&self, css: &str, label: &str) {
        let path = format!("//*[{}]//button[normalize-space()='{label}']", within(css));
        eventually_async(&format!("the button {label}"), LIMIT, async || {
            let button = self.client.find(Locator::XPath(&path)).await.map_err(|error| error.to_string())?;
            button.click().await.map_err(|error| error.to_string())
        })
        .await
        .unwrap();
    }

    /// Types into a field in place of what stands there.
    pub(crate) async fn fill(&self, css: &str, text: &str) {
        let field = self.find(css).await;
        field.send_keys(&format!("{}a{}", char::from(Key::Control), char::from(Key::Null))).await.unwrap();
        field.send_keys(&format!("{}{text}", char::from(Key::Delete))).await.unwrap();
    }

    /// Sends keys to whatever has the focus.
    pub(crate) async fn keys(&self, keys: &str) {
        let strokes = keys.chars().fold(KeyActions::new("keyboard".to_owned()), |strokes, value| {
            strokes.then(KeyAction::Down { value }).then(KeyAction::Up { value })
        });
        self.client.perform_actions(strokes).await.unwrap();
    }

    /// Presses Tab until what has the focus fits `css`; a reader would give up sooner than this does.
    pub(crate) async fn tab_to(&self, css: &str) {
        for _ in 0..60 {
            if self.run(&format!("return document.activeElement.matches({})", json!(css))).await == json!(true) {
                let ring = self
                    .run("const s = getComputedStyle(document.activeElement); return s.outlineStyle + s.outlineWidth")
                    .await;
                assert_ne!(ring, json!("none0px"), "what has the focus shows it");
                return;
            }
            self.keys(&char::from(Key::Tab).to_string()).await;
        }
        panic!("{css} can't be reached with Tab");
    }

    /// The text of an element, `None` where there is none.
    pub(crate) async fn text(&self, css: &str) -> Option<String> {
        let script = "const e = document.querySelector(arguments[0]); return e && e.innerText";
        self.client.execute(script, vec![json!(css)]).await.unwrap().as_str().map(str::to_owned)
    }

    /// Waits until the text of an element has all of `parts` in it.
    pub(crate) async fn sees(&self, css: &str, parts: &[&str]) -> String {
        eventually_async(&format!("{parts:?} in {css}"), LIMIT, async || {
            let text = self.text(css).await.ok_or("there is no such element")?;
            if parts.iter().all(|part| text.contains(part)) { Ok(text) } else { Err(text) }
        })
        .await
        .unwrap()
    }

    /// Waits until nothing fits `css`.
    pub(crate) async fn gone(&self, css: &str) {
        eventually_async(&format!("the end of {css}"), LIMIT, async || match self.text(css).await {
            None => Ok(()),
            Some(text) => Err(text),
        })
        .await
        .unwrap();
    }

    /// Lets the page think that its reader likes light or dark.
    pub(crate) async fn prefer(&self, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.tell("Emulation.setEmulatedMedia", features).await;
    }

    /// Makes the window of the page so large.
    pub(crate) async fn resize(&self, width: u32, height: u32) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.tell("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Keeps a picture for the documentation, when `UPDATE_SCREENSHOTS=1` asks for it.
    pub(crate) async fn picture(&self, name: &str) {
        if std::env::var_os("UPDATE_SCREENSHOTS").is_none_or(|value| value != "1") {
            return;
        }
        self.tell("Emulation.setScrollbarsHidden", json!({"hidden": true})).await;
        let taken = self.tell("Page.captureScreenshot", json!({"format": "png"})).await;
        let bytes = base64::engine::general_purpose::STANDARD.decode(taken["data"].as_str().unwrap()).unwrap();
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/screenshots");
        std::fs::create_dir_all(directory).unwrap();
        std::fs::write(format!("{directory}/{name}.png"), bytes).unwrap();
    }

    async fn log(&self, kind: &str) -> Vec<Value> {
        self.driver("se/log", json!({"type": kind})).await.as_array().cloned().unwrap_or_default()
    }

    /// Errors of the console since this was last asked.
    pub(crate) async fn console_errors(&self) -> Vec<String> {
        let errors = self.log("browser").await.into_iter().filter(|entry| entry["level"] == "SEVERE");
        errors.map(|entry| entry["message"].to_string()).collect()
    }

    /// Every URL that the page asked for since this was last asked.
    pub(crate) async fn requests(&self) -> Vec<String> {
        let entries = self.log("performance").await.into_iter();
        let messages = entries.filter_map(|entry| serde_json::from_str::<Value>(entry["message"].as_str()?).ok());
        messages
            .map(|message| message["message"].clone())
            .filter(|message| message["method"] == "Network.requestWillBeSent")
            .filter_map(|message| message["params"]["request"]["url"].as_str().map(str::to_owned))
            .collect()
    }

    /// Ends the visit: nothing went wrong in the page, and it asked nobody but its worker.
    pub(crate) async fn close(self) {
        let errors = self.console_errors().await;
        assert!(errors.is_empty(), "the console has errors: {errors:#?}");
        self.close_after_trouble().await;
    }

    /// The same for a page whose worker went away, which the browser does not like.
    pub(crate) async fn close_after_trouble(self) {
        let requests = self.requests().await;
        assert!(!requests.is_empty(), "the browser does not tell its requests");
        // The browser's own first page is made of `chrome:` and is none of ours.
        let network = requests.iter().filter(|asked| asked.starts_with("http") || asked.starts_with("ws"));
        let outside: Vec<&String> = network.filter(|asked| !asked.starts_with(&format!("{}/", self.url))).collect();
        assert!(outside.is_empty(), "requests went elsewhere: {outside:?}");
        self.client.close().await.unwrap();
    }
}

/// The condition of XPath for the few forms of CSS that tests use: a tag, `#id`, `.class`.
fn within(css: &str) -> String {
    match (css.strip_prefix('#'), css.strip_prefix('.')) {
        (Some(id), _) => format!("@id='{id}'"),
        (_, Some(class)) => format!("contains(concat(' ', @class, ' '), ' {class} ')"),
        _ => format!("self::{css}"),
    }
}
