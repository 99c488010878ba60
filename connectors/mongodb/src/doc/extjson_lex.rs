//! Tokens of MongoDB's shell-style JSON: quotes of both kinds, unquoted names, regular expressions.

use connect_api::Error;

/// One token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    BeginObject,
    EndObject,
    BeginArray,
    EndArray,
    LeftParen,
    RightParen,
    Colon,
    Comma,
    Text(String),
    Word(String),
    Int32(i32),
    Int64(i64),
    Double(f64),
    Regex(String, String),
    End,
}

impl Token {
    /// How a message shows it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::BeginObject => "{".into(),
            Self::EndObject => "}".into(),
            Self::BeginArray => "[".into(),
            Self::EndArray => "]".into(),
            Self::LeftParen => "(".into(),
            Self::RightParen => ")".into(),
            Self::Colon => ":".into(),
            Self::Comma => ",".into(),
            Self::Text(text) | Self::Word(text) => text.clone(),
            Self::Int32(n) => n.to_string(),
            Self::Int64(n) => n.to_string(),
            Self::Double(n) => n.to_string(),
            Self::Regex(pattern, options) => format!("/{pattern}/{options}"),
            Self::End => "<eof>".into(),
        }
    }
}

/// An error of the reader (`org.bson.json.JsonParseException`).
pub(super) fn parse_error(message: impl Into<String>) -> Error {
    Error::data(message.into()).class("org.bson.json.JsonParseException")
}

/// Splits a text into tokens, on demand.
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    pushed: Option<Token>,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, pushed: None }
    }

    fn peek_char(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    fn next_char(&mut self) -> Option<char> {
        let c = self.peek_char()?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// Gives a token back.
    pub(super) fn push(&mut self, token: Token) {
        self.pushed = Some(token);
    }

    /// The next token.
    pub(super) fn next(&mut self) -> Result<Token, Error> {
        if let Some(token) = self.pushed.take() {
            return Ok(token);
        }
        while self.peek_char().is_some_and(char::is_whitespace) {
            self.next_char();
        }
        let start = self.at;
        let Some(c) = self.next_char() else { return Ok(Token::End) };
        Ok(match c {
            '{' => Token::BeginObject,
            '}' => Token::EndObject,
            '[' => Token::BeginArray,
            ']' => Token::EndArray,
            '(' => Token::LeftParen,
            ')' => Token::RightParen,
            ':' => Token::Colon,
            ',' => Token::Comma,
            '"' | '\'' => Token::Text(self.quoted(c)?),
            '/' => self.regex()?,
            '-' | '0'..='9' => self.number(start)?,
            c if c == '$' || c == '_' || c.is_alphabetic() => {
                while self.peek_char().is_some_and(|c| c == '$' || c == '_' || c.is_alphanumeric()) {
                    self.next_char();
                }
                Token::Word(self.text[start..self.at].to_owned())
            }
            c => {
                return Err(parse_error(format!("Invalid JSON input. Position: {start}. Character: '{c}'.")));
            }
        })
    }

    fn quoted(&mut self, quote: char) -> Result<String, Error> {
        let mut out = String::new();
        while let Some(c) = self.next_char() {
            match c {
                c if c == quote => return Ok(out),
                '\\' => self.escape(&mut out)?,
                c => out.push(c),
            }
        }
        Err(parse_error("End of file in JSON string."))
    }

    fn escape(&mut self, out: &mut String) -> Result<(), Error> {
        let Some(c) = self.next_char() else { return Ok(()) };
        out.push(match c {
            '\'' | '"' | '\\' | '/' => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => self.unicode()?,
            c => return Err(parse_error(format!("Invalid escape sequence in JSON string '\\{c}'."))),
        });
        Ok(())
    }

    /// The character of `\uXXXX`, and of two of them when they are a surrogate pair.
    fn unicode(&mut self) -> Result<char, Error> {
        let first = self.hex4()?;
        if (0xD800..0xDC00).contains(&first) && self.text.get(self.at..).is_some_and(|rest| rest.starts_with("\\u")) {
            let back = self.at;
            self.at += 2;
            let second = self.hex4()?;
            if (0xDC00..0xE000).contains(&second) {
                let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = back;
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex4(&mut self) -> Result<u32, Error> {
        let digits = self.text.get(self.at..self.at + 4).unwrap_or("");
        let code = u32::from_str_radix(digits, 16)
            .map_err(|_| parse_error(format!("Invalid escape sequence in JSON string '\\u{digits}'.")))?;
        self.at += 4;
        Ok(code)
    }

    fn regex(&mut self) -> Result<Token, Error> {
        let mut pattern = String::new();
        let mut escaped = false;
        loop {
            match self.next_char() {
                None => return Err(parse_error(format!("Invalid JSON regular expression. Position: {}.", self.at))),
                Some('/') if !escaped => break,
                Some(c) => {
                    escaped = c == '\\' && !escaped;
                    pattern.push(c);
                }
            }
        }
        let mut options = String::new();
        while let Some(c @ ('i' | 'm' | 'x' | 's')) = self.peek_char() {
            self.next_char();
            options.push(c);
        }
        Ok(Token::Regex(pattern, options))
    }

    fn number(&mut self, start: usize) -> Result<Token, Error> {
        while self.peek_char().is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-')) {
            self.next_char();
        }
        let text = &self.text[start..self.at];
        let invalid = || parse_error(format!("Invalid JSON number '{text}'"));
        if text == "-Infinity" {
            return Ok(Token::Double(f64::NEG_INFINITY));
        }
        let digits = text.strip_prefix('-').unwrap_or(text);
        if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
            let n: i64 = text.parse().map_err(|_| invalid())?;
            return Ok(i32::try_from(n).map_or(Token::Int64(n), Token::Int32));
        }
        if digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-')) {
            return text.parse().map(Token::Double).map_err(|_| invalid());
        }
        Err(invalid())
    }
}
