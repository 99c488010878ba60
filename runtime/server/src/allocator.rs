//! How the allocator is set up. It reads its settings from the environment, once, before `main` begins.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// How long memory that nobody uses is kept before the system gets it back, in milliseconds. The allocator's own default is ten,
/// in which a worker under load frees and takes a third of what it holds. In one it gives back what the next batch takes again.
const SETTINGS: [(&str, &str); 1] = [("MIMALLOC_PURGE_DELAY", "2")];

/// Begins the process anew with the settings, unless the environment has them, or others, already. It keeps its number, its name
/// and its arguments. Where that is not possible it goes on, and only takes more memory.
pub(crate) fn settle() {
    if SETTINGS.iter().any(|(name, _)| std::env::var_os(name).is_some()) {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut arguments = std::env::args_os();
    let mut again = Command::new(program);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    // Comes back only when it failed.
    let _failed = again.args(arguments).envs(SETTINGS).exec();
}
