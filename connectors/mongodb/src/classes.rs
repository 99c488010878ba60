//! The Java class names of the connector's parts, and what they mean here.

use connect_api::Error;
use connect_config::ConfigError;

use crate::cdc::Handler;
use crate::model::WriteStrategy;

/// The package of everything that the sink offers.
pub const SINK: &str = "com.mongodb.kafka.connect.sink.";

/// The name without the sink's package.
fn short(class: &str) -> Option<&str> {
    class.strip_prefix(SINK)
}

/// An id strategy's name; projections and formats come from other settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdClass {
    BsonOid,
    KafkaMetaData,
    FullKey,
    PartialKey,
    PartialValue,
    ProvidedInKey,
    ProvidedInValue,
    Uuid,
    UuidProvidedInKey,
    UuidProvidedInValue,
}

/// A post processor's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessorClass {
    DocumentIdAdder,
    KafkaMetaAdder,
    NullFieldValueRemover,
    BlockKey,
    BlockValue,
    AllowKey,
    AllowValue,
    RenameByMapping,
    RenameByRegExp,
}

/// A namespace mapper's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapperClass {
    Default,
    FieldPath,
}

/// Why a class cannot be used.
#[derive(Debug)]
pub enum Refused {
    /// A problem at a key of the configuration.
    Config(ConfigError),
    /// A class of the wrong kind: the JVM does not handle it, and answers 500.
    Cast(Error),
}

impl From<ConfigError> for Refused {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

fn id_class(class: &str) -> Option<IdClass> {
    Some(match short(class)?.strip_prefix("processor.id.strategy.")? {
        "BsonOidStrategy" => IdClass::BsonOid,
        "KafkaMetaDataStrategy" => IdClass::KafkaMetaData,
        "FullKeyStrategy" => IdClass::FullKey,
        "PartialKeyStrategy" => IdClass::PartialKey,
        "PartialValueStrategy" => IdClass::PartialValue,
        "ProvidedInKeyStrategy" => IdClass::ProvidedInKey,
        "ProvidedInValueStrategy" => IdClass::ProvidedInValue,
        "UuidStrategy" => IdClass::Uuid,
        "UuidProvidedInKeyStrategy" => IdClass::UuidProvidedInKey,
        "UuidProvidedInValueStrategy" => IdClass::UuidProvidedInValue,
        _ => return None,
    })
}

fn processor_class(class: &str) -> Option<ProcessorClass> {
    Some(match short(class)?.strip_prefix("processor.")? {
        "DocumentIdAdder" => ProcessorClass::DocumentIdAdder,
        "KafkaMetaAdder" => ProcessorClass::KafkaMetaAdder,
        "NullFieldValueRemover" => ProcessorClass::NullFieldValueRemover,
        "BlockListKeyProjector" | "BlacklistKeyProjector" => ProcessorClass::BlockKey,
        "BlockListValueProjector" | "BlacklistValueProjector" => ProcessorClass::BlockValue,
        "AllowListKeyProjector" | "WhitelistKeyProjector" => ProcessorClass::AllowKey,
        "AllowListValueProjector" | "WhitelistValueProjector" => ProcessorClass::AllowValue,
        "field.renaming.RenameByMapping" => ProcessorClass::RenameByMapping,
        "field.renaming.RenameByRegExp" => ProcessorClass::RenameByRegExp,
        _ => return None,
    })
}

fn write_class(class: &str) -> Option<WriteStrategy> {
    Some(match short(class)?.strip_prefix("writemodel.strategy.")? {
        "DefaultWriteModelStrategy" | "ReplaceOneDefaultStrategy" => WriteStrategy::ReplaceOneDefault,
        "InsertOneDefaultStrategy" => WriteStrategy::InsertOneDefault,
        "ReplaceOneBusinessKeyStrategy" => WriteStrategy::ReplaceOneBusinessKey,
        "UpdateOneDefaultStrategy" => WriteStrategy::UpdateOneDefault,
        "UpdateOneTimestampsStrategy" => WriteStrategy::UpdateOneTimestamps,
        "UpdateOneBusinessKeyTimestampStrategy" => WriteStrategy::UpdateOneBusinessKeyTimestamp,
        "DeleteOneDefaultStrategy" => WriteStrategy::DeleteOneDefault,
        "DeleteOneBusinessKeyStrategy" => WriteStrategy::DeleteOneBusinessKey,
        "DeleteOneTombstoneBusinessKeyStrategy" => WriteStrategy::DeleteOneTombstoneBusinessKey,
        _ => return None,
    })
}

fn mapper_class(class: &str) -> Option<MapperClass> {
    match short(class)?.strip_prefix("namespace.mapping.")? {
        "DefaultNamespaceMapper" => Some(MapperClass::Default),
        "FieldPathNamespaceMapper" => Some(MapperClass::FieldPath),
        _ => None,
    }
}

fn handler_class(class: &str) -> Option<Handler> {
    Some(match short(class)?.strip_prefix("cdc.")? {
        "debezium.rdbms.RdbmsHandler"
        | "debezium.rdbms.postgres.PostgresHandler"
        | "debezium.rdbms.mysql.MysqlHandler" => Handler::Rdbms,
        "debezium.mongodb.MongoDbHandler" => Handler::DebeziumOplog,
        "debezium.mongodb.ChangeStreamHandler" => Handler::DebeziumChangeStream,
        "mongodb.ChangeStreamHandler" => Handler::ChangeStream,
        "qlik.rdbms.RdbmsHandler" | "attunity.rdbms.oracle.AttunityRdbmsHandler" => Handler::Qlik,
        _ => return None,
    })
}

/// Abstract classes and interfaces that exist but cannot be made.
const ABSTRACT: [&str; 14] = [
    "cdc.CdcHandler",
    "cdc.debezium.DebeziumCdcHandler",
    "cdc.qlik.QlikCdcHandler",
    "processor.PostProcessor",
    "processor.id.strategy.IdStrategy",
    "processor.id.strategy.ProvidedStrategy",
    "processor.id.strategy.UuidProvidedStrategy",
    "processor.field.projection.FieldProjector",
    "processor.field.projection.AllowListProjector",
    "processor.field.projection.BlockListProjector",
    "processor.field.renaming.Renamer",
    "writemodel.strategy.WriteModelStrategy",
    "namespace.mapping.NamespaceMapper",
    "cdc.CdcOperation",
];

/// True for a class that the JVM would find: one of the connector's own, or of Java itself.
fn exists(class: &str) -> bool {
    id_class(class).is_some()
        || processor_class(class).is_some()
        || write_class(class).is_some()
        || mapper_class(class).is_some()
        || handler_class(class).is_some()
        || class.starts_with("java.")
}

fn resolve<T>(key: &str, class: &str, interface: &str, find: fn(&str) -> Option<T>) -> Result<T, Refused> {
    if let Some(found) = find(class) {
        return Ok(found);
    }
    if short(class).is_some_and(|class| ABSTRACT.contains(&class)) {
        return Err(ConfigError::invalid_bare(key, class).into());
    }
    if exists(class) {
        let message = format!("class {class} cannot be cast to class {SINK}{interface}");
        return Err(Refused::Cast(
            Error::connect(message)
                .class("java.lang.ClassCastException")
                .hint(format!("Give {key} a class that implements {SINK}{interface}.")),
        ));
    }
    Err(ConfigError::invalid(key, class, format!("Class not found: {class}")).into())
}

/// `document.id.strategy`.
pub fn id(key: &str, class: &str) -> Result<IdClass, Refused> {
    resolve(key, class, "processor.id.strategy.IdStrategy", id_class)
}

/// An element of `post.processor.chain`.
pub fn processor(key: &str, class: &str) -> Result<ProcessorClass, Refused> {
    resolve(key, class, "processor.PostProcessor", processor_class)
}

/// `writemodel.strategy` and `delete.writemodel.strategy`.
pub fn write(key: &str, class: &str) -> Result<WriteStrategy, Refused> {
    resolve(key, class, "writemodel.strategy.WriteModelStrategy", write_class)
}

/// `namespace.mapper`.
pub fn mapper(key: &str, class: &str) -> Result<MapperClass, Refused> {
    resolve(key, class, "namespace.mapping.NamespaceMapper", mapper_class)
}

/// `change.data.capture.handler`.
pub fn handler(key: &str, class: &str) -> Result<Handler, Refused> {
    resolve(key, class, "cdc.CdcHandler", handler_class)
}
