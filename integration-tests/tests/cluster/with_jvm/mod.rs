//! With Apache Kafka's workers. (The module's name puts these tests behind the others, which wait for no JVM.)

mod mixed;
mod takeover;
