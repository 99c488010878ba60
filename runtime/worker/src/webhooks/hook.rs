//! A URL that wants to be told, and how it is named: in the worker's configuration and in the options of a job.
//!
//! The path, the query and the user of a URL often hold what lets one post to it. They appear in no log, no error and no
//! `Debug`: there a webhook is its host and its [`Webhook::id`].

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use connect_config::worker::JobsConfig;
use connect_config::{ConfigError, Secret};
use reqwest::Url;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::address::not_public;
use super::event::EventKind;

/// Webhooks that one job, or the worker, may name.
pub const HOOKS_MAX: usize = 16;
/// Longer URLs are refused by many servers.
const URL_MAX: usize = 2_048;
/// Bytes of the hash that make an id.
const ID_BYTES: usize = 6;
/// Characters of what a user wrote that an error repeats.
const REPEATED_MAX: usize = 40;

/// One URL that wants to be told.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    /// As the parser of URLs writes it: `http` or `https`, with a host.
    pub url: String,
    /// What it is told of; `None`: everything.
    pub events: Option<BTreeSet<EventKind>>,
    /// Signs what it is told.
    pub secret: Option<Secret>,
}

impl Webhook {
    /// A webhook that is told everything, unsigned.
    ///
    /// # Errors
    /// When the text is no URL that can be posted to. The error does not repeat the URL.
    pub fn new(url: &str) -> Result<Self, String> {
        let url = url.trim();
        if url.len() > URL_MAX {
            return Err(format!("the URL is longer than {URL_MAX} bytes"));
        }
        let mut url = Url::parse(url).map_err(|error| format!("not a URL ({error}): write http(s)://host/path"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("the URL begins neither with http:// nor with https://".to_owned());
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err("the URL names no host".to_owned());
        }
        if url.port() == Some(0) {
            return Err("the URL names port 0, where nobody listens".to_owned());
        }
        // It would never be sent.
        url.set_fragment(None);
        Ok(Self { url: url.into(), events: None, secret: None })
    }

    /// A short hash of the URL: the same on every worker and after every restart, and safe in logs and keys of records. The
    /// user and the password do not count: they may be changed, and a weak one could be guessed from its hash.
    pub fn id(&self) -> String {
        let text = self.parsed().map_or_else(
            || self.url.clone(),
            |mut url| {
                // A URL with a host takes both; where it does not, there are none.
                let _nothing_to_remove = (url.set_username(""), url.set_password(None));
                url.into()
            },
        );
        hex(&Sha256::digest(text)[..ID_BYTES])
    }

    /// The host with its port, for people.
    pub fn host(&self) -> String {
        let Some(url) = self.parsed() else { return "?".to_owned() };
        match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (host, _) => host.unwrap_or("?").to_owned(),
        }
    }

    /// Whether it wants to be told of this.
    pub fn wants(&self, kind: EventKind) -> bool {
        self.events.as_ref().is_none_or(|events| events.contains(&kind))
    }

    /// What can be said against the target without asking anybody: an address in the URL that is not public. Names are
    /// looked up, and judged, with each delivery.
    ///
    /// # Errors
    /// When nothing would ever be delivered there.
    pub fn check_target(&self, allow_private: bool) -> Result<(), String> {
        match self.literal().and_then(not_public) {
            Some(why) if !allow_private => Err(refusal(&self.host(), why)),
            _ => Ok(()),
        }
    }

    /// The address that the URL has in place of a name. The parser of URLs has brought all spellings to one already.
    fn literal(&self) -> Option<IpAddr> {
        let url = self.parsed()?;
        url.host_str()?.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }

    pub(super) fn parsed(&self) -> Option<Url> {
        Url::parse(&self.url).ok()
    }

    /// The webhooks that `options.webhooks` of a job names: a URL, or an object with `url`, `events` and `secret`, or a list
    /// of those.
    ///
    /// # Errors
    /// Says which of them is wrong and why, without repeating URLs and secrets.
    pub fn parse_option(value: &Value) -> Result<Vec<Self>, String> {
        let hooks = match value {
            Value::Null => Vec::new(),
            Value::Array(list) if list.len() > HOOKS_MAX => return Err(too_many("webhooks")),
            Value::Array(list) => list
                .iter()
                .enumerate()
                .map(|(index, one)| parse_one(one, &format!("webhooks[{index}]")))
                .collect::<Result<_, _>>()?,
            one => vec![parse_one(one, "webhooks")?],
        };
        match twice(&hooks) {
            Some(host) => Err(format!("webhooks: a URL at {host} is named twice")),
            None => Ok(hooks),
        }
    }

    /// The webhooks that `job.webhooks` of the worker names.
    ///
    /// # Errors
    /// When one of them is no URL, or `job.webhooks.events` names something that does not happen.
    pub fn from_config(config: &JobsConfig) -> Result<Vec<Self>, ConfigError> {
        const URLS: &str = "job.webhooks";
        const EVENTS: &str = "job.webhooks.events";
        // Not the value itself, which may hold tokens.
        let invalid = |why: String| ConfigError::invalid(URLS, "[hidden]", why);

        let events = given(&config.webhook_events)
            .map(|name| EventKind::from_name(name).ok_or_else(|| ConfigError::invalid(EVENTS, name, known_events())))
            .collect::<Result<BTreeSet<_>, _>>()?;
        let events = (!events.is_empty()).then_some(events);
        let secret = config.webhook_secret.as_ref().filter(|secret| !secret.is_empty());
        let hooks = given(&config.webhooks)
            .enumerate()
            .map(|(index, url)| {
                let hook = Self::new(url).map_err(|why| invalid(format!("URL {}: {why}", index + 1)))?;
                Ok(Self { events: events.clone(), secret: secret.cloned(), ..hook })
            })
            .collect::<Result<Vec<_>, ConfigError>>()?;
        if hooks.len() > HOOKS_MAX {
            return Err(invalid(too_many(URLS)));
        }
        match twice(&hooks) {
            Some(host) => Err(invalid(format!("a URL at {host} is named twice"))),
            None => Ok(hooks),
        }
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("id", &self.id())
            .field("host", &self.host())
            .field("events", &self.events)
            .field("secret", &self.secret)
            .finish()
    }
}

/// What is said of a target that may not be reached.
pub(super) fn refusal(host: &str, why: &str) -> String {
    format!(
        "{host} is at an address that is {why}: only the public internet is told, unless the worker is given \
         job.webhooks.allow.private=true"
    )
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a text can't fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}

fn parse_one(value: &Value, place: &str) -> Result<Webhook, String> {
    match value {
        Value::String(url) => Webhook::new(url).map_err(|why| format!("{place}: {why}")),
        Value::Object(object) => parse_object(object, place),
        other => Err(format!(
            "{place}: {} is no webhook: give a URL, or an object with url, events and secret",
            kind_of(other)
        )),
    }
}

fn parse_object(object: &Map<String, Value>, place: &str) -> Result<Webhook, String> {
    if let Some(unknown) = object.keys().find(|key| !matches!(key.as_str(), "url" | "events" | "secret")) {
        return Err(format!("{place}: {} is not known here: known are url, events and secret", repeated(unknown)));
    }
    let url = match object.get("url") {
        Some(Value::String(url)) => url,
        Some(other) => return Err(format!("{place}.url: {} is no URL", kind_of(other))),
        None => return Err(format!("{place}: url is missing")),
    };
    let hook = Webhook::new(url).map_err(|why| format!("{place}.url: {why}"))?;
    let secret = match object.get("secret") {
        None | Some(Value::Null) => None,
        Some(Value::String(secret)) if secret.is_empty() => {
            return Err(format!("{place}.secret: it is empty: leave it out to send without a signature"));
        }
        Some(Value::String(secret)) => Some(Secret::new(secret.as_str())),
        Some(other) => return Err(format!("{place}.secret: {} is no secret: give a text", kind_of(other))),
    };
    Ok(Webhook { events: parse_events(object.get("events"), place)?, secret, ..hook })
}

/// As in the worker's configuration, nothing named is everything.
fn parse_events(value: Option<&Value>, place: &str) -> Result<Option<BTreeSet<EventKind>>, String> {
    let names = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(names)) => names.as_slice(),
        Some(one @ Value::String(_)) => std::slice::from_ref(one),
        Some(other) => {
            return Err(format!("{place}.events: {} is no list of events: {}", kind_of(other), known_events()));
        }
    };
    let events = names
        .iter()
        .map(|name| match name {
            Value::String(name) => EventKind::from_name(name).ok_or_else(|| repeated(name)),
            other => Err(kind_of(other).to_owned()),
        })
        .collect::<Result<BTreeSet<_>, _>>()
        .map_err(|wrong| format!("{place}.events: {wrong} is no event: {}", known_events()))?;
    Ok((!events.is_empty()).then_some(events))
}

/// The host of a URL that is there a second time.
fn twice(hooks: &[Webhook]) -> Option<String> {
    let mut seen = BTreeSet::new();
    hooks.iter().find(|hook| !seen.insert(hook.id())).map(Webhook::host)
}

/// The parts of a list that say something.
fn given(list: &[String]) -> impl Iterator<Item = &str> {
    list.iter().map(|part| part.trim()).filter(|part| !part.is_empty())
}

fn too_many(place: &str) -> String {
    format!("{place}: at most {HOOKS_MAX} webhooks can be named")
}

fn known_events() -> String {
    format!("known are {}", EventKind::ALL.map(EventKind::name).join(", "))
}

/// What a user wrote, in quotes and not too much of it.
fn repeated(text: &str) -> String {
    let shown: String = text.chars().take(REPEATED_MAX).collect();
    let more = if shown.len() < text.len() { "..." } else { "" };
    format!("{:?}", format!("{shown}{more}"))
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
