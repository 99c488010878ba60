//! Names in Protobuf: what may stand in one, and what becomes of the rest.

use super::options::MAP_ENTRY;

/// Splits a name at its last dot, and scrubs its parts where that is wanted.
pub(crate) fn split(name: &str, scrub: bool) -> (Option<String>, String) {
    let parts: Vec<String> = name.split('.').map(|part| scrubbed(part, scrub)).collect();
    match parts.split_last() {
        Some((last, [])) => (None, last.clone()),
        Some((last, package)) => (Some(package.join(".")), last.clone()),
        None => (None, String::new()),
    }
}

/// One part of a name, scrubbed where that is wanted: as in Avro, and a name must begin with a letter.
pub(crate) fn scrubbed(part: &str, scrub: bool) -> String {
    if !scrub || part.is_empty() {
        return part.to_owned();
    }
    let scrubbed = crate::avro::names::scrubbed(part, true);
    let begins_plain = part.starts_with(|first: char| first.is_ascii_alphanumeric());
    // What is scrubbed to an underscore was none, and stays as it is.
    if scrubbed.starts_with('_') && part.starts_with('_') && !begins_plain { format!("x{scrubbed}") } else { scrubbed }
}

/// The message of a map's entries: `TagsEntry` for `tags`.
pub(crate) fn map_entry(name: &str) -> String {
    if !name.contains('_') {
        return format!("{name}{MAP_ENTRY}");
    }
    let upper = |part: &str| {
        let mut chars = part.chars();
        chars
            .next()
            .map_or_else(String::new, |first| first.to_uppercase().chain(chars.flat_map(char::to_lowercase)).collect())
    };
    format!("{}{MAP_ENTRY}", name.split('_').map(upper).collect::<String>())
}

/// The name of a map, from that of its entries.
pub(crate) fn map_field(full: &str) -> String {
    let (package, last) = full.rsplit_once('.').map_or(("", full), |(package, last)| (package, last));
    let Some(name) = last.strip_suffix(MAP_ENTRY) else { return full.to_owned() };
    let mut lower = String::with_capacity(name.len() + 4);
    for (place, c) in name.chars().enumerate() {
        if c.is_ascii_uppercase() && place > 0 {
            lower.push('_');
        }
        lower.extend(c.to_lowercase());
    }
    if package.is_empty() { lower } else { format!("{package}.{lower}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_the_reference_makes_them() {
        assert_eq!(map_entry("tags"), "tagsEntry");
        assert_eq!(map_entry("my_tags"), "MyTagsEntry");
        assert_eq!(map_field("a.b.MyTagsEntry"), "a.b.my_tags");
        assert_eq!(map_field("TagsEntry"), "tags");
        assert_eq!(split("a-b.c d.E", true), (Some("a_b.c_d".to_owned()), "E".to_owned()));
        assert_eq!(
            (scrubbed("_x", true), scrubbed("1x", true), scrubbed("-x", true)),
            ("x_x".into(), "x1x".into(), "_x".into())
        );
        assert_eq!(scrubbed("a-b", false), "a-b");
    }
}
