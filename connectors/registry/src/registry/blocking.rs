//! Waiting for the registry from plain function calls.
//!
//! Converters are called from tasks of the worker's runtime and must not wait there, except the first time they meet a
//! schema. Then the request runs on a small runtime of its own, and the thread that waits hands the other tasks of its runtime
//! to another thread.

use std::sync::LazyLock;
use std::sync::mpsc;

use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};

/// One thread for all registries: requests are few, and connections stay open between them.
static REQUESTS: LazyLock<std::io::Result<Runtime>> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).thread_name("schema-registry").enable_all().build());

/// Runs a request and waits for it. `None` when there is no thread for it.
pub(crate) fn wait<T: Send + 'static>(request: impl Future<Output = T> + Send + 'static) -> Option<T> {
    let runtime = match &*REQUESTS {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "there is no thread for requests to schema registries");
            return None;
        }
    };
    let (done, outcome) = mpsc::sync_channel(1);
    runtime.spawn(async move {
        // Whoever waits can't have gone away.
        done.send(request.await).ok();
    });
    patiently(|| outcome.recv().ok())
}

/// Does what may take long. A runtime of one thread stands still meanwhile; that is one of tests.
pub(crate) fn patiently<T>(work: impl FnOnce() -> T) -> T {
    let flavor = Handle::try_current().map(|runtime| runtime.runtime_flavor());
    if flavor.is_ok_and(|flavor| flavor == RuntimeFlavor::MultiThread) {
        tokio::task::block_in_place(work)
    } else {
        work()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn other_tasks_go_on_while_one_waits() {
        let (send, receive) = tokio::sync::oneshot::channel();
        let waits = tokio::spawn(async { wait(async { receive.await.ok() }) });
        let goes_on = tokio::spawn(async { send.send(5).is_ok() });
        assert!(goes_on.await.unwrap());
        assert_eq!(waits.await.unwrap(), Some(Some(5)));
    }

    #[test]
    fn no_runtime_is_needed() {
        assert_eq!(wait(async { 7 }), Some(7));
    }
}
