//! How a plugin presents itself to the worker: its Java class name, version and what it is.

use std::sync::Arc;

use connect_config::{ConfigDef, Props};

use crate::converter::{Converter, HeaderConverter};
use crate::error::Result;
use crate::sink::SinkConnector;
use crate::source::SourceConnector;
use crate::transform::{Predicate, Transform};

/// The kinds of plugins, as `/connector-plugins` names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PluginType {
    Sink,
    Source,
    Converter,
    HeaderConverter,
    Transformation,
    Predicate,
}

impl PluginType {
    /// The name in the REST API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sink => "sink",
            Self::Source => "source",
            Self::Converter => "converter",
            Self::HeaderConverter => "header_converter",
            Self::Transformation => "transformation",
            Self::Predicate => "predicate",
        }
    }
}

/// Makes a configured converter; the flag says whether it converts keys.
pub type MakeConverter = fn(&Props, bool) -> Result<Box<dyn Converter>>;
/// Makes a configured header converter.
pub type MakeHeaderConverter = fn(&Props) -> Result<Box<dyn HeaderConverter>>;
/// Makes a configured transform.
pub type MakeTransform = fn(&Props) -> Result<Box<dyn Transform>>;
/// Makes a configured predicate.
pub type MakePredicate = fn(&Props) -> Result<Box<dyn Predicate>>;

/// What a plugin does.
#[derive(Clone)]
pub enum PluginKind {
    Source(Arc<dyn SourceConnector>),
    Sink(Arc<dyn SinkConnector>),
    /// A converter; most are header converters too.
    Converter(MakeConverter, Option<MakeHeaderConverter>),
    HeaderConverter(MakeHeaderConverter),
    Transformation(MakeTransform),
    Predicate(MakePredicate),
}

/// One plugin.
#[derive(Clone)]
pub struct Plugin {
    /// The full Java class name, nested classes with `$`.
    pub class: &'static str,
    /// The version that the JVM's plugin reports.
    pub version: &'static str,
    pub kind: PluginKind,
    /// The keys of converters, transforms and predicates; connectors have their own.
    pub config_def: fn() -> &'static ConfigDef,
}
