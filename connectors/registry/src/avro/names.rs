//! Names in Avro: what may stand in one, and what becomes of the rest.

use connect_api::{Error, Result};

/// The namespace of types that have no names in Connect.
pub(crate) const NAMESPACE: &str = "io.confluent.connect.avro";
/// What their names begin with.
pub(crate) const DEFAULT_NAME: &str = "ConnectDefault";

/// Splits a name at its last dot, and scrubs both parts where that is wanted.
pub(crate) fn split(name: &str, scrub: bool) -> (Option<String>, String) {
    let parts: Vec<String> = name.split('.').map(|part| scrubbed(part, scrub)).collect();
    match parts.split_last() {
        Some((last, [])) => (None, last.clone()),
        Some((last, space)) => (Some(space.join(".")), last.clone()),
        None => (None, String::new()),
    }
}

/// A full name of which each part is scrubbed where that is wanted.
pub(crate) fn full(name: &str, scrub: bool) -> String {
    match split(name, scrub) {
        (Some(space), name) => format!("{space}.{name}"),
        (None, name) => name,
    }
}

/// One part of a name, scrubbed where that is wanted.
pub(crate) fn scrubbed(part: &str, scrub: bool) -> String {
    if scrub { scrub_part(part) } else { part.to_owned() }
}

/// Bytes that are neither letters nor digits become underscores, once what is not ASCII has been written as in an address
/// (`%C3%A9`); what begins with a digit gets an `x` in front.
fn scrub_part(part: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if part.is_empty() || part.bytes().all(plain) && !part.starts_with(|first: char| first.is_ascii_digit()) {
        return part.to_owned();
    }
    let mut out = String::with_capacity(part.len() + 8);
    for byte in part.bytes() {
        match byte {
            _ if plain(byte) => out.push(char::from(byte)),
            // What an address leaves as it is, and the plus sign that it has for a space.
            b' ' | b'.' | b'-' | b'*' => out.push('_'),
            _ => out.push_str(&format!("_{byte:02X}")),
        }
    }
    if out.starts_with(|first: char| first.is_ascii_digit()) {
        out.insert(0, 'x');
    }
    out
}

/// Refuses a name that Avro does not take (`Schema.validateName`).
pub(crate) fn check(name: &str) -> Result<()> {
    let mut chars = name.chars();
    let why = match chars.next() {
        None => "Empty name".to_owned(),
        Some(first) if !(first.is_alphabetic() || first == '_') => format!("Illegal initial character: {name}"),
        Some(_) if !chars.all(|c| c.is_alphanumeric() || c == '_') => format!("Illegal character in: {name}"),
        Some(_) => return Ok(()),
    };
    Err(Error::data(why)
        .class("org.apache.avro.SchemaParseException")
        .hint("set scrub.invalid.names=true on the converter, or rename it with a transform"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_scrubbed_as_the_reference_does() {
        for (name, expected) in [
            ("fine_1", "fine_1"),
            ("1st", "x1st"),
            ("a-b", "a_b"),
            ("a b", "a_b"),
            ("é", "_C3_A9"),
            ("a$b", "a_24b"),
            ("-1", "_1"),
            ("", ""),
        ] {
            assert_eq!(scrub_part(name), expected);
        }
        assert_eq!(full("shop-1.public.my orders.Value", true), "shop_1.public.my_orders.Value");
        assert_eq!(split("a.b.C", false), (Some("a.b".to_owned()), "C".to_owned()));
        assert_eq!(split("C", false), (None, "C".to_owned()));
    }

    #[test]
    fn a_name_that_avro_does_not_take_says_what_to_do() {
        assert!(check("größe_2").is_ok());
        assert_eq!(check("a-b").unwrap_err().message(), "Illegal character in: a-b");
        assert_eq!(check("1a").unwrap_err().message(), "Illegal initial character: 1a");
        assert!(check("").unwrap_err().remedy().unwrap().contains("scrub.invalid.names"));
    }
}
