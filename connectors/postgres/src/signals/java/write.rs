//! Writes keys as Java's `ObjectOutputStream` does, with its references to what was written before.

use std::collections::HashMap;

use num_bigint::{BigInt, Sign};

use super::{ARRAY, BLOCK, BLOCK_END, CLASS, FIRST_HANDLE, NULL, OBJECT, OWN_METHOD, PLAIN, REFERENCE, STRING};
use crate::signals::key::{Class, Part, micros};

/// The stored form of a key, or of none.
pub fn write(key: Option<&[Part]>) -> String {
    let mut out = Writer { bytes: vec![0xac, 0xed, 0, 5], handles: 0, known: HashMap::new() };
    match key {
        None => out.bytes.push(NULL),
        Some(key) => {
            out.bytes.push(ARRAY);
            out.class("[Ljava.lang.Object;", 0x90ce_589f_1073_296c, PLAIN, &[], &[]);
            out.handles += 1;
            out.int(i32::try_from(key.len()).unwrap_or(0));
            for part in key {
                out.part(part);
            }
        }
    }
    out.bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

type FieldOf<'a> = (u8, &'a str, Option<&'a str>);

/// A class without fields that others are of.
type ParentOf<'a> = (&'a str, u64, u8);
const NUMBER: ParentOf<'static> = ("java.lang.Number", 0x86ac_951d_0b94_e08b, PLAIN);
const DATE: ParentOf<'static> = ("java.util.Date", 0x686a_8101_4b59_7419, OWN_METHOD);

struct Writer {
    bytes: Vec<u8>,
    /// Handles given so far; what comes again is a reference.
    handles: u32,
    known: HashMap<String, u32>,
}

impl Writer {
    fn int(&mut self, value: i32) {
        self.bytes.extend(value.to_be_bytes());
    }

    fn utf(&mut self, text: &str) {
        // Java's own form of UTF-8 differs for zeros and for what lies beyond the first plane.
        let mut bytes = Vec::with_capacity(text.len());
        for unit in text.encode_utf16() {
            match unit {
                1..=0x7f => bytes.push(unit as u8),
                0 | 0x80..=0x7ff => bytes.extend([0xc0 | (unit >> 6) as u8, 0x80 | (unit & 0x3f) as u8]),
                _ => bytes.extend([
                    0xe0 | (unit >> 12) as u8,
                    0x80 | (unit >> 6 & 0x3f) as u8,
                    0x80 | (unit & 0x3f) as u8,
                ]),
            }
        }
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        self.bytes.extend(length.to_be_bytes());
        self.bytes.extend(&bytes[..length.into()]);
    }

    /// Gives the next handle to something; true when it had one, which is written instead.
    fn refers(&mut self, what: &str) -> bool {
        if let Some(handle) = self.known.get(what) {
            self.bytes.push(REFERENCE);
            self.bytes.extend((FIRST_HANDLE + handle).to_be_bytes());
            return true;
        }
        false
    }

    fn keep(&mut self, what: String) {
        self.known.insert(what, self.handles);
        self.handles += 1;
    }

    fn string(&mut self, text: &str) {
        self.bytes.push(STRING);
        self.utf(text);
        self.handles += 1;
    }

    fn class(&mut self, name: &str, uid: u64, flags: u8, fields: &[FieldOf<'_>], parents: &[ParentOf<'_>]) {
        let what = format!("class {name}");
        if self.refers(&what) {
            return;
        }
        self.bytes.push(CLASS);
        self.utf(name);
        self.bytes.extend(uid.to_be_bytes());
        self.keep(what);
        self.bytes.push(flags);
        self.bytes.extend(u16::try_from(fields.len()).unwrap_or(0).to_be_bytes());
        for (kind, name, class) in fields {
            self.bytes.push(*kind);
            self.utf(name);
            let Some(class) = class else { continue };
            let what = format!("type {class}");
            if !self.refers(&what) {
                self.bytes.push(STRING);
                self.utf(class);
                self.keep(what);
            }
        }
        self.bytes.push(BLOCK_END);
        match parents {
            [(name, uid, flags), rest @ ..] => self.class(name, *uid, *flags, &[], rest),
            [] => self.bytes.push(NULL),
        }
    }

    fn object(&mut self, name: &str, uid: u64, flags: u8, fields: &[FieldOf<'_>], parents: &[ParentOf<'_>]) {
        self.bytes.push(OBJECT);
        self.class(name, uid, flags, fields, parents);
        self.handles += 1;
    }

    fn boxed(&mut self, name: &str, uid: u64, kind: u8, parents: &[ParentOf<'_>], value: &[u8]) {
        self.object(name, uid, PLAIN, &[(kind, "value", None)], parents);
        self.bytes.extend(value);
    }

    fn part(&mut self, part: &Part) {
        let Some(text) = &part.text else { return self.bytes.push(NULL) };
        // Java has one object for each of these.
        let small = matches!(part.class, Class::Short | Class::Integer | Class::Long)
            && text.parse::<i64>().is_ok_and(|number| (-128..=127).contains(&number));
        let what = (small || part.class == Class::Boolean).then(|| format!("{:?} {text}", part.class));
        if what.as_ref().is_some_and(|what| self.refers(what)) {
            return;
        }
        if self.value(part.class, text).is_none() {
            self.string(text);
        } else if let Some(what) = what {
            self.known.insert(what, self.handles - 1);
        }
    }

    /// Writes a text as its class, unless it does not fit.
    fn value(&mut self, class: Class, text: &str) -> Option<()> {
        match class {
            Class::Boolean => {
                let value = u8::from(matches!(text, "t" | "true"));
                self.boxed("java.lang.Boolean", 0xcd20_7280_d59c_faee, b'Z', &[], &[value]);
            }
            Class::Short => {
                let value: i16 = text.parse().ok()?;
                self.boxed("java.lang.Short", 0x684d_3713_3460_da52, b'S', &[NUMBER], &value.to_be_bytes());
            }
            Class::Integer => {
                let value: i32 = text.parse().ok()?;
                self.boxed("java.lang.Integer", 0x12e2_a0a4_f781_8738, b'I', &[NUMBER], &value.to_be_bytes());
            }
            Class::Long => {
                let value: i64 = text.parse().ok()?;
                self.boxed("java.lang.Long", 0x3b8b_e490_cc8f_23df, b'J', &[NUMBER], &value.to_be_bytes());
            }
            Class::Float => {
                let value: f32 = text.parse().ok()?;
                self.boxed("java.lang.Float", 0xdaed_c9a2_db3c_f0ec, b'F', &[NUMBER], &value.to_be_bytes());
            }
            Class::Double => {
                let value: f64 = text.parse().ok()?;
                self.boxed("java.lang.Double", 0x80b3_c24a_296b_fb04, b'D', &[NUMBER], &value.to_be_bytes());
            }
            Class::Decimal => self.decimal(text)?,
            Class::Uuid => {
                let (most, least) = uuid::Uuid::parse_str(text).ok()?.as_u64_pair();
                let fields: [FieldOf<'_>; 2] = [(b'J', "leastSigBits", None), (b'J', "mostSigBits", None)];
                self.object("java.util.UUID", 0xbc99_03f7_986d_852f, PLAIN, &fields, &[]);
                self.bytes.extend(least.to_be_bytes());
                self.bytes.extend(most.to_be_bytes());
            }
            Class::Date => {
                let us = micros(&format!("{text} 00:00:00"))?;
                self.object("java.sql.Date", 0x14fa_4668_3f35_6697, PLAIN, &[], &[DATE]);
                self.millis(us.div_euclid(1000));
            }
            Class::Timestamp => {
                let us = micros(text)?;
                self.object("java.sql.Timestamp", 0x2618_d5c8_0153_bf65, PLAIN, &[(b'I', "nanos", None)], &[DATE]);
                self.millis(us.div_euclid(1_000_000) * 1000);
                self.int(i32::try_from(us.rem_euclid(1_000_000) * 1000).ok()?);
            }
            Class::String => return None,
        }
        Some(())
    }

    /// The own data of a date.
    fn millis(&mut self, ms: i64) {
        self.bytes.extend([BLOCK, 8]);
        self.bytes.extend(ms.to_be_bytes());
        self.bytes.push(BLOCK_END);
    }

    fn decimal(&mut self, text: &str) -> Option<()> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let unscaled: BigInt = format!("{whole}{fraction}").parse().ok()?;
        let scale = i32::try_from(fraction.len()).ok()?;
        let fields: [FieldOf<'_>; 2] = [(b'I', "scale", None), (b'L', "intVal", Some("Ljava/math/BigInteger;"))];
        self.object("java.math.BigDecimal", 0x54c7_1557_f981_284f, OWN_METHOD, &fields, &[NUMBER]);
        self.int(scale);
        let fields: [FieldOf<'_>; 6] = [
            (b'I', "bitCount", None),
            (b'I', "bitLength", None),
            (b'I', "firstNonzeroByteNum", None),
            (b'I', "lowestSetBit", None),
            (b'I', "signum", None),
            (b'[', "magnitude", Some("[B")),
        ];
        self.object("java.math.BigInteger", 0x8cfc_9f1f_a93b_fb1d, OWN_METHOD, &fields, &[NUMBER]);
        let (sign, magnitude) = unscaled.to_bytes_be();
        let (signum, magnitude) = match sign {
            Sign::Minus => (-1, magnitude),
            Sign::NoSign => (0, Vec::new()),
            Sign::Plus => (1, magnitude),
        };
        for number in [-1, -1, -2, -2, signum] {
            self.int(number);
        }
        self.bytes.push(ARRAY);
        self.class("[B", 0xacf3_17f8_0608_54e0, PLAIN, &[], &[]);
        self.handles += 1;
        self.int(i32::try_from(magnitude.len()).ok()?);
        self.bytes.extend(magnitude);
        self.bytes.extend([BLOCK_END, BLOCK_END]);
        Some(())
    }
}
