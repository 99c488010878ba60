//! The options that Kafka's scripts and Java take from the environment, as far as they mean something here.
//!
//! A drop-in is started with the environment of what it replaces: `KAFKA_OPTS` is where operators put
//! `-Djava.security.auth.login.config=...`, the file that says how users of the REST API log in.

/// Variables with options of Java: the first one that says something wins, as on Java's command line.
const VARIABLES: [&str; 3] = ["KAFKA_OPTS", "JDK_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS"];
const LOGIN_CONFIG: &str = "-Djava.security.auth.login.config=";

/// The login configuration's file; `variable` looks up the environment.
pub(crate) fn login_file(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    VARIABLES.iter().find_map(|name| {
        let options = words(&variable(name)?);
        // Java takes the last one of several.
        let value = options.iter().rev().find_map(|option| option.strip_prefix(LOGIN_CONFIG))?;
        // A second equals sign says that no other file counts; none does here.
        let path = value.strip_prefix('=').unwrap_or(value);
        let path = path.strip_prefix("file://").or_else(|| path.strip_prefix("file:")).unwrap_or(path);
        (!path.is_empty()).then(|| path.to_owned())
    })
}

/// Splits at white space outside quotes, and takes the quotes away.
fn words(options: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in options.chars() {
        match quote {
            Some(open) if open == c => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c.is_whitespace() => words.push(String::new()),
            _ => {
                if let Some(word) = words.last_mut() {
                    word.push(c);
                }
            }
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_login_file_is_found_among_the_options() {
        let found =
            |name: &'static str, value: &'static str| login_file(|asked| (asked == name).then(|| value.to_owned()));
        for (value, file) in [
            ("-Djava.security.auth.login.config=/a/b.conf", Some("/a/b.conf")),
            ("-Xmx1g -Djava.security.auth.login.config==/a.conf -Dx=y", Some("/a.conf")),
            ("-Djava.security.auth.login.config=\"/with space.conf\"", Some("/with space.conf")),
            ("-Djava.security.auth.login.config=file:///a.conf", Some("/a.conf")),
            ("-Djava.security.auth.login.config=/a -Djava.security.auth.login.config=/b", Some("/b")),
            ("-Xmx1g", None),
            ("-Djava.security.auth.login.config=", None),
        ] {
            assert_eq!(found("KAFKA_OPTS", value).as_deref(), file, "{value}");
        }
        assert_eq!(found("JAVA_TOOL_OPTIONS", "-Djava.security.auth.login.config=/a").as_deref(), Some("/a"));
        assert_eq!(found("OTHER", "-Djava.security.auth.login.config=/a"), None);
    }
}
