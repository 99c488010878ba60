//! The tidegate binary.

mod allocator;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long calls that block a thread may take to end, when all else has.
const LAST_WAIT: std::time::Duration = std::time::Duration::from_secs(5);

fn main() -> ExitCode {
    allocator::settle();
    let args = tidegate::Args::from_process();
    let logging = tidegate::logging::start();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "failed to start the runtime");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(tidegate::run(args.mode, &logging));
    // What still blocks a thread, in a driver or in Kafka's client, ends with the process.
    runtime.shutdown_timeout(LAST_WAIT);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", tidegate::run::one_line(&error));
            ExitCode::from(error.exit_code())
        }
    }
}
