//! Names of schemas that other systems can read (`io.debezium.schema.SchemaNameAdjuster`).

use super::settings::Rule;

/// What `schema.name.adjustment.mode` may be.
pub(super) const MODES: Rule = Rule::OneOf(&["none", "avro_unicode", "avro"]);
/// The key that chooses the mode.
pub(super) const MODE_KEY: &str = "schema.name.adjustment.mode";

/// How names of schemas are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Adjuster {
    /// They stay.
    None,
    /// What Avro does not allow becomes an underscore.
    Avro,
    /// What Avro does not allow, and the underscore itself, becomes its UTF-16 code: `_u002d`.
    AvroUnicode,
}

impl Adjuster {
    /// The adjuster of a mode; `None` when there is no such mode.
    pub(super) fn of(mode: Option<&str>) -> Option<Self> {
        match mode.map(|mode| mode.trim().to_ascii_lowercase()).as_deref() {
            None | Some("none") => Some(Self::None),
            Some("avro") => Some(Self::Avro),
            Some("avro_unicode") => Some(Self::AvroUnicode),
            Some(_) => None,
        }
    }

    /// The changed name.
    pub(super) fn adjust(self, name: &str) -> String {
        match self {
            Self::None => name.to_owned(),
            Self::Avro => avro(name),
            Self::AvroUnicode => avro_unicode(name),
        }
    }
}

fn starts(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn continues(c: char) -> bool {
    starts(c) || c.is_ascii_digit() || c == '.'
}

fn avro(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 1);
    for (at, c) in name.char_indices() {
        if at == 0 && c.is_ascii_digit() {
            out.push('_');
            out.push(c);
        } else if (at == 0 && starts(c)) || (at > 0 && continues(c)) {
            out.push(c);
        } else {
            // Java goes by UTF-16 units.
            (0..c.len_utf16()).for_each(|_| out.push('_'));
        }
    }
    out
}

fn avro_unicode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for (at, c) in name.char_indices() {
        let stays = c != '_' && if at == 0 { starts(c) } else { continues(c) };
        if stays {
            out.push(c);
        } else {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().for_each(|unit| out.push_str(&format!("_u{unit:04x}")));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_avros() {
        let name = "9we-ird.server1.a b é_u";
        assert_eq!(Adjuster::None.adjust(name), name);
        assert_eq!(Adjuster::Avro.adjust(name), "_9we_ird.server1.a_b___u");
        assert_eq!(Adjuster::AvroUnicode.adjust(name), "_u0039we_u002dird.server1.a_u0020b_u0020_u00e9_u005fu");
        assert_eq!(Adjuster::of(Some("AVRO")), Some(Adjuster::Avro));
        assert_eq!(Adjuster::of(Some("zzz")), None);
    }
}
