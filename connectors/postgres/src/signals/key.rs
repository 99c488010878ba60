//! Keys of rows, as chunks begin and end at them: the server's own text of each column, with the Java class that the
//! reference would hold it in, because that is how they are stored in offsets.

use connect_api::java::text;

use crate::times;

/// Java's class of a column of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Boolean,
    Short,
    Integer,
    Long,
    Float,
    Double,
    Decimal,
    Uuid,
    /// `java.sql.Date`.
    Date,
    /// `java.sql.Timestamp`.
    Timestamp,
    String,
}

impl Class {
    /// The class of a type, by its object id.
    pub fn of(type_oid: u32) -> Self {
        match type_oid {
            16 => Self::Boolean,
            20 | 26 => Self::Long,
            21 | 23 => Self::Integer,
            700 => Self::Float,
            701 => Self::Double,
            1082 => Self::Date,
            1114 | 1184 => Self::Timestamp,
            1700 => Self::Decimal,
            2950 => Self::Uuid,
            _ => Self::String,
        }
    }
}

/// One column of a key; no text is null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub class: Class,
    pub text: Option<String>,
}

/// The key of a row.
pub type Key = Vec<Part>;

/// The key as notifications show it.
pub fn display(key: &[Part]) -> String {
    key.iter()
        .map(|part| part.text.as_deref().map_or_else(|| "<null>".to_owned(), |text| java_text(part.class, text)))
        .collect::<Vec<_>>()
        .join(",")
}

fn java_text(class: Class, text: &str) -> String {
    let double = |text: &str| text.parse().ok().map(text::double);
    let float = |text: &str| text.parse().ok().map(text::float);
    let shown = match class {
        Class::Boolean => Some(matches!(text, "t" | "true").to_string()),
        Class::Double => double(text),
        Class::Float => float(text),
        Class::Timestamp => micros(text).map(|us| timestamp_text(us.into())),
        _ => None,
    };
    shown.unwrap_or_else(|| text.to_owned())
}

/// Microseconds since 1970 of a timestamp's text; `None` for what Java has no instant for.
pub fn micros(text: &str) -> Option<i64> {
    match times::timestamp(text.as_bytes())? {
        times::Instant::At(us) => i64::try_from(us).ok(),
        _ => None,
    }
}

/// A timestamp as Java shows it, in UTC; the server reads the same.
pub fn timestamp_text(us: i128) -> String {
    times::iso_timestamp(us, 1).replacen('T', " ", 1).trim_end_matches('Z').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_look_as_java_shows_them() {
        let part = |oid, text: Option<&str>| Part { class: Class::of(oid), text: text.map(str::to_owned) };
        let key = [part(23, Some("7")), part(16, Some("t")), part(701, Some("1")), part(25, None)];
        assert_eq!(display(&key), "7,true,1.0,<null>");
        let times = [
            part(1114, Some("2024-01-01 01:02:03")),
            part(1184, Some("2024-01-01 01:02:03.45+00")),
            part(1082, Some("2024-01-06")),
        ];
        assert_eq!(display(&times), "2024-01-01 01:02:03.0,2024-01-01 01:02:03.45,2024-01-06");
    }
}
