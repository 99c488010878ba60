//! The tokens of a text that `Values.parseString` reads: delimiters, and everything between them.

/// A text, and how far it has been read.
pub(super) struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The whole text.
    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    /// Where the next token begins.
    pub(super) fn mark(&self) -> usize {
        self.at
    }

    /// Goes back to a place.
    pub(super) fn rewind(&mut self, mark: usize) {
        self.at = mark;
    }

    /// What lies between a place and here.
    pub(super) fn since(&self, mark: usize) -> &'a str {
        &self.text[mark..self.at]
    }

    pub(super) fn has_next(&self) -> bool {
        self.at < self.text.len()
    }

    /// The next token: a delimiter, or everything up to one that is not escaped. Empty at the end.
    pub(super) fn next(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let mut escaped = false;
        let mut end = rest.len();
        for (place, byte) in rest.bytes().enumerate() {
            match byte {
                b'\\' => escaped = !escaped,
                b':' | b',' | b'{' | b'}' | b'[' | b']' | b'"' if !escaped => {
                    end = place.max(1);
                    break;
                }
                _ => escaped = false,
            }
        }
        self.at += end;
        &rest[..end]
    }

    /// The next token that is not blank, or the blank one at the end of the text.
    pub(super) fn next_visible(&mut self) -> &'a str {
        loop {
            let token = self.next();
            if !trim(token).is_empty() || !self.has_next() {
                return token;
            }
        }
    }

    /// Takes the next token when it is the expected one, white space aside.
    pub(super) fn take(&mut self, expected: &str) -> bool {
        let start = self.at;
        let found = self.has_next() && trim(self.next_visible()) == expected;
        if !found {
            self.at = start;
        }
        found
    }

    /// Takes a word that must be all there is, when it is not inside of something.
    pub(super) fn take_word(&mut self, word: &str, embedded: bool) -> bool {
        let start = self.at;
        let found = self.take(word) && (embedded || !self.has_next());
        if !found {
            self.at = start;
        }
        found
    }
}

/// `String.trim`.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiters_separate_unless_they_are_escaped() {
        let mut tokens = Tokens::new(r#"a\:b : {\\"é"#);
        let mut found = Vec::new();
        while tokens.has_next() {
            found.push(tokens.next());
        }
        assert_eq!(found, [r"a\:b ", ":", " ", "{", r"\\", "\"", "é"]);
    }

    #[test]
    fn what_is_not_taken_stays_blanks_included() {
        let mut tokens = Tokens::new(" [ ]");
        assert!(!tokens.take("]"));
        assert!(tokens.take("[") && tokens.take("]") && !tokens.has_next());
        assert!(!Tokens::new("true}").take_word("true", false));
        assert!(Tokens::new("true}").take_word("true", true));
    }
}
