//! `cargo quickstart`: see [`integration_tests::quickstart`]. `RUST_LOG=debug` shows what its own clients have to say.

use std::process::ExitCode;

use clap::Parser;
use integration_tests::quickstart::{self, Options, Outcome};
use integration_tests::testbed::{Failure, reaper};
use tracing_subscriber::EnvFilter;

/// What a shell reports for a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    // `cargo quickstart --once` and `cargo quickstart -- --once` mean the same.
    let arguments = std::env::args_os().enumerate().filter(|(index, word)| *index != 1 || word != "--");
    let options = Options::parse_from(arguments.map(|(_, word)| word));
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off")))
        .with_writer(std::io::stderr)
        .init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("failed to start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = match runtime.block_on(quickstart::run(options)) {
        Ok(Outcome::Agreed) => ExitCode::SUCCESS,
        Ok(Outcome::Differs) => ExitCode::FAILURE,
        Ok(Outcome::Interrupted) => ExitCode::from(INTERRUPTED),
        Err(failure) => {
            report(&failure);
            ExitCode::FAILURE
        }
    };
    reaper::finish();
    // Blocking calls may still be under way; the reaper has ended what they wait for.
    runtime.shutdown_background();
    code
}

fn report(failure: &Failure) {
    reaper::keep_logs();
    eprintln!("\nquickstart: {failure}");
    if let Ok(run) = reaper::run_directory() {
        eprintln!("  the logs of the servers and the worker stay in {}", run.join("logs").display());
    }
}
