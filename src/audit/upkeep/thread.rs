//! Compressing and removing closed segments while the gateway runs, on a thread of its own.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::audit::follow::{OF_DATABASE, OF_EXPORT, Position};
use crate::audit::upkeep::retain::{RetainError, Retained, Retention, compress, prune};
use crate::audit::upkeep::{OnFailure, Task};

/// Segments get old without a new one being begun.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// What is done with closed segments.
#[derive(Debug, Clone, Default)]
pub struct UpkeepSettings {
    /// The audit directory.
    pub directory: PathBuf,
    /// Whether they are compressed.
    pub compress: bool,
    /// They are removed when their last record is older.
    pub age_max: Option<Duration>,
    /// The oldest are removed while the log takes more bytes on disk.
    pub bytes_max: Option<u64>,
    /// Files that say how far places are that get every record: what one lacks is not removed.
    pub positions: Vec<&'static str>,
    /// Nor is what is younger than this.
    pub keep: Option<Duration>,
}

/// Does it when it is woken, and every hour.
pub struct Upkeep {
    wake: Option<SyncSender<()>>,
}

impl Upkeep {
    /// Starts the thread, when there is something to do. `failed` is told of failures.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start(settings: UpkeepSettings, failed: OnFailure) -> io::Result<Self> {
        let idle = !settings.compress && settings.age_max.is_none() && settings.bytes_max.is_none();
        if idle {
            return Ok(Self { wake: None });
        }
        let (wake, woken) = sync_channel(1);
        let run = move || run(&settings, &woken, &failed);
        // It holds nothing that could be lost: the process may end while it works.
        std::thread::Builder::new().name("audit-upkeep".into()).spawn(run)?;
        Ok(Self { wake: Some(wake) })
    }

    /// A segment is closed, or the log is open.
    pub fn wake(&self) {
        if let Some(wake) = &self.wake {
            let _ = wake.try_send(());
        }
    }
}

fn run(settings: &UpkeepSettings, woken: &Receiver<()>, failed: &OnFailure) {
    while woken.recv_timeout(LOOK_EVERY) != Err(RecvTimeoutError::Disconnected) {
        once(settings, Timestamp::now(), failed);
    }
}

fn once(settings: &UpkeepSettings, now: Timestamp, failed: &OnFailure) {
    let age = settings.age_max.and_then(|age| SignedDuration::try_from(age).ok());
    let keep = settings.keep.and_then(|age| SignedDuration::try_from(age).ok());
    let removes = age.is_some() || settings.bytes_max.is_some();
    let retention = Retention {
        keep_from: unsent(settings),
        keep_since: keep.and_then(|age| now.checked_sub(age).ok()),
        before: age.and_then(|age| now.checked_sub(age).ok()),
        bytes_max: settings.bytes_max,
    };
    if removes {
        told(Task::Prune, prune(&settings.directory, &retention), failed);
    }
    if settings.compress {
        told(Task::Compress, compress(&settings.directory), failed);
    }
}

/// The first record that some place lacks; where it is not known what one has, the first of all.
fn unsent(settings: &UpkeepSettings) -> Option<u64> {
    let next = |file: &&'static str| Position::of(&settings.directory, file).load().ok().flatten();
    settings.positions.iter().map(|file| next(file).unwrap_or(1)).min()
}

/// The same of a log whose settings are not at hand: of each place that anything was sent to.
#[must_use]
pub fn lacked(directory: &Path) -> Option<u64> {
    let known = [OF_EXPORT, OF_DATABASE].into_iter().filter_map(|file| {
        let position = Position::of(directory, file).load();
        position.map_or(Some(1), |next| next)
    });
    known.min()
}

fn told(task: Task, result: Result<Retained, RetainError>, failed: &OnFailure) {
    match result {
        Ok(done) if done.segments == 0 => {}
        Ok(done) => tracing::info!(
            task = task.as_str(),
            segments = done.segments,
            freed_bytes = done.freed_bytes,
            first_seq = done.first_seq,
            "audit log"
        ),
        Err(error) => {
            failed(task);
            tracing::error!(task = task.as_str(), %error, "audit log");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::log::directory::LogReader;
    use crate::audit::proof::verify;
    use crate::audit::testing::{fill, small};
    use crate::note::SigningKey;

    #[test]
    fn closed_segments_are_compressed_and_old_ones_removed() {
        let (key, private) = SigningKey::generate("a").unwrap();
        let directory = tempfile::tempdir().unwrap();
        fill(directory.path(), small(&private), 40);
        let settings = UpkeepSettings {
            directory: directory.path().to_owned(),
            compress: true,
            age_max: Some(Duration::from_secs(3600)),
            bytes_max: None,
            ..UpkeepSettings::default()
        };
        let all = LogReader::new(directory.path()).list().unwrap().len();
        let failed: OnFailure = std::sync::Arc::new(|task| panic!("{task:?}"));
        once(&settings, Timestamp::now(), &failed);
        let after = LogReader::new(directory.path()).list().unwrap();
        assert_eq!(after.iter().filter(|segment| segment.compressed).count(), all - 1);
        let later = Timestamp::now() + SignedDuration::from_hours(2);
        once(&settings, later, &failed);
        assert_eq!(LogReader::new(directory.path()).list().unwrap().len(), 1);
        let report =
            verify(&LogReader::new(directory.path()), &[key.verifier().clone()], &[], |_, _| {})
                .unwrap();
        assert!(!report.is_damaged(), "{:?}", report.findings);
    }
}
