//! The transforms of Debezium 3.3.1, under their Java class names.
//!
//! What they have in common is here: they look at change events only ([`envelope`]), and they read their settings with
//! Debezium's rules instead of Kafka's ([`settings`]). Their definitions still are what the REST API validates against.

mod envelope;
mod json;
mod json_payload;
mod schema_names;
mod settings;
mod shared_headers;

mod activate_tracing_span;
mod by_logical_table_router;
mod decode_logical_decoding_message_content;
mod event_router;
mod extract_changed_record_state;
mod extract_new_record_state;
mod extract_schema_to_new_record;
mod header_to_value;
mod open_lineage;
mod partition_routing;
mod schema_change_event_filter;
mod timezone_converter;
mod vector_to_json_converter;

use connect_api::plugin::MakeTransform;
use connect_api::{ConfigDef, Plugin, PluginKind};

/// The version of Debezium whose transforms these are.
const DEBEZIUM_VERSION: &str = "3.3.1.Final";

/// Debezium's transforms.
pub(crate) fn plugins() -> Vec<Plugin> {
    vec![
        activate_tracing_span::plugin(),
        by_logical_table_router::plugin(),
        decode_logical_decoding_message_content::plugin(),
        event_router::plugin(),
        extract_changed_record_state::plugin(),
        extract_new_record_state::plugin(),
        extract_schema_to_new_record::plugin(),
        header_to_value::plugin(),
        open_lineage::plugin(),
        partition_routing::plugin(),
        schema_change_event_filter::plugin(),
        timezone_converter::plugin(),
        vector_to_json_converter::plugin(),
    ]
}

fn plugin(class: &'static str, config_def: fn() -> &'static ConfigDef, make: MakeTransform) -> Plugin {
    Plugin { class, version: DEBEZIUM_VERSION, kind: PluginKind::Transformation(make), config_def }
}
