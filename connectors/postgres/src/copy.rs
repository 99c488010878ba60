//! Rows of `COPY .. TO STDOUT` in text format: columns between tabs, `\N` for null, backslash escapes.
//!
//! A column without a backslash is a slice of the frame; only those with one are copied.

use bytes::Bytes;

/// One column of a row: its unescaped bytes, and the buffer that they are a slice of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    Null,
    /// A range of the row's own buffer.
    Plain {
        start: usize,
        end: usize,
    },
    Unescaped(Bytes),
}

/// Splits a row into its columns; `columns` is cleared first and reused from row to row.
pub fn split(row: &Bytes, columns: &mut Vec<Column>) {
    columns.clear();
    let line = row.strip_suffix(b"\n").unwrap_or(row);
    let mut start = 0;
    let mut escaped = false;
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'\t', b'\\', &line[at..]) {
        let place = at + found;
        if line[place] == b'\\' {
            escaped = true;
            // The escaped character is never a column's end.
            at = (place + 2).min(line.len());
            continue;
        }
        columns.push(column(line, start, place, escaped));
        start = place + 1;
        at = start;
        escaped = false;
    }
    columns.push(column(line, start, line.len(), escaped));
}

fn column(line: &[u8], start: usize, end: usize, escaped: bool) -> Column {
    match &line[start..end] {
        b"\\N" => Column::Null,
        text if escaped => Column::Unescaped(unescape(text)),
        _ => Column::Plain { start, end },
    }
}

fn unescape(text: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        out.push(match bytes.next() {
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'v') => 11,
            Some(other) => other,
            None => b'\\',
        });
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(row: &'static [u8]) -> Vec<Option<Vec<u8>>> {
        let row = Bytes::from_static(row);
        let mut columns = Vec::new();
        split(&row, &mut columns);
        columns
            .into_iter()
            .map(|column| match column {
                Column::Null => None,
                Column::Plain { start, end } => Some(row[start..end].to_vec()),
                Column::Unescaped(bytes) => Some(bytes.to_vec()),
            })
            .collect()
    }

    #[test]
    fn columns_are_split_and_unescaped() {
        assert_eq!(
            texts(b"1\t\\N\ta\\tb\\\\\t\tlast\\n\n"),
            vec![Some(b"1".to_vec()), None, Some(b"a\tb\\".to_vec()), Some(vec![]), Some(b"last\n".to_vec())]
        );
        assert_eq!(texts(b"\n"), vec![Some(vec![])]);
        assert_eq!(texts(b"\\\\N\n"), vec![Some(b"\\N".to_vec())]);
    }

    proptest! {
        #[test]
        fn random_rows_never_panic(row: Vec<u8>) {
            let row = Bytes::from(row);
            let mut columns = Vec::new();
            split(&row, &mut columns);
            prop_assert!(!columns.is_empty());
        }
    }
}
