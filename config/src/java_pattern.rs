//! What Java says of a regular expression that it can't compile.

/// The message of `PatternSyntaxException` for a pattern that does not compile, `None` when it does.
///
/// Mistakes that people make have Java's words and places, others those of the `regex` crate. Look-around and back references
/// are legal in Java.
pub fn regex_error(pattern: &str) -> Option<String> {
    let error = match regex::Regex::new(pattern) {
        Ok(_) => return None,
        Err(error) => error.to_string(),
    };
    let chars: Vec<char> = pattern.chars().collect();
    if let Err(mistake) = (Walk { chars: &chars, at: 0, depth: 0, names: Vec::new() }).run() {
        return Some(mistake.message(pattern, &chars));
    }
    // What the regex crate refuses by design, and Java accepts.
    let by_design = ["look-around", "backreferences", "unrecognized flag", "unrecognized escape"];
    if by_design.iter().any(|what| error.contains(what)) {
        return None;
    }
    let last_line = error.lines().last().unwrap_or("error: invalid pattern");
    Some(last_line.trim_start_matches("error: ").to_owned())
}

/// A mistake and the place that Java names, which may be none.
struct Mistake {
    what: String,
    place: Option<usize>,
}

impl Mistake {
    fn message(&self, pattern: &str, chars: &[char]) -> String {
        let Self { what, place } = self;
        let Some(place) = place else { return format!("{what}\n{pattern}") };
        if *place >= chars.len() {
            return format!("{what} near index {place}\n{pattern}");
        }
        let blank: String = chars[..*place].iter().map(|c| if *c == '\t' { '\t' } else { ' ' }).collect();
        format!("{what} near index {place}\n{pattern}\n{blank}^")
    }
}

fn mistake(what: impl Into<String>, place: usize) -> Result<(), Mistake> {
    Err(Mistake { what: what.into(), place: Some(place) })
}

/// A walk over a pattern as Java's compiler does it, as far as mistakes are concerned.
struct Walk<'a> {
    chars: &'a [char],
    at: usize,
    /// Open groups.
    depth: usize,
    names: Vec<String>,
}

impl Walk<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn take(&mut self, wanted: impl Fn(char) -> bool) -> bool {
        let fits = self.peek().is_some_and(wanted);
        self.at += usize::from(fits);
        fits
    }

    fn run(mut self) -> Result<(), Mistake> {
        // Whether a quantifier may follow.
        let mut atom = false;
        while let Some(c) = self.peek() {
            let start = self.at;
            self.at += 1;
            match c {
                '\\' => self.escape(start)?,
                '[' => self.class()?,
                '(' => self.group()?,
                ')' if self.depth == 0 => {
                    let place = start.checked_sub(1);
                    return Err(Mistake { what: "Unmatched closing ')'".to_owned(), place });
                }
                ')' => self.depth -= 1,
                '*' | '+' | '?' if !atom => mistake(format!("Dangling meta character '{c}'"), start)?,
                '*' | '+' | '?' => {
                    self.take(|c| matches!(c, '?' | '+'));
                }
                '{' => self.repetition()?,
                _ => {}
            }
            atom = !matches!(c, '(' | '|' | '*' | '+' | '?' | '{');
        }
        if self.depth > 0 { mistake("Unclosed group", self.chars.len()) } else { Ok(()) }
    }

    /// Behind a backslash.
    fn escape(&mut self, start: usize) -> Result<(), Mistake> {
        let Some(c) = self.peek() else { return mistake("Unexpected internal error", self.chars.len()) };
        self.at += 1;
        match c {
            'Q' => {
                let rest = &self.chars[self.at..];
                let end = rest.windows(2).position(|pair| pair == ['\\', 'E']);
                self.at += end.map_or(rest.len(), |end| end + 2);
            }
            'p' | 'P' | 'x' | 'N' | 'b' | 'k' if matches!(self.peek(), Some('{' | '<')) => {
                let close = if self.peek() == Some('{') { '}' } else { '>' };
                while self.take(|c| c != close) {}
                self.take(|c| c == close);
            }
            c if c.is_ascii_alphabetic() && !"ABDGHNPRSVWXZabcdefhknprstuvwxz".contains(c) => {
                mistake("Illegal/unsupported escape sequence", start + 1)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Behind `[`, up to its end.
    fn class(&mut self) -> Result<(), Mistake> {
        self.take(|c| c == '^');
        let mut empty = true;
        while let Some(c) = self.peek() {
            let start = self.at;
            self.at += 1;
            match c {
                // The first one stands for itself.
                ']' if !empty => return Ok(()),
                '[' => self.class()?,
                '\\' => self.escape(start)?,
                '&' if self.take(|c| c == '&') => {}
                _ => self.range(c)?,
            }
            empty = false;
        }
        mistake("Unclosed character class", self.chars.len() - 1)
    }

    /// Behind a character that may begin a range.
    fn range(&mut self, low: char) -> Result<(), Mistake> {
        if self.peek() != Some('-') || matches!(self.chars.get(self.at + 1), Some('[' | ']' | '\\')) {
            return Ok(());
        }
        let high = self.chars.get(self.at + 1).copied();
        if high.is_none_or(|high| high < low) {
            return mistake("Illegal character range", self.at + 1);
        }
        self.at += 2;
        Ok(())
    }

    /// Behind `(`.
    fn group(&mut self) -> Result<(), Mistake> {
        self.depth += 1;
        if !self.take(|c| c == '?') || self.take(|c| matches!(c, ':' | '=' | '!' | '>')) {
            return Ok(());
        }
        if self.take(|c| c == '<') {
            return if self.take(|c| matches!(c, '=' | '!')) { Ok(()) } else { self.name() };
        }
        while self.take(|c| matches!(c, 'i' | 'd' | 'm' | 's' | 'u' | 'x' | 'U' | 'c' | '-')) {}
        if self.take(|c| c == ')') {
            self.depth -= 1;
            return Ok(());
        }
        if self.take(|c| c == ':') { Ok(()) } else { mistake("Unknown inline modifier", self.at) }
    }

    /// The name of a group, up to `>`.
    fn name(&mut self) -> Result<(), Mistake> {
        let start = self.at;
        if self.peek().is_some_and(|c| !c.is_ascii_alphabetic()) {
            return mistake("capturing group name does not start with a Latin letter", start);
        }
        while self.take(|c| c.is_ascii_alphanumeric()) {}
        let name: String = self.chars[start..self.at].iter().collect();
        let end = self.at;
        if !self.take(|c| c == '>') {
            return mistake("named capturing group is missing trailing '>'", end);
        }
        if self.names.contains(&name) {
            return mistake(format!("Named capturing group <{name}> is already defined"), end);
        }
        self.names.push(name);
        Ok(())
    }

    fn number(&mut self) -> Option<u64> {
        let start = self.at;
        while self.take(|c| c.is_ascii_digit()) {}
        self.chars[start..self.at].iter().collect::<String>().parse().ok()
    }

    /// Behind `{`.
    fn repetition(&mut self) -> Result<(), Mistake> {
        if !self.peek().is_some_and(|c| c.is_ascii_digit()) {
            return mistake("Illegal repetition", self.at);
        }
        let least = self.number();
        let most = if self.take(|c| c == ',') { self.number() } else { least };
        let end = self.at;
        if !self.take(|c| c == '}') {
            return mistake("Unclosed counted closure", end);
        }
        if most.zip(least).is_some_and(|(most, least)| most < least) {
            return mistake("Illegal repetition range", end);
        }
        self.take(|c| matches!(c, '?' | '+'));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn mistakes_have_the_words_and_places_of_java() {
        for (pattern, wanted) in [
            ("a(", "Unclosed group near index 2\na("),
            ("((a)", "Unclosed group near index 4\n((a)"),
            ("(?<n>a", "Unclosed group near index 6\n(?<n>a"),
            ("a)", "Unmatched closing ')' near index 0\na)\n^"),
            (")", "Unmatched closing ')'\n)"),
            ("a(b))", "Unmatched closing ')' near index 3\na(b))\n   ^"),
            ("x[", "Unclosed character class near index 1\nx[\n ^"),
            ("([", "Unclosed character class near index 1\n([\n ^"),
            ("[]", "Unclosed character class near index 1\n[]\n ^"),
            ("[^]", "Unclosed character class near index 2\n[^]\n  ^"),
            ("[a&&", "Unclosed character class near index 3\n[a&&\n   ^"),
            ("a[b-a]", "Illegal character range near index 4\na[b-a]\n    ^"),
            ("[a-", "Illegal character range near index 3\n[a-"),
            ("*", "Dangling meta character '*' near index 0\n*\n^"),
            ("a|*b", "Dangling meta character '*' near index 2\na|*b\n  ^"),
            ("(*a)", "Dangling meta character '*' near index 1\n(*a)\n ^"),
            ("a{", "Illegal repetition near index 2\na{"),
            ("{a}", "Illegal repetition near index 1\n{a}\n ^"),
            ("a{,2}", "Illegal repetition near index 2\na{,2}\n  ^"),
            ("a{1", "Unclosed counted closure near index 3\na{1"),
            ("a{1,2", "Unclosed counted closure near index 5\na{1,2"),
            ("a{2,1}", "Illegal repetition range near index 5\na{2,1}\n     ^"),
            ("(?<n", "named capturing group is missing trailing '>' near index 4\n(?<n"),
            ("(?y)", "Unknown inline modifier near index 2\n(?y)\n  ^"),
            ("(?x", "Unknown inline modifier near index 3\n(?x"),
            ("a\\", "Unexpected internal error near index 2\na\\"),
            ("a\\qb", "Illegal/unsupported escape sequence near index 2\na\\qb\n  ^"),
            (
                "(?<n>a)(?<n>b)",
                "Named capturing group <n> is already defined near index 11\n(?<n>a)(?<n>b)\n           ^",
            ),
        ] {
            assert_eq!(regex_error(pattern).as_deref(), Some(wanted), "{pattern}");
        }
    }

    #[test]
    fn what_java_accepts_is_no_mistake() {
        for pattern in
            ["", "a.*", "(?i)a|b{2,3}?", "(?=a)", "(a)\\1", "[]a]", "[a-z&&[^b]]", "\\Q(\\E", "\\p{L}+", "a\\{"]
        {
            assert_eq!(regex_error(pattern), None, "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn random_patterns_never_panic(pattern in "[a(){}\\[\\]*+?\\\\^$|.<>=!:,0-9Q-]{0,12}") {
            drop(regex_error(&pattern));
        }
    }
}
