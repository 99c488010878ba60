//! Rules for headers of REST responses (`response.http.headers.config`, KIP-577).

use crate::parse::ConfigError;

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderAction {
    /// Replaces the header.
    Set,
    /// Adds one more.
    Add,
    /// Replaces the header by a date, given in milliseconds since the epoch.
    SetDate,
    /// Adds a date.
    AddDate,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderRule {
    pub action: HeaderAction,
    pub name: String,
    pub value: String,
}

impl HeaderRule {
    /// Parses the rules of a text; an empty text has none.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, ConfigError> {
        split(text).into_iter().filter(|rule| !rule.is_empty()).map(|rule| Self::parse(&rule)).collect()
    }

    /// Parses one rule.
    fn parse(rule: &str) -> Result<Self, ConfigError> {
        let problem = |text: String| ConfigError::new(text);
        let Some((action, rest)) = rule.split_once(|c: char| c.is_ascii_whitespace()) else {
            return Err(problem(format!(
                "Invalid format of header config '{rule}'. Expected: '[action] [header name]:[header value]'"
            )));
        };
        let action = match action {
            "set" => HeaderAction::Set,
            "add" => HeaderAction::Add,
            "setDate" => HeaderAction::SetDate,
            "addDate" => HeaderAction::AddDate,
            other => {
                return Err(problem(format!(
                    "Invalid header config action: '{other}'. Expected one of [set, add, setDate, addDate]"
                )));
            }
        };
        let rest = rest.trim();
        let Some((name, value)) = rest.split_once(':') else {
            return Err(problem(format!(
                "Invalid format of header name and header value pair '{rest}'. Expected: '[header name]:[header value]'"
            )));
        };
        if name.trim().is_empty() || name.trim().contains(|c: char| c.is_ascii_whitespace()) {
            return Err(problem(format!(
                "Invalid header name '{name}'. The '[header name]' cannot contain whitespace"
            )));
        }
        Ok(Self { action, name: name.trim().to_owned(), value: value.trim().to_owned() })
    }
}

/// Splits at commas outside double quotes and takes the quotes away.
fn split(text: &str) -> Vec<String> {
    let mut rules = vec![String::new()];
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => rules.push(String::new()),
            _ => {
                if let Some(rule) = rules.last_mut() {
                    rule.push(c);
                }
            }
        }
    }
    rules.iter().map(|rule| rule.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_rule_may_have_commas() {
        let rules = HeaderRule::parse_all("add X-Frame-Options: DENY, \"set Cache-Control: no-cache, no-store\"");
        let rule = |action, name: &str, value: &str| HeaderRule { action, name: name.into(), value: value.into() };
        assert_eq!(
            rules,
            Ok(vec![
                rule(HeaderAction::Add, "X-Frame-Options", "DENY"),
                rule(HeaderAction::Set, "Cache-Control", "no-cache, no-store"),
            ])
        );
    }

    #[test]
    fn a_rule_without_action_or_name_is_refused() {
        assert!(HeaderRule::parse_all("x").is_err());
        assert!(HeaderRule::parse_all("put a:b").is_err());
        assert!(HeaderRule::parse_all("set b").is_err());
        assert_eq!(HeaderRule::parse_all(""), Ok(vec![]));
    }
}
