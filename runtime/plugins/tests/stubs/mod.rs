//! Plugins that do nothing, with the names and keys of real ones.

use std::sync::Arc;

use async_trait::async_trait;
use connect_api::{
    Bytes, BytesMut, ConfigDef, Converter, Datum, Error, HeaderConverter, Plugin, PluginKind, Predicate, Props, Record,
    Result, SinkConnector, SinkContext, SinkTask, SourceConnector, SourceContext, SourceTask, Transform,
};

connect_config::config! {
    /// The keys of the file source.
    pub(crate) struct SourceKeys {
        /// The file to read.
        "file" => file: Option<String> = NULL { importance(High) },
        /// The topic to write.
        "topic" => topic: String { validator(non_empty()), importance(High) },
        /// Lines in a batch.
        "batch.size" => batch_size: i32 = "2000" { importance(Low) },
    }
}

connect_config::config! {
    /// The keys of the file sink.
    pub(crate) struct SinkKeys {
        /// The file to write.
        "file" => file: Option<String> = NULL { importance(High) },
    }
}

connect_config::config! {
    /// The keys of a converter.
    pub(crate) struct ConverterKeys {
        /// What it converts.
        "converter.type" => kind: String { validator(one_of(["key", "value", "header"])), importance(Low) },
        /// Whether schemas go along.
        "schemas.enable" => schemas: bool = "true" { importance(High), group("Schemas"), order(0) },
    }
}

connect_config::config! {
    /// The keys of a transform.
    pub(crate) struct HoistKeys {
        /// Name of the field.
        "field" => field: String { importance(Medium) },
    }
}

connect_config::config! {
    /// No keys.
    pub(crate) struct NoKeys {
        /// One that nobody needs.
        "unused" => unused: Option<String> = NULL { importance(Low) },
    }
}

/// The definition without any key.
#[must_use]
pub(crate) fn nothing() -> &'static ConfigDef {
    static NOTHING: std::sync::LazyLock<ConfigDef> = std::sync::LazyLock::new(ConfigDef::new);
    &NOTHING
}

struct Source;
struct Sink;

#[async_trait]
impl SourceConnector for Source {
    fn config_def(&self) -> &'static ConfigDef {
        SourceKeys::def()
    }
    async fn task_configs(&self, props: &Props, _max: usize) -> Result<Vec<Props>> {
        Ok(vec![props.clone()])
    }
    async fn start_task(&self, _props: Props, _context: SourceContext) -> Result<Box<dyn SourceTask>> {
        Err(Error::connect("a stub does not run"))
    }
}

#[async_trait]
impl SinkConnector for Sink {
    fn config_def(&self) -> &'static ConfigDef {
        SinkKeys::def()
    }
    async fn task_configs(&self, props: &Props, _max: usize) -> Result<Vec<Props>> {
        Ok(vec![props.clone()])
    }
    async fn start_task(&self, _props: Props, _context: SinkContext) -> Result<Box<dyn SinkTask>> {
        Err(Error::connect("a stub does not run"))
    }
}

/// Writes the settings that it was made with: tests see which it got.
struct Echo(String);

impl Echo {
    fn new(props: &Props) -> Self {
        let mut entries: Vec<String> =
            props.iter().map(|(key, value)| format!("{key}={}", value.as_deref().unwrap_or("null"))).collect();
        entries.sort();
        Self(entries.join(","))
    }
}

impl Converter for Echo {
    fn serialize(&self, _topic: &str, _datum: &Datum, out: &mut BytesMut) -> Result<bool> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(true)
    }
    fn deserialize(&self, _topic: &str, _payload: Option<Bytes>) -> Result<Datum> {
        Ok(Datum::null())
    }
}

impl HeaderConverter for Echo {
    fn serialize(&self, _topic: &str, _key: &str, _datum: &Datum, out: &mut BytesMut) -> Result<bool> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(true)
    }
    fn deserialize(&self, _topic: &str, _key: &str, _payload: Option<Bytes>) -> Result<Datum> {
        Ok(Datum::null())
    }
}

/// Adds its settings to the topic.
impl Transform for Echo {
    fn apply(&self, mut record: Record) -> Result<Option<Record>> {
        record.topic = format!("{}+{}", record.topic, self.0).into();
        Ok(Some(record))
    }
}

/// Fits records of the topic `fits`.
impl Predicate for Echo {
    fn test(&self, record: &Record) -> Result<bool> {
        Ok(record.topic.starts_with("fits"))
    }
}

fn plugin(class: &'static str, kind: PluginKind, config_def: fn() -> &'static ConfigDef) -> Plugin {
    Plugin { class, version: "4.1.1", kind, config_def }
}

/// Stubs of Kafka's plugins.
pub(crate) fn plugins() -> Vec<Plugin> {
    let converter = || {
        PluginKind::Converter(|props, _| Ok(Box::new(Echo::new(props))), Some(|props| Ok(Box::new(Echo::new(props)))))
    };
    let transform = || PluginKind::Transformation(|props| Ok(Box::new(Echo::new(props))));
    let predicate = || PluginKind::Predicate(|props| Ok(Box::new(Echo::new(props))));
    let header = PluginKind::HeaderConverter(|props| Ok(Box::new(Echo::new(props))));
    vec![
        plugin(
            "org.apache.kafka.connect.file.FileStreamSourceConnector",
            PluginKind::Source(Arc::new(Source)),
            nothing,
        ),
        plugin("org.apache.kafka.connect.file.FileStreamSinkConnector", PluginKind::Sink(Arc::new(Sink)), nothing),
        plugin("org.apache.kafka.connect.json.JsonConverter", converter(), ConverterKeys::def),
        plugin("org.apache.kafka.connect.converters.ByteArrayConverter", converter(), ConverterKeys::def),
        plugin("io.debezium.converters.ByteArrayConverter", converter(), ConverterKeys::def),
        plugin("org.apache.kafka.connect.storage.SimpleHeaderConverter", header, nothing),
        plugin("org.apache.kafka.connect.transforms.Filter", transform(), nothing),
        plugin("org.apache.kafka.connect.transforms.HoistField$Key", transform(), HoistKeys::def),
        plugin("org.apache.kafka.connect.transforms.HoistField$Value", transform(), HoistKeys::def),
        plugin("org.apache.kafka.connect.transforms.InsertField$Value", transform(), NoKeys::def),
        plugin("org.apache.kafka.connect.transforms.predicates.RecordIsTombstone", predicate(), nothing),
        plugin("org.apache.kafka.connect.transforms.predicates.HasHeaderKey", predicate(), nothing),
        plugin("org.apache.kafka.connect.transforms.predicates.TopicNameMatches", predicate(), nothing),
    ]
}
