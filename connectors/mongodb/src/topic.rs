//! What the configuration means for one topic (`MongoSinkTopicConfig`): the overrides merged, the classes made.

use std::sync::Arc;

use connect_config::{ConfigError, Props};

use crate::cdc::Handler;
use crate::classes::{self, IdClass, MapperClass, ProcessorClass, Refused};
use crate::doc::{Types, Unavailable};
use crate::ids::{IdStrategy, UuidFormat};
use crate::model::WriteStrategy;
use crate::namespace::{FieldPath, Mapper, Namespace};
use crate::process::Processor;
use crate::project::Projection;
use crate::rename::Renamer;
use crate::settings::{ExtraConfig, SinkConfig};
use crate::timefield::TimeParser;

/// The prefix of settings for one topic.
pub const OVERRIDE: &str = "topic.override.";

/// What happens to records that cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tolerance {
    /// The task fails.
    None,
    /// Errors of data are tolerated, others fail the task.
    Data,
    /// Every error is tolerated.
    All,
}

/// A time series collection that is made when it is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeseries {
    pub time_field: String,
    pub meta_field: Option<String>,
    pub granularity: Option<String>,
    pub expire_after_seconds: i64,
}

/// Everything that a topic's records need.
#[derive(Clone, Debug)]
pub struct Plan {
    pub mapper: Mapper,
    pub handler: Option<Handler>,
    pub ids: IdStrategy,
    pub overwrite_id: bool,
    pub processors: Vec<Processor>,
    pub write: WriteStrategy,
    /// What a record without a value asks for; `None` when that is an error.
    pub delete: Option<Delete>,
    pub tolerance: Tolerance,
    pub log_errors: bool,
    /// 0 is without a bound of its own.
    pub max_batch_size: usize,
    pub ordered: bool,
    pub rate_limit_ms: u64,
    pub rate_limit_every: u64,
    pub timeseries: Option<Timeseries>,
    /// How Debezium's types are converted, when they are.
    pub types: Option<Types>,
    /// The placeholder of values that stay as they are stored, when they do.
    pub keep: Option<Unavailable>,
}

/// How a record without a value deletes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delete {
    pub strategy: WriteStrategy,
    /// The default strategy finds the document by the id strategy, the others by the key.
    pub by_ids: bool,
}

/// The properties of a topic: its overrides over what is set for all. `connection.uri` and `topics` are for all.
pub fn properties(topic: &str, props: &Props) -> Props {
    let prefix = format!("{OVERRIDE}{topic}.");
    let mut merged: Props = props
        .iter()
        .filter(|(key, _)| !key.starts_with(OVERRIDE))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    for (key, value) in props {
        match key.strip_prefix(&prefix) {
            None | Some("connection.uri" | "topics" | "topics.regex") => {}
            Some(key) => {
                merged.insert(key.to_owned(), value.clone());
            }
        }
    }
    merged
}

impl Plan {
    /// Parses the settings of a topic.
    pub fn new(topic: &str, props: &Props) -> Result<Self, Refused> {
        let props = properties(topic, props);
        let config = SinkConfig::parse(&props)
            .map_err(|problems| problems.into_iter().next().unwrap_or_else(|| ConfigError::new("invalid")))?;
        Self::from_config(topic, &config, &props)
    }

    /// Makes the classes of a topic, in the JVM's order: the first that cannot be made is the one reported.
    pub fn from_config(topic: &str, config: &SinkConfig, props: &Props) -> Result<Self, Refused> {
        let problems = Self::check_each(topic, config);
        if let Some(problem) = problems.into_iter().next() {
            return Err(problem);
        }
        let ids = ids(config)?;
        let extra = ExtraConfig::of(props)
            .map_err(|problems| problems.into_iter().next().unwrap_or_else(|| ConfigError::new("invalid")))?;
        let all = |own: &str| props.contains_key(own);
        let tolerance = match if all("mongo.errors.tolerance") {
            config.mongo_errors_tolerance.to_lowercase()
        } else {
            config.errors_tolerance.to_lowercase()
        }
        .as_str()
        {
            "all" => Tolerance::All,
            "data" => Tolerance::Data,
            _ => Tolerance::None,
        };
        let logs =
            if all("mongo.errors.log.enable") { config.mongo_errors_log_enable } else { config.errors_log_enable };
        Ok(Self {
            mapper: mapper(topic, config)?,
            handler: handler(config)?,
            overwrite_id: config.document_id_strategy_overwrite_existing,
            processors: processors(config)?,
            write: write_strategy(config)?,
            delete: delete(config, &ids)?,
            ids,
            tolerance,
            log_errors: tolerance == Tolerance::None || logs,
            max_batch_size: usize::try_from(config.max_batch_size).unwrap_or(0),
            ordered: config.bulk_write_ordered,
            rate_limit_ms: u64::try_from(config.rate_limiting_timeout).unwrap_or(0),
            rate_limit_every: u64::try_from(config.rate_limiting_every_n).unwrap_or(0),
            timeseries: timeseries(config),
            types: extra.debezium_types_convert.then(|| {
                let binary = extra.debezium_types_uuid_format.eq_ignore_ascii_case("binary");
                Types::new(binary, &extra.debezium_types_exclude, unavailable(&extra))
            }),
            keep: extra.debezium_unavailable_keep.then(|| unavailable(&extra)),
        })
    }

    /// The fields at the top level of values that are looked at, when these are not all.
    pub fn value_fields(&self) -> Option<&'static [&'static str]> {
        match (&self.mapper, self.handler) {
            (Mapper::Fixed(_), Some(handler)) => handler.value_fields(),
            _ => None,
        }
    }

    /// Tries every class of a topic and gives the problems of all, in the JVM's order.
    pub fn check_each(topic: &str, config: &SinkConfig) -> Vec<Refused> {
        let id = ids(config);
        let mut problems = Vec::new();
        problems.extend(mapper(topic, config).err());
        let usable_ids = match id {
            Ok(ids) => Some(ids),
            Err(problem) => {
                problems.push(problem);
                None
            }
        };
        problems.extend(processors(config).err());
        problems.extend(write_strategy(config).err());
        if let Some(ids) = usable_ids {
            problems.extend(delete(config, &ids).err());
        }
        problems.extend(handler(config).err());
        problems
    }
}

fn mapper(topic: &str, config: &SinkConfig) -> Result<Mapper, Refused> {
    const KEY: &str = "namespace.mapper";
    let collection = if config.collection.is_empty() { topic } else { &config.collection };
    let fixed = Namespace::new(&config.database, collection)
        .map(Arc::new)
        .map_err(|error| ConfigError::invalid("database", &config.database, error.message()));
    match classes::mapper(KEY, &config.namespace_mapper)? {
        MapperClass::Default => Ok(Mapper::Fixed(fixed?)),
        MapperClass::FieldPath => {
            let database = one_path(
                "namespace.mapper.key.database.field",
                &config.namespace_mapper_key_database_field,
                "namespace.mapper.value.database.field",
                &config.namespace_mapper_value_database_field,
            )?;
            let collection = one_path(
                "namespace.mapper.key.collection.field",
                &config.namespace_mapper_key_collection_field,
                "namespace.mapper.value.collection.field",
                &config.namespace_mapper_value_collection_field,
            )?;
            if database.is_none() && collection.is_none() {
                return Err(ConfigError::invalid(
                    KEY,
                    &config.namespace_mapper,
                    "Missing configuration for the FieldBasedNamespaceMapper. Please configure the database and / or \
                     collection field path.",
                )
                .into());
            }
            Ok(Mapper::Fields { fixed: fixed?, database, collection, strict: config.namespace_mapper_error_if_invalid })
        }
    }
}

fn one_path(key_name: &str, key: &str, value_name: &str, value: &str) -> Result<Option<FieldPath>, ConfigError> {
    match (key, value) {
        ("", "") => Ok(None),
        (path, "") => Ok(Some(FieldPath::Key(path.to_owned()))),
        ("", path) => Ok(Some(FieldPath::Value(path.to_owned()))),
        _ => Err(ConfigError::invalid(key_name, key, format!("Cannot set both: '{key_name}' and '{value_name}'"))),
    }
}

fn ids(config: &SinkConfig) -> Result<IdStrategy, Refused> {
    const KEY: &str = "document.id.strategy";
    let class = &config.document_id_strategy;
    let chain = format!("[{}]", config.post_processor_chain.join(", "));
    let class = classes::id(KEY, class).map_err(|refused| in_chain(refused, KEY, class, &chain))?;
    Ok(match class {
        IdClass::BsonOid => IdStrategy::BsonOid,
        IdClass::KafkaMetaData => IdStrategy::KafkaMetaData,
        IdClass::FullKey => IdStrategy::FullKey,
        IdClass::PartialKey => IdStrategy::PartialKey(partial(
            KEY,
            &chain,
            "key.projection.type",
            (&config.document_id_strategy_partial_key_projection_type, &config.key_projection_type),
            (&config.document_id_strategy_partial_key_projection_list, &config.key_projection_list),
        )?),
        IdClass::PartialValue => IdStrategy::PartialValue(partial(
            KEY,
            &chain,
            "value.projection.type",
            (&config.document_id_strategy_partial_value_projection_type, &config.value_projection_type),
            (&config.document_id_strategy_partial_value_projection_list, &config.value_projection_list),
        )?),
        IdClass::ProvidedInKey => IdStrategy::ProvidedInKey,
        IdClass::ProvidedInValue => IdStrategy::ProvidedInValue,
        IdClass::Uuid => IdStrategy::Uuid(if config.document_id_strategy_uuid_format.eq_ignore_ascii_case("binary") {
            UuidFormat::Binary
        } else {
            UuidFormat::String
        }),
        IdClass::UuidProvidedInKey => IdStrategy::UuidProvidedInKey,
        IdClass::UuidProvidedInValue => IdStrategy::UuidProvidedInValue,
    })
}

/// The JVM reports a problem of the id strategy a second time from the chain that uses it, with the chain as the
/// value: the second report replaces the first.
fn in_chain(refused: Refused, key: &str, class: &str, chain: &str) -> Refused {
    match refused {
        Refused::Config(error) => {
            let own = format!("Invalid value {class} for configuration {key}");
            let why = error.message.strip_prefix(&own).map(str::to_owned).unwrap_or_default();
            Refused::Config(ConfigError {
                key: Some(key.to_owned()),
                message: format!("Invalid value {chain} for configuration {key}{why}"),
            })
        }
        cast @ Refused::Cast(_) => cast,
    }
}

/// A projection from a pair of settings: the strategy's own, else the general one.
fn partial(
    key: &str,
    chain: &str,
    general: &str,
    kinds: (&str, &str),
    lists: (&str, &str),
) -> Result<Projection, ConfigError> {
    let own = |pair: (&str, &str)| if pair.0.is_empty() { pair.1.to_owned() } else { pair.0.to_owned() };
    let list = own(lists);
    match own(kinds).to_lowercase().as_str() {
        "blocklist" | "blacklist" => Ok(Projection::block(&list)),
        "allowlist" | "whitelist" => Ok(Projection::allow(&list)),
        _ => Err(ConfigError::invalid(
            key,
            chain,
            format!("Invalid {general} value. It should be set to either BLOCKLIST or ALLOWLIST"),
        )),
    }
}

fn processors(config: &SinkConfig) -> Result<Vec<Processor>, Refused> {
    const KEY: &str = "post.processor.chain";
    let chain = format!("[{}]", config.post_processor_chain.join(", "));
    let mut processors = Vec::new();
    for class in &config.post_processor_chain {
        let kind = classes::processor(KEY, class).map_err(|refused| in_chain(refused, KEY, class, &chain))?;
        processors.push(match kind {
            ProcessorClass::DocumentIdAdder => Processor::DocumentIdAdder,
            ProcessorClass::KafkaMetaAdder => Processor::KafkaMetaAdder,
            ProcessorClass::NullFieldValueRemover => Processor::NullFieldValueRemover,
            ProcessorClass::BlockKey => Processor::ProjectKey(Projection::block(&config.key_projection_list)),
            ProcessorClass::AllowKey => Processor::ProjectKey(Projection::allow(&config.key_projection_list)),
            ProcessorClass::BlockValue => Processor::ProjectValue(Projection::block(&config.value_projection_list)),
            ProcessorClass::AllowValue => Processor::ProjectValue(Projection::allow(&config.value_projection_list)),
            ProcessorClass::RenameByMapping => Processor::Rename(Renamer::mapping(&config.field_renamer_mapping)?),
            ProcessorClass::RenameByRegExp => Processor::Rename(Renamer::rules(&config.field_renamer_regexp)?),
        });
    }
    if !processors.iter().any(|processor| matches!(processor, Processor::DocumentIdAdder)) {
        processors.insert(0, Processor::DocumentIdAdder);
    }
    if let Some(timeseries) = timeseries(config).filter(|_| config.timeseries_timefield_auto_convert) {
        let pattern = &config.timeseries_timefield_auto_convert_date_format;
        let parser = TimeParser::new(pattern)
            .map_err(|why| ConfigError::invalid("timeseries.timefield.auto.convert.date.format", pattern, why))?;
        processors.push(Processor::TimeField(timeseries.time_field, parser));
    }
    Ok(processors)
}

fn write_strategy(config: &SinkConfig) -> Result<WriteStrategy, Refused> {
    let class = &config.writemodel_strategy;
    if timeseries(config).is_some() && class.ends_with(".DefaultWriteModelStrategy") {
        return Ok(WriteStrategy::InsertOneDefault);
    }
    classes::write("writemodel.strategy", class)
}

fn delete(config: &SinkConfig, ids: &IdStrategy) -> Result<Option<Delete>, Refused> {
    if !config.delete_on_null_values {
        return Ok(None);
    }
    let strategy = classes::write("delete.writemodel.strategy", &config.delete_writemodel_strategy)?;
    if strategy != WriteStrategy::DeleteOneDefault {
        return Ok(Some(Delete { strategy, by_ids: false }));
    }
    // The UUID strategies read the key too, but are not in the JVM's list.
    if !matches!(ids, IdStrategy::FullKey | IdStrategy::PartialKey(_) | IdStrategy::ProvidedInKey) {
        return Err(ConfigError::invalid(
            "delete.on.null.values",
            "true",
            "DeleteOneDefaultStrategy can only be applied when the configured IdStrategy is an instance of: \
             FullKeyStrategy or PartialKeyStrategy or ProvidedInKeyStrategy",
        )
        .into());
    }
    Ok(Some(Delete { strategy, by_ids: true }))
}

fn handler(config: &SinkConfig) -> Result<Option<Handler>, Refused> {
    match config.change_data_capture_handler.as_str() {
        "" => Ok(None),
        class => classes::handler("change.data.capture.handler", class).map(Some),
    }
}

fn unavailable(extra: &ExtraConfig) -> Unavailable {
    Unavailable::new(&extra.unavailable_value_placeholder)
}

fn timeseries(config: &SinkConfig) -> Option<Timeseries> {
    let some = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    Some(Timeseries {
        time_field: some(&config.timeseries_timefield)?,
        meta_field: some(&config.timeseries_metafield),
        granularity: some(&config.timeseries_granularity).map(|text| text.to_lowercase()),
        expire_after_seconds: config.timeseries_expire_after_seconds,
    })
}
