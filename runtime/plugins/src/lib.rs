//! The plugins a worker has, and the configuration of a connector built from them
