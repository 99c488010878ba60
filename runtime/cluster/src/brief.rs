//! Texts that are kept: short enough that a record with a hundred of them still fits into a topic.

/// The longest text that is kept, in bytes.
pub const TEXT_MAX: usize = 1_000;
/// What stands for what was left out.
const MORE: char = '…';

/// A text without what goes beyond [`TEXT_MAX`].
#[must_use]
pub fn brief(mut text: String) -> String {
    if text.len() > TEXT_MAX {
        let mut end = TEXT_MAX - MORE.len_utf8();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push(MORE);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(brief("short".to_owned()), "short");
        let exact = "x".repeat(TEXT_MAX);
        assert_eq!(brief(exact.clone()), exact);
        let cut = brief("ü".repeat(TEXT_MAX));
        assert!(cut.len() <= TEXT_MAX && cut.len() > TEXT_MAX - 5, "{}", cut.len());
        assert!(cut.ends_with("ü…"), "{cut}");
    }
}
