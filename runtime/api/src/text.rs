//! The text of a value: short ones stand in the value itself, long ones are slices that own their buffer.
//!
//! Most texts of most records are short: names, states, keys, numbers written out. A slice of a buffer that is shared counts
//! its holders with each copy and each end, which costs more than these texts themselves; and one short text that is kept
//! keeps the whole buffer.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::str::Utf8Error;

use arrayvec::ArrayString;
use bytes::Bytes;
use bytestring::ByteString;

/// The longest text, in bytes, that needs no buffer.
pub const SHORT_MAX: usize = 28;

/// A text that can't be changed.
#[derive(Clone)]
pub struct Text(Of);

#[derive(Clone)]
enum Of {
    Short(ArrayString<SHORT_MAX>),
    Static(&'static str),
    Long(ByteString),
}

impl Text {
    /// The empty text.
    pub const fn new() -> Self {
        Self(Of::Static(""))
    }

    /// A text that is a part of the program.
    pub const fn from_static(text: &'static str) -> Self {
        Self(Of::Static(text))
    }

    /// A part of a buffer, as a slice of it unless it is short.
    ///
    /// # Panics
    /// When it is long and no part of the buffer.
    #[inline]
    pub fn of_part(buffer: &Bytes, part: &str) -> Self {
        match ArrayString::from(part) {
            Ok(short) => Self(Of::Short(short)),
            Err(_) => Self(Of::Long(ByteString::try_from(buffer.slice_ref(part.as_bytes())).unwrap_or_default())),
        }
    }

    /// An empty text that is to be filled.
    #[inline(always)]
    pub(crate) fn short() -> Self {
        Self(Of::Short(ArrayString::new_const()))
    }

    /// Fills it with a text that is short.
    #[inline(always)]
    pub(crate) fn fill(&mut self, part: &str) {
        let filled = match &mut self.0 {
            Of::Short(text) => text.try_push_str(part).is_ok(),
            _ => false,
        };
        if !filled {
            *self = Self::from(part);
        }
    }

    /// The text.
    #[inline]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Of::Short(text) => text,
            Of::Static(text) => text,
            Of::Long(text) => text,
        }
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Text {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self
    }
}

impl From<&str> for Text {
    #[inline]
    fn from(text: &str) -> Self {
        match ArrayString::from(text) {
            Ok(short) => Self(Of::Short(short)),
            Err(_) => Self(Of::Long(ByteString::from(text))),
        }
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        match ArrayString::from(&text) {
            Ok(short) => Self(Of::Short(short)),
            Err(_) => Self(Of::Long(ByteString::from(text))),
        }
    }
}

impl TryFrom<Bytes> for Text {
    type Error = Utf8Error;

    fn try_from(bytes: Bytes) -> Result<Self, Utf8Error> {
        if bytes.len() <= SHORT_MAX {
            return Ok(Self::from(std::str::from_utf8(&bytes)?));
        }
        Ok(Self(Of::Long(ByteString::try_from(bytes)?)))
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other)
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_is_the_same_however_it_is_kept(text in ".{0,40}", before in ".{0,8}") {
            let whole = Bytes::from(format!("{before}{text}!"));
            let part = std::str::from_utf8(&whole[before.len()..before.len() + text.len()]).expect("UTF-8");
            let all = [
                Text::from(text.as_str()),
                Text::from(text.clone()),
                Text::try_from(Bytes::from(text.clone())).expect("UTF-8"),
                Text::of_part(&whole, part),
            ];
            for made in &all {
                prop_assert_eq!(made.as_str(), &text);
                prop_assert_eq!(made, &all[0]);
                prop_assert_eq!(&made.clone(), made);
            }
        }

        #[test]
        fn what_is_no_text_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let valid = std::str::from_utf8(&bytes).is_ok();
            prop_assert_eq!(Text::try_from(Bytes::from(bytes)).is_ok(), valid);
        }
    }

    #[test]
    fn a_short_text_holds_no_buffer_and_a_long_one_is_not_copied() {
        let whole = Bytes::from(vec![b'a'; 100]);
        let part = |range| std::str::from_utf8(&whole[range]).expect("UTF-8");
        let short = Text::of_part(&whole, part(0..SHORT_MAX));
        assert!(whole.is_unique());
        let long = Text::of_part(&whole, part(10..11 + SHORT_MAX));
        assert_eq!((short.len(), long.as_ptr()), (SHORT_MAX, whole[10..].as_ptr()));
    }
}
