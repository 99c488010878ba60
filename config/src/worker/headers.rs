//! Rules for headers of REST responses (`response.http.headers.config`, KIP-577).

use crate::parse::ConfigError;

/// What a rule does (Jetty's `HeaderFilter`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderAction {
    /// Replaces the header.
    Set,
    /// Adds one more.
    Add,
    /// Replaces the header by a date, so many milliseconds from now.
    SetDate(i64),
    /// Adds such a date.
    AddDate(i64),
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
        const ACTIONS: [&str; 4] = ["set", "add", "setDate", "addDate"];
        if !ACTIONS.iter().any(|known| known.eq_ignore_ascii_case(action)) {
            return Err(problem(format!(
                "Invalid header config action: '{action}'. Expected one of [set, add, setDate, addDate]"
            )));
        }
        let rest = rest.trim();
        // Java's `split(":")`: a value with a colon is one part too many, empty parts at the end don't count.
        let Some((name, value)) = rest.trim_end_matches(':').split_once(':').filter(|(_, value)| !value.contains(':'))
        else {
            return Err(problem(format!(
                "Invalid format of header name and header value pair '{rest}'. Expected: '[header name]:[header value]'"
            )));
        };
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || name.contains(|c: char| c.is_ascii_whitespace()) {
            return Err(problem(format!(
                "Invalid header name '{name}'. The '[header name]' cannot contain whitespace"
            )));
        }
        // Upper and lower case count for what is done, though not for what is allowed.
        let millis = || value.parse().map_err(|_| problem(format!("For input string: \"{value}\"")));
        let action = match (action.starts_with("add"), action.ends_with("Date")) {
            (false, false) => HeaderAction::Set,
            (true, false) => HeaderAction::Add,
            (false, true) => HeaderAction::SetDate(millis()?),
            (true, true) => HeaderAction::AddDate(millis()?),
        };
        Ok(Self { action, name: name.to_owned(), value: value.to_owned() })
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
    fn actions_are_allowed_in_any_case_but_mean_what_their_letters_say() {
        let action = |text: &str| HeaderRule::parse_all(text).expect("the rule is valid")[0].action;
        assert_eq!(action("ADD a: 1"), HeaderAction::Set);
        assert_eq!(action("setDate a: 5"), HeaderAction::SetDate(5));
        assert_eq!(action("addDate a: -5"), HeaderAction::AddDate(-5));
    }

    #[test]
    fn a_rule_without_action_or_name_is_refused() {
        assert!(HeaderRule::parse_all("x").is_err());
        assert!(HeaderRule::parse_all("put a:b").is_err());
        assert!(HeaderRule::parse_all("set b").is_err());
        assert!(HeaderRule::parse_all("set a:b:c").is_err());
        assert!(HeaderRule::parse_all("setDate a:b").is_err());
        assert_eq!(HeaderRule::parse_all(""), Ok(vec![]));
    }
}
