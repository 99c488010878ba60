//! The command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

/// A Kafka Connect worker.
#[derive(Clone, Debug, Parser)]
#[command(name = "tidegate", version, about = "A Kafka Connect worker", long_about = None)]
pub struct Args {
    #[command(subcommand)]
    pub mode: Mode,
}

/// What kind of worker is started.
#[derive(Clone, Debug, Subcommand)]
pub enum Mode {
    /// A member of a group of workers; connectors come by REST and live in Kafka.
    Distributed {
        /// The worker's .properties file.
        worker: PathBuf,
    },
    /// A worker that is alone; connectors come from files, too.
    Standalone {
        /// The worker's .properties file.
        worker: PathBuf,
        /// Connectors to create: .properties or .json files.
        connectors: Vec<PathBuf>,
    },
}

impl Args {
    /// The arguments of this process; ends it when they are wrong.
    pub fn from_process() -> Self {
        Self::parse_from(with_mode(std::env::args_os().collect()))
    }
}

/// `connect-distributed` and `connect-standalone`, the names of Kafka's scripts, work as names of the binary.
fn with_mode(mut args: Vec<OsString>) -> Vec<OsString> {
    let name = args.first().map(Path::new).and_then(Path::file_stem).and_then(|name| name.to_str());
    let mode = match name {
        Some("connect-distributed") => "distributed",
        Some("connect-standalone") => "standalone",
        _ => return args,
    };
    // `--version` and `--help` stay what they are.
    if !args.get(1).and_then(|first| first.to_str()).is_some_and(|first| first.starts_with('-')) {
        args.insert(1, mode.into());
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Option<Mode> {
        Args::try_parse_from(with_mode(args.iter().map(OsString::from).collect())).ok().map(|args| args.mode)
    }

    #[test]
    fn the_mode_comes_from_the_command_or_from_the_name() {
        for args in [&["tidegate", "distributed", "w.properties"][..], &["/bin/connect-distributed", "w.properties"]] {
            assert!(matches!(parse(args), Some(Mode::Distributed { worker }) if worker == Path::new("w.properties")));
        }
        let standalone = parse(&["connect-standalone.sh", "w", "a", "b"]);
        assert!(matches!(standalone, Some(Mode::Standalone { connectors, .. }) if connectors.len() == 2));
        assert!(parse(&["tidegate"]).is_none());
        assert!(parse(&["connect-distributed"]).is_none());
    }
}
