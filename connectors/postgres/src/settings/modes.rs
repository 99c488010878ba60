//! The names of modes that the configuration uses, as enums.

/// Declares a mode with the names that the configuration uses.
macro_rules! mode {
    ($(#[doc = $doc:literal])* $Name:ident { $($Variant:ident = $text:literal),* $(,)? }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $Name { $($Variant),* }

        impl $Name {
            /// The mode of a name, without regard to case.
            pub fn parse(text: &str) -> Option<Self> {
                let text = text.trim();
                $(if text.eq_ignore_ascii_case($text) { return Some(Self::$Variant); })*
                None
            }
        }
    };
}

mode! {
    /// `database.sslmode`.
    SslMode {
        Disable = "disable", Allow = "allow", Prefer = "prefer", Require = "require", VerifyCa = "verify-ca",
        VerifyFull = "verify-full",
    }
}
mode! {
    /// `channelBinding`.
    Binding { Disable = "disable", Prefer = "prefer", Require = "require" }
}
mode! {
    /// `snapshot.mode`.
    SnapshotMode {
        Always = "always", Initial = "initial", InitialOnly = "initial_only", NoData = "no_data",
        WhenNeeded = "when_needed", ConfigurationBased = "configuration_based",
    }
}
mode! {
    /// `publication.autocreate.mode`.
    PublicationMode { AllTables = "all_tables", Filtered = "filtered", Disabled = "disabled", NoTables = "no_tables" }
}
mode! {
    /// `decimal.handling.mode`.
    DecimalMode { Precise = "precise", Double = "double", String = "string" }
}
mode! {
    /// `time.precision.mode`.
    TimeMode {
        Adaptive = "adaptive", AdaptiveTimeMicroseconds = "adaptive_time_microseconds", Connect = "connect",
        IsoString = "isostring", Microseconds = "microseconds", Nanoseconds = "nanoseconds",
    }
}
mode! {
    /// `binary.handling.mode`.
    BinaryMode { Bytes = "bytes", Base64 = "base64", Base64UrlSafe = "base64-url-safe", Hex = "hex" }
}
mode! {
    /// `interval.handling.mode`.
    IntervalMode { Numeric = "numeric", String = "string" }
}
mode! {
    /// `hstore.handling.mode`.
    HstoreMode { Json = "json", Map = "map" }
}
mode! {
    /// `schema.name.adjustment.mode` and `field.name.adjustment.mode`.
    NameAdjustment { None = "none", Avro = "avro", AvroUnicode = "avro_unicode" }
}
mode! {
    /// `snapshot.isolation.mode`.
    Isolation {
        Serializable = "serializable", RepeatableRead = "repeatable_read", ReadCommitted = "read_committed",
        ReadUncommitted = "read_uncommitted",
    }
}
mode! {
    /// `snapshot.tables.order.by.row.count`.
    RowCountOrder { Disabled = "disabled", Ascending = "ascending", Descending = "descending" }
}

mode! {
    /// `guardrail.collections.limit.action`.
    GuardrailAction { Warn = "warn", Fail = "fail" }
}
mode! {
    /// `event.processing.failure.handling.mode`. The reference does the same for the last two.
    EventFailure { Fail = "fail", Warn = "warn", Skip = "skip", Ignore = "ignore" }
}
mode! {
    /// `lsn.flush.timeout.action`.
    FlushTimeout { Fail = "fail", Warn = "warn", Ignore = "ignore" }
}
