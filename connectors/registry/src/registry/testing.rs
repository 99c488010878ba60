//! A registry within a test: it speaks HTTP, keeps schemas in memory, and does what a test tells it to.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use connect_api::Props;
use parking_lot::Mutex;
use serde_json::{Value as Json, json};

/// A request that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Json,
}

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    /// Answers to give before any of the registry's own; 0 closes the connection without one.
    scripted: VecDeque<(u16, String)>,
    delay: Duration,
    /// Schemas by id, from 1.
    schemas: Vec<Json>,
    /// Ids by subject, in order of their versions.
    subjects: HashMap<String, Vec<usize>>,
}

/// A registry on a port of its own. It ends with the test.
pub(crate) struct FakeRegistry {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl FakeRegistry {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || serve(&stream, &state));
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The properties of a converter of this registry.
    pub(crate) fn props(&self, more: &[(&str, &str)]) -> Props {
        let url = self.url();
        let own = [("schema.registry.url", url.as_str()), ("retries.wait.ms", "1")];
        let all = own.iter().chain(more);
        all.map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect()
    }

    /// The next requests get these answers.
    pub(crate) fn script(&self, answers: &[(u16, &str)]) {
        self.state.lock().scripted.extend(answers.iter().map(|(status, body)| (*status, (*body).to_owned())));
    }

    /// Every answer takes this long from now on.
    pub(crate) fn delay(&self, delay: Duration) {
        self.state.lock().delay = delay;
    }

    /// What has arrived since the last call: method, path and query.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.take().into_iter().map(|seen| seen.line).collect()
    }

    /// The requests that have arrived since the last call.
    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state.lock().seen)
    }

    /// Adds a version to a subject; the id.
    pub(crate) fn add(&self, subject: &str, schema: Json) -> usize {
        self.state.lock().add(subject, schema)
    }
}

impl State {
    fn add(&mut self, subject: &str, mut schema: Json) -> usize {
        for gone in ["id", "version", "propagateSchemaTags"] {
            schema.as_object_mut().unwrap().remove(gone);
        }
        let known = self.schemas.iter().position(|other| *other == schema);
        let id = known.unwrap_or_else(|| {
            self.schemas.push(schema);
            self.schemas.len() - 1
        }) + 1;
        let versions = self.subjects.entry(subject.to_owned()).or_default();
        if !versions.contains(&id) {
            versions.push(id);
        }
        id
    }

    fn version(&self, subject: &str, version: usize) -> (u16, Json) {
        let Some(id) = self.subjects.get(subject).and_then(|versions| versions.get(version.checked_sub(1)?)) else {
            return missing(40401, &format!("Subject '{subject}' not found."));
        };
        let mut answer = self.schemas[id - 1].clone();
        answer["subject"] = subject.into();
        answer["id"] = (*id).into();
        answer["version"] = version.into();
        (200, answer)
    }

    fn answer(&mut self, method: &str, path: &str, body: &Json) -> (u16, Json) {
        let path = path.split('?').next().unwrap_or_default();
        let parts: Vec<String> = path.trim_matches('/').split('/').map(|part| part.replace("%20", " ")).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match (method, parts.as_slice()) {
            ("POST", ["subjects", subject, "versions"]) => (200, json!({ "id": self.add(subject, body.clone()) })),
            ("POST", ["subjects", subject]) => {
                let versions = self.subjects.get(*subject).cloned().unwrap_or_default();
                match versions.iter().position(|id| self.schemas[id - 1]["schema"] == body["schema"]) {
                    Some(place) => self.version(subject, place + 1),
                    None => missing(40403, "Schema not found"),
                }
            }
            ("GET", ["schemas", "ids", id]) => match id.parse::<usize>().ok().and_then(|id| self.schemas.get(id - 1)) {
                Some(schema) => (200, schema.clone()),
                None => missing(40403, &format!("Schema {id} not found")),
            },
            ("GET", ["subjects", subject, "versions", "latest"]) => {
                let latest = self.subjects.get(*subject).map_or(0, Vec::len);
                self.version(subject, latest)
            }
            ("GET", ["subjects", subject, "versions", version]) => self.version(subject, version.parse().unwrap()),
            _ => missing(404, "HTTP 404 Not Found"),
        }
    }
}

fn missing(code: i32, message: &str) -> (u16, Json) {
    (404, json!({ "error_code": code, "message": message }))
}

fn serve(stream: &TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream);
    while let Some(seen) = request(&mut reader) {
        let (method, path) = seen.line.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let body = seen.body.clone();
        let delay = state.lock().delay;
        std::thread::sleep(delay);
        let (status, body) = {
            let mut state = state.lock();
            state.seen.push(seen);
            match state.scripted.pop_front() {
                Some((0, _)) => return,
                Some(scripted) => scripted,
                None => {
                    let (status, body) = state.answer(&method, &path, &body);
                    (status, body.to_string())
                }
            }
        };
        let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n", body.len());
        let mut out = stream;
        if out.write_all(head.as_bytes()).and_then(|()| out.write_all(body.as_bytes())).is_err() {
            return;
        }
    }
}

fn request(reader: &mut BufReader<&TcpStream>) -> Option<Seen> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let mut headers = HashMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Seen { line, headers, body: serde_json::from_slice(&body).unwrap_or(Json::Null) })
}
