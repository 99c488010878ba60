//! `config!`: one declaration that gives the typed struct, its [`crate::ConfigDef`] and the reference page.

use crate::def::Type;
use crate::parse::ConfigValue;
use crate::secret::Secret;

/// A Rust type that a configuration key may have.
pub trait FromConfigValue: Sized {
    /// The type that the definition shows.
    const TYPE: Type;

    /// Takes the parsed value; `None` when it is null and the Rust type has no place for that.
    fn from_config_value(value: ConfigValue) -> Option<Self>;
}

macro_rules! from_config_value {
    ($($rust:ty => $variant:ident),* $(,)?) => {$(
        impl FromConfigValue for $rust {
            const TYPE: Type = Type::$variant;
            fn from_config_value(value: ConfigValue) -> Option<Self> {
                match value {
                    ConfigValue::$variant(v) => Some(v),
                    _ => None,
                }
            }
        }
    )*};
}

from_config_value! {
    bool => Boolean, String => String, i32 => Int, i16 => Short, i64 => Long, f64 => Double,
    Vec<String> => List, Secret => Password,
}

/// A class name (`Type.CLASS`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClassName(pub String);

impl FromConfigValue for ClassName {
    const TYPE: Type = Type::Class;
    fn from_config_value(value: ConfigValue) -> Option<Self> {
        match value {
            ConfigValue::Class(v) => Some(Self(v)),
            _ => None,
        }
    }
}

impl<T: FromConfigValue> FromConfigValue for Option<T> {
    const TYPE: Type = T::TYPE;
    fn from_config_value(value: ConfigValue) -> Option<Self> {
        Some(T::from_config_value(value))
    }
}

/// Declares a configuration.
///
/// ```
/// connect_config::config! {
///     /// What a server listens on.
///     pub struct ServerConfig {
///         /// Port of the server.
///         "server.port" => port: i32 = "5432" { importance(High), group("Server"), order(1) },
///         /// Its password, when it wants one.
///         "server.password" => password: Option<connect_config::Secret> = NULL { importance(Low) },
///         /// Must be given: no default.
///         "server.name" => name: String { importance(High) },
///     }
/// }
/// let mut props = connect_config::Props::new();
/// props.insert("server.name".into(), Some("a".into()));
/// let config = ServerConfig::parse(&props).unwrap();
/// assert_eq!((config.port, config.name.as_str()), (5432, "a"));
/// assert_eq!(ServerConfig::def().keys().count(), 3);
/// ```
///
/// The attributes in braces are the builder methods of [`crate::ConfigKey`]; `High`, `Medium`, `Low` and the
/// variants of [`crate::Width`] (as `Width::Short`) are in scope, and everything of [`crate::validators`].
#[macro_export]
macro_rules! config {
    (
        $(#[doc = $struct_doc:literal])*
        $vis:vis struct $Name:ident {
            $(
                $(#[doc = $doc:literal])+
                $key:literal => $field:ident : $ty:ty $(= $default:tt)? $({ $($attr:ident ( $($arg:expr),* $(,)? )),* $(,)? })?
            ),* $(,)?
        }
    ) => {
        $(#[doc = $struct_doc])*
        #[derive(Clone, Debug)]
        $vis struct $Name {
            $( $(#[doc = $doc])+ pub $field: $ty, )*
        }

        impl $Name {
            /// The definition of all keys, built once.
            pub fn def() -> &'static $crate::ConfigDef {
                static DEF: ::std::sync::LazyLock<$crate::ConfigDef> = ::std::sync::LazyLock::new(|| {
                    #[allow(unused_imports)]
                    use $crate::{Importance::{High, Medium, Low}, Width, NULL, validators::*};
                    let mut def = $crate::ConfigDef::new();
                    $(
                        def.define(
                            $crate::ConfigKey::new(
                                $key,
                                <$ty as $crate::FromConfigValue>::TYPE,
                                concat!($($doc, "\n"),+),
                            )
                            $(.default($default))?
                            $($(.$attr($($arg),*))*)?
                        );
                    )*
                    def
                });
                &DEF
            }

            /// Parses everything, and reports all problems at once.
            pub fn parse(props: &$crate::Props) -> ::std::result::Result<Self, Vec<$crate::ConfigError>> {
                let def = Self::def();
                let mut problems = Vec::new();
                $(
                    let $field = match def.parse_key($key, props) {
                        Ok(value) => match <$ty as $crate::FromConfigValue>::from_config_value(value) {
                            Some(value) => Some(value),
                            None => {
                                problems.push($crate::ConfigError::invalid($key, "null", "a value is needed here"));
                                None
                            }
                        },
                        Err(problem) => {
                            problems.push(problem);
                            None
                        }
                    };
                )*
                match ($($field,)*) {
                    ($(Some($field),)*) => Ok(Self { $($field),* }),
                    _ => Err(problems),
                }
            }
        }
    };
}
