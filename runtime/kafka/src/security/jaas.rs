//! The login configuration in `sasl.jaas.config`: `class flag name=value ... ;`.
//!
//! Follows Kafka's `JaasConfig`, which splits with Java's `StreamTokenizer`: text in double or single quotes with backslash
//! escapes, bare words, comments in `//` and `/* */`.

use indexmap::IndexMap;

/// One login module.
#[derive(Clone)]
pub struct JaasModule {
    pub class: String,
    pub options: IndexMap<String, String>,
}

/// Reads all login modules of a JAAS text. The error never repeats the text, which holds passwords.
pub fn parse_jaas(text: &str) -> Result<Vec<JaasModule>, &'static str> {
    let mut tokens = Tokens { rest: text }.peekable();
    let mut modules = Vec::new();
    while tokens.peek().is_some() {
        modules.push(module(&mut tokens)?);
    }
    if modules.is_empty() { Err("it names no login module") } else { Ok(modules) }
}

fn module(tokens: &mut std::iter::Peekable<Tokens<'_>>) -> Result<JaasModule, &'static str> {
    let Some(Token::Word(class)) = tokens.next().transpose()? else {
        return Err("a login module must start with its class");
    };
    match tokens.next().transpose()? {
        Some(Token::Word(flag)) if is_flag(&flag) => {}
        _ => return Err("after the class there must be one of required, requisite, sufficient, optional"),
    }
    let mut options = IndexMap::new();
    loop {
        match tokens.next().transpose()? {
            Some(Token::Sign(';')) => return Ok(JaasModule { class, options }),
            Some(Token::Word(name)) => {
                let (Some(Token::Sign('=')), Some(Token::Word(value))) =
                    (tokens.next().transpose()?, tokens.next().transpose()?)
                else {
                    return Err("an option must look like name=\"value\"");
                };
                options.insert(name, value);
            }
            None => return Err("the login module does not end with a semicolon"),
            Some(Token::Sign(_)) => return Err("an option must look like name=\"value\""),
        }
    }
}

fn is_flag(word: &str) -> bool {
    ["required", "requisite", "sufficient", "optional"].iter().any(|flag| word.eq_ignore_ascii_case(flag))
}

enum Token {
    Word(String),
    Sign(char),
}

struct Tokens<'a> {
    rest: &'a str,
}

impl Tokens<'_> {
    fn skip_blanks_and_comments(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            if let Some(comment) = self.rest.strip_prefix("//") {
                self.rest = comment.split_once('\n').map_or("", |(_, after)| after);
            } else if let Some(comment) = self.rest.strip_prefix("/*") {
                self.rest = comment.split_once("*/").map_or("", |(_, after)| after);
            } else {
                return;
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Token, &'static str> {
        let mut word = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some((_, 'n')) => word.push('\n'),
                    Some((_, 't')) => word.push('\t'),
                    Some((_, 'r')) => word.push('\r'),
                    Some((_, other)) => word.push(other),
                    None => break,
                },
                _ if c == quote => {
                    self.rest = self.rest.get(at + quote.len_utf8()..).unwrap_or_default();
                    return Ok(Token::Word(word));
                }
                _ => word.push(c),
            }
        }
        self.rest = "";
        Err("a quotation mark is not closed")
    }
}

impl Iterator for Tokens<'_> {
    type Item = Result<Token, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        self.skip_blanks_and_comments();
        let first = self.rest.chars().next()?;
        match first {
            '"' | '\'' => Some(self.quoted(first)),
            ';' | '=' => {
                self.rest = self.rest.get(1..).unwrap_or_default();
                Some(Ok(Token::Sign(first)))
            }
            _ => {
                let end = self.rest.find(|c: char| c.is_whitespace() || ";=\"'".contains(c)).unwrap_or(self.rest.len());
                let (word, rest) = self.rest.split_at(end);
                self.rest = rest;
                Some(Ok(Token::Word(word.to_owned())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn only(text: &str) -> JaasModule {
        let mut modules = parse_jaas(text).unwrap();
        assert_eq!(modules.len(), 1);
        modules.remove(0)
    }

    #[test]
    fn reads_quotes_escapes_bare_words_and_comments() {
        let module = only(
            "a.b.PlainLoginModule REQUIRED // who\n username=\"an\\\"n\" password='p w;=' /* x */ serviceName=kafka ;",
        );
        assert_eq!(module.class, "a.b.PlainLoginModule");
        assert_eq!(module.options["username"], "an\"n");
        assert_eq!(module.options["password"], "p w;=");
        assert_eq!(module.options["serviceName"], "kafka");
    }

    #[test]
    fn reads_several_modules() {
        assert_eq!(parse_jaas("A required; B optional x=1;").unwrap().len(), 2);
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, problem) in [
            ("", "it names no login module"),
            ("A", "after the class there must be one of required, requisite, sufficient, optional"),
            ("A required x=\"1\"", "the login module does not end with a semicolon"),
            ("A required x;", "an option must look like name=\"value\""),
            ("A required x=\"1;", "a quotation mark is not closed"),
        ] {
            assert_eq!(parse_jaas(text).err(), Some(problem), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_ends_without_panic(text in ".{0,60}") {
            let _outcome = parse_jaas(&text);
        }

        #[test]
        fn quoted_values_come_back(value in "[^\\\\\"\r\n\t]{0,20}") {
            let module = only(&format!("A required p=\"{value}\";"));
            prop_assert_eq!(&module.options["p"], &value);
        }
    }
}
