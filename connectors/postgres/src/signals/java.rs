//! Keys in Java's serialized form, in hexadecimal: what the reference stores of an incremental snapshot in offsets
//! (`Object[]` of the boxes of its columns), so that a worker of either kind goes on with the other's chunk.

mod node;
mod read;
mod write;

pub use read::read;
pub use write::write;

/// What stands before each thing in the stream, and the number of the first one that may come again.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals::key::{Class, Key, Part};

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
