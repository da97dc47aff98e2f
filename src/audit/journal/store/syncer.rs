//! Syncs the segment on a thread of its own: a sync of megabytes takes longer than a commit
//! may.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

/// The thread, and whether it has something to do.
#[derive(Debug)]
pub(super) struct Syncer {
    work: SyncSender<Arc<File>>,
    done: Receiver<io::Result<()>>,
    /// The last record that is durable in segments when the sync that is under way succeeds.
    under_way: Option<u64>,
    /// When it is asked next whether that has ended.
    look: Instant,
}

/// How soon that is.
const LOOK_AFTER: Duration = Duration::from_millis(10);

impl Syncer {
    /// # Errors
    /// When there can be no thread.
    pub(super) fn start() -> io::Result<Self> {
        let (work, waiting) = sync_channel::<Arc<File>>(1);
        let (report, done) = sync_channel(1);
        let run = move || {
            // Ends with the store. What it then still syncs nobody relies on.
            while let Ok(file) = waiting.recv() {
                if report.send(file.sync_data()).is_err() {
                    break;
                }
            }
        };
        std::thread::Builder::new().name("audit-sync".into()).spawn(run)?;
        Ok(Self { work, done, under_way: None, look: Instant::now() })
    }

    /// When to ask what became of the sync that is under way; none where none is.
    pub(super) fn due(&self) -> Option<Instant> {
        self.under_way.map(|_| self.look)
    }

    /// Begins a sync of this file, which has all records up to `last`.
    pub(super) fn begin(&mut self, file: &Arc<File>, last: u64) -> io::Result<()> {
        self.work.send(file.clone()).map_err(|_| ended())?;
        self.under_way = Some(last);
        self.look = Instant::now() + LOOK_AFTER;
        Ok(())
    }

    /// What became of the sync that was under way, if it has ended: up to which record all
    /// is in segments now.
    pub(super) fn ended(&mut self) -> Option<io::Result<u64>> {
        let last = self.under_way?;
        let result = match self.done.try_recv() {
            Ok(result) => result,
            Err(TryRecvError::Empty) => {
                self.look = Instant::now() + LOOK_AFTER;
                return None;
            }
            Err(TryRecvError::Disconnected) => Err(ended()),
        };
        self.under_way = None;
        Some(result.map(|()| last))
    }

    /// The same, waiting for its end.
    pub(super) fn end(&mut self) -> Option<io::Result<u64>> {
        let last = self.under_way.take()?;
        Some(self.done.recv().unwrap_or_else(|_| Err(ended())).map(|()| last))
    }
}

fn ended() -> io::Error {
    io::Error::other("the thread that syncs has ended")
}
