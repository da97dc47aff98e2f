//! Makes signed orders this gateway's own: those that the database has, and those that somebody brings
//! here directly, since the database is away.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{Mutex, Notify};
use tokio::task::spawn_blocking;

use super::Followed;
use super::apply::{apply, freezes};
use crate::bundle::{Directed, SignedDirective, Trust};
use crate::domain::{DirectiveId, Problem};
use crate::files::{install, read_plain};
use crate::orders::{Keeper, edit};

/// Beside the log's segments: what was taken back.
const NAME: &str = "directives-lifted";

/// In the database places begin with 1.
const BROUGHT_HERE: u64 = 0;

/// Signed orders, as this gateway takes them.
pub struct SignedOrders {
    trust: Trust,
    keeper: Arc<Keeper>,
    followed: Arc<Followed>,
    /// One at a time: of two that change the file, the second knows of the first.
    taken: Mutex<Taken>,
    /// Something waits to be written.
    again: Notify,
}

struct Taken {
    /// What was taken back, also where the order itself never came, or is forgotten.
    lifted: BTreeSet<DirectiveId>,
    /// What could not be written yet; of these, freezes are in force.
    unwritten: Vec<(u64, SignedDirective)>,
}

/// Why one that was brought here is not followed.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// It is not signed by enough, or cannot be followed here.
    #[error("{0}")]
    Refused(String),
    /// It cannot be written down. A freeze holds all the same, until this gateway restarts.
    #[error("{0}")]
    Unwritten(String),
}

impl SignedOrders {
    /// Signed by these, for the orders that are kept here.
    ///
    /// # Errors
    /// It cannot be read what was taken back.
    pub fn new(
        trust: Trust,
        keeper: Arc<Keeper>,
        followed: Arc<Followed>,
    ) -> Result<Self, Problem> {
        let lifted = load(&keeper.place().log)?;
        let taken = Mutex::new(Taken { lifted, unwritten: Vec::new() });
        Ok(Self { trust, keeper, followed, taken, again: Notify::new() })
    }

    /// How far those of the database are followed.
    #[must_use]
    pub fn followed(&self) -> &Followed {
        &self.followed
    }

    /// Whose signatures count.
    pub(super) const fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Takes one that was brought here. What is known already is not done twice.
    ///
    /// # Errors
    /// [`NotTaken`]
    pub async fn bring(&self, note: &str) -> Result<(), NotTaken> {
        let signed = self.trust.accept_directive(note);
        let signed = signed.map_err(|error| NotTaken::Refused(error.to_string()))?;
        let (id, what) = (signed.directive.id.clone(), signed.directive.what.clone());
        tracing::info!(%id, ?what, "a signed order was brought here");
        let mut taken = self.taken.lock().await;
        match self.take(&mut taken, vec![(BROUGHT_HERE, signed)]).await {
            Ok(mut problems) => match problems.remove(&BROUGHT_HERE) {
                None => Ok(()),
                Some(why) => Err(NotTaken::Refused(why)),
            },
            Err(why) => {
                self.again.notify_one();
                Err(NotTaken::Unwritten(why))
            }
        }
    }

    /// Something was brought that has to be tried again.
    pub(super) async fn unwritten(&self) {
        self.again.notified().await;
    }

    /// Tries again what could not be written.
    pub(super) async fn try_again(&self) -> Result<(), String> {
        let mut taken = self.taken.lock().await;
        if taken.unwritten.is_empty() {
            return Ok(());
        }
        self.take(&mut taken, Vec::new()).await.map(drop)
    }

    /// Takes some of the database, in their order; why some cannot be followed is told by their place.
    pub(super) async fn follow(
        &self,
        good: Vec<(u64, SignedDirective)>,
    ) -> Result<BTreeMap<u64, String>, String> {
        let mut taken = self.taken.lock().await;
        self.take(&mut taken, good).await
    }

    async fn take(
        &self,
        taken: &mut Taken,
        good: Vec<(u64, SignedDirective)>,
    ) -> Result<BTreeMap<u64, String>, String> {
        let mut all = taken.unwritten.clone();
        all.retain(|(_, old)| good.iter().all(|(_, new)| new.directive.id != old.directive.id));
        all.extend(good);
        let taken_back = all.iter().filter_map(|(_, signed)| match &signed.directive.what {
            Directed::Lifted(id) => Some(id.clone()),
            Directed::Given(..) => None,
        });
        let before = taken.lifted.len();
        taken.lifted.extend(taken_back);
        let (place, lifted) = (self.keeper.place().clone(), taken.lifted.clone());
        let is_new = lifted.len() > before;
        let shared = Arc::new(all);
        let (all, now) = (shared.clone(), Timestamp::now());
        let edited = spawn_blocking(move || {
            if is_new {
                save(&place.log, &lifted).map_err(|error| error.to_string())?;
            }
            let most = place.exception_max;
            let edited = edit(&place, |file| Ok(apply(file, &all, &lifted, (most, now))));
            edited.map_err(|error| error.to_string())
        });
        let edited = edited.await.map_err(|error| error.to_string())?;
        let done = match edited {
            // In force, where they make grants fewer, before anybody is told that they are followed.
            Ok(problems) if self.keeper.look().await => Ok(problems),
            Ok(_) => Err("the file of orders is not what is in force".to_owned()),
            Err(error) => Err(error),
        };
        match done {
            Ok(problems) => {
                self.keeper.hold(Vec::new());
                taken.unwritten.clear();
                Ok(problems.into_iter().collect())
            }
            Err(error) => {
                self.keeper.hold(freezes(&shared, &taken.lifted));
                taken.unwritten.clone_from(&shared);
                Err(error)
            }
        }
    }
}

fn path(directory: &Path) -> PathBuf {
    directory.join(NAME)
}

fn load(directory: &Path) -> Result<BTreeSet<DirectiveId>, Problem> {
    let path = path(directory);
    if matches!(path.try_exists(), Ok(false)) {
        return Ok(BTreeSet::new());
    }
    let bytes = read_plain(&path)?;
    let text = Problem::or_text(&path.display().to_string(), &bytes)?.to_owned();
    let ids: Option<BTreeSet<DirectiveId>> = text.lines().map(DirectiveId::parse).collect();
    ids.ok_or_else(|| {
        let text = "does not say which signed orders were taken back; bring it back from a backup";
        Problem::of_file(path.display().to_string(), text)
    })
}

fn save(directory: &Path, lifted: &BTreeSet<DirectiveId>) -> io::Result<()> {
    let place = path(directory);
    let text: String = lifted.iter().map(|id| format!("{id}\n")).collect();
    install(&place.with_extension("new"), &place, |file| file.write_all(text.as_bytes()))
}
