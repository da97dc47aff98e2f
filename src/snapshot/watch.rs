//! When to look at the files: at a request, when what their names lead to changes, and now
//! and then in any case.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream as _;
use inotify::{Event, EventMask, EventStream, Inotify, WatchDescriptor, WatchMask};
use tokio::time::{Instant, sleep, timeout};

use super::reload::{ReloadRequests, Reloader, Request};
use super::watch_points::WatchPoints;

/// Quiet for this long after a change, so that a set of files is read when it is whole.
const QUIET: Duration = Duration::from_millis(250);

/// When files are good and could not be recorded.
const AGAIN_SOON: Duration = Duration::from_secs(1);

/// A look is not put off longer than this.
const PUT_OFF_MAX: Duration = Duration::from_secs(2);

/// Of a directory only what becomes of names: what is written to other files in it costs
/// nothing. An editor replaces a file, a deployment a link; Kubernetes replaces `..data`,
/// through which all files of a ConfigMap or Secret lead.
const OF_DIRECTORY: WatchMask = WatchMask::CREATE
    .union(WatchMask::DELETE)
    .union(WatchMask::MOVE)
    .union(WatchMask::DELETE_SELF)
    .union(WatchMask::MOVE_SELF)
    .union(WatchMask::ONLYDIR);

/// Of a directory in which no name counts only its own: it may be moved.
const OF_ANCESTOR: WatchMask =
    WatchMask::DELETE_SELF.union(WatchMask::MOVE_SELF).union(WatchMask::ONLYDIR);

/// Of a file its bytes, and its mode, which a secret depends on.
const OF_FILE: WatchMask = WatchMask::MODIFY.union(WatchMask::CLOSE_WRITE).union(WatchMask::ATTRIB);

impl Reloader {
    /// Reloads at requests and at changes of the files. Ends when nobody can request any
    /// more.
    pub async fn run(self: Arc<Self>, ReloadRequests(mut requests): ReloadRequests) {
        let every = self.settings().reload_poll;
        let mut told = BTreeSet::new();
        let mut request: Option<Request> = None;
        loop {
            // First the watch, then the look: what changes between them is noticed. Anew each
            // time: a replaced file is another one, and a link may lead elsewhere.
            let reloader = self.clone();
            let made = tokio::task::spawn_blocking(move || Watch::of(&reloader)).await;
            let mut watch = self.watching(made.unwrap_or_else(|_| Watch::none()), &mut told);
            let soon = self.reload(request.is_some()).await;
            if let Some(ended) = request.take() {
                let _ = ended.send(());
            }
            let wait = if soon { AGAIN_SOON.min(every) } else { every };
            tokio::select! {
                asked = requests.recv() => match asked {
                    Some(asked) => request = Some(asked),
                    None => return,
                },
                () = watch.changed() => settle(&mut watch).await,
                () = sleep(wait) => {}
            }
        }
    }

    /// Begins to watch. What cannot be watched is said once, and looked at now and then.
    fn watching(&self, watch: Watch, told: &mut BTreeSet<String>) -> Watching {
        for failure in watch.failures {
            if told.insert(failure.clone()) {
                let every = self.settings().reload_poll.as_secs();
                tracing::warn!("{failure}; the files are looked at every {every} s");
            }
        }
        let events = watch.inotify.and_then(|inotify| inotify.into_event_stream([0; 4096]).ok());
        Watching { events, names: watch.names }
    }
}

/// What is watched for which names; none for a file, of which every event counts.
type Names = HashMap<WatchDescriptor, Option<BTreeSet<OsString>>>;

/// A watch that is set up.
struct Watch {
    inotify: Option<Inotify>,
    names: Names,
    failures: Vec<String>,
}

impl Watch {
    fn none() -> Self {
        Self { inotify: None, names: Names::new(), failures: Vec::new() }
    }

    /// On all files that the settings name. It may wait for a file system.
    fn of(reloader: &Reloader) -> Self {
        Self::on(WatchPoints::of(reloader.watched()))
    }

    fn on(points: WatchPoints) -> Self {
        let mut watch = Self::none();
        let inotify = match Inotify::init() {
            Ok(inotify) => inotify,
            Err(error) => {
                watch.failures.push(format!("files cannot be watched: {error}"));
                return watch;
            }
        };
        // What is there under two paths (a bind mount) is watched once, for both.
        let add_mask = |path: &Path, mask: WatchMask| {
            inotify.watches().add(path, mask.union(WatchMask::MASK_ADD))
        };
        let mut add =
            |path: &Path, mask, names: Option<BTreeSet<OsString>>| match add_mask(path, mask) {
                Ok(descriptor) => {
                    let known =
                        watch.names.entry(descriptor).or_insert_with(|| Some(BTreeSet::new()));
                    *known = known.take().zip(names).map(|(mut known, names)| {
                        known.extend(names);
                        known
                    });
                }
                // It will be noticed where its name was.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    watch.failures.push(format!("`{}` cannot be watched: {error}", path.display()));
                }
            };
        for (directory, names) in points.names {
            let mask = if names.is_empty() { OF_ANCESTOR } else { OF_DIRECTORY };
            add(&directory, mask, Some(names));
        }
        for file in points.files {
            add(&file, OF_FILE, None);
        }
        Self { inotify: Some(inotify), ..watch }
    }
}

/// A watch whose events are waited for.
struct Watching {
    events: Option<EventStream<[u8; 4096]>>,
    names: Names,
}

impl Watching {
    /// Resolves when something changed that may matter.
    async fn changed(&mut self) {
        let Some(events) = &mut self.events else { return std::future::pending().await };
        loop {
            match std::future::poll_fn(|context| Pin::new(&mut *events).poll_next(context)).await {
                Some(Ok(event)) if !matters(&event, &self.names) => {}
                Some(Ok(_)) => return,
                // The watch is of no more use.
                Some(Err(_)) | None => return std::future::pending().await,
            }
        }
    }
}

/// Whether an event is about a file of ours.
fn matters<S: AsRef<OsStr>>(event: &Event<S>, names: &Names) -> bool {
    match names.get(&event.wd) {
        Some(Some(names)) => match &event.name {
            Some(name) => names.contains(name.as_ref()),
            // The directory itself is gone, or is elsewhere.
            None => true,
        },
        Some(None) => true,
        // More events than the queue has room for.
        None => event.mask.contains(EventMask::Q_OVERFLOW),
    }
}

/// Waits until the changes have stopped for a moment.
async fn settle(watch: &mut Watching) {
    let since = Instant::now();
    while since.elapsed() < PUT_OFF_MAX && timeout(QUIET, watch.changed()).await.is_ok() {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    /// Whether something is told; none when there is no event at all.
    fn told(inotify: &mut Inotify, names: &Names) -> Option<bool> {
        let mut buffer = [0; 4096];
        match inotify.read_events(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            events => Some(events.unwrap().any(|event| matters(&event, names))),
        }
    }

    #[test]
    fn other_files_of_a_directory_cost_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("policy.csv"), "").unwrap();
        let mut log = std::fs::File::create(path("access.log")).unwrap();
        let Watch { inotify, names, failures } =
            Watch::on(WatchPoints::of([path("policy.csv").as_path()]));
        assert_eq!(failures, Vec::<String>::new());
        let mut inotify = inotify.unwrap();
        for _ in 0..100 {
            log.write_all(b"line\n").unwrap();
        }
        assert_eq!(told(&mut inotify, &names), None, "no event, no wake-up");
        std::fs::write(path("other"), "").unwrap();
        assert_eq!(told(&mut inotify, &names), Some(false), "another name");
        let mut file = std::fs::File::options().append(true).open(path("policy.csv")).unwrap();
        file.write_all(b"p").unwrap();
        assert_eq!(told(&mut inotify, &names), Some(true), "written in place");
        std::fs::rename(path("other"), path("policy.csv")).unwrap();
        assert_eq!(told(&mut inotify, &names), Some(true), "replaced");
    }
}
