//! The threads that serve callers: each has a runtime of its own, and its connections, the
//! records of their requests and its connections to the upstream never leave it.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::audit::Journal;
use crate::gateway::Worker;
use crate::policy::Memo;
use crate::upstream::Connections;

/// What still blocks when a worker ends, such as a name that is being looked up, is left
/// behind after this.
const LEFT_BEHIND: Duration = Duration::from_secs(1);

/// Connections to the upstream that have been idle for too long are looked for so often.
const PRUNE_EVERY: Duration = Duration::from_secs(5);

/// Ends its threads when it is dropped.
pub(super) struct Workers {
    running: Vec<Running>,
    stop: CancellationToken,
}

struct Running {
    worker: Arc<Worker>,
    handle: Handle,
    thread: JoinHandle<()>,
}

impl Workers {
    /// # Errors
    /// When there can be no runtime or no thread.
    pub(super) fn start(number: usize, journal: &Journal) -> io::Result<Self> {
        let mut started = Self { running: Vec::new(), stop: CancellationToken::new() };
        for number in 0..number {
            let worker = Arc::new(Worker {
                journal: journal.for_worker(),
                connections: Connections::default(),
                memo: Memo::default(),
            });
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let handle = runtime.handle().clone();
            let thread = std::thread::Builder::new().name(format!("worker-{number}")).spawn({
                let (worker, stop) = (worker.clone(), started.stop.clone());
                move || run(runtime, &worker, &stop)
            })?;
            started.running.push(Running { worker, handle, thread });
        }
        Ok(started)
    }

    /// Each with the runtime that it runs on.
    pub(super) fn each(&self) -> impl Iterator<Item = (Handle, Arc<Worker>)> {
        self.running.iter().map(|running| (running.handle.clone(), running.worker.clone()))
    }

    /// Ends the threads, with whatever they still do. Blocks.
    pub(super) fn finish(mut self) {
        self.stop.cancel();
        for running in std::mem::take(&mut self.running) {
            if running.thread.join().is_err() {
                tracing::error!("a worker panicked");
            }
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn run(runtime: Runtime, worker: &Arc<Worker>, stop: &CancellationToken) {
    runtime.block_on(async {
        tokio::select! {
            () = stop.cancelled() => {}
            () = deliver(worker) => {}
            () = prune(worker) => {}
        }
    });
    runtime.shutdown_timeout(LEFT_BEHIND);
}

/// As a task like those of requests: it has its turn behind them.
async fn deliver(worker: &Arc<Worker>) {
    loop {
        let worker = worker.clone();
        let delivering = tokio::spawn(async move { worker.journal.deliver().await });
        if let Err(error) = delivering.await {
            tracing::error!(%error, "records were not delivered; delivering goes on");
        }
    }
}

async fn prune(worker: &Worker) {
    loop {
        sleep(PRUNE_EVERY).await;
        worker.connections.prune();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{JournalSettings, MemoryStore, NoObserver, ReloadEntry, Started};
    use crate::domain::{Revision, SystemClock};

    #[test]
    fn a_task_that_panics_leaves_its_worker_at_work() {
        let (clock, observer) = (Arc::new(SystemClock), Arc::new(NoObserver));
        let (settings, revision) = (JournalSettings::default(), Revision::from_sha256(&[0]));
        let store = MemoryStore::default();
        let opened = Journal::open(store.clone(), settings, &revision, clock, observer);
        let Started { journal, closer, .. } = opened.unwrap();
        let workers = Workers::start(2, &journal).unwrap();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        for (handle, worker) in workers.each() {
            let died = runtime.block_on(handle.spawn(async { panic!("on purpose") }));
            assert!(died.unwrap_err().is_panic());
            let recorded = handle.spawn(async move {
                let entry = ReloadEntry {
                    parts: &[],
                    revision_before: "a",
                    revision: "b",
                    problems: &[],
                    bundle: None,
                };
                worker.journal.record_reload(&entry).await
            });
            assert_eq!(runtime.block_on(recorded).unwrap(), Ok(()));
        }
        workers.finish();
        closer.close();
        assert_eq!(store.durable().matches("config.reload").count(), 2);
    }
}
