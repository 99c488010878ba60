//! Cross-origin requests (`access.control.allow.origin`, `access.control.allow.methods`), answered as Jetty's
//! `CrossOriginHandler` answers them: every request is served, preflights too, and those of allowed origins get the
//! headers that a browser asks for.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use axum::http::{HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use regex::{Regex, RegexBuilder};

use crate::settings::SettingsError;

/// Seconds for which a browser may keep a preflight's answer.
const MAX_AGE_SECONDS: &str = "60";
/// What a preflight allows when `access.control.allow.methods` is empty.
const DEFAULT_METHODS: &str = "GET,POST,HEAD";

/// Who may call from a browser.
#[derive(Clone, Debug)]
pub struct Cors {
    /// `None` allows all.
    origins: Option<Vec<Regex>>,
    methods: HeaderValue,
}

impl Cors {
    /// Reads the two settings; `None` when no origin is allowed. Origins are regular expressions, and `*` is all.
    ///
    /// # Errors
    /// When one is no regular expression, or the methods can't stand in a header.
    pub fn parse(origins: &str, methods: &str) -> Result<Option<Self>, SettingsError> {
        let parts = |text: &str| -> Vec<String> {
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        let (origins, methods) = (parts(origins), parts(methods));
        if origins.is_empty() {
            return Ok(None);
        }
        let pattern = |origin: &String| {
            RegexBuilder::new(&format!("^(?:{origin})$"))
                .case_insensitive(true)
                .build()
                .map_err(|error| SettingsError::Origin { origin: origin.clone(), source: Box::new(error) })
        };
        let anyone = origins.iter().any(|origin| origin == "*");
        let patterns = if anyone { None } else { Some(origins.iter().map(pattern).collect::<Result<_, _>>()?) };
        let methods = if methods.is_empty() { DEFAULT_METHODS.to_owned() } else { methods.join(",") };
        let methods = HeaderValue::from_str(&methods).map_err(|_| SettingsError::Methods(methods))?;
        Ok(Some(Self { origins: patterns, methods }))
    }

    /// Whether one of the origins that the header lists is allowed.
    fn allows(&self, origin: &HeaderValue) -> bool {
        let Some(patterns) = &self.origins else { return true };
        let Ok(listed) = origin.to_str() else { return false };
        listed.split(' ').any(|origin| patterns.iter().any(|pattern| pattern.is_match(origin)))
    }
}

/// Marks the responses to allowed origins.
pub(crate) async fn apply(State(cors): State<Arc<Cors>>, request: Request, next: Next) -> Response {
    let allowed = request.headers().get(ORIGIN).filter(|origin| cors.allows(origin)).cloned();
    let preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = allowed else { return response };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    if preflight {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, cors.methods.clone());
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Content-Type"));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE_SECONDS));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_patterns_without_regard_to_case() {
        let cors = Cors::parse("http://ui, http://.*\\.example\\.com", "").unwrap().unwrap();
        let allows = |origin: &'static str| cors.allows(&HeaderValue::from_static(origin));
        for origin in ["http://ui", "HTTP://UI", "http://a.example.com", "http://evil http://ui"] {
            assert!(allows(origin), "{origin}");
        }
        for origin in ["http://ui.evil", "https://ui", "null", "http://example.com", ""] {
            assert!(!allows(origin), "{origin}");
        }
        assert_eq!(cors.methods, DEFAULT_METHODS);
    }

    #[test]
    fn a_star_is_everybody_and_nothing_is_nobody() {
        let everybody = Cors::parse("http://a,*", "GET, PUT").unwrap().unwrap();
        assert!(everybody.allows(&HeaderValue::from_static("x")));
        assert_eq!(everybody.methods, "GET,PUT");
        assert!(Cors::parse("", "GET").unwrap().is_none());
        assert!(Cors::parse("http://(a", "").unwrap_err().to_string().contains("http://(a"));
    }
}
