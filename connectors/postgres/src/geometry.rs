//! Geometric values as the Java driver prints them: the server's text, with its numbers as Java's doubles.

use connect_config::java::{double_text, parse_double};

/// True for lseg, path, box, polygon, line and circle; points are known as such.
pub fn is_geometric(type_oid: u32) -> bool {
    matches!(type_oid, 601..=604 | 628 | 718)
}

/// The text with its numbers as doubles; `None` when one of them is none.
pub fn with_doubles(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len() * 2);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if matches!(c, '(' | ')' | '[' | ']' | '{' | '}' | '<' | '>' | ',') {
            out.push(c);
            rest = &rest[1..];
            continue;
        }
        let end = rest.find(['(', ')', '[', ']', '{', '}', '<', '>', ',']).unwrap_or(rest.len());
        out.push_str(&double_text(parse_double(&rest[..end])?));
        rest = &rest[end..];
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_doubles() {
        for (text, wanted) in [
            ("{1,2,3}", "{1.0,2.0,3.0}"),
            ("[(0,0),(1,1)]", "[(0.0,0.0),(1.0,1.0)]"),
            ("(2,2),(0,0)", "(2.0,2.0),(0.0,0.0)"),
            ("((0,0),(1,1.5),(1,-0))", "((0.0,0.0),(1.0,1.5),(1.0,-0.0))"),
            ("<(1,1),1e+300>", "<(1.0,1.0),1.0E300>"),
            ("(Infinity,NaN)", "(Infinity,NaN)"),
        ] {
            assert_eq!(with_doubles(text).as_deref(), Some(wanted));
        }
        assert_eq!(with_doubles("(x,1)"), None);
    }
}
