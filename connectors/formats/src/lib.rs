//! Converters and header converters
