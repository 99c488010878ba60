//! The keys of the converters, with the defaults of Confluent's.
//!
//! Every key of the registry's client may also be written with `schema.registry.` before it.

use std::sync::LazyLock;

use connect_api::{ConfigDef, Error, Props, Secret};
use connect_config::{ConfigError, ConfigValue, Validator};

use crate::registry::Strategy;

/// Before keys of the registry's client, where they are not to be mistaken for others.
pub(crate) const NAMESPACE: &str = "schema.registry.";
const TOPIC_NAME: &str = "io.confluent.kafka.serializers.subject.TopicNameStrategy";
const STRATEGIES: [&str; 3] = [
    TOPIC_NAME,
    "io.confluent.kafka.serializers.subject.RecordNameStrategy",
    "io.confluent.kafka.serializers.subject.TopicRecordNameStrategy",
];
const NO_CONTEXT: &str = "io.confluent.kafka.serializers.context.NullContextNameStrategy";
const PREFIX_WRITER: &str = "io.confluent.kafka.serializers.schema.id.PrefixSchemaIdSerializer";
const DUAL_READER: &str = "io.confluent.kafka.serializers.schema.id.DualSchemaIdDeserializer";
const PREFIX_READER: &str = "io.confluent.kafka.serializers.schema.id.PrefixSchemaIdDeserializer";

connect_config::config! {
    /// The keys that all converters of this crate have.
    pub struct RegistryConfig {
        /// Addresses of the registry's nodes, separated by commas. When one does not answer, the next one is asked.
        "schema.registry.url" => urls: Vec<String> { importance(High), validator(non_empty_list()) },
        /// Begins with any of the addresses instead of the first one.
        "schema.registry.url.randomize" => randomize: bool = "false" { importance(Low) },
        /// How many schemas are remembered of what the registry said.
        "max.schemas.per.subject" => max_schemas: i32 = "1000" { importance(Low) },
        /// Asks the registry to bring schemas into a normal form before it compares them.
        "normalize.schemas" => normalize: bool = "false" { importance(Medium) },
        /// Registers the schema of a record that is written, where the registry does not know it yet.
        "auto.register.schemas" => auto_register: bool = "true" { importance(Medium) },
        /// Asks the registry to give a new version the tags of the version before it.
        "propagate.schema.tags" => propagate_tags: bool = "false" { importance(Low) },
        /// The id of the schema that records are written with, instead of their own; needs auto.register.schemas=false.
        "use.schema.id" => use_id: i32 = "-1" { importance(Low) },
        /// Refuses records whose own schema can't be read with the one of use.schema.id.
        "id.compatibility.strict" => id_strict: bool = "true" { importance(Low) },
        /// Writes with the latest version of the subject instead of the record's own schema (needs auto.register.schemas=false),
        /// and reads into it.
        "use.latest.version" => use_latest: bool = "false" { importance(Low) },
        /// Refuses records whose own schema can't be read with the latest version.
        "latest.compatibility.strict" => latest_strict: bool = "true" { importance(Low) },
        /// How many latest versions are remembered.
        "latest.cache.size" => latest_cache_size: i32 = "1000" { importance(Low) },
        /// After how many seconds the latest version is asked for again; -1 for never.
        "latest.cache.ttl.sec" => latest_ttl: i32 = "-1" { importance(Low) },
        /// For how many seconds an id that the registry does not have is not asked for again; -1 for asking each time.
        "missing.id.cache.ttl.sec" => missing_id_ttl: i32 = "1" { importance(Low) },
        /// The same of a version of a subject, and of its latest one.
        "missing.version.cache.ttl.sec" => missing_version_ttl: i32 = "1" { importance(Low) },
        /// The same of a schema that is looked up under a subject.
        "missing.schema.cache.ttl.sec" => missing_schema_ttl: i32 = "1" { importance(Low) },
        /// How many ids, versions and schemas are remembered that the registry does not have.
        "missing.cache.size" => missing_cache_size: i32 = "10000" { importance(Low) },
        /// Uses the latest version that has these metadata, as key=value separated by commas.
        "use.latest.with.metadata" => use_metadata: Option<String> = NULL { importance(Low) },
        /// Where the user and password for basic authentication are: in the addresses (URL), in basic.auth.user.info
        /// (USER_INFO), or in sasl.jaas.config (SASL_INHERIT).
        "basic.auth.credentials.source" => basic_source: String = "URL" {
            importance(Medium), validator(one_of(["URL", "USER_INFO", "SASL_INHERIT", ""]))
        },
        /// Where the token of bearer authentication is: in bearer.auth.token (STATIC_TOKEN). It takes effect where it is set.
        "bearer.auth.credentials.source" => bearer_source: String = "STATIC_TOKEN" {
            importance(Medium), validator(one_of(["STATIC_TOKEN", ""]))
        },
        /// User and password as user:password; the older name of basic.auth.user.info, which it goes before.
        "schema.registry.basic.auth.user.info" => old_user_info: Secret = "" { importance(Medium) },
        /// User and password as user:password.
        "basic.auth.user.info" => user_info: Secret = "" { importance(Medium) },
        /// The token for bearer authentication.
        "bearer.auth.token" => token: Secret = "" { importance(Medium) },
        /// Told to the registry with a token: the logical cluster that is meant.
        "bearer.auth.logical.cluster" => logical_cluster: Option<String> = NULL { importance(Medium) },
        /// Told to the registry with a token: the identity pool that is meant.
        "bearer.auth.identity.pool.id" => identity_pool: Option<String> = NULL { importance(Medium) },
        /// A login configuration whose user and password basic.auth.credentials.source=SASL_INHERIT takes.
        "sasl.jaas.config" => jaas: Option<Secret> = NULL { importance(Medium) },
        /// Which context of the registry subjects belong to.
        "context.name.strategy" => context: String = "io.confluent.kafka.serializers.context.NullContextNameStrategy" {
            importance(Medium), validator(one_of([NO_CONTEXT]))
        },
        /// How the subject of a key's schema is named.
        "key.subject.name.strategy" => key_strategy: String = "io.confluent.kafka.serializers.subject.TopicNameStrategy" {
            importance(Medium), validator(one_of(STRATEGIES))
        },
        /// How the id of a key's schema is written.
        "key.schema.id.serializer" => key_id_writer: String =
            "io.confluent.kafka.serializers.schema.id.PrefixSchemaIdSerializer" {
            importance(Medium), validator(one_of([PREFIX_WRITER]))
        },
        /// How the id of a key's schema is read; either of the two reads what stands before the key.
        "key.schema.id.deserializer" => key_id_reader: String =
            "io.confluent.kafka.serializers.schema.id.DualSchemaIdDeserializer" {
            importance(Medium), validator(one_of([DUAL_READER, PREFIX_READER]))
        },
        /// How the subject of a value's schema is named.
        "value.subject.name.strategy" => value_strategy: String = "io.confluent.kafka.serializers.subject.TopicNameStrategy" {
            importance(Medium), validator(one_of(STRATEGIES))
        },
        /// How the id of a value's schema is written.
        "value.schema.id.serializer" => value_id_writer: String =
            "io.confluent.kafka.serializers.schema.id.PrefixSchemaIdSerializer" {
            importance(Medium), validator(one_of([PREFIX_WRITER]))
        },
        /// How the id of a value's schema is read; either of the two reads what stands before the value.
        "value.schema.id.deserializer" => value_id_reader: String =
            "io.confluent.kafka.serializers.schema.id.DualSchemaIdDeserializer" {
            importance(Medium), validator(one_of([DUAL_READER, PREFIX_READER]))
        },
        /// The host of a proxy through which the registry is reached.
        "proxy.host" => proxy_host: String = "" { importance(Low) },
        /// The port of the proxy.
        "proxy.port" => proxy_port: i32 = "-1" { importance(Low) },
        /// How long a connection to the registry may take.
        "http.connect.timeout.ms" => connect_timeout: i32 = "60000" { importance(Low), validator(at_least(0)) },
        /// How long the registry may be silent.
        "http.read.timeout.ms" => read_timeout: i32 = "60000" { importance(Low), validator(at_least(0)) },
        /// How often a request that no node answered is made again.
        "max.retries" => max_retries: i32 = "3" { importance(Low), validator(at_least(0)) },
        /// The longest wait before the first repetition; a random part of it is waited. It doubles with each.
        "retries.wait.ms" => retry_wait: i32 = "1000" { importance(Low), validator(at_least(0)) },
        /// The longest wait before any repetition.
        "retries.max.wait.ms" => retry_wait_max: i32 = "20000" { importance(Low), validator(at_least(0)) },
        /// The file of the own certificate and key for the registry, in PEM, PKCS12 or JKS.
        "schema.registry.ssl.keystore.location" => keystore: Option<String> = NULL { importance(High) },
        /// The password of that file.
        "schema.registry.ssl.keystore.password" => keystore_password: Option<Secret> = NULL { importance(High) },
        /// The kind of that file; its content shows it.
        "schema.registry.ssl.keystore.type" => keystore_type: String = "JKS" { importance(Medium) },
        /// The password of the key.
        "schema.registry.ssl.key.password" => key_password: Option<Secret> = NULL { importance(High) },
        /// The own key as PEM in place of a file.
        "schema.registry.ssl.keystore.key" => keystore_key: Option<Secret> = NULL { importance(High) },
        /// The own certificate and those that lead to its authority, as PEM in place of a file.
        "schema.registry.ssl.keystore.certificate.chain" => keystore_chain: Option<Secret> = NULL { importance(High) },
        /// The file of trusted certificates, in PEM, PKCS12 or JKS; without one, those of this machine are trusted.
        "schema.registry.ssl.truststore.location" => truststore: Option<String> = NULL { importance(High) },
        /// The password of that file.
        "schema.registry.ssl.truststore.password" => truststore_password: Option<Secret> = NULL { importance(High) },
        /// The kind of that file; its content shows it.
        "schema.registry.ssl.truststore.type" => truststore_type: String = "JKS" { importance(Medium) },
        /// The trusted certificates as PEM in place of a file.
        "schema.registry.ssl.truststore.certificates" => truststore_pem: Option<Secret> = NULL { importance(High) },
        /// The versions of TLS to choose from.
        "schema.registry.ssl.enabled.protocols" => protocols: Vec<String> = "TLSv1.2,TLSv1.3" { importance(Medium) },
        /// The cipher suites to choose from; all that are known when none is named.
        "schema.registry.ssl.cipher.suites" => cipher_suites: Option<Vec<String>> = NULL { importance(Low) },
        /// https checks that the registry's certificate names its host; empty or none does not.
        "schema.registry.ssl.endpoint.identification.algorithm" => endpoint_check: String = "https" { importance(Low) },
    }
}

connect_config::config! {
    /// The keys of the Avro converter alone.
    pub struct AvroConfig {
        /// Understands enums and unions as other formats of schemas do.
        "generalized.sum.type.support" => generalized: bool = "false" { importance(Medium) },
        /// Leaves a null in a field null, although the field has a default.
        "ignore.default.for.nullables" => ignore_default: bool = "false" { importance(Medium) },
        /// How many schemas are kept in their prepared form, for each direction.
        "schemas.cache.config" => cache_size: i32 = "1000" { importance(Low) },
        /// Writes enums as enums, and tells records of one name in several namespaces apart in unions.
        "enhanced.avro.schema.support" => enhanced: bool = "false" { importance(Medium) },
        /// Replaces what may not stand in a name of Avro.
        "scrub.invalid.names" => scrub: bool = "false" { importance(Medium) },
        /// Writes what Avro has no place for into properties of the schema: names, versions, parameters, documentation.
        "connect.meta.data" => meta_data: bool = "true" { importance(Low) },
        /// Keeps only documentation and defaults of fields, none of types.
        "discard.type.doc.default" => discard_type_doc: bool = "false" { importance(Low) },
        /// Writes a map whose keys are optional text as a map, not as an array of entries.
        "allow.optional.map.keys" => allow_optional_keys: bool = "false" { importance(Low) },
        /// Reads a union of one type as that type.
        "flatten.singleton.unions" => flatten: bool = "true" { importance(Low) },
    }
}

connect_config::config! {
    /// The keys of the JSON Schema converter alone.
    pub struct JsonConfig {
        /// Understands enums and unions as other formats of schemas do.
        "generalized.sum.type.support" => generalized: bool = "false" { importance(Medium) },
        /// Leaves a null in a field null, although the field has a default.
        "ignore.default.for.nullables" => ignore_default: bool = "false" { importance(Medium) },
        /// How many schemas are kept in their prepared form, for each direction.
        "schemas.cache.config" => cache_size: i32 = "1000" { importance(Low) },
        /// Writes schemas of objects that allow properties besides those that they name.
        "object.additional.properties" => additional_properties: bool = "true" { importance(Medium) },
        /// Reads properties that are not required as optional fields.
        "use.optional.for.nonrequired" => optional_when_not_required: bool = "false" { importance(Medium) },
        /// Reads schemas of drafts after 7 as if they were of draft 7; here all are read alike.
        "ignore.modern.dialects" => ignore_modern: bool = "false" { importance(Low) },
        /// How decimals are written: BASE64 for the bytes of the unscaled value, NUMERIC for a JSON number. Both are
        /// understood when reading.
        "decimal.format" => decimal_format: String = "BASE64" {
            importance(Low), validator(one_of_ignoring_case(["BASE64", "NUMERIC"]))
        },
        /// Reads a union of one schema as that schema.
        "flatten.singleton.unions" => flatten: bool = "true" { importance(Low) },
        /// Checks records against their schema; can't be switched on here.
        "json.fail.invalid.schema" => validate: bool = "false" {
            importance(Medium), validator(never("records are not checked against their schema here"))
        },
    }
}

connect_config::config! {
    /// The keys of the Protobuf converter alone.
    pub struct ProtobufConfig {
        /// Understands enums and unions as other formats of schemas do.
        "generalized.sum.type.support" => generalized: bool = "false" { importance(Medium) },
        /// Leaves a null in a field null, although the field has a default.
        "ignore.default.for.nullables" => ignore_default: bool = "false" { importance(Medium) },
        /// How many schemas are kept in their prepared form, for each direction.
        "schemas.cache.config" => cache_size: i32 = "1000" { importance(Low) },
        /// Reads names of messages and enums with their package.
        "enhanced.protobuf.schema.support" => enhanced: bool = "false" { importance(Medium) },
        /// Replaces what may not stand in a name of Protobuf.
        "scrub.invalid.names" => scrub: bool = "false" { importance(Medium) },
        /// Reads enums as their numbers.
        "int.for.enums" => int_for_enums: bool = "false" { importance(Medium) },
        /// Writes optional fields with the label optional, and reads fields without it as required.
        "optional.for.nullables" => optional_label: bool = "false" { importance(Medium) },
        /// Reads fields of proto2 that have the label optional and are not there as null.
        "optional.for.proto2" => optional_of_proto2: bool = "true" { importance(Medium) },
        /// Writes optional fields as messages around their value, and reads such messages as their value.
        "wrapper.for.nullables" => wrapper_for_nullables: bool = "false" { importance(Medium) },
        /// Reads records that are a message around one value as that value.
        "wrapper.for.raw.primitives" => wrapper_for_primitives: bool = "true" { importance(Medium) },
        /// Reads messages that are not there as messages in which nothing is there.
        "generate.struct.for.nulls" => struct_for_nulls: bool = "false" { importance(Medium) },
        /// Adds the number of a oneof to the name of its field.
        "generate.index.for.unions" => index_for_unions: bool = "true" { importance(Low) },
        /// Reads the members of a oneof as fields of the message.
        "flatten.unions" => flatten_unions: bool = "false" { importance(Low) },
    }
}

/// The keys of the Protobuf converter.
pub fn protobuf_def() -> &'static ConfigDef {
    static DEF: LazyLock<ConfigDef> = LazyLock::new(|| with_registry(ProtobufConfig::def()));
    &DEF
}

/// The keys of the JSON Schema converter.
pub fn json_def() -> &'static ConfigDef {
    static DEF: LazyLock<ConfigDef> = LazyLock::new(|| with_registry(JsonConfig::def()));
    &DEF
}

/// Refuses what can't be switched on.
fn never(why: &'static str) -> impl Validator {
    connect_config::validators::check("[false]", move |name, value| match value {
        ConfigValue::Boolean(true) => Err(ConfigError::invalid(name, value, why)),
        _ => Ok(()),
    })
}

/// The keys of the Avro converter.
pub fn avro_def() -> &'static ConfigDef {
    static DEF: LazyLock<ConfigDef> = LazyLock::new(|| with_registry(AvroConfig::def()));
    &DEF
}

fn with_registry(own: &ConfigDef) -> ConfigDef {
    let mut def = RegistryConfig::def().clone();
    def.extend(own);
    def
}

impl RegistryConfig {
    /// The subject strategy of keys or values.
    pub(crate) fn strategy(&self, is_key: bool) -> Strategy {
        // The validator lets no other names pass.
        Strategy::named(if is_key { &self.key_strategy } else { &self.value_strategy }).unwrap_or(Strategy::Topic)
    }
}

/// The properties with the keys of the client under their short names: what has the prefix goes before what has not.
pub(crate) fn without_namespace(props: &Props) -> Props {
    let mut props = props.clone();
    let known: Vec<String> = RegistryConfig::def().keys().map(|key| key.name.clone()).collect();
    for key in known.iter().filter(|key| !key.starts_with(NAMESPACE)) {
        if let Some(value) = props.get(&format!("{NAMESPACE}{key}")).cloned() {
            // The older name of the user and password has a key of its own.
            if key != "basic.auth.user.info" {
                props.insert(key.clone(), value);
            }
        }
    }
    props
}

/// Of all problems the first, as the JVM reports it.
pub(crate) fn first_problem(problems: Vec<ConfigError>) -> Error {
    problems.into_iter().next().map_or_else(|| Error::config("invalid configuration"), Error::from)
}

/// A size that is at least one.
pub(crate) fn size(given: i32) -> usize {
    usize::try_from(given).unwrap_or(0).max(1)
}

/// Whether the user gave a key, with or without the prefix, and did not leave it empty.
pub(crate) fn is_given(props: &Props, key: &str) -> bool {
    let given = |key: &str| props.get(key).and_then(Option::as_deref).is_some_and(|value| !value.trim().is_empty());
    given(key) || given(&format!("{NAMESPACE}{key}"))
}

/// Text behind a secret that is not empty.
pub(crate) fn exposed(secret: &Secret) -> Option<&str> {
    Some(secret.expose()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn props(pairs: &[(&str, &str)]) -> Props {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect()
    }

    #[test]
    fn keys_of_the_client_may_have_the_prefix() {
        let given =
            props(&[("schema.registry.url", "http://a"), ("schema.registry.max.retries", "7"), ("max.retries", "1")]);
        let config = RegistryConfig::parse(&without_namespace(&given)).unwrap();
        assert_eq!((config.max_retries, config.urls), (7, vec!["http://a".to_owned()]));
        assert!(is_given(&given, "max.retries") && !is_given(&given, "retries.wait.ms"));
    }

    #[test]
    fn an_address_is_needed_and_names_of_classes_are_checked() {
        let error = |given| first_problem(RegistryConfig::parse(&props(given)).unwrap_err()).message().to_owned();
        assert_eq!(error(&[]), "Missing required configuration \"schema.registry.url\" which has no default value.");
        let strategy = "value.subject.name.strategy";
        let text = error(&[("schema.registry.url", "http://a"), (strategy, "com.acme.Mine")]);
        assert!(
            text.starts_with("Invalid value com.acme.Mine for configuration value.subject.name.strategy"),
            "{text}"
        );
        let given = props(&[("schema.registry.url", "http://a"), (strategy, STRATEGIES[2])]);
        let config = RegistryConfig::parse(&given).unwrap();
        assert_eq!((config.strategy(false), config.strategy(true)), (Strategy::TopicRecord, Strategy::Topic));
    }

    #[test]
    fn definitions_build() {
        let shared = RegistryConfig::def().keys().count();
        let own = [avro_def(), json_def(), protobuf_def()].map(|def| def.keys().count() - shared);
        assert_eq!(own, [9, 9, 13]);
    }
}
