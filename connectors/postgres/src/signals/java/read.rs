//! Reads keys that Java's `ObjectOutputStream`, or ours, has written, within bounds.

use super::node::{Described, Node, OWN_DATA};
use super::{ARRAY, BLOCK, BLOCK_END, CLASS, FIRST_HANDLE, NULL, OBJECT, OWN_METHOD, REFERENCE, STRING};
use crate::signals::key::Key;

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
