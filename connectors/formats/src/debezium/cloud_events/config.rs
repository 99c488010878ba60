//! The settings of the CloudEvents converter.

use connect_api::{Error, Props, Result};

connect_config::config! {
    /// The keys that the converter reads itself; those behind `json.` are the data's converter's.
    pub struct CloudEventsConfig {
        /// The format of events.
        "serializer.type" => serializer: String = "json" { importance(High) },
        /// The format of their data.
        "data.serializer.type" => data_serializer: String = "json" { importance(High) },
        /// Writes the data with its schema.
        "json.schemas.enable" => schemas: bool = "true" {},
        /// Adds attributes with what the event's source tells.
        "extension.attributes.enable" => extensions: bool = "true" { importance(High) },
        /// Takes attributes of a trace from headers.
        "opentelemetry.tracing.attributes.enable" => tracing: bool = "false" { importance(High) },
        /// How the names of schemas are changed.
        "schema.name.adjustment.mode" => adjustment: String = "avro" { importance(Low) },
        /// Takes the name of the data's schema from a header.
        "schema.data.name.source.header.enable" => name_from_header: bool = "false" { importance(Low) },
        /// Where attributes come from.
        "metadata.source" => metadata: Vec<String> = "value,id:generate,type:generate,traceparent:header,dataSchemaName:header"
            { importance(High) },
    }
}

/// What the converter needs to know.
pub(super) struct Config {
    /// Data is written with its schema.
    pub(super) schemas: bool,
    /// Events have Debezium's own attributes.
    pub(super) extensions: bool,
    /// Names are left as they are.
    plain_names: bool,
}

const AVRO_CLASS: &str = "io.confluent.connect.avro.AvroConverter";
const FROM_HEADERS: &str = "attributes of CloudEvents cannot be taken from headers";

fn given<'a>(props: &'a Props, key: &str) -> Option<&'a str> {
    props.get(key).and_then(Option::as_deref)
}

impl Config {
    /// Reads the settings, and refuses what there is no support for.
    pub(super) fn parse(props: &Props) -> Result<Self> {
        let config = CloudEventsConfig::parse(props).map_err(crate::settings::first_problem)?;
        let is_json = |text: &str| text.trim().eq_ignore_ascii_case("json");
        let (event, data) = (is_json(&config.serializer), is_json(&config.data_serializer));
        if !event && data {
            let message = "Cannot use 'application/json' data content type within Avro events";
            return Err(Error::config(message).class("java.lang.IllegalStateException"));
        }
        if !data {
            if given(props, "avro.schema.registry.url").is_none() {
                return Err(Error::data(
                    "Need URL(s) for schema registry instances for CloudEvents when using Apache Avro",
                ));
            }
            return Err(Error::config(format!("Unable to find class {AVRO_CLASS}"))
                .class("java.lang.IllegalArgumentException")
                .hint("write CloudEvents as JSON: Avro is not supported"));
        }
        check_sources(&config.metadata)?;
        if config.tracing || config.name_from_header {
            return Err(unsupported());
        }
        let plain_names = match config.adjustment.trim().to_ascii_lowercase().as_str() {
            "none" => true,
            "avro" | "avro_unicode" => false,
            _ => {
                let message = format!("there is no schema.name.adjustment.mode {}", config.adjustment);
                return Err(Error::config(message).class("java.lang.NullPointerException"));
            }
        };
        Ok(Self { schemas: config.schemas, extensions: config.extensions, plain_names })
    }

    /// The name of a schema. Debezium's own names have nothing that Avro does not allow, but those of connectors might.
    pub(super) fn adjusted(&self, name: &str) -> String {
        let stays = |c: char| self.plain_names || c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
        name.chars().map(|c| if stays(c) { c } else { '_' }).collect()
    }
}

fn unsupported() -> Error {
    Error::config(FROM_HEADERS).hint("leave metadata.source and the settings of headers at their defaults")
}

fn java_refuses(class: &'static str, message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::config(message).class(class)
}

/// Checks where attributes come from: a source for all, then `field:source` for some.
fn check_sources(list: &[String]) -> Result<()> {
    let Some((global, fields)) = list.split_first() else {
        return Err(java_refuses("java.lang.IndexOutOfBoundsException", "metadata.source is empty"));
    };
    match global.to_ascii_lowercase().as_str() {
        "value" => {}
        "header" => return Err(unsupported()),
        "generate" => return Err(Error::config("Global metadata source can't be GENERATE")),
        _ => {
            return Err(java_refuses(
                "java.lang.NullPointerException",
                format!("there is no metadata source {global}"),
            ));
        }
    }
    let mut generated = Vec::new();
    for field in fields {
        let Some((name, source)) = field.split_once(':') else {
            let message = format!("metadata.source names no source for {field}");
            return Err(java_refuses("java.lang.ArrayIndexOutOfBoundsException", message));
        };
        if !matches!(name, "id" | "type" | "traceparent" | "dataSchemaName") {
            return Err(Error::config(format!("Field `{name}` is not allowed to set custom source")));
        }
        match source.trim().to_ascii_lowercase().as_str() {
            "value" => return Err(Error::config("Field metadata source can't be VALUE")),
            // What would be taken from these headers is switched on by settings of its own.
            "header" if matches!(name, "id" | "type") => return Err(unsupported()),
            "generate" => generated.push(name),
            "header" => {}
            other => return Err(Error::config(format!("Field source `{other}` is not valid"))),
        }
    }
    match ["id", "type"].into_iter().find(|name| !generated.contains(name)) {
        Some(name) => Err(Error::config(format!("metadata.source does not say where the field {name} comes from"))
            .hint("add id:generate and type:generate: a change event has no such fields")),
        None => Ok(()),
    }
}
