//! Configuration of the JSON converter (`JsonConverterConfig`).

use connect_api::{Props, Result};

use crate::settings;

connect_config::config! {
    /// The keys of the JSON converter.
    pub struct JsonConverterConfig {
        /// What the converter is used for: keys, values or headers.
        "converter.type" => converter_type: String {
            importance(Low), validator(settings::converter_types())
        },
        /// Writes the schema beside each payload, and expects it there.
        "schemas.enable" => schemas: bool = "true" {
            importance(High), group("Schemas"), order(0), width(Width::Medium), display("Enable Schemas")
        },
        /// How many schemas are kept in their prepared form, for each direction.
        "schemas.cache.size" => cache_size: i32 = "1000" {
            importance(High), group("Schemas"), order(1), width(Width::Medium), display("Schema Cache Size")
        },
        /// How decimals are written: BASE64 for the bytes of the unscaled value, NUMERIC for a JSON number. Both are
        /// understood when reading.
        "decimal.format" => decimal_format: String = "BASE64" {
            importance(Low), group("Serialization"), order(0), width(Width::Medium), display("Decimal Format"),
            validator(one_of_ignoring_case(["NUMERIC", "BASE64"]))
        },
        /// Puts the default of a field in the place of null, when it has one; false writes and reads null as null.
        "replace.null.with.default" => replace_null: bool = "true" {
            importance(Low), group("Serialization"), order(1), width(Width::Medium), display("Replace null with default")
        },
    }
}

/// How decimals are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecimalFormat {
    Base64,
    Numeric,
}

/// What the conversion itself needs to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) schemas: bool,
    pub(crate) replace_null: bool,
    pub(crate) decimals: DecimalFormat,
    /// Prepared schemas kept.
    pub(crate) cache_max: usize,
}

impl Options {
    /// Parses what a user gave.
    pub(crate) fn parse(props: &Props, converter_type: &str) -> Result<Self> {
        let props = settings::with_type(props, converter_type);
        let config = JsonConverterConfig::parse(&props).map_err(settings::first_problem)?;
        let numeric = config.decimal_format.eq_ignore_ascii_case("numeric");
        Ok(Self {
            schemas: config.schemas,
            replace_null: config.replace_null,
            decimals: if numeric { DecimalFormat::Numeric } else { DecimalFormat::Base64 },
            cache_max: usize::try_from(config.cache_size).unwrap_or(0),
        })
    }
}
