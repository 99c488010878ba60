//! `java.util.HashMap<byte[], byte[]>` in Java's serialization format: the file of `FileOffsetBackingStore`.
//!
//! Only what such a map needs is read; anything else in the stream is an error. Nothing here panics on bad input.

/// Key and value; either may be null.
pub(super) type Pair = (Option<Vec<u8>>, Option<Vec<u8>>);

/// A file that is no such map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a serialized map of offsets: {0}")]
pub(super) struct NotAMap(&'static str);

const MAGIC: [u8; 4] = [0xac, 0xed, 0, 5];
const NULL: u8 = 0x70;
const REFERENCE: u8 = 0x71;
const CLASS: u8 = 0x72;
const OBJECT: u8 = 0x73;
const ARRAY: u8 = 0x75;
const BLOCK: u8 = 0x77;
const END: u8 = 0x78;
const FIRST_HANDLE: u32 = 0x7e_0000;
/// The class of byte arrays comes third: after the map's class and the map itself.
const ARRAY_CLASS_HANDLE: u32 = FIRST_HANDLE + 2;

const MAP_UID: [u8; 8] = [0x05, 0x07, 0xda, 0xc1, 0xc3, 0x16, 0x60, 0xd1];
const ARRAY_UID: [u8; 8] = [0xac, 0xf3, 0x17, 0xf8, 0x06, 0x08, 0x54, 0xe0];
const SERIALIZABLE: u8 = 2;
const WITH_WRITE_METHOD: u8 = 3;
const LOAD_FACTOR: f32 = 0.75;

/// Writes a map.
pub(super) fn write(pairs: &[Pair]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend([OBJECT, CLASS]);
    put_text(&mut out, "java.util.HashMap");
    out.extend(MAP_UID);
    out.extend([WITH_WRITE_METHOD, 0, 2, b'F']);
    put_text(&mut out, "loadFactor");
    out.push(b'I');
    put_text(&mut out, "threshold");
    out.extend([END, NULL]);
    let size = u32::try_from(pairs.len()).unwrap_or(u32::MAX);
    let capacity =
        size.saturating_mul(4).div_euclid(3).saturating_add(1).checked_next_power_of_two().unwrap_or(1 << 30).max(16);
    out.extend(LOAD_FACTOR.to_be_bytes());
    out.extend((capacity / 4 * 3).to_be_bytes());
    out.extend([BLOCK, 8]);
    out.extend(capacity.to_be_bytes());
    out.extend(size.to_be_bytes());
    let mut class_written = false;
    for (key, value) in pairs {
        put_array(&mut out, key.as_deref(), &mut class_written);
        put_array(&mut out, value.as_deref(), &mut class_written);
    }
    out.push(END);
    out
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    // Names of classes and fields, all short.
    out.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend(text.as_bytes());
}

fn put_array(out: &mut Vec<u8>, bytes: Option<&[u8]>, class_written: &mut bool) {
    let Some(bytes) = bytes else {
        out.push(NULL);
        return;
    };
    out.push(ARRAY);
    if *class_written {
        out.push(REFERENCE);
        out.extend(ARRAY_CLASS_HANDLE.to_be_bytes());
    } else {
        *class_written = true;
        out.push(CLASS);
        put_text(out, "[B");
        out.extend(ARRAY_UID);
        out.extend([SERIALIZABLE, 0, 0, END, NULL]);
    }
    out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(bytes);
}

/// Reads a map.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Pair>, NotAMap> {
    let mut reader = Reader { rest: bytes, handles: Vec::new() };
    reader.expect(&MAGIC, "the magic number is missing")?;
    reader.expect(&[OBJECT, CLASS], "the stream holds no object")?;
    reader.expect(b"\0\x11java.util.HashMap", "the object is no java.util.HashMap")?;
    reader.take(8)?;
    reader.expect(&[WITH_WRITE_METHOD, 0, 2], "the map's class has other fields")?;
    reader.expect(b"F\0\x0aloadFactorI\0\x09threshold", "the map's class has other fields")?;
    reader.expect(&[END, NULL], "the map's class has a superclass")?;
    reader.handles.extend([Handle::Other, Handle::Other]);
    reader.take(8)?;
    reader.expect(&[BLOCK, 8], "the map's size is missing")?;
    reader.take(4)?;
    let size = reader.u32()?;
    let mut pairs = Vec::new();
    for _ in 0..size {
        pairs.push((reader.array()?, reader.array()?));
    }
    reader.expect(&[END], "the map does not end")?;
    Ok(pairs)
}

enum Handle {
    Other,
    Bytes(Vec<u8>),
}

struct Reader<'a> {
    rest: &'a [u8],
    handles: Vec<Handle>,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], NotAMap> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(NotAMap("the file ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn expect(&mut self, wanted: &[u8], why: &'static str) -> Result<(), NotAMap> {
        if self.take(wanted.len())? == wanted { Ok(()) } else { Err(NotAMap(why)) }
    }

    fn u32(&mut self) -> Result<u32, NotAMap> {
        let bytes = self.take(4)?.try_into().map_err(|_| NotAMap("the file ends too early"))?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn array(&mut self) -> Result<Option<Vec<u8>>, NotAMap> {
        match self.take(1)? {
            [NULL] => Ok(None),
            [REFERENCE] => match self.referenced()? {
                Handle::Bytes(bytes) => Ok(Some(bytes.clone())),
                Handle::Other => Err(NotAMap("a key or value is not a byte array")),
            },
            [ARRAY] => {
                self.array_class()?;
                let len = usize::try_from(self.u32()?).map_err(|_| NotAMap("an array is too long"))?;
                let bytes = self.take(len)?.to_vec();
                self.handles.push(Handle::Bytes(bytes.clone()));
                Ok(Some(bytes))
            }
            _ => Err(NotAMap("a key or value is not a byte array")),
        }
    }

    fn array_class(&mut self) -> Result<(), NotAMap> {
        match self.take(1)? {
            [REFERENCE] => self.referenced().map(|_| ()),
            [CLASS] => {
                self.expect(b"\0\x02[B", "a key or value is not a byte array")?;
                self.take(8)?;
                self.expect(&[SERIALIZABLE, 0, 0, END, NULL], "the class of byte arrays is unknown")?;
                self.handles.push(Handle::Other);
                Ok(())
            }
            _ => Err(NotAMap("a key or value is not a byte array")),
        }
    }

    fn referenced(&mut self) -> Result<&Handle, NotAMap> {
        let index = self.u32()?.checked_sub(FIRST_HANDLE).and_then(|index| usize::try_from(index).ok());
        index.and_then(|index| self.handles.get(index)).ok_or(NotAMap("a reference leads nowhere"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_map_reads_back() {
        let pairs = vec![
            (Some(b"[\"c\",{\"f\":1}]".to_vec()), Some(b"{\"p\":5}".to_vec())),
            (Some(b"k".to_vec()), None),
            (None, Some(vec![])),
        ];
        assert_eq!(read(&write(&pairs)), Ok(pairs));
        assert_eq!(read(&write(&[])), Ok(vec![]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut stream = write(&[(Some(vec![1]), Some(vec![2]))]);
            prop_assert!(read(&bytes).is_err() || bytes.starts_with(&MAGIC));
            for (at, byte) in bytes.iter().enumerate() {
                let len = stream.len();
                stream[(at * 7) % len] = *byte;
            }
            drop(read(&stream));
        }
    }
}
