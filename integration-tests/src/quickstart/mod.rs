//! `cargo quickstart`: from Postgres through Kafka to MongoDB on one worker, from nothing, with one command.
