//! Keys in Java's serialized form, in hexadecimal: what the reference stores of an incremental snapshot in offsets
//! (`Object[]` of the boxes of its columns), so that a worker of either kind goes on with the other's chunk.

use num_bigint::{BigInt, Sign};

use crate::signals::key::{Class, Key, Part};

const NULL: u8 = 0x70;
const REFERENCE: u8 = 0x71;
const CLASS: u8 = 0x72;
const OBJECT: u8 = 0x73;
const STRING: u8 = 0x74;
const ARRAY: u8 = 0x75;
const BLOCK_END: u8 = 0x78;
const FIRST_HANDLE: u32 = 0x7e_0000;
/// Flags of a class: it can be serialized, and it has a method of its own for that.
const PLAIN: u8 = 2;
const OWN_METHOD: u8 = 3;

/// The stored form of a key, or of none.
pub fn write(key: Option<&[Part]>) -> String {
    let mut out = Writer(vec![0xac, 0xed, 0, 5]);
    match key {
        None => out.0.push(NULL),
        Some(key) => {
            out.0.push(ARRAY);
            out.class("[Ljava.lang.Object;", 0x90ce_589f_1073_296c, PLAIN, &[], None);
            out.int(i32::try_from(key.len()).unwrap_or(0));
            for part in key {
                out.part(part);
            }
        }
    }
    out.0.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// Reads a stored key; `None` in the second place when it holds what can't be read, such as another class.
pub fn read(text: &str) -> Option<Option<Key>> {
    let digits = text.as_bytes().chunks(2);
    let bytes: Vec<u8> =
        digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect::<Option<_>>()?;
    let rest = bytes.strip_prefix(&[0xac, 0xed, 0, 5])?;
    let mut reader = Reader { rest, handles: Vec::new() };
    match reader.value()? {
        Node::Null => Some(None),
        Node::Array(items) => items.iter().map(Node::part).collect::<Option<Key>>().map(Some),
        _ => None,
    }
}

type FieldOf<'a> = (u8, &'a str, Option<&'a str>);
const NUMBER: (&str, u64) = ("java.lang.Number", 0x86ac_951d_0b94_e08b);

struct Writer(Vec<u8>);

impl Writer {
    fn int(&mut self, value: i32) {
        self.0.extend(value.to_be_bytes());
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
        self.0.extend(length.to_be_bytes());
        self.0.extend(&bytes[..length.into()]);
    }

    fn string(&mut self, text: &str) {
        self.0.push(STRING);
        self.utf(text);
    }

    fn class(&mut self, name: &str, uid: u64, flags: u8, fields: &[FieldOf<'_>], parent: Option<(&str, u64)>) {
        self.0.push(CLASS);
        self.utf(name);
        self.0.extend(uid.to_be_bytes());
        self.0.push(flags);
        self.0.extend(u16::try_from(fields.len()).unwrap_or(0).to_be_bytes());
        for (kind, name, class) in fields {
            self.0.push(*kind);
            self.utf(name);
            if let Some(class) = class {
                self.string(class);
            }
        }
        self.0.push(BLOCK_END);
        match parent {
            Some((name, uid)) => self.class(name, uid, PLAIN, &[], None),
            None => self.0.push(NULL),
        }
    }

    fn boxed(&mut self, name: &str, uid: u64, kind: u8, parent: Option<(&str, u64)>, value: &[u8]) {
        self.0.push(OBJECT);
        self.class(name, uid, PLAIN, &[(kind, "value", None)], parent);
        self.0.extend(value);
    }

    fn part(&mut self, part: &Part) {
        let Some(text) = &part.text else { return self.0.push(NULL) };
        if self.number(part.class, text).is_none() {
            self.string(text);
        }
    }

    /// Writes a text as its class, unless it does not fit.
    fn number(&mut self, class: Class, text: &str) -> Option<()> {
        match class {
            Class::Boolean => {
                let value = u8::from(matches!(text, "t" | "true"));
                self.boxed("java.lang.Boolean", 0xcd20_7280_d59c_faee, b'Z', None, &[value]);
            }
            Class::Short => {
                let value: i16 = text.parse().ok()?;
                self.boxed("java.lang.Short", 0x684d_3713_3460_da52, b'S', Some(NUMBER), &value.to_be_bytes());
            }
            Class::Integer => {
                let value: i32 = text.parse().ok()?;
                self.boxed("java.lang.Integer", 0x12e2_a0a4_f781_8738, b'I', Some(NUMBER), &value.to_be_bytes());
            }
            Class::Long => {
                let value: i64 = text.parse().ok()?;
                self.boxed("java.lang.Long", 0x3b8b_e490_cc8f_23df, b'J', Some(NUMBER), &value.to_be_bytes());
            }
            Class::Float => {
                let value: f32 = text.parse().ok()?;
                self.boxed("java.lang.Float", 0xdaed_c9a2_db3c_f0ec, b'F', Some(NUMBER), &value.to_be_bytes());
            }
            Class::Double => {
                let value: f64 = text.parse().ok()?;
                self.boxed("java.lang.Double", 0x80b3_c24a_296b_fb04, b'D', Some(NUMBER), &value.to_be_bytes());
            }
            Class::Decimal => self.decimal(text)?,
            Class::Uuid => {
                let (most, least) = uuid::Uuid::parse_str(text).ok()?.as_u64_pair();
                self.0.push(OBJECT);
                let fields: [FieldOf<'_>; 2] = [(b'J', "leastSigBits", None), (b'J', "mostSigBits", None)];
                self.class("java.util.UUID", 0xbc99_03f7_986d_852f, PLAIN, &fields, None);
                self.0.extend(least.to_be_bytes());
                self.0.extend(most.to_be_bytes());
            }
            Class::String => return None,
        }
        Some(())
    }

    fn decimal(&mut self, text: &str) -> Option<()> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let unscaled: BigInt = format!("{whole}{fraction}").parse().ok()?;
        let scale = i32::try_from(fraction.len()).ok()?;
        self.0.push(OBJECT);
        let fields: [FieldOf<'_>; 2] = [(b'I', "scale", None), (b'L', "intVal", Some("Ljava/math/BigInteger;"))];
        self.class("java.math.BigDecimal", 0x54c7_1557_f981_284f, OWN_METHOD, &fields, Some(NUMBER));
        self.int(scale);
        self.0.push(OBJECT);
        let fields: [FieldOf<'_>; 6] = [
            (b'I', "bitCount", None),
            (b'I', "bitLength", None),
            (b'I', "firstNonzeroByteNum", None),
            (b'I', "lowestSetBit", None),
            (b'I', "signum", None),
            (b'[', "magnitude", Some("[B")),
        ];
        self.class("java.math.BigInteger", 0x8cfc_9f1f_a93b_fb1d, OWN_METHOD, &fields, Some(NUMBER));
        let (sign, magnitude) = unscaled.to_bytes_be();
        let (signum, magnitude) = match sign {
            Sign::Minus => (-1, magnitude),
            Sign::NoSign => (0, Vec::new()),
            Sign::Plus => (1, magnitude),
        };
        for number in [-1, -1, -2, -2, signum] {
            self.int(number);
        }
        self.0.push(ARRAY);
        self.class("[B", 0xacf3_17f8_0608_54e0, PLAIN, &[], None);
        self.int(i32::try_from(magnitude.len()).ok()?);
        self.0.extend(magnitude);
        self.0.extend([BLOCK_END, BLOCK_END]);
        Some(())
    }
}

/// A class that was described in the stream.
#[derive(Clone, Debug)]
struct Described {
    name: String,
    flags: u8,
    fields: Vec<(u8, String)>,
    parent: Option<Box<Described>>,
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
        let bytes = self.rest.split_off(..length)?;
        Some(connect_api::java::utf8::decode(bytes))
    }

    fn keep(&mut self, node: Node) -> usize {
        self.handles.push(node);
        self.handles.len() - 1
    }

    fn reference(&mut self) -> Option<Node> {
        let handle = u32::try_from(self.bits(4)?).ok()?.checked_sub(FIRST_HANDLE)?;
        self.handles.get(usize::try_from(handle).ok()?).cloned()
    }

    fn class(&mut self) -> Option<Option<Described>> {
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
        self.handles[place] = Node::Class(class.clone());
        Some(Some(class))
    }

    fn value(&mut self) -> Option<Node> {
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
        // Classes with data of their own beyond their fields are not among those that are known.
        if class.flags == OWN_METHOD && self.byte()? != BLOCK_END {
            return None;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(class: Class, text: &str) -> Part {
        Part { class, text: Some(text.to_owned()) }
    }

    #[test]
    fn an_integer_is_what_java_writes() {
        // new Object[]{10} and null, by ObjectOutputStream.
        let written = write(Some(&[part(Class::Integer, "10")]));
        assert_eq!(
            written,
            "ACED0005757200135B4C6A6176612E6C616E672E4F626A6563743B90CE589F1073296C020000787000000001737200116A6176612E6C616E\
             672E496E746567657212E2A0A4F781873802000149000576616C7565787200106A6176612E6C616E672E4E756D62657286AC951D0B94E08B\
             02000078700000000A"
        );
        assert_eq!(write(None), "ACED000570");
        assert_eq!(read("ACED000570"), Some(None));
    }

    #[test]
    fn references_of_java_are_followed() {
        // new Object[]{1, 2}: the second box refers to the class of the first.
        let text = "ACED0005757200135B4C6A6176612E6C616E672E4F626A6563743B90CE589F1073296C020000787000000002737200116A6176612E6C616E\
                    672E496E746567657212E2A0A4F781873802000149000576616C7565787200106A6176612E6C616E672E4E756D62657286AC951D0B94E08B\
                    0200007870000000017371007E000200000002";
        assert_eq!(read(text), Some(Some(vec![part(Class::Integer, "1"), part(Class::Integer, "2")])));
    }

    #[test]
    fn all_classes_come_back() {
        let key = vec![
            part(Class::Boolean, "true"),
            part(Class::Short, "-3"),
            part(Class::Integer, "-10"),
            part(Class::Long, "9007199254740993"),
            part(Class::Double, "1.5"),
            part(Class::Float, "0.25"),
            part(Class::Decimal, "-123.450"),
            part(Class::Decimal, "0"),
            part(Class::Uuid, "f47ac10b-58cc-4372-a567-0e02b2c3d479"),
            part(Class::String, "naïve 😀"),
            Part { class: Class::String, text: None },
        ];
        assert_eq!(read(&write(Some(&key))), Some(Some(key)));
    }

    #[test]
    fn other_texts_are_not_read() {
        for text in ["", "AC", "zz", "ACED000574", "ACED00057500"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
