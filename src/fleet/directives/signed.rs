//! Makes signed orders this gateway's own: those that the database has, and those that somebody brings
//! here directly, since the database is away.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{Mutex, Notify, Semaphore};
use tokio::task::spawn_blocking;

use super::Followed;
use super::apply::{apply, freezes};
use crate::bundle::{Directed, Directive, SignedDirective, Trust};
use crate::domain::{DirectiveId, OrderKind, Problem};
use crate::files::{install, read_plain};
use crate::orders::{Keeper, edit};

/// Beside the log's segments: what was taken back.
const NAME: &str = "directives-lifted";

/// So many are brought here at a time.
const BROUGHT_MAX: usize = 16;

/// Signed orders, as this gateway takes them.
pub struct SignedOrders {
    trust: Trust,
    keeper: Arc<Keeper>,
    followed: Arc<Followed>,
    known: parking_lot::Mutex<Known>,
    /// One writes at a time.
    writing: Mutex<()>,
    brought: Arc<Semaphore>,
    /// Something waits to be written.
    again: Notify,
}

struct Known {
    /// What was taken back, also where the order itself never came, or is forgotten.
    lifted: BTreeSet<DirectiveId>,
    /// As much of it as is on the disk.
    saved: BTreeSet<DirectiveId>,
    /// What is not written yet, or cannot be; of these, freezes are in force.
    unwritten: Vec<SignedDirective>,
    /// Why those of these names cannot be followed here, whoever wrote them.
    refused: BTreeMap<DirectiveId, String>,
}

impl Known {
    /// From this moment on what it takes back is, and a freeze holds, whatever becomes of it.
    fn take(&mut self, all: impl IntoIterator<Item = SignedDirective>, keeper: &Keeper) {
        for one in all {
            if let Directed::Lifted(id) = &one.directive.what {
                self.lifted.insert(id.clone());
            }
            if !self.unwritten.iter().any(|other| other.directive.id == one.directive.id) {
                self.unwritten.push(one);
            }
        }
        keeper.hold(freezes(&self.unwritten, &self.lifted));
    }
}

/// Why one that was brought here is not followed.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// It is not signed by enough, or cannot be followed here.
    #[error("{0}")]
    Refused(String),
    /// It is not written down. A freeze holds all the same, until this gateway restarts.
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
        let (saved, refused) = (lifted.clone(), BTreeMap::new());
        let known = Known { lifted, saved, unwritten: Vec::new(), refused };
        Ok(Self {
            trust,
            keeper,
            followed,
            known: parking_lot::Mutex::new(known),
            writing: Mutex::default(),
            brought: Arc::new(Semaphore::new(BROUGHT_MAX)),
            again: Notify::new(),
        })
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

    /// Takes one that was brought here. What is known already is not done twice. Whoever stops waiting
    /// for it changes nothing: it is taken all the same.
    ///
    /// # Errors
    /// [`NotTaken`]
    pub async fn bring(self: &Arc<Self>, note: &str) -> Result<(), NotTaken> {
        let signed = self.trust.accept_directive(note);
        let signed = signed.map_err(|error| NotTaken::Refused(error.to_string()))?;
        let Directive { id, what, .. } = signed.directive.clone();
        if self.has(&signed.directive) {
            return Ok(());
        }
        tracing::info!(%id, ?what, "a signed order was brought here");
        self.known.lock().take([signed], &self.keeper);
        // It is tried again, with all others, whether or not it has a place now.
        self.again.notify_one();
        let busy = || NotTaken::Unwritten("too many are brought here at once".into());
        let place = self.brought.clone().try_acquire_owned().map_err(|_| busy())?;
        let own = self.clone();
        let written = tokio::spawn(async move {
            // Also when nobody waits any more.
            let _place = place;
            own.write().await
        });
        let written = written.await.unwrap_or_else(|error| Err(error.to_string()));
        written.map_err(NotTaken::Unwritten)?;
        let refused = self.known.lock().refused.get(&id).cloned();
        match (refused, what) {
            (None, _) => Ok(()),
            (Some(why), Directed::Given(OrderKind::Freeze(_), _)) => Err(NotTaken::Unwritten(why)),
            (Some(why), _) => Err(NotTaken::Refused(why)),
        }
    }

    /// Whether nothing is to be done for it any more.
    fn has(&self, directive: &Directive) -> bool {
        let known = self.known.lock();
        let waits = known.unwritten.iter().any(|other| other.directive.id == directive.id);
        !waits
            && match &directive.what {
                Directed::Given(..) if known.lifted.contains(&directive.id) => true,
                Directed::Given(..) => self.keeper.has_directive(&directive.id),
                Directed::Lifted(id) => known.saved.contains(id) && !self.keeper.follows(id),
            }
    }

    /// Something was brought that may have to be tried again.
    pub(super) async fn unwritten(&self) {
        self.again.notified().await;
    }

    /// Takes some of the database, in their order; why some cannot be followed is told by their place.
    pub(super) async fn follow(
        &self,
        good: Vec<(u64, SignedDirective)>,
    ) -> Result<BTreeMap<u64, String>, String> {
        let places: Vec<(u64, DirectiveId)> =
            good.iter().map(|(place, one)| (*place, one.directive.id.clone())).collect();
        let new = good.into_iter().map(|(_, one)| one).filter(|one| !self.has(&one.directive));
        let new: Vec<SignedDirective> = new.collect();
        self.known.lock().take(new, &self.keeper);
        self.write().await?;
        let refused = &self.known.lock().refused;
        let told = places.iter().filter_map(|(place, id)| Some((*place, refused.get(id)?.clone())));
        Ok(told.collect())
    }

    /// Writes all that is not written, and looks that it is in force.
    pub(super) async fn write(&self) -> Result<(), String> {
        let _one = self.writing.lock().await;
        let (all, lifted, is_new) = {
            let known = self.known.lock();
            let is_new = known.lifted != known.saved;
            (Arc::new(known.unwritten.clone()), known.lifted.clone(), is_new)
        };
        if all.is_empty() && !is_new {
            return Ok(());
        }
        let (place, now, these) = (self.keeper.place().clone(), Timestamp::now(), all.clone());
        let taken_back = lifted.clone();
        let written = spawn_blocking(move || {
            let saved = if is_new { save(&place.log, &taken_back) } else { Ok(()) };
            // What cannot be saved is done all the same, as far as it is known here.
            let most = place.exception_max;
            let edited = edit(&place, |file| Ok(apply(file, &these, &taken_back, (most, now))));
            (saved, edited)
        });
        let (saved, edited) = written.await.map_err(|error| error.to_string())?;
        let saved = saved.map_err(|error| {
            format!("`{}` cannot be written: {error}", path(&self.keeper.place().log).display())
        });
        let problems: BTreeMap<_, _> = match edited {
            // In force, where they make grants fewer, before anybody is told that they are followed.
            Ok(problems) if self.keeper.look().await => problems.into_iter().collect(),
            Ok(_) => return Err("the file of orders is not what is in force".to_owned()),
            Err(error) => return Err(error.to_string()),
        };
        let mut known = self.known.lock();
        let is_saved = saved.is_ok();
        if is_saved {
            known.saved = lifted;
        }
        let is_done = |one: &SignedDirective| {
            let was_tried = all.iter().any(|other| other.directive.id == one.directive.id);
            let stays = match &one.directive.what {
                // One that there is no room for holds without.
                Directed::Given(OrderKind::Freeze(_), _) => {
                    problems.contains_key(&one.directive.id)
                }
                Directed::Given(..) => false,
                Directed::Lifted(_) => !is_saved,
            };
            was_tried && !stays
        };
        known.unwritten.retain(|one| !is_done(one));
        self.keeper.hold(freezes(&known.unwritten, &known.lifted));
        known.refused.retain(|id, _| all.iter().all(|tried| tried.directive.id != *id));
        for (id, why) in &problems {
            tracing::error!(%id, "a signed order is not followed: {why}");
        }
        known.refused.extend(problems);
        saved
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
