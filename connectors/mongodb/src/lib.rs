//! The MongoDB sink
