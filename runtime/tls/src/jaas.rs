//! Login configurations of Java (JAAS): modules in `sasl.jaas.config`, and files of named entries.
//!
//! A module is `class flag name=value ... ;` (Kafka's `JaasConfig`), an entry of a file `Name { modules };`
//! (`sun.security.provider.ConfigFile`). Both split with Java's `StreamTokenizer`: text in double or single quotes with
//! backslash escapes, bare words, comments in `//` and `/* */`.

use indexmap::IndexMap;

/// How much a module's outcome counts (`AppConfigurationEntry.LoginModuleControlFlag`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginFlag {
    Required,
    Requisite,
    Sufficient,
    Optional,
}

/// One login module. Its options hold passwords, so it is not printed.
#[derive(Clone)]
pub struct JaasModule {
    pub class: String,
    pub flag: LoginFlag,
    pub options: IndexMap<String, String>,
}

type Peekable<'a> = std::iter::Peekable<Tokens<'a>>;

/// Reads all login modules of a JAAS text. The error never repeats the text, which holds passwords.
///
/// # Errors
/// What is wrong with the text.
pub fn parse_jaas(text: &str) -> Result<Vec<JaasModule>, &'static str> {
    let mut tokens = Tokens { rest: text }.peekable();
    let mut modules = Vec::new();
    while tokens.peek().is_some() {
        modules.push(module(&mut tokens)?);
    }
    if modules.is_empty() { Err("it names no login module") } else { Ok(modules) }
}

/// Reads the entries of a login configuration file. The error never repeats the text.
///
/// # Errors
/// What is wrong with the text.
pub fn parse_login_file(text: &str) -> Result<IndexMap<String, Vec<JaasModule>>, &'static str> {
    let mut tokens = Tokens { rest: text }.peekable();
    let mut entries = IndexMap::new();
    while let Some(first) = tokens.next().transpose()? {
        let (Token::Word(name), Some(Token::Sign('{'))) = (first, tokens.next().transpose()?) else {
            return Err("an entry must look like Name { modules };");
        };
        let mut modules = Vec::new();
        while !matches!(tokens.peek(), Some(Ok(Token::Sign('}')))) {
            modules.push(module(&mut tokens)?);
        }
        tokens.next();
        if !matches!(tokens.next().transpose()?, Some(Token::Sign(';'))) {
            return Err("an entry must end with };");
        }
        if entries.insert(name, modules).is_some() {
            return Err("two entries have the same name");
        }
    }
    Ok(entries)
}

fn module(tokens: &mut Peekable<'_>) -> Result<JaasModule, &'static str> {
    let Some(Token::Word(class)) = tokens.next().transpose()? else {
        return Err("a login module must start with its class");
    };
    let flag = match tokens.next().transpose()? {
        Some(Token::Word(word)) => flag(&word),
        _ => None,
    };
    let flag = flag.ok_or("after the class there must be one of required, requisite, sufficient, optional")?;
    let mut options = IndexMap::new();
    loop {
        match tokens.next().transpose()? {
            Some(Token::Sign(';')) => return Ok(JaasModule { class, flag, options }),
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

fn flag(word: &str) -> Option<LoginFlag> {
    Some(match word.to_ascii_lowercase().as_str() {
        "required" => LoginFlag::Required,
        "requisite" => LoginFlag::Requisite,
        "sufficient" => LoginFlag::Sufficient,
        "optional" => LoginFlag::Optional,
        _ => return None,
    })
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
            ';' | '=' | '{' | '}' => {
                self.rest = self.rest.get(1..).unwrap_or_default();
                Some(Ok(Token::Sign(first)))
            }
            _ => {
                let end =
                    self.rest.find(|c: char| c.is_whitespace() || ";={}\"'".contains(c)).unwrap_or(self.rest.len());
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

    #[test]
    fn a_file_has_named_entries() {
        let entries = parse_login_file(
            "KafkaConnect {\n a.B required\n file=\"/x y\";\n c.D sufficient debug=true; };\n// end\nOther {};",
        )
        .unwrap();
        assert_eq!(entries.keys().collect::<Vec<_>>(), ["KafkaConnect", "Other"]);
        let modules = &entries["KafkaConnect"];
        assert_eq!((modules[0].class.as_str(), modules[0].flag), ("a.B", LoginFlag::Required));
        assert_eq!(modules[0].options["file"], "/x y");
        assert_eq!(modules[1].flag, LoginFlag::Sufficient);
        for bad in ["A", "A {", "A { b required; }", "A { b maybe; };", "A {}; A {};", "A { b required;"] {
            assert!(parse_login_file(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_file_ends_without_panic(text in "[a-z{};=\" ]{0,60}") {
            let _outcome = parse_login_file(&text);
        }

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
