//! Keys in Java's serialized form, in hexadecimal: what the reference stores of an incremental snapshot in offsets
//! (`Object[]` of the boxes of its columns), so that a worker of either kind goes on with the other's chunk.

use std::collections::HashMap;

use num_bigint::{BigInt, Sign};

use crate::signals::key::{Class, Key, Part, micros, timestamp_text};

const NULL: u8 = 0x70;
const REFERENCE: u8 = 0x71;
const CLASS: u8 = 0x72;
const OBJECT: u8 = 0x73;
const STRING: u8 = 0x74;
const ARRAY: u8 = 0x75;
const BLOCK: u8 = 0x77;
const BLOCK_END: u8 = 0x78;
const FIRST_HANDLE: u32 = 0x7e_0000;
/// Flags of a class: it can be serialized, and it has a method of its own for that.
const PLAIN: u8 = 2;
const OWN_METHOD: u8 = 3;

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

/// The longest text that is read, the deepest nesting, and how much references may repeat: a stored offset may be anything,
/// and a few bytes of it must not become a lot.
const TEXT_MAX: usize = 64 * 1024;
const DEPTH_MAX: usize = 8;
const REPEATED_MAX: usize = 1024 * 1024;

/// Reads a stored key; `None` in the first place when it holds what can't be read, such as another class.
pub fn read(text: &str) -> Option<Option<Key>> {
    if text.len() > TEXT_MAX {
        return None;
    }
    let digits = text.as_bytes().chunks(2);
    let bytes: Vec<u8> =
        digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect::<Option<_>>()?;
    let rest = bytes.strip_prefix(&[0xac, 0xed, 0, 5])?;
    let mut reader = Reader { rest, handles: Vec::new(), depth: 0, repeated: 0 };
    match reader.value()? {
        Node::Null => Some(None),
        Node::Array(items) => items.iter().map(Node::part).collect::<Option<Key>>().map(Some),
        _ => None,
    }
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

/// Stands for the name of a field, for what a class writes beyond its fields.
const OWN_DATA: &str = "(own data)";

/// A class that was described in the stream.
#[derive(Clone, Debug)]
struct Described {
    name: String,
    flags: u8,
    fields: Vec<(u8, String)>,
    parent: Option<Box<Described>>,
}

impl Described {
    fn generations(&self) -> usize {
        1 + self.parent.as_ref().map_or(0, |parent| parent.generations())
    }

    fn size(&self) -> usize {
        let own: usize = self.fields.iter().map(|(_, name)| name.len()).sum();
        self.name.len() + own + self.parent.as_ref().map_or(0, |parent| parent.size())
    }
}

/// What stands in the stream.
#[derive(Clone, Debug)]
enum Node {
    Null,
    Text(String),
    Array(Vec<Node>),
    Bytes(Vec<u8>),
    Object {
        class: String,
        fields: Vec<(String, Node)>,
    },
    Class(Described),
    /// A number of a field, in the bits of its type.
    Bits(u64),
    /// Not read to its end yet.
    Open,
}

impl Node {
    /// The bytes that a reference to it repeats; `None` where none may lead: nested, they would multiply.
    fn size(&self) -> Option<usize> {
        match self {
            Self::Text(text) => Some(text.len()),
            Self::Bytes(bytes) => Some(bytes.len()),
            Self::Class(class) => Some(class.size()),
            Self::Object { fields, .. } => fields
                .iter()
                .map(|(name, node)| match node {
                    Self::Object { .. } | Self::Array(_) | Self::Class(_) | Self::Open => None,
                    node => Some(name.len() + node.size()?),
                })
                .sum(),
            Self::Null | Self::Bits(_) => Some(8),
            Self::Array(_) | Self::Open => None,
        }
    }

    fn field(fields: &[(String, Node)], name: &str) -> Option<Node> {
        fields.iter().find(|(field, _)| field == name).map(|(_, node)| node.clone())
    }

    fn part(&self) -> Option<Part> {
        let of = |class, text| Some(Part { class, text: Some(text) });
        match self {
            Self::Null => Some(Part { class: Class::String, text: None }),
            Self::Text(text) => of(Class::String, text.clone()),
            Self::Object { class, fields } => {
                let bits = |name: &str| match Self::field(fields, name) {
                    Some(Self::Bits(bits)) => Some(bits),
                    _ => None,
                };
                match class.as_str() {
                    "java.lang.Boolean" => of(Class::Boolean, (bits("value")? != 0).to_string()),
                    "java.lang.Short" => of(Class::Short, (bits("value")? as i16).to_string()),
                    "java.lang.Integer" => of(Class::Integer, (bits("value")? as i32).to_string()),
                    "java.lang.Long" => of(Class::Long, bits("value")?.cast_signed().to_string()),
                    "java.lang.Float" => of(Class::Float, f32::from_bits(bits("value")? as u32).to_string()),
                    "java.lang.Double" => of(Class::Double, f64::from_bits(bits("value")?).to_string()),
                    "java.util.UUID" => {
                        let uuid = uuid::Uuid::from_u64_pair(bits("mostSigBits")?, bits("leastSigBits")?);
                        of(Class::Uuid, uuid.to_string())
                    }
                    "java.sql.Date" => {
                        let us = i128::from(bits(OWN_DATA)?.cast_signed()) * 1000;
                        of(Class::Date, timestamp_text(us).split_once(' ')?.0.to_owned())
                    }
                    "java.sql.Timestamp" => {
                        let us = i128::from(bits(OWN_DATA)?.cast_signed()) * 1000 + i128::from(bits("nanos")? / 1000);
                        of(Class::Timestamp, timestamp_text(us))
                    }
                    "java.math.BigDecimal" => {
                        let scale = bits("scale")? as i32;
                        let unscaled = Self::field(fields, "intVal")?.big_integer()?;
                        let mut text = String::new();
                        connect_api::java::text::write_decimal(&unscaled, scale, &mut text);
                        of(Class::Decimal, text)
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn big_integer(&self) -> Option<BigInt> {
        let Self::Object { fields, .. } = self else { return None };
        let (Self::Bits(signum), Self::Bytes(magnitude)) =
            (Self::field(fields, "signum")?, Self::field(fields, "magnitude")?)
        else {
            return None;
        };
        let sign = match signum as i32 {
            0 => Sign::NoSign,
            1 => Sign::Plus,
            _ => Sign::Minus,
        };
        Some(BigInt::from_bytes_be(sign, &magnitude))
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    handles: Vec<Node>,
    depth: usize,
    /// Bytes that references have repeated.
    repeated: usize,
}

impl Reader<'_> {
    fn bits(&mut self, bytes: usize) -> Option<u64> {
        let taken = self.rest.split_off(..bytes)?;
        Some(taken.iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte)))
    }

    fn byte(&mut self) -> Option<u8> {
        self.bits(1).map(|bits| bits as u8)
    }

    fn utf(&mut self) -> Option<String> {
        let length = usize::try_from(self.bits(2)?).ok()?;
        let mut bytes = self.rest.split_off(..length)?;
        let mut units = Vec::with_capacity(length);
        while let Some(&first) = bytes.split_off_first() {
            let mut more = || bytes.split_off_first().map(|byte| u16::from(byte & 0x3f));
            units.push(match first {
                0..=0x7f => u16::from(first),
                0xc0..=0xdf => u16::from(first & 0x1f) << 6 | more()?,
                _ => u16::from(first & 0x0f) << 12 | more()? << 6 | more()?,
            });
        }
        String::from_utf16(&units).ok()
    }

    fn keep(&mut self, node: Node) -> usize {
        self.handles.push(node);
        self.handles.len() - 1
    }

    fn reference(&mut self) -> Option<Node> {
        let handle = u32::try_from(self.bits(4)?).ok()?.checked_sub(FIRST_HANDLE)?;
        let node = self.handles.get(usize::try_from(handle).ok()?)?;
        self.repeated += node.size()?;
        (self.repeated <= REPEATED_MAX).then(|| node.clone())
    }

    /// Reads what is one level further down.
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if self.depth == DEPTH_MAX {
            return None;
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn class(&mut self) -> Option<Option<Described>> {
        self.deeper(Self::class_here)
    }

    fn value(&mut self) -> Option<Node> {
        self.deeper(Self::value_here)
    }

    fn class_here(&mut self) -> Option<Option<Described>> {
        match self.byte()? {
            NULL => return Some(None),
            REFERENCE => {
                return match self.reference()? {
                    Node::Class(class) => Some(Some(class)),
                    _ => None,
                };
            }
            CLASS => {}
            _ => return None,
        }
        let name = self.utf()?;
        self.bits(8)?;
        let place = self.keep(Node::Open);
        let flags = self.byte()?;
        let count = self.bits(2)?;
        let mut fields = Vec::new();
        for _ in 0..count {
            let kind = self.byte()?;
            let field = self.utf()?;
            if matches!(kind, b'L' | b'[') {
                self.value()?;
            }
            fields.push((kind, field));
        }
        if self.byte()? != BLOCK_END {
            return None;
        }
        let parent = self.class()?.map(Box::new);
        let class = Described { name, flags, fields, parent };
        if class.generations() > DEPTH_MAX {
            return None;
        }
        self.handles[place] = Node::Class(class.clone());
        Some(Some(class))
    }

    fn value_here(&mut self) -> Option<Node> {
        match self.byte()? {
            NULL => Some(Node::Null),
            REFERENCE => self.reference(),
            STRING => {
                let place = self.keep(Node::Open);
                let text = Node::Text(self.utf()?);
                self.handles[place] = text.clone();
                Some(text)
            }
            ARRAY => self.array(),
            OBJECT => self.object(),
            _ => None,
        }
    }

    fn array(&mut self) -> Option<Node> {
        let class = self.class()??;
        let place = self.keep(Node::Open);
        let length = usize::try_from(self.bits(4)?).ok()?;
        let array = match class.name.as_str() {
            "[B" => Node::Bytes(self.rest.split_off(..length)?.to_vec()),
            "[Ljava.lang.Object;" => Node::Array((0..length).map(|_| self.value()).collect::<Option<_>>()?),
            _ => return None,
        };
        self.handles[place] = array.clone();
        Some(array)
    }

    fn object(&mut self) -> Option<Node> {
        let class = self.class()??;
        let place = self.keep(Node::Open);
        let mut fields = Vec::new();
        self.fields(&class, &mut fields)?;
        let object = Node::Object { class: class.name, fields };
        self.handles[place] = object.clone();
        Some(object)
    }

    /// The fields of a class, those of its parents first.
    fn fields(&mut self, class: &Described, out: &mut Vec<(String, Node)>) -> Option<()> {
        if let Some(parent) = &class.parent {
            self.fields(parent, out)?;
        }
        for (kind, name) in &class.fields {
            let bytes = match kind {
                b'Z' | b'B' => 1,
                b'S' | b'C' => 2,
                b'I' | b'F' => 4,
                b'J' | b'D' => 8,
                _ => {
                    let value = self.value()?;
                    out.push((name.clone(), value));
                    continue;
                }
            };
            out.push((name.clone(), Node::Bits(self.bits(bytes)?)));
        }
        if class.flags != OWN_METHOD {
            return Some(());
        }
        match self.byte()? {
            BLOCK_END => Some(()),
            // A number of eight bytes, as dates have it.
            BLOCK if self.byte()? == 8 => {
                out.push((OWN_DATA.to_owned(), Node::Bits(self.bits(8)?)));
                (self.byte()? == BLOCK_END).then_some(())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(class: Class, text: &str) -> Part {
        Part { class, text: Some(text.to_owned()) }
    }

    /// `new Object[]{..}` by Java's ObjectOutputStream, with what [`KEY`] holds.
    const ALL: &str = "aced0005757200135b4c6a6176612e6c616e672e4f626a6563743b90ce589f1073296c020000787000000009\
        737200116a6176612e6c616e672e426f6f6c65616ecd207280d59cfaee0200015a000576616c7565787001\
        7372000f6a6176612e6c616e672e53686f7274684d37133460da5202000153000576616c7565787200106a6176612e6c616e672e4e756d62657286ac951d0b94e08b0200007870fffd\
        737200116a6176612e6c616e672e496e746567657212e2a0a4f781873802000149000576616c75657871007e0005fffffff6\
        7372000e6a6176612e6c616e672e4c6f6e673b8be490cc8f23df0200014a000576616c75657871007e00050020000000000001\
        737200106a6176612e6c616e672e446f75626c6580b3c24a296bfb0402000144000576616c75657871007e00053ff8000000000000\
        7372000f6a6176612e6c616e672e466c6f6174daedc9a2db3cf0ec02000146000576616c75657871007e00053e800000\
        737200146a6176612e6d6174682e426967446563696d616c54c71557f981284f0300024900057363616c654c0006696e7456616c7400164c6a6176612f6d6174682f426967496e74656765723b7871007e000500000003\
        737200146a6176612e6d6174682e426967496e74656765728cfc9f1fa93bfb1d030006490008626974436f756e744900096269744c656e67746849001366697273744e6f6e7a65726f427974654e756d49000c6c6f776573745365744269744900067369676e756d5b00096d61676e69747564657400025b427871007e0005fffffffffffffffffffffffefffffffeffffffff757200025b42acf317f8060854e002000078700000000301e23a7878\
        7371007e000f000000007371007e0012fffffffffffffffffffffffefffffffe000000007571007e001500000000787870";

    fn all() -> Key {
        vec![
            part(Class::Boolean, "true"),
            part(Class::Short, "-3"),
            part(Class::Integer, "-10"),
            part(Class::Long, "9007199254740993"),
            part(Class::Double, "1.5"),
            part(Class::Float, "0.25"),
            part(Class::Decimal, "-123.450"),
            part(Class::Decimal, "0"),
            Part { class: Class::String, text: None },
        ]
    }

    #[test]
    fn keys_are_what_java_writes() {
        assert_eq!(write(Some(&all())), ALL);
        assert_eq!(read(ALL), Some(Some(all())));
        assert_eq!(write(None), "aced000570");
        assert_eq!(read("ACED000570"), Some(None));
    }

    #[test]
    fn what_comes_again_is_a_reference() {
        // new Object[]{1, 2}, and the same box twice.
        let head = "aced0005757200135b4c6a6176612e6c616e672e4f626a6563743b90ce589f1073296c020000787000000002737200116a6176612e6c616e\
                    672e496e746567657212e2a0a4f781873802000149000576616c7565787200106a6176612e6c616e672e4e756d62657286ac951d0b94e08b\
                    020000787000000001";
        for (second, rest) in [("2", "7371007e000200000002"), ("1", "71007e0004")] {
            let key = vec![part(Class::Integer, "1"), part(Class::Integer, second)];
            assert_eq!(write(Some(&key)), format!("{head}{rest}"));
            assert_eq!(read(&format!("{head}{rest}")), Some(Some(key)));
        }
    }

    #[test]
    fn times_are_what_java_writes() {
        let key = vec![part(Class::Timestamp, "2024-01-01 01:02:03.456789"), part(Class::Date, "2024-01-06")];
        let written = write(Some(&key));
        let java = "737200126a6176612e73716c2e54696d657374616d702618d5c80153bf650200014900056e616e6f737872000e6a6176612e7574696c2e44\
                    617465686a81014b597419030000787077080000018cc28ac2f8781b3a0c087372000d6a6176612e73716c2e4461746514fa46683f35669702\
                    00007871007e000377080000018cdc11c00078";
        assert!(written.ends_with(java), "{written}");
        assert_eq!(read(&written), Some(Some(key)));
    }

    #[test]
    fn texts_and_ids_come_back() {
        let key = vec![
            part(Class::Uuid, "f47ac10b-58cc-4372-a567-0e02b2c3d479"),
            part(Class::String, "naïve 😀"),
            part(Class::String, "\u{0}"),
        ];
        assert_eq!(read(&write(Some(&key))), Some(Some(key)));
        // What does not fit its class is text.
        let odd = vec![part(Class::Timestamp, "infinity"), part(Class::Decimal, "NaN")];
        let text = odd.iter().map(|part| Part { class: Class::String, text: part.text.clone() }).collect();
        assert_eq!(read(&write(Some(&odd))), Some(Some(text)));
    }

    #[test]
    fn a_hostile_text_is_refused_soon() {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let head = hex(&[0xac, 0xed, 0, 5]);
        let array = "757200135b4c6a6176612e6c616e672e4f626a6563743b90ce589f1073296c0200007870";
        let again = "7571007e0000";
        let one = "00000001";
        let two = "00000002";
        // Arrays in arrays, by the thousand.
        let deep = format!("{head}{array}{one}{}", format!("{again}{one}").repeat(2000));
        assert_eq!(read(&deep), None);
        // Each array holds the one before twice: 2 to the power of the number of arrays.
        let mut doubling = format!("{head}{array}{:08x}{again}{one}70", 59);
        for place in 2..60_u32 {
            doubling.push_str(&format!("{again}{two}{0}{0}", format!("71{:08x}", FIRST_HANDLE + place)));
        }
        assert_eq!(read(&doubling), None);
        // Classes of classes.
        assert_eq!(
            read(&format!("{head}73{}", "7200014100000000000000000200007870".replace("7870", "78").repeat(1000))),
            None
        );
        // Longer than a key is.
        let long = vec![part(Class::String, &"a".repeat(40_000))];
        assert_eq!(read(&write(Some(&long))), None);
    }

    #[test]
    fn other_texts_are_not_read() {
        for text in ["", "AC", "zz", "ACED000574", "ACED00057500"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
