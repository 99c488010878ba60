//! Bytes cut into lines, with positions counted in UTF-16 units as the JVM counts them.
//!
//! A line ends with `\n`, `\r\n` or `\r`; a `\r` at the very end waits for what follows. A line without an end stays.

use bytes::Buf;
use connect_api::java::utf8;
use connect_api::{Bytes, BytesMut, Error, Result, Text};

/// The longest line that is kept in memory.
const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Lines out of chunks of bytes.
#[derive(Debug)]
pub(crate) struct Lines {
    pending: BytesMut,
    /// Up to here no line ends: a long line is not looked through again with each chunk.
    searched: usize,
    /// Units read so far.
    position: u64,
    /// Units still to be skipped.
    skip: u64,
}

impl Lines {
    /// Lines from a position on; what is before it is given again and skipped.
    pub(crate) fn from_position(position: u64) -> Self {
        Self { pending: BytesMut::new(), searched: 0, position, skip: position }
    }

    /// Units of all lines given out.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Adds what was read.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        if self.pending.len() + bytes.len() > LINE_BYTES_MAX {
            return Err(Error::data(format!("A line is longer than {LINE_BYTES_MAX} bytes"))
                .hint("split the line, or remove it from the file"));
        }
        self.pending.extend_from_slice(bytes);
        self.skip_units();
        Ok(())
    }

    /// Skips what was read in an earlier life. Only whole characters are skipped.
    fn skip_units(&mut self) {
        let mut skipped = 0;
        while self.skip > 0 {
            let Some(length) = character_length(&self.pending[skipped..]) else { break };
            let units = units(&self.pending[skipped..skipped + length]);
            if units > self.skip {
                break;
            }
            self.skip -= units;
            skipped += length;
        }
        self.pending.advance(skipped);
    }

    /// The next whole line, without its end.
    pub(crate) fn next(&mut self) -> Option<Text> {
        if self.skip > 0 {
            return None;
        }
        let found = self.pending[self.searched..].iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let Some(end) = found.map(|place| self.searched + place) else {
            self.searched = self.pending.len();
            return None;
        };
        let length = match (self.pending[end], self.pending.get(end + 1)) {
            (b'\n', _) => 1,
            (_, Some(b'\n')) => 2,
            (_, Some(_)) => 1,
            (_, None) => {
                self.searched = end;
                return None;
            }
        };
        let line = self.pending.split_to(end).freeze();
        self.pending.advance(length);
        self.searched = 0;
        self.position += units(&line) + length as u64;
        Some(text(line))
    }
}

fn text(line: Bytes) -> Text {
    Text::try_from(line.clone()).unwrap_or_else(|_| Text::from(utf8::decode(&line)))
}

/// The UTF-16 units of a text.
fn units(bytes: &[u8]) -> u64 {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => text.len() as u64,
        Ok(text) => text.encode_utf16().count() as u64,
        Err(_) => utf8::decode(bytes).encode_utf16().count() as u64,
    }
}

/// The length of the first character, nothing when it may be incomplete.
fn character_length(bytes: &[u8]) -> Option<usize> {
    let first = *bytes.first()?;
    let expected = match first {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    match std::str::from_utf8(&bytes[..expected.min(bytes.len())]) {
        Ok(_) => Some(expected),
        Err(error) => error.error_len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(lines: &mut Lines) -> Vec<String> {
        std::iter::from_fn(|| lines.next()).map(|line| line.to_string()).collect()
    }

    #[test]
    fn lines_end_in_three_ways() {
        let mut lines = Lines::from_position(0);
        lines.push(b"a\nbb\r\nccc\rd\n\nrest").unwrap();
        assert_eq!(all(&mut lines), ["a", "bb", "ccc", "d", ""]);
        assert_eq!(lines.position(), 13);
        lines.push(b" of it\r").unwrap();
        assert_eq!(all(&mut lines), Vec::<String>::new());
        lines.push(b"\nx\n").unwrap();
        assert_eq!(all(&mut lines), ["rest of it", "x"]);
    }

    #[test]
    fn positions_count_utf16_units() {
        let mut lines = Lines::from_position(0);
        lines.push("é中\u{1F600}\n".as_bytes()).unwrap();
        assert_eq!(all(&mut lines), ["é中\u{1F600}"]);
        assert_eq!(lines.position(), 5);
    }

    #[test]
    fn what_was_read_before_is_skipped_over_any_chunks() {
        let text = "é中\u{1F600}\nsecond\n";
        for size in 1..text.len() {
            let mut lines = Lines::from_position(5);
            text.as_bytes().chunks(size).for_each(|chunk| lines.push(chunk).unwrap());
            assert_eq!(all(&mut lines), ["second"], "in chunks of {size}");
            assert_eq!(lines.position(), 12);
        }
    }

    #[test]
    fn a_position_beyond_the_end_waits() {
        let mut lines = Lines::from_position(4);
        lines.push(b"a\n").unwrap();
        assert_eq!(all(&mut lines), Vec::<String>::new());
        lines.push(b"b\nc\n").unwrap();
        assert_eq!(all(&mut lines), ["c"]);
    }
}
