//! User names and passwords (`BasicAuthSecurityRestExtension`, `JaasBasicAuthFilter`).
//!
//! Requests between workers that are signed (`POST /connectors/{name}/tasks`, `PUT /connectors/{name}/fence`) are let
//! through. Passwords are compared in constant time and never logged.

mod login;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use connect_tls::{JaasModule, parse_login_file};

use crate::error::RestError;
use crate::forward::BY;
use crate::settings::SettingsError;
use login::Login;

/// The extension's class.
const CLASS: &str = "org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension";
/// The entry of the login configuration that counts.
const ENTRY: &str = "KafkaConnect";

/// Asks a browser to ask its user.
const CHALLENGE: &str = "Basic realm=\"Tidegate\", charset=\"UTF-8\"";

/// Java's decoder takes Base64 with padding and without, and does not look at bits that are left over.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Checks user names and passwords.
#[derive(Debug)]
pub struct BasicAuth {
    login: Login,
}

/// What a request says of who sends it.
struct Credentials {
    user: String,
    password: String,
}

impl BasicAuth {
    /// What `rest.extension.classes` asks for; `None` when it is empty. `login_file` is the content of the file of
    /// `java.security.auth.login.config`, when there is one.
    ///
    /// # Errors
    /// For an extension that there is not, and for a login configuration that can't be read.
    pub fn from_extensions(classes: &[String], login_file: Option<&str>) -> Result<Option<Self>, SettingsError> {
        let simple = CLASS.rsplit('.').next().unwrap_or(CLASS);
        if let Some(unknown) = classes.iter().find(|class| *class != CLASS && *class != simple) {
            return Err(SettingsError::Extension(unknown.clone()));
        }
        if classes.is_empty() {
            return Ok(None);
        }
        let entries = login_file.map(parse_login_file).transpose().map_err(SettingsError::LoginConfiguration)?;
        let modules = entries.and_then(|mut entries| entries.swap_remove(ENTRY));
        if modules.is_none() {
            tracing::warn!(
                entry = ENTRY,
                "there is no login configuration with this entry, so every request will be refused: name its file by \
                 -Djava.security.auth.login.config= in KAFKA_OPTS"
            );
        }
        Ok(Some(Self::new(modules.unwrap_or_default())))
    }

    fn new(modules: Vec<JaasModule>) -> Self {
        Self { login: Login::new(modules) }
    }

    /// Lets a request pass, or answers it.
    pub(crate) fn check(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<(), Box<Response>> {
        if is_internal(method, path) {
            return Ok(());
        }
        let credentials = Credentials::read(headers).map_err(|error| Box::new(error.into_response()))?;
        let named = credentials.as_ref().map(|given| (given.user.as_str(), given.password.as_str()));
        if self.login.permits(named) {
            return Ok(());
        }
        tracing::debug!(%method, path, "a request failed authentication");
        let text = (CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        let mut refusal = (StatusCode::UNAUTHORIZED, [text], "User cannot access the resource.").into_response();
        if is_browsed(path, headers) {
            refusal.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
        }
        Err(Box::new(refusal))
    }
}

/// What browsers ask for, which ask their users for a password only when told to. Connect's own endpoints don't tell them,
/// as on the JVM, unless it is the portal that asks.
fn is_browsed(path: &str, headers: &HeaderMap) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    matches!(first, "portal" | "jobs") || headers.contains_key(BY)
}

/// Requests of other workers, which prove by a signature of the body who they are.
pub(crate) fn is_internal(method: &Method, path: &str) -> bool {
    let path = path.strip_prefix('/').unwrap_or(path);
    let segments: Vec<&str> = path.strip_suffix('/').unwrap_or(path).split('/').collect();
    match segments.as_slice() {
        ["connectors", name, last] if !name.is_empty() => {
            (method == Method::POST && *last == "tasks") || (method == Method::PUT && *last == "fence")
        }
        _ => false,
    }
}

impl Credentials {
    /// Reads `Authorization`; what is not `Basic user:password` is as good as nothing, as in the JVM.
    ///
    /// # Errors
    /// 500 for text that is not Base64, in the words of the JVM.
    fn read(headers: &HeaderMap) -> Result<Option<Self>, RestError> {
        let Some((scheme, encoded)) = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().split_once_space())
        else {
            return Ok(None);
        };
        if !scheme.eq_ignore_ascii_case(b"basic") {
            return Ok(None);
        }
        let decoded = BASE64.decode(encoded).map_err(|error| RestError::internal(java_words(&error)))?;
        let text = String::from_utf8_lossy(&decoded);
        Ok(text
            .split_once(':')
            .filter(|(user, _)| !user.is_empty())
            .map(|(user, password)| Self { user: user.to_owned(), password: password.to_owned() }))
    }
}

trait SplitAtSpace {
    /// What is before and after the first space, when something is before it.
    fn split_once_space(&self) -> Option<(&[u8], &[u8])>;
}

impl SplitAtSpace for [u8] {
    fn split_once_space(&self) -> Option<(&[u8], &[u8])> {
        let at = self.iter().position(|byte| *byte == b' ').filter(|at| *at > 0)?;
        let (before, after) = self.split_at_checked(at)?;
        Some((before, after.get(1..)?))
    }
}

/// The message of `java.util.Base64.Decoder`.
fn java_words(error: &base64::DecodeError) -> String {
    match error {
        base64::DecodeError::InvalidByte(_, byte) => format!("Illegal base64 character {byte:x}"),
        base64::DecodeError::InvalidLength(_) | base64::DecodeError::InvalidLastSymbol(..) => {
            "Last unit does not have enough valid bits".to_owned()
        }
        base64::DecodeError::InvalidPadding => "Input byte array has wrong 4-byte ending unit".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(auth: &BasicAuth, method: Method, path: &str, authorization: Option<&str>) -> u16 {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(AUTHORIZATION, value.parse().unwrap());
        }
        auth.check(&method, path, &headers).map_or_else(|response| response.status().as_u16(), |()| 200)
    }

    #[test]
    fn the_extension_is_known_by_its_class_and_needs_a_sound_login_configuration() {
        let from = |classes: &[&str], file: Option<&str>| {
            let classes: Vec<String> = classes.iter().map(|class| (*class).to_owned()).collect();
            BasicAuth::from_extensions(&classes, file)
        };
        assert!(matches!(from(&[], None), Ok(None)));
        assert!(matches!(from(&[CLASS], None), Ok(Some(_))));
        assert!(matches!(from(&[CLASS], Some("KafkaConnect { ")), Err(SettingsError::LoginConfiguration(_))));
        let unknown = from(&[CLASS, "no.Such"], None).unwrap_err();
        assert_eq!(
            unknown.to_string(),
            "Failed to find any class that implements interface org.apache.kafka.connect.rest.ConnectRestExtension and \
             which name matches no.Such"
        );
    }

    #[test]
    fn only_signed_requests_of_workers_pass_unasked() {
        // Nobody can log in.
        let auth = BasicAuth::new(Vec::new());
        for (method, path, expected) in [
            (Method::POST, "/connectors/x/tasks", 200),
            (Method::POST, "/connectors/x/tasks/", 200),
            (Method::PUT, "/connectors/x/fence", 200),
            (Method::GET, "/connectors/x/tasks", 401),
            (Method::PUT, "/connectors/x/tasks", 401),
            (Method::POST, "/connectors/x/fence", 401),
            (Method::POST, "/connectors/x/y/tasks", 401),
            (Method::POST, "/connectors", 401),
            (Method::GET, "/", 401),
        ] {
            assert_eq!(status(&auth, method, path, None), expected, "{path}");
        }
    }

    #[test]
    fn what_is_not_base64_is_an_error_in_javas_words() {
        let auth = BasicAuth::new(Vec::new());
        assert_eq!(status(&auth, Method::GET, "/", Some("Basic !!!")), 500);
        assert_eq!(status(&auth, Method::GET, "/", Some("Bearer !!!")), 401);
        assert_eq!(status(&auth, Method::GET, "/", Some("Basic")), 401);
        let error = BASE64.decode("!!!").unwrap_err();
        assert_eq!(java_words(&error), "Illegal base64 character 21");
    }
}
