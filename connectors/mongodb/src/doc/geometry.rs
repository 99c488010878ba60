//! Well-known binary to GeoJSON, for the shapes that MongoDB indexes.
//!
//! Both spellings are read: the extended one of PostGIS with its flags and SRID, and ISO's with thousands in the code.
//! Other shapes, curves for example, and what GeoJSON has no words for, are not written: a measure beside the
//! coordinates, nothing where a shape should be, and coordinates that are no longitudes and latitudes by their SRID.

use super::write::{At, Writer};

/// WGS 84, the only system of GeoJSON. Zero means that none was said.
const WGS_84: [i32; 2] = [0, 4326];
const FLAG_Z: u32 = 0x8000_0000;
const FLAG_M: u32 = 0x4000_0000;
const FLAG_SRID: u32 = 0x2000_0000;

const POINT: u32 = 1;
const LINE: u32 = 2;
const POLYGON: u32 = 3;
const POINTS: u32 = 4;
const LINES: u32 = 5;
const POLYGONS: u32 = 6;
const COLLECTION: u32 = 7;

/// Why a shape is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotWritten {
    /// It is well formed and has no GeoJSON that MongoDB indexes.
    Other,
    /// The bytes are no shape.
    Malformed(&'static str),
}

/// True for systems in which coordinates are longitudes and latitudes of WGS 84.
pub fn is_wgs84(srid: i32) -> bool {
    WGS_84.contains(&srid)
}

/// Writes a shape. When it is not written, the caller truncates the buffer.
pub fn write(w: &mut Writer, at: At, bytes: &[u8]) -> Result<(), NotWritten> {
    Reader { bytes, little: false }.shape(w, at, true)
}

/// Writes a point of two coordinates.
pub fn write_point(w: &mut Writer, at: At, x: f64, y: f64) -> Result<(), NotWritten> {
    if !x.is_finite() || !y.is_finite() {
        return Err(NotWritten::Other);
    }
    let open = w.begin(at);
    let at = w.literal("type");
    w.put_str(at, "Point");
    let at = w.literal("coordinates");
    put_position(w, at, &[x, y]);
    w.close(open);
    Ok(())
}

fn put_position(w: &mut Writer, at: At, numbers: &[f64]) {
    let open = w.begin_array(at);
    for (index, number) in numbers.iter().enumerate() {
        let at = w.index(index);
        w.put_f64(at, *number);
    }
    w.close(open);
}

/// What stands before the coordinates of a shape.
struct Head {
    kind: u32,
    has_z: bool,
}

struct Reader<'a> {
    bytes: &'a [u8],
    little: bool,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], NotWritten> {
        let (head, rest) =
            self.bytes.split_first_chunk::<N>().ok_or(NotWritten::Malformed("the bytes end too early"))?;
        self.bytes = rest;
        Ok(*head)
    }

    fn u32(&mut self) -> Result<u32, NotWritten> {
        let bytes = self.take()?;
        Ok(if self.little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    fn f64(&mut self) -> Result<f64, NotWritten> {
        let bytes = self.take()?;
        let number = if self.little { f64::from_le_bytes(bytes) } else { f64::from_be_bytes(bytes) };
        // An empty point is spelled with numbers that are none.
        if number.is_finite() { Ok(number) } else { Err(NotWritten::Other) }
    }

    /// How many parts follow: none is an empty shape.
    fn count(&mut self) -> Result<u32, NotWritten> {
        match self.u32()? {
            0 => Err(NotWritten::Other),
            count => Ok(count),
        }
    }

    fn head(&mut self) -> Result<Head, NotWritten> {
        self.little = match self.take::<1>()? {
            [0] => false,
            [1] => true,
            _ => return Err(NotWritten::Malformed("the order of bytes is not said")),
        };
        let code = self.u32()?;
        let base = code & !(FLAG_Z | FLAG_M | FLAG_SRID);
        let (kind, dimensions) = (base % 1000, base / 1000);
        if kind == 0 || dimensions > 3 {
            return Err(NotWritten::Malformed("the kind of shape is unknown"));
        }
        if code & FLAG_SRID != 0 && !is_wgs84(self.u32()?.cast_signed()) {
            return Err(NotWritten::Other);
        }
        if code & FLAG_M != 0 || dimensions >= 2 {
            return Err(NotWritten::Other);
        }
        Ok(Head { kind, has_z: code & FLAG_Z != 0 || dimensions == 1 })
    }

    fn shape(&mut self, w: &mut Writer, at: At, outermost: bool) -> Result<(), NotWritten> {
        let head = self.head()?;
        let (name, list) = match head.kind {
            POINT => ("Point", "coordinates"),
            LINE => ("LineString", "coordinates"),
            POLYGON => ("Polygon", "coordinates"),
            POINTS => ("MultiPoint", "coordinates"),
            LINES => ("MultiLineString", "coordinates"),
            POLYGONS => ("MultiPolygon", "coordinates"),
            // A collection within another is not indexed.
            COLLECTION if outermost => ("GeometryCollection", "geometries"),
            _ => return Err(NotWritten::Other),
        };
        let open = w.begin(at);
        let at = w.literal("type");
        w.put_str(at, name);
        let at = w.literal(list);
        match head.kind {
            POINTS => self.parts(w, at, POINT)?,
            LINES => self.parts(w, at, LINE)?,
            POLYGONS => self.parts(w, at, POLYGON)?,
            COLLECTION => {
                let open = w.begin_array(at);
                for index in 0..self.count()? {
                    let at = w.index(place(index));
                    self.shape(w, at, false)?;
                }
                w.close(open);
            }
            _ => self.coordinates(w, at, &head)?,
        }
        w.close(open);
        Ok(())
    }

    /// The coordinates of parts that are shapes of one kind, each with a head of its own.
    fn parts(&mut self, w: &mut Writer, at: At, kind: u32) -> Result<(), NotWritten> {
        let open = w.begin_array(at);
        for index in 0..self.count()? {
            let head = self.head()?;
            if head.kind != kind {
                return Err(NotWritten::Malformed("a part is of another kind than its shape"));
            }
            let at = w.index(place(index));
            self.coordinates(w, at, &head)?;
        }
        w.close(open);
        Ok(())
    }

    fn coordinates(&mut self, w: &mut Writer, at: At, head: &Head) -> Result<(), NotWritten> {
        match head.kind {
            POINT => self.position(w, at, head.has_z),
            LINE => self.positions(w, at, head.has_z),
            _ => {
                let rings = w.begin_array(at);
                for index in 0..self.count()? {
                    let at = w.index(place(index));
                    self.positions(w, at, head.has_z)?;
                }
                w.close(rings);
                Ok(())
            }
        }
    }

    fn positions(&mut self, w: &mut Writer, at: At, has_z: bool) -> Result<(), NotWritten> {
        let open = w.begin_array(at);
        for index in 0..self.count()? {
            let at = w.index(place(index));
            self.position(w, at, has_z)?;
        }
        w.close(open);
        Ok(())
    }

    fn position(&mut self, w: &mut Writer, at: At, has_z: bool) -> Result<(), NotWritten> {
        let (x, y) = (self.f64()?, self.f64()?);
        if has_z {
            let z = self.f64()?;
            put_position(w, at, &[x, y, z]);
        } else {
            put_position(w, at, &[x, y]);
        }
        Ok(())
    }
}

fn place(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use bson::{Document, RawDocumentBuf, doc};
    use proptest::prelude::*;

    use super::*;

    fn unhex(text: &str) -> Vec<u8> {
        let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
    }

    fn shape(bytes: &[u8]) -> Result<Document, NotWritten> {
        let mut w = Writer::new();
        let open = w.open();
        let at = w.literal("v");
        write(&mut w, at, bytes)?;
        w.close(open);
        let raw = RawDocumentBuf::from_bytes(w.into_bytes()).unwrap();
        Ok(Document::try_from(&raw).unwrap().get_document("v").unwrap().clone())
    }

    // 1.0, 2.0 and 3.0, least significant byte first.
    const ONE: &str = "000000000000f03f";
    const TWO: &str = "0000000000000040";
    const THREE: &str = "0000000000000840";

    #[test]
    fn points_in_every_spelling() {
        let point = doc! {"type": "Point", "coordinates": [1.0, 2.0]};
        for bytes in [
            format!("01 01000000 {ONE} {TWO}"),
            format!("01 01000020 e6100000 {ONE} {TWO}"),
            "00 00000001 3ff0000000000000 4000000000000000".to_owned(),
        ] {
            assert_eq!(shape(&unhex(&bytes)), Ok(point.clone()), "{bytes}");
        }
        let high = doc! {"type": "Point", "coordinates": [1.0, 2.0, 3.0]};
        for code in ["01000080", "e9030000"] {
            assert_eq!(shape(&unhex(&format!("01 {code} {ONE} {TWO} {THREE}"))), Ok(high.clone()));
        }
    }

    #[test]
    fn lines_rings_and_collections() {
        let line = format!("01 02000000 02000000 {ONE} {TWO} {THREE} {ONE}");
        let ring = format!("04000000 {ONE} {ONE} {TWO} {ONE} {TWO} {TWO} {ONE} {ONE}");
        let polygon = format!("01 03000000 01000000 {ring}");
        let corners = bson::bson!([[1.0, 1.0], [2.0, 1.0], [2.0, 2.0], [1.0, 1.0]]);
        for (bytes, expected) in [
            (line.clone(), doc! {"type": "LineString", "coordinates": [[1.0, 2.0], [3.0, 1.0]]}),
            (polygon.clone(), doc! {"type": "Polygon", "coordinates": [corners.clone()]}),
            (
                format!("01 04000000 02000000 01 01000000 {ONE} {TWO} 00 00000001 3ff0000000000000 4000000000000000"),
                doc! {"type": "MultiPoint", "coordinates": [[1.0, 2.0], [1.0, 2.0]]},
            ),
            (
                format!("01 05000000 01000000 {line}"),
                doc! {"type": "MultiLineString", "coordinates": [[[1.0, 2.0], [3.0, 1.0]]]},
            ),
            (
                format!("01 06000000 01000000 {polygon}"),
                doc! {"type": "MultiPolygon", "coordinates": [[corners.clone()]]},
            ),
            (
                format!("01 07000020 e6100000 02000000 01 01000000 {ONE} {TWO} {polygon}"),
                doc! {"type": "GeometryCollection", "geometries": [
                    {"type": "Point", "coordinates": [1.0, 2.0]}, {"type": "Polygon", "coordinates": [corners]},
                ]},
            ),
        ] {
            assert_eq!(shape(&unhex(&bytes)), Ok(expected), "{bytes}");
        }
    }

    #[test]
    fn what_geojson_has_no_words_for_is_not_written() {
        for (bytes, what) in [
            (format!("01 08000000 01000000 {ONE} {TWO}"), "a curve"),
            (format!("01 01000020 110f0000 {ONE} {TWO}"), "Mercator"),
            (format!("01 01000040 {ONE} {TWO} {THREE}"), "a measure"),
            (format!("01 d1070000 {ONE} {TWO} {THREE}"), "a measure in ISO's spelling"),
            ("01 01000000 000000000000f87f 000000000000f87f".to_owned(), "an empty point"),
            ("01 02000000 00000000".to_owned(), "an empty line"),
            ("01 07000000 01000000 01 07000000 00000000".to_owned(), "a collection within another"),
        ] {
            assert_eq!(shape(&unhex(&bytes)), Err(NotWritten::Other), "{what}");
        }
    }

    #[test]
    fn bytes_that_are_no_shape_are_told() {
        for (bytes, why) in [
            (String::new(), "the bytes end too early"),
            (format!("01 01000000 {ONE}"), "the bytes end too early"),
            ("01 02000000 ffffffff".to_owned(), "the bytes end too early"),
            (format!("02 01000000 {ONE} {TWO}"), "the order of bytes is not said"),
            ("01 00000000".to_owned(), "the kind of shape is unknown"),
            (
                format!("01 04000000 01000000 01 02000000 01000000 {ONE} {TWO}"),
                "a part is of another kind than its shape",
            ),
        ] {
            assert_eq!(shape(&unhex(&bytes)), Err(NotWritten::Malformed(why)), "{bytes}");
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(mut bytes: Vec<u8>, kind in 0..9_u8, order in 0..2_u8) {
            let whole = |bytes: &[u8]| shape(bytes).is_err() || shape(bytes).is_ok_and(|made| made.len() == 2);
            prop_assert!(whole(&bytes));
            if bytes.len() > 5 {
                bytes[..5].copy_from_slice(&if order == 1 { [1, kind, 0, 0, 0] } else { [0, 0, 0, 0, kind] });
                prop_assert!(whole(&bytes));
            }
        }
    }
}
