//! A column's type as the reference knows it: a name, a length and a scale, which the Java driver tells in snapshots and the
//! reference works out for itself in streams.

use crate::types::{TypeInfo, Types};

const UNKNOWN: i32 = i32::MAX;

/// The declared type of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    pub type_name: String,
    /// -1 is none.
    pub length: i32,
    pub scale: Option<i32>,
    /// A text to JDBC: these can be masked.
    pub is_text: bool,
}

/// The type of an array's elements, for those that the driver knows by itself; any other type is itself.
fn element_of_known_array(oid: u32) -> u32 {
    match oid {
        1000 => 16,
        1001 => 17,
        1002 => 18,
        1003 => 19,
        1005 => 21,
        1007 => 23,
        1009 => 25,
        1014 => 1042,
        1015 => 1043,
        1016 => 20,
        1021 => 700,
        1022 => 701,
        1028 => 26,
        1115 => 1114,
        1182 => 1082,
        1183 => 1083,
        1185 => 1184,
        1231 => 1700,
        1270 => 1266,
        1561 => 1560,
        other => other,
    }
}

/// Digits of a second's fraction with their point, as the driver counts them.
fn fraction(typmod: i32) -> i32 {
    match typmod {
        -1 => 7,
        0 => 0,
        1 => 3,
        digits => digits + 1,
    }
}

fn precision(oid: u32, typmod: i32) -> i32 {
    match element_of_known_array(oid) {
        21 => 5,
        23 | 26 => 10,
        20 => 19,
        700 => 8,
        701 => 17,
        1700 if typmod == -1 => 0,
        1700 => (typmod - 4) >> 16,
        16 | 18 => 1,
        1042 | 1043 | 1562 if typmod == -1 => UNKNOWN,
        1042 | 1043 => typmod - 4,
        1560 | 1562 => typmod,
        time @ (1082 | 1083 | 1114 | 1184 | 1186 | 1266) => display_size(time, typmod),
        _ => UNKNOWN,
    }
}

fn display_size(oid: u32, typmod: i32) -> i32 {
    match element_of_known_array(oid) {
        21 => 6,
        23 => 11,
        26 => 10,
        20 => 20,
        700 => 15,
        701 => 25,
        16 | 18 => 1,
        1082 => 13,
        1083 => 8 + fraction(typmod),
        1266 => 8 + fraction(typmod) + 6,
        1114 => 13 + 1 + 8 + fraction(typmod),
        1184 => 13 + 1 + 8 + fraction(typmod) + 6,
        1186 => 49,
        1042 | 1043 | 1562 if typmod == -1 => UNKNOWN,
        1042 | 1043 => typmod - 4,
        1560 | 1562 => typmod,
        1700 if typmod == -1 => 131_089,
        1700 => 1 + ((typmod - 4) >> 16) + i32::from((typmod - 4) & 0xffff != 0),
        _ => UNKNOWN,
    }
}

fn scale(oid: u32, typmod: i32) -> i32 {
    match element_of_known_array(oid) {
        700 => 8,
        701 => 17,
        1700 if typmod == -1 => 0,
        1700 => (typmod - 4) & 0xffff,
        1083 | 1114 | 1184 | 1186 | 1266 if typmod == -1 => 6,
        1083 | 1114 | 1184 | 1266 => typmod,
        1186 => typmod & 0xffff,
        _ => 0,
    }
}

fn or_display_size(precision: i32, oid: u32, typmod: i32) -> i32 {
    if precision == 0 { display_size(oid, typmod) } else { precision }
}

/// Length of a type without a modifier of the column; a domain has its own modifier, or is as its base.
fn default_length(oid: u32, types: &Types) -> i32 {
    let Some((base, typmod)) = types.get(&oid).and_then(|info| info.base) else {
        return or_display_size(precision(oid, -1), oid, -1);
    };
    if typmod == -1 {
        return default_length(base, types);
    }
    match or_display_size(precision(base, typmod), base, typmod) {
        0 => UNKNOWN,
        size => size,
    }
}

fn default_scale(oid: u32, types: &Types) -> i32 {
    match types.get(&oid).and_then(|info| info.base) {
        None => scale(oid, -1),
        Some((base, -1)) => default_scale(base, types),
        Some((base, typmod)) => scale(base, typmod),
    }
}

/// The type that a domain is of in the end.
fn root(oid: u32, types: &Types) -> u32 {
    let mut oid = oid;
    while let Some((base, _)) = types.get(&oid).and_then(|info| info.base) {
        oid = base;
    }
    oid
}

fn is_text(oid: u32, types: &Types) -> bool {
    let root = root(oid, types);
    // "char", name, text, bpchar, varchar, and all enums.
    matches!(root, 18 | 19 | 25 | 1042 | 1043) || types.get(&root).is_some_and(|info| info.kind == b'e')
}

/// The type's name as the driver tells it.
fn jdbc_name(info: &TypeInfo, default: Option<&str>) -> String {
    if default.is_some_and(|text| text.contains("nextval(")) {
        match info.oid {
            21 => return "smallserial".to_owned(),
            23 => return "serial".to_owned(),
            20 => return "bigserial".to_owned(),
            _ => {}
        }
    }
    match &info.hidden_in {
        Some(schema) => format!("\"{schema}\".\"{}\"", info.name),
        None => info.name.clone(),
    }
}

impl Declared {
    /// As the driver describes the columns of a table, for snapshots.
    pub fn by_driver(oid: u32, typmod: i32, default: Option<&str>, types: &Types) -> Self {
        let info = types.get(&oid);
        let (length, scale) = match info {
            Some(info) if info.kind == b'd' => (default_length(oid, types), Some(default_scale(oid, types))),
            // A numeric without bounds has neither.
            _ if oid == 1700 => (precision(oid, typmod), (typmod != -1).then(|| scale(oid, typmod))),
            _ => (or_display_size(precision(oid, typmod), oid, typmod), Some(scale(oid, typmod))),
        };
        let type_name = info.map_or_else(String::new, |info| jdbc_name(info, default));
        Self { type_name, length, scale, is_text: is_text(oid, types) }
    }

    /// As the reference makes it of a relation in the stream.
    pub fn by_relation(oid: u32, typmod: i32, types: &Types) -> Self {
        let (length, scale) = if typmod == -1 {
            (default_length(oid, types), default_scale(oid, types))
        } else {
            (precision(oid, typmod), scale(oid, typmod))
        };
        let type_name = types.get(&oid).map_or_else(String::new, |info| info.name.clone());
        Self { type_name, length, scale: Some(scale), is_text: is_text(oid, types) }
    }

    /// True when values may be longer than this.
    pub fn may_exceed(&self, length: usize) -> bool {
        usize::try_from(self.length).map_or(true, |own| own > length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types() -> Types {
        let plain = |oid, name: &str| TypeInfo { oid, name: name.into(), kind: b'b', ..TypeInfo::default() };
        let price = TypeInfo { kind: b'd', base: Some((1700, (8 << 16 | 3) + 4)), ..plain(20_000, "price") };
        let nested = TypeInfo { kind: b'd', base: Some((20_000, -1)), ..plain(20_001, "nested") };
        let code = TypeInfo { kind: b'd', base: Some((1043, 12)), ..plain(20_002, "code") };
        let mood =
            TypeInfo { kind: b'e', hidden_in: Some("other".into()), labels: vec!["a".into()], ..plain(20_003, "mood") };
        let own = [price, nested, code, mood];
        let known =
            [(23, "int4"), (25, "text"), (1700, "numeric"), (1114, "timestamp"), (1007, "_int4"), (700, "float4")];
        let known = known.iter().map(|(oid, name)| plain(*oid, name));
        known.chain(own).map(|info| (info.oid, info)).collect()
    }

    #[test]
    fn lengths_and_scales_are_those_of_the_driver() {
        let types = types();
        for (oid, typmod, snapshot, stream) in [
            (23, -1, (10, Some(0)), (10, Some(0))),
            (25, -1, (i32::MAX, Some(0)), (i32::MAX, Some(0))),
            (1700, (10 << 16 | 3) + 4, (10, Some(3)), (10, Some(3))),
            (1700, -1, (0, None), (131_089, Some(0))),
            (1114, 3, (26, Some(3)), (26, Some(3))),
            (1114, -1, (29, Some(6)), (29, Some(6))),
            (1007, -1, (10, Some(0)), (10, Some(0))),
            (700, -1, (8, Some(8)), (8, Some(8))),
            (20_000, -1, (8, Some(3)), (8, Some(3))),
            (20_001, -1, (8, Some(3)), (8, Some(3))),
            (20_002, -1, (8, Some(0)), (8, Some(0))),
        ] {
            let driver = Declared::by_driver(oid, typmod, None, &types);
            assert_eq!((driver.length, driver.scale), snapshot, "snapshot of {oid}");
            let relation = Declared::by_relation(oid, typmod, &types);
            assert_eq!((relation.length, relation.scale), stream, "stream of {oid}");
        }
    }

    #[test]
    fn names_and_texts_are_told_apart() {
        let types = types();
        let name = |oid, default| Declared::by_driver(oid, -1, default, &types).type_name;
        assert_eq!(name(23, Some("nextval('s'::regclass)")), "serial");
        assert_eq!(name(23, Some("1")), "int4");
        assert_eq!(name(20_003, None), "\"other\".\"mood\"");
        assert_eq!(Declared::by_relation(20_003, -1, &types).type_name, "mood");
        let texts: Vec<u32> =
            [23, 25, 1700, 20_000, 20_002, 20_003].into_iter().filter(|&oid| is_text(oid, &types)).collect();
        assert_eq!(texts, [25, 20_002, 20_003]);
    }
}
