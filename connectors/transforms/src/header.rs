//! `DropHeaders`, `InsertHeader`, `HeaderFrom`: headers of a record.

use connect_api::java::hash;
use connect_api::{
    ConfigError, Datum, Error, Header, Plugin, Props, Record, Result, SchemaRef, Struct, Transform, Value, values,
};

use crate::schemas::{Cache, Fields, check_null, filled};
use crate::side::{Side, entry, take_map, take_struct};

connect_config::config! {
    /// The keys of `DropHeaders`.
    pub struct DropHeadersConfig {
        /// The names of the headers to remove.
        "headers" => headers: Vec<String> { importance(High), validator(non_empty_list()) },
    }
}

connect_config::config! {
    /// The keys of `InsertHeader`.
    pub struct InsertHeaderConfig {
        /// The header's name.
        "header" => header: String { importance(High), validator(non_null()) },
        /// Its value, whose type is taken from its text.
        "value.literal" => literal: String { importance(High), validator(non_null()) },
    }
}

connect_config::config! {
    /// The keys of `HeaderFrom`.
    pub struct HeaderFromConfig {
        /// The fields that become headers.
        "fields" => fields: Vec<String> { importance(High), validator(non_empty_list()) },
        /// The names of the headers, in the same order.
        "headers" => headers: Vec<String> { importance(High), validator(non_empty_list()) },
        /// Whether fields are copied, or moved and thus removed.
        "operation" => operation: String { importance(High), validator(one_of(["move", "copy"])) },
        /// Puts the default of a field in the place of null.
        "replace.null.with.default" => replace_null: bool = "true" {},
    }
}

pub(crate) fn drop_plugin() -> Plugin {
    crate::plugin("org.apache.kafka.connect.transforms.DropHeaders", DropHeadersConfig::def, |props| {
        let config = DropHeadersConfig::parse(props).map_err(crate::first_problem)?;
        Ok(Box::new(DropHeaders { names: config.headers }))
    })
}

pub(crate) fn insert_plugin() -> Plugin {
    crate::plugin("org.apache.kafka.connect.transforms.InsertHeader", InsertHeaderConfig::def, |props| {
        let config = InsertHeaderConfig::parse(props).map_err(crate::first_problem)?;
        let datum = values::parse_string(&config.literal)?;
        Ok(Box::new(InsertHeader { header: Header { key: config.header.into(), datum } }))
    })
}

pub(crate) fn from_plugins() -> [Plugin; 2] {
    crate::both_sides!("HeaderFrom", HeaderFromConfig, HeaderFrom)
}

struct DropHeaders {
    names: Vec<String>,
}

impl Transform for DropHeaders {
    fn apply(&self, mut record: Record) -> Result<Option<Record>> {
        record.headers.retain(|header| !self.names.iter().any(|name| **name == *header.key));
        Ok(Some(record))
    }
}

struct InsertHeader {
    header: Header,
}

impl Transform for InsertHeader {
    fn apply(&self, mut record: Record) -> Result<Option<Record>> {
        record.headers.push(self.header.clone());
        Ok(Some(record))
    }
}

struct HeaderFrom {
    side: Side,
    config: HeaderFromConfig,
    moves: bool,
    schemas: Cache,
}

impl HeaderFrom {
    fn new(props: &Props, side: Side) -> Result<Self> {
        let config = HeaderFromConfig::parse(props).map_err(crate::first_problem)?;
        if config.fields.len() != config.headers.len() {
            let message = "'fields' config must have the same number of elements as 'headers' config.";
            return Err(ConfigError::new(message).into());
        }
        let moves = config.operation == "move";
        Ok(Self { side, config, moves, schemas: Cache::default() })
    }

    fn purpose(&self) -> String {
        format!("header {}", self.config.operation)
    }

    fn moved(&self, name: &str) -> bool {
        self.moves && self.config.fields.iter().any(|field| field == name)
    }

    fn push(&self, record: &mut Record, found: Vec<Datum>) {
        let headers = self.config.headers.iter().zip(found);
        record.headers.extend(headers.map(|(key, datum)| Header { key: key.as_str().into(), datum }));
    }

    fn take_from_map(&self, record: &mut Record) -> Result<()> {
        let datum = self.side.of_mut(record);
        let mut entries = take_map(datum, &self.purpose())?;
        let found = |name: &String| Datum::schemaless(entry(&entries, name).cloned().unwrap_or_default());
        let found = self.config.fields.iter().map(found).collect();
        let copied = entries.len();
        hash::order_of_copy(copied, &mut entries);
        entries.retain(|(key, _)| !key.as_str().is_some_and(|key| self.moved(key)));
        datum.value = Value::Map(entries);
        self.push(record, found);
        Ok(())
    }

    fn take_from_struct(&self, record: &mut Record) -> Result<()> {
        let datum = self.side.of_mut(record);
        let mut value = take_struct(datum, &self.purpose())?;
        let mut found = Vec::with_capacity(self.config.fields.len());
        for name in &self.config.fields {
            let Some(index) = value.schema.index_of(name) else {
                let message = format!("Field does not exist: {name}");
                return Err(Error::data(message).class("java.lang.NullPointerException"));
            };
            let schema = SchemaRef::clone(&value.schema.fields()[index].schema);
            let value = filled(value.fields[index].clone(), &schema, self.config.replace_null);
            found.push(Datum::new(schema, value));
        }
        if self.moves {
            value = self.without_moved(value)?;
        }
        datum.schema = Some(SchemaRef::clone(&value.schema));
        datum.value = Value::Struct(value);
        self.push(record, found);
        Ok(())
    }

    fn without_moved(&self, value: Struct) -> Result<Struct> {
        let schema = self.schemas.get(&value.schema, || {
            let mut fields = Fields::default();
            for field in value.schema.fields().iter().filter(|field| !self.moved(&field.name)) {
                fields.add(&field.name, SchemaRef::clone(&field.schema))?;
            }
            Ok(fields.build(&value.schema))
        })?;
        let mut values = Vec::with_capacity(schema.fields().len());
        for (value, field) in value.fields.into_iter().zip(value.schema.fields()) {
            if !self.moved(&field.name) {
                let value = filled(value, &field.schema, self.config.replace_null);
                check_null(&field.name, &field.schema, &value)?;
                values.push(value);
            }
        }
        Ok(Struct::new(schema, values))
    }
}

impl Transform for HeaderFrom {
    fn apply(&self, mut record: Record) -> Result<Option<Record>> {
        match self.side.of(&record).schema {
            None => self.take_from_map(&mut record)?,
            Some(_) => self.take_from_struct(&mut record)?,
        }
        Ok(Some(record))
    }
}
