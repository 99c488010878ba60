//! What a table's topic, schemas and fields are called.

use crate::catalog::TableName;
use crate::settings::{NameAdjustment, Settings};

/// The topic of a table: what Kafka does not allow becomes an underscore.
pub fn topic_name(name: &TableName, settings: &Settings) -> String {
    let delimiter = &settings.topic_delimiter;
    let topic = if settings.topic_per_schema {
        format!("{}{delimiter}{}{delimiter}{}", settings.prefix, name.schema, name.table)
    } else {
        format!("{}{delimiter}{}", settings.prefix, name.table)
    };
    topic.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' }).collect()
}

/// A name under `schema.name.adjustment.mode` or its counterpart for fields: fit for Avro, by underscores or by the
/// codes of characters. Full names keep their dots.
pub(super) fn adjusted(name: &str, mode: NameAdjustment, full: bool) -> String {
    if mode == NameAdjustment::None {
        return name.to_owned();
    }
    let mut out = String::with_capacity(name.len());
    for (at, c) in name.char_indices() {
        let fits = c.is_ascii_alphabetic() || c == '_' || (at > 0 && c.is_ascii_digit()) || (full && c == '.');
        match mode {
            NameAdjustment::AvroUnicode if !fits || c == '_' => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("_u{unit:04x}"));
                }
            }
            _ if fits => out.push(c),
            _ if c.is_ascii_digit() => {
                out.push('_');
                out.push(c);
            }
            _ => out.push('_'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_fit_as_recorded() {
        for (name, mode, full, wanted) in [
            ("p.Sch-ema.1.Ta_ble.Key", NameAdjustment::Avro, true, "p.Sch_ema.1.Ta_ble.Key"),
            ("1st", NameAdjustment::Avro, false, "_1st"),
            ("a.b", NameAdjustment::Avro, false, "a_b"),
            ("1st", NameAdjustment::AvroUnicode, false, "_u0031st"),
            ("Ta_ble", NameAdjustment::AvroUnicode, true, "Ta_u005fble"),
            ("a.b", NameAdjustment::None, false, "a.b"),
        ] {
            assert_eq!(adjusted(name, mode, full), wanted, "{name}");
        }
    }
}
