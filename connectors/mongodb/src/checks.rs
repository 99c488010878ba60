//! Validators of the connector's keys (`com.mongodb.kafka.connect.util.Validators`), with its wording.

use std::sync::LazyLock;

use connect_config::def::Recommendation;
use connect_config::parse::ConfigValue;
use connect_config::validators::{Range, at_least, check};
use connect_config::{ConfigError, Props, Validator};
use mongodb::options::ConnectionString;
use regex::Regex;

pub const PROJECTIONS: [&str; 5] = ["none", "blacklist", "whitelist", "allowlist", "blocklist"];
pub const UUID_FORMATS: [&str; 2] = ["string", "binary"];
pub const TOLERANCES: [&str; 3] = ["none", "data", "all"];
pub const GRANULARITIES: [&str; 3] = ["seconds", "minutes", "hours"];

/// How Java prints the pattern of a class name.
const CLASS_PATTERN: &str = r"(\p{javaJavaIdentifierStart}\p{javaJavaIdentifierPart}*\.)*\p{javaJavaIdentifierStart}\p{javaJavaIdentifierPart}*";

static CLASS_NAME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^([\p{L}\p{Nl}\p{Sc}\p{Pc}][\p{L}\p{Nl}\p{Sc}\p{Pc}\p{Nd}\p{M}]*\.)*[\p{L}\p{Nl}\p{Sc}\p{Pc}][\p{L}\p{Nl}\p{Sc}\p{Pc}\p{Nd}\p{M}]*$")
        .expect("the pattern is a constant that compiles")
});

/// A text checked by a function that says what is wrong with it. Null is not checked.
fn text_check(shown: impl Into<String>, problem: impl Fn(&str) -> Option<String> + Send + Sync) -> impl Validator {
    check(shown, move |name: &str, value: &ConfigValue| match value {
        ConfigValue::String(text) => match problem(text) {
            Some(why) => Err(ConfigError::invalid(name, text, why)),
            None => Ok(()),
        },
        _ => Ok(()),
    })
}

/// A number that is not negative.
pub fn not_negative() -> Range {
    at_least(0)
}

/// One of some words, in any case.
pub fn choice(words: &'static [&'static str]) -> impl Validator {
    let shown = format!("[{}]", words.join(", "));
    let list = shown.clone();
    text_check(shown, move |text| {
        let lower = text.to_lowercase();
        (!words.contains(&lower.as_str())).then(|| format!("Invalid enumerator value. Should be one of: {list}"))
    })
}

/// Proposes the words of a choice.
pub fn choices(words: &'static [&'static str]) -> impl Fn(&str, &Props) -> Recommendation + Send + Sync {
    move |_, _| Recommendation {
        values: words.iter().map(|word| ConfigValue::String((*word).to_owned())).collect(),
        visible: true,
    }
}

/// An empty text, or what another validator accepts.
pub fn or_empty(other: impl Validator + 'static) -> impl Validator {
    check(format!("An empty string OR {other}"), move |name: &str, value: &ConfigValue| match value {
        ConfigValue::String(text) if text.is_empty() => Ok(()),
        _ => other.ensure_valid(name, value),
    })
}

/// Nothing, or what another validator accepts.
pub fn unset_or(other: impl Validator + 'static) -> impl Validator {
    check(other.to_string(), move |name: &str, value: &ConfigValue| match value {
        ConfigValue::Null => Ok(()),
        _ => other.ensure_valid(name, value),
    })
}

/// The name of a class.
pub fn class_name() -> impl Validator {
    text_check(format!("A string matching `{CLASS_PATTERN}`"), |text| {
        (!CLASS_NAME.is_match(text)).then(|| "Does not match expected class pattern.".to_owned())
    })
}

/// A list of names of classes.
pub fn class_names() -> impl Validator {
    check(format!("A list matching: `{CLASS_PATTERN}`"), |name: &str, value: &ConfigValue| match value {
        ConfigValue::List(classes) if classes.iter().any(|class| !CLASS_NAME.is_match(class)) => Err(
            ConfigError::invalid(name, format!("[{}]", classes.join(", ")), "Does not match expected class pattern."),
        ),
        _ => Ok(()),
    })
}

/// A regular expression.
pub fn regex() -> impl Validator {
    text_check("A valid regex", |text| Regex::new(text).err().map(|error| format!("Invalid regex: {error}")))
}

/// A connection string. Credentials in it are not repeated in the message.
pub fn connection_string() -> impl Validator {
    check("A valid connection string", |name: &str, value: &ConfigValue| match value {
        ConfigValue::Password(secret) => match uri_problem(secret.expose()) {
            Some(why) => Err(ConfigError::invalid(name, without_credentials(secret.expose()), why)),
            None => Ok(()),
        },
        _ => Ok(()),
    })
}

fn uri_problem(uri: &str) -> Option<String> {
    let Some(rest) = uri.strip_prefix("mongodb://").or_else(|| uri.strip_prefix("mongodb+srv://")) else {
        return Some(
            "The connection string is invalid. Connection strings must start with either 'mongodb://' or 'mongodb+srv://"
                .to_owned(),
        );
    };
    let authority = rest.split(['/', '?']).next().unwrap_or("");
    let hosts = authority.rsplit('@').next().unwrap_or("");
    if hosts.is_empty() {
        return Some("The connection string contains an empty host '[]'. ".to_owned());
    }
    ConnectionString::parse(uri).err().map(|error| error.to_string())
}

/// A connection string without the user and password.
pub fn without_credentials(uri: &str) -> String {
    match uri.split_once("://") {
        Some((scheme, rest)) => match rest.rsplit_once('@') {
            Some((_, hosts)) => format!("{scheme}://[hidden]@{hosts}"),
            None => uri.to_owned(),
        },
        None => uri.to_owned(),
    }
}

/// The one version of the server API that there is.
pub fn server_api() -> impl Validator {
    text_check("A valid server version", |text| {
        (text != "1").then(|| format!("Unsupported server API version: {text}"))
    })
}

/// A key that stands for others and is never set itself.
pub fn never_set() -> impl Validator {
    text_check("Topic override", |text| {
        (!text.is_empty()).then(|| {
            "This configuration shouldn't be set directly. See the documentation about how to configure topic based \
             overrides.\nFor example, `topic.override.foo.collection=bar` stores data of the topic `foo` in the \
             collection `bar`."
                .to_owned()
        })
    })
}

/// The name of a database.
pub fn database_name() -> impl Validator {
    text_check("non-empty string", |text| text.is_empty().then(|| "String must be non-empty".to_owned()))
}

/// The rules of a renamer.
pub fn renaming() -> impl Validator {
    check("A valid JSON array", |name: &str, value: &ConfigValue| match value {
        ConfigValue::String(text) => crate::rename::check_setting(name, text),
        _ => Ok(()),
    })
}

/// A pattern of dates.
pub fn time_pattern() -> impl Validator {
    text_check("A valid DateTimeFormatter format", |text| crate::timefield::TimeParser::new(text).err())
}

/// A language tag.
pub fn language_tag() -> impl Validator {
    text_check("A valid Locale language tag format", |text| {
        let well_formed = text
            .split('-')
            .all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        (!well_formed).then(|| format!("Invalid language tag: {text}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_string_never_shows_its_password() {
        let uri = ConfigValue::Password(connect_config::Secret::new("http://me:secret@host"));
        let error = connection_string().ensure_valid("connection.uri", &uri).unwrap_err();
        assert!(error.message.starts_with("Invalid value http://[hidden]@host for configuration connection.uri: "));
    }

    #[test]
    fn class_names_are_java_identifiers() {
        let fits = |text: &str| class_name().ensure_valid("k", &ConfigValue::String(text.to_owned())).is_ok();
        assert!(fits("com.example.A$B_1") && fits("x"));
        assert!(!fits("not a class!") && !fits("1x") && !fits("") && !fits("?"));
    }
}
