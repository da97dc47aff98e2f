//! When to look at the files: at a request, when their directories change, and now and
//! then in any case.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::files::paths;
use super::reload::{ReloadRequests, Reloader};

/// Quiet for this long after a change, so that a set of files is read when it is whole.
const QUIET: Duration = Duration::from_millis(250);

/// When files are good and could not be recorded.
const AGAIN_SOON: Duration = Duration::from_secs(1);

/// A look is not put off longer than this.
const PUT_OFF_MAX: Duration = Duration::from_secs(2);

impl Reloader {
    /// Reloads at requests and at changes of the files. Ends when nobody can request any
    /// more.
    pub async fn run(self: Arc<Self>, ReloadRequests(mut requests): ReloadRequests) {
        let changed = Arc::new(Notify::new());
        let _watcher = self.watch(&changed);
        let every = self.settings().reload_poll;
        // What changed between the load and the watch.
        let mut soon = self.reload(false).await;
        loop {
            let wait = if soon { AGAIN_SOON.min(every) } else { every };
            let request = tokio::select! {
                request = requests.recv() => match request {
                    Some(request) => Some(request),
                    None => return,
                },
                () = changed.notified() => {
                    settle(&changed).await;
                    None
                }
                () = sleep(wait) => None,
            };
            soon = self.reload(request.is_some()).await;
            if let Some(ended) = request {
                let _ = ended.send(());
            }
        }
    }

    /// Watches the files' directories, not the files: an editor replaces a file, and a
    /// ConfigMap or Secret of Kubernetes the link that leads to all of them (`..data`).
    /// What cannot be watched is still looked at now and then.
    fn watch(&self, changed: &Arc<Notify>) -> Option<RecommendedWatcher> {
        let files = paths(self.settings());
        let names: BTreeSet<OsString> =
            files.iter().filter_map(|path| path.file_name()).map(Into::into).collect();
        let of_ours = move |path: &PathBuf| {
            path.file_name().is_some_and(|name| {
                names.contains(name) || name.as_encoded_bytes().starts_with(b"..")
            })
        };
        let changed = changed.clone();
        let tell = move |event: notify::Result<notify::Event>| {
            let relevant = event.map_or(true, |event| {
                let read = matches!(event.kind, EventKind::Access(access) if !is_write(access));
                !read && (event.need_rescan() || event.paths.iter().any(&of_ours))
            });
            if relevant {
                changed.notify_one();
            }
        };
        let mut watcher = match notify::recommended_watcher(tell) {
            Ok(watcher) => watcher,
            Err(error) => {
                tracing::warn!(%error, "files cannot be watched; they are looked at regularly");
                return None;
            }
        };
        let directories: BTreeSet<&Path> = files.iter().filter_map(|path| path.parent()).collect();
        for directory in directories {
            let directory =
                if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
            if let Err(error) = watcher.watch(directory, RecursiveMode::NonRecursive) {
                let directory = directory.display();
                tracing::warn!(%directory, %error, "cannot be watched; it is looked at regularly");
            }
        }
        Some(watcher)
    }
}

fn is_write(access: notify::event::AccessKind) -> bool {
    use notify::event::{AccessKind, AccessMode};
    access == AccessKind::Close(AccessMode::Write)
}

/// Waits until the changes have stopped for a moment.
async fn settle(changed: &Notify) {
    let since = Instant::now();
    while since.elapsed() < PUT_OFF_MAX && timeout(QUIET, changed.notified()).await.is_ok() {}
}
