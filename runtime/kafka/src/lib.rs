//! All Kafka I/O: topic log, producer, consumer, admin and group membership
