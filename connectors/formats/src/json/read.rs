//! From JSON text straight into values, with a schema or without (`JsonConverter.convertToConnect`).
//!
//! The schema decides what is read, and Java's leniency is kept: a text where a number is expected is 0, a number
//! where a text is expected is null. A wrong record is reported by the first thing that is wrong in the text's order.

use std::sync::{Arc, MutexGuard};

use connect_api::java::hash;
use connect_api::schema::logical;
use connect_api::{Error, Kind, SchemaRef, Struct, Text, Value, validate};

use super::base64;
use super::orders::{Known, Orders};
use super::scan::{Quoted, Scan, SyntaxError, Token};

/// What became of the guess that an object is a known one.
enum Guess {
    Right,
    /// It ended before.
    Shorter,
    /// Another name came.
    Wrong(Quoted),
}

/// Why a value could not be read.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The text is no JSON.
    Syntax(SyntaxError),
    /// It is JSON, but not of this schema.
    Data(Error),
}

impl From<SyntaxError> for Failure {
    fn from(error: SyntaxError) -> Self {
        Self::Syntax(error)
    }
}

type Result<T> = std::result::Result<T, Failure>;

fn data<T>(message: impl Into<std::borrow::Cow<'static, str>>) -> Result<T> {
    Err(Failure::Data(Error::data(message)))
}

/// How many values lists and maps that are defaults may bring into a record and its schema. Where a default holds structs, their
/// defaults are in it too, and so on: a short schema can stand for more than there is memory.
const DEFAULTS_MAX: usize = 1 << 20;

/// Reads values.
pub(crate) struct Reader<'a> {
    replace_null: bool,
    /// How many more values defaults may bring.
    defaults: usize,
    /// The orders of objects that were read before.
    orders: Option<MutexGuard<'a, Orders>>,
    /// Set when something that is not null was read as null: then the struct around it must be checked.
    lenient_null: bool,
}

impl<'a> Reader<'a> {
    /// A reader; `replace_null` puts the schema's default in the place of null.
    pub(crate) fn new(replace_null: bool) -> Self {
        Self { replace_null, defaults: DEFAULTS_MAX, orders: None, lenient_null: false }
    }

    /// A reader of values that are much like those read before.
    pub(crate) fn with_orders(replace_null: bool, orders: Option<MutexGuard<'a, Orders>>) -> Self {
        Self { orders, ..Self::new(replace_null) }
    }

    /// Reads an object without a schema, of which only some members are looked at: the others are only checked. `None` when it
    /// is not an object with each of these once: then what is missing may matter.
    pub(crate) fn fields(&mut self, wanted: &[&'static str], scan: &mut Scan<'_>) -> Result<Option<Value>> {
        if scan.token()? != Token::Object {
            return Ok(None);
        }
        let mut entries = Vec::with_capacity(wanted.len());
        let mut found = 0_usize;
        scan.enter()?;
        if !scan.take(b'}') {
            loop {
                let name = scan.name()?;
                match wanted.iter().position(|wanted| scan.is(&name, wanted)) {
                    Some(index) => {
                        found |= 1 << index;
                        entries.push((Value::String(Text::from_static(wanted[index])), Value::Null));
                        let Some((_, value)) = entries.last_mut() else { continue };
                        self.read_to(value, None, scan)?;
                    }
                    None => scan.skip()?,
                }
                if !scan.another(b'}')? {
                    break;
                }
            }
        }
        scan.leave();
        let all = entries.len() == wanted.len() && found.count_ones() as usize == wanted.len();
        Ok(all.then_some(Value::Map(entries)))
    }

    /// Reads the next value.
    pub(crate) fn read(&mut self, schema: Option<&SchemaRef>, scan: &mut Scan<'_>) -> Result<Value> {
        let mut value = Value::Null;
        self.read_to(&mut value, schema, scan)?;
        Ok(value)
    }

    /// Reads the next value to where it belongs: a value is large, and is not handed from one to the other for nothing.
    fn read_to(&mut self, to: &mut Value, schema: Option<&SchemaRef>, scan: &mut Scan<'_>) -> Result<()> {
        let token = scan.token()?;
        let Some(schema) = schema else { return self.schemaless(to, token, scan) };
        if token == Token::Null {
            scan.null()?;
            *to = self.null(schema)?;
            return Ok(());
        }
        *to = match schema.name.as_deref() {
            Some(logical::DECIMAL) => decimal(schema, token, scan)?,
            Some(logical::DATE) => exact_int("Date", token, scan)?,
            Some(logical::TIME) => time(token, scan)?,
            Some(logical::TIMESTAMP) => timestamp(token, scan)?,
            _ => return self.by_kind(to, schema, token, scan),
        };
        Ok(())
    }

    /// Reads the default of a schema, which is no part of the value that is being read.
    pub(crate) fn default(&mut self, schema: &SchemaRef, scan: &mut Scan<'_>) -> Result<Value> {
        let lenient_null = self.lenient_null;
        let value = self.read(Some(schema), scan);
        self.lenient_null = lenient_null;
        value
    }

    fn null(&mut self, schema: &SchemaRef) -> Result<Value> {
        match &schema.default {
            Some(default) if self.replace_null => match self.defaults.checked_sub(default.held()) {
                Some(left) => {
                    self.defaults = left;
                    Ok(default.clone())
                }
                None => data(format!("the defaults of the schema bring more than {DEFAULTS_MAX} values")),
            },
            _ if schema.optional => Ok(Value::Null),
            _ => data(format!("Invalid null value for required {} field", schema.kind.java_name())),
        }
    }

    fn schemaless(&mut self, to: &mut Value, token: Token, scan: &mut Scan<'_>) -> Result<()> {
        match token {
            Token::Null => {
                scan.null()?;
                *to = Value::Null;
            }
            Token::Boolean => to.set(Value::Bool(scan.boolean()?)),
            Token::Number => {
                if let Some(value) = scan.small_integer() {
                    *to = Value::Int64(value);
                    return Ok(());
                }
                let number = scan.number()?;
                if number.integral {
                    to.set(Value::Int64(number.as_long()));
                } else {
                    to.set(Value::Float64(number.as_double()));
                }
            }
            Token::String => {
                let text = scan.text()?;
                scan.text_to(to, &text);
            }
            Token::Array => to.set(Value::Array(self.array(None, scan)?)),
            Token::Object => to.set(Value::Map(self.object(None, scan)?)),
        }
        Ok(())
    }

    fn by_kind(&mut self, to: &mut Value, schema: &SchemaRef, token: Token, scan: &mut Scan<'_>) -> Result<()> {
        *to = match &schema.kind {
            Kind::Boolean if token == Token::Boolean => Value::Bool(scan.boolean()?),
            Kind::Boolean => {
                scan.skip()?;
                Value::Bool(false)
            }
            Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64 | Kind::Float32 | Kind::Float64 => {
                number(&schema.kind, token, scan)?
            }
            Kind::String if token == Token::String => {
                let text = scan.text()?;
                scan.text_to(to, &text);
                return Ok(());
            }
            Kind::Bytes if token == Token::String => {
                let text = scan.text()?;
                match base64::decode(&scan.content(&text)) {
                    Some(bytes) => Value::Bytes(bytes.into()),
                    None => return data("Invalid bytes field"),
                }
            }
            Kind::String | Kind::Bytes => {
                scan.skip()?;
                self.lenient_null = true;
                Value::Null
            }
            Kind::Array(element) => match token {
                Token::Array => Value::Array(self.array(Some(element), scan)?),
                Token::Object => {
                    let members = scan.members()?;
                    let read = |(_, range)| self.read(Some(element), &mut scan.part(range));
                    Value::Array(members.into_iter().map(read).collect::<Result<_>>()?)
                }
                _ => {
                    scan.skip()?;
                    Value::Array(Vec::new())
                }
            },
            Kind::Map(keys, values) if keys.kind == Kind::String => {
                if token != Token::Object {
                    let found = token.name();
                    return data(format!(
                        "Maps with string fields should be encoded as JSON objects, but found {found}"
                    ));
                }
                Value::Map(self.object(Some(values), scan)?)
            }
            Kind::Map(keys, values) => Value::Map(self.pairs(keys, values, token, scan)?),
            Kind::Struct(_) => Value::Struct(self.structure(schema, token, scan)?),
            Kind::Unknown => return self.schemaless(to, token, scan),
        };
        Ok(())
    }

    fn array(&mut self, element: Option<&SchemaRef>, scan: &mut Scan<'_>) -> Result<Vec<Value>> {
        let mut list = Vec::new();
        scan.enter()?;
        if !scan.take(b']') {
            loop {
                list.push(Value::Null);
                if let Some(value) = list.last_mut() {
                    self.read_to(value, element, scan)?;
                }
                if !scan.another(b']')? {
                    break;
                }
            }
        }
        scan.leave();
        Ok(list)
    }

    /// An object as a map, in the order of Java's hash map.
    fn object(&mut self, values: Option<&SchemaRef>, scan: &mut Scan<'_>) -> Result<Vec<(Value, Value)>> {
        let mut entries = Vec::new();
        scan.enter()?;
        if !scan.take(b'}') {
            let name = scan.name()?;
            let known = self.orders.as_mut().and_then(|orders| orders.take(|first| scan.is(&name, first)));
            let guess = match known {
                Some((place, known)) => {
                    let guess = self.guessed(&known, &mut entries, values, scan);
                    if let Some(orders) = &mut self.orders {
                        orders.give_back(place, known);
                    }
                    guess?
                }
                None => Guess::Wrong(name),
            };
            match guess {
                Guess::Wrong(name) => self.members(name, &mut entries, values, scan)?,
                Guess::Shorter => {}
                Guess::Right => {
                    scan.leave();
                    return Ok(entries);
                }
            }
        }
        scan.leave();
        match &mut self.orders {
            Some(orders) => orders.order(&mut entries),
            None => hash::order(&mut entries),
        }
        Ok(entries)
    }

    /// Reads the members from one on, whose name was taken.
    fn members(
        &mut self,
        mut name: Quoted,
        entries: &mut Vec<(Value, Value)>,
        values: Option<&SchemaRef>,
        scan: &mut Scan<'_>,
    ) -> Result<()> {
        loop {
            let mut entry = (Value::Null, Value::Null);
            scan.text_to(&mut entry.0, &name);
            self.read_to(&mut entry.1, values, scan)?;
            entries.push(entry);
            if !scan.another(b'}')? {
                return Ok(());
            }
            name = scan.name()?;
        }
    }

    /// Reads the members of an object that is likely to be a known one, behind its first name: each to where it goes in the end.
    /// When the guess was wrong, those that were read are left as they came.
    fn guessed(
        &mut self,
        known: &Known,
        entries: &mut Vec<(Value, Value)>,
        values: Option<&SchemaRef>,
        scan: &mut Scan<'_>,
    ) -> Result<Guess> {
        *entries = known.members.iter().map(|_| (Value::Null, Value::Null)).collect();
        let (mut count, mut outcome) = (0, None);
        for member in &known.members {
            if count > 0 {
                scan.space();
                if !scan.take_written(&member.written) {
                    let name = scan.name()?;
                    if !scan.is(&name, &member.name) {
                        outcome = Some(Guess::Wrong(name));
                        break;
                    }
                }
            }
            if let Some((key, value)) = entries.get_mut(member.place) {
                key.set(Value::String(member.name.clone()));
                self.read_to(value, values, scan)?;
            }
            count += 1;
            if !scan.another(b'}')? {
                outcome = Some(if count == known.members.len() { Guess::Right } else { Guess::Shorter });
                break;
            }
        }
        let outcome = match outcome {
            Some(Guess::Right) => return Ok(Guess::Right),
            Some(outcome) => outcome,
            None => Guess::Wrong(scan.name()?),
        };
        let came = known.members.iter().take(count);
        *entries = came.filter_map(|member| entries.get_mut(member.place).map(std::mem::take)).collect();
        Ok(outcome)
    }

    /// A map whose keys are no text: an array of pairs.
    fn pairs(
        &mut self,
        keys: &SchemaRef,
        values: &SchemaRef,
        token: Token,
        scan: &mut Scan<'_>,
    ) -> Result<Vec<(Value, Value)>> {
        if token != Token::Array {
            let found = token.name();
            return data(format!(
                "Maps with non-string fields should be encoded as JSON array of tuples, but found {found}"
            ));
        }
        let mut entries = Vec::new();
        scan.enter()?;
        if !scan.take(b']') {
            loop {
                entries.push(self.pair(keys, values, scan)?);
                if !scan.another(b']')? {
                    break;
                }
            }
        }
        scan.leave();
        hash::order(&mut entries);
        Ok(entries)
    }

    fn pair(&mut self, keys: &SchemaRef, values: &SchemaRef, scan: &mut Scan<'_>) -> Result<(Value, Value)> {
        let token = scan.token()?;
        if token != Token::Array {
            return data(format!("Found invalid map entry instead of array tuple: {}", token.name()));
        }
        let elements = elements(scan)?;
        let [key, value] = elements.as_slice() else {
            return data(format!("Found invalid map entry, expected length 2 but found :{}", elements.len()));
        };
        let key = self.read(Some(keys), &mut scan.part(key.clone()))?;
        Ok((key, self.read(Some(values), &mut scan.part(value.clone()))?))
    }

    fn structure(&mut self, schema: &SchemaRef, token: Token, scan: &mut Scan<'_>) -> Result<Struct> {
        if token != Token::Object {
            return data(format!("Structs should be encoded as JSON objects, but found {}", token.name()));
        }
        let fields = schema.fields();
        let mut values = Value::nulls(fields.len());
        // On the heap only for more columns than nearly all tables have.
        let (mut few, mut many) = ([0u64; 4], Vec::new());
        let present = match few.get_mut(..fields.len().div_ceil(64)) {
            Some(few) => few,
            None => {
                many.resize(fields.len().div_ceil(64), 0);
                many.as_mut_slice()
            }
        };
        scan.enter()?;
        if !scan.take(b'}') {
            // Names mostly come in the order of the schema.
            let mut next = 0;
            loop {
                let name = scan.name()?;
                let index = match fields.get(next) {
                    Some(field) if scan.is(&name, &field.name) => Some(next),
                    _ => schema.index_of(&scan.content(&name)),
                };
                match index {
                    Some(index) => {
                        self.field(&mut values[index], &fields[index], scan)?;
                        present[index / 64] |= 1 << (index % 64);
                        next = index + 1;
                    }
                    None => scan.skip()?,
                }
                if !scan.another(b'}')? {
                    break;
                }
            }
        }
        scan.leave();
        for (index, field) in fields.iter().enumerate() {
            if present[index / 64] & (1 << (index % 64)) == 0 {
                values[index] = self.null(&field.schema)?;
            }
        }
        Ok(Struct::new(Arc::clone(schema), values))
    }

    fn field(&mut self, to: &mut Value, field: &connect_api::Field, scan: &mut Scan<'_>) -> Result<()> {
        let outer = std::mem::replace(&mut self.lenient_null, false);
        self.read_to(to, Some(&field.schema), scan)?;
        if self.lenient_null {
            validate::field(&field.name, &field.schema, to).map_err(Failure::Data)?;
        }
        self.lenient_null |= outer;
        Ok(())
    }
}

/// Where the elements of an array stand.
fn elements(scan: &mut Scan<'_>) -> Result<Vec<std::ops::Range<usize>>> {
    let mut ranges = Vec::new();
    scan.enter()?;
    if !scan.take(b']') {
        loop {
            scan.space();
            let start = scan.at;
            scan.skip()?;
            ranges.push(start..scan.at);
            if !scan.another(b']')? {
                break;
            }
        }
    }
    scan.leave();
    Ok(ranges)
}

fn number(kind: &Kind, token: Token, scan: &mut Scan<'_>) -> Result<Value> {
    if token == Token::Number
        && let Some(value) = scan.small_integer()
    {
        // As in Java, an integer is cut to the width of its type.
        return Ok(match kind {
            Kind::Int8 => Value::Int8(value as i8),
            Kind::Int16 => Value::Int16(value as i16),
            Kind::Int32 => Value::Int32(value as i32),
            Kind::Int64 => Value::Int64(value),
            Kind::Float32 => Value::Float32(value as f32),
            _ => Value::Float64(value as f64),
        });
    }
    let number = if token == Token::Number {
        Some(scan.number()?)
    } else {
        scan.skip()?;
        None
    };
    let int = || number.map_or(0, |n| n.as_int());
    Ok(match kind {
        Kind::Int8 => Value::Int8(int() as i8),
        Kind::Int16 => Value::Int16(int() as i16),
        Kind::Int32 => Value::Int32(int()),
        Kind::Int64 => Value::Int64(number.map_or(0, |n| n.as_long())),
        Kind::Float32 => Value::Float32(number.map_or(0.0, |n| n.as_float())),
        _ => Value::Float64(number.map_or(0.0, |n| n.as_double())),
    })
}

/// Days of a date or milliseconds of a time: an integer of 32 bits.
fn exact_int(name: &str, token: Token, scan: &mut Scan<'_>) -> Result<Value> {
    if token == Token::Number
        && let Some(value) = scan.number()?.exact_int()
    {
        return Ok(Value::Int32(value));
    }
    data(format!("Invalid type for {name}, underlying representation should be integer but was {}", token.name()))
}

fn time(token: Token, scan: &mut Scan<'_>) -> Result<Value> {
    const DAY_MS: i32 = 86_400_000;
    let value = exact_int("Time", token, scan)?;
    match value {
        Value::Int32(millis) if !(0..=DAY_MS).contains(&millis) => {
            data("Time values must use number of milliseconds greater than 0 and less than 86400000")
        }
        value => Ok(value),
    }
}

fn timestamp(token: Token, scan: &mut Scan<'_>) -> Result<Value> {
    if token == Token::Number {
        let number = scan.number()?;
        if number.integral {
            return Ok(Value::Int64(number.as_long()));
        }
    }
    let found = token.name();
    data(format!("Invalid type for Timestamp, underlying representation should be integral but was {found}"))
}

/// A decimal, as a number or as the bytes of its unscaled value. A number keeps its own scale: when that is not the
/// schema's, the value is not physical.
fn decimal(schema: &SchemaRef, token: Token, scan: &mut Scan<'_>) -> Result<Value> {
    let scale = schema.get_parameter("scale").and_then(|text| text.parse::<i32>().ok());
    match token {
        Token::Number => {
            let value = scan.number()?.as_decimal();
            if Some(value.scale) == scale {
                return Ok(Value::Bytes(value.unscaled.to_signed_bytes_be().into()));
            }
            Ok(Value::Decimal(Box::new(value)))
        }
        Token::String => {
            let text = scan.text()?;
            let bytes = base64::decode(&scan.content(&text)).filter(|bytes| !bytes.is_empty());
            let Some(bytes) = bytes else { return data("Invalid bytes for Decimal field") };
            match schema.get_parameter("scale") {
                None => data("Invalid Decimal schema: scale parameter not found."),
                Some(_) if scale.is_none() => data("Invalid scale parameter found in Decimal schema: "),
                Some(_) => Ok(physical(&bytes)),
            }
        }
        other => {
            let found = other.name();
            data(format!(
                "Invalid type for Decimal, underlying representation should be numeric or bytes but was {found}"
            ))
        }
    }
}

/// The shortest bytes of the same number, as `BigInteger.toByteArray` gives them.
fn physical(bytes: &[u8]) -> Value {
    let redundant = bytes.windows(2).take_while(|pair| {
        let sign = pair[1] & 0x80;
        (pair[0] == 0 && sign == 0) || (pair[0] == 0xff && sign != 0)
    });
    let start = redundant.count();
    Value::Bytes(bytes[start..].to_vec().into())
}
