//! Avro, type by type, between our converter and Confluent's client for Python.

use serde_json::{Value, json};

use crate::records::{AVRO, bytes_of, everything, plain, read, text, there_and_back, types, written};
use crate::support::{ask, unique, url};
