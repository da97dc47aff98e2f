//! Follows signed orders: each becomes an order of this gateway's own, in its file, from where it is
//! put in force, recorded and kept over restarts as one that was given here.

mod apply;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::bundle::{Digest, Directed, Offer, SignedDirective, Trust};
use crate::database::{Heads, Link, Placed, refused_at};
use crate::domain::{Backoff, DirectiveId, Problem};
use crate::files::{install, read_plain};
use crate::orders::{Keeper, edit};
use apply::{apply, freezes};

/// Beside the log's segments: what was taken back.
const NAME: &str = "directives-lifted";

/// What failed is tried again after this, doubled each time: a freeze may wait for it.
const AGAIN_FIRST: Duration = Duration::from_millis(250);
const AGAIN_LONGEST: Duration = Duration::from_secs(5);

/// One that is missing is asked for again after this.
const MISSING_AGAIN: Duration = Duration::from_secs(60);

/// Reasons that are shown at once.
const SHOWN_MAX: usize = 3;

/// How far they are followed.
#[derive(Default)]
pub struct Followed(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    /// All up to this place were looked at since this process began. It is not kept: with other keys, or
    /// more room, a start may follow what was refused before.
    place: u64,
    /// What is there.
    digest: Option<Digest>,
    /// Why those at these places are not followed.
    refused: BTreeMap<u64, String>,
    /// One that the database does not have, though it has some behind it.
    missing: Option<u64>,
    /// Why none is followed for now.
    failure: Option<String>,
}

impl Followed {
    /// All up to this place were looked at, and the digest of what is there.
    #[must_use]
    pub fn place(&self) -> (u64, Option<Digest>) {
        let seen = self.0.lock();
        (seen.place, seen.digest)
    }

    /// Whether all up to the newest are followed, and none is missing.
    pub(super) fn is_at(&self, newest: Offer) -> bool {
        let seen = self.0.lock();
        seen.place == newest.number && seen.digest == Some(newest.digest) && seen.missing.is_none()
    }

    #[cfg(test)]
    pub(super) fn at(&self, newest: Offer, missing: Option<u64>) {
        let mut seen = self.0.lock();
        (seen.place, seen.digest, seen.missing) = (newest.number, Some(newest.digest), missing);
    }

    /// Why some are not followed, the newest first.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let seen = self.0.lock();
        let refused = seen.refused.iter().rev().take(SHOWN_MAX);
        let refused = refused.map(|(place, why)| refused_at(*place, why));
        let missing =
            seen.missing.map(|place| format!("the database has no signed order at {place}"));
        let all = seen.failure.iter().cloned().chain(missing).chain(refused);
        let all: Vec<String> = all.collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

/// Follows signed orders.
pub struct Directives {
    link: Arc<Link>,
    heads: watch::Receiver<Option<Heads>>,
    trust: Trust,
    keeper: Arc<Keeper>,
    /// What was taken back, also where the order itself never came, or is forgotten.
    lifted: BTreeSet<DirectiveId>,
    followed: Arc<Followed>,
}

impl Directives {
    /// Looks at all of them anew: what is known here is not done twice.
    ///
    /// # Errors
    /// It cannot be read what was taken back.
    pub fn new(
        link: Arc<Link>,
        heads: watch::Receiver<Option<Heads>>,
        trust: Trust,
        keeper: Arc<Keeper>,
        followed: Arc<Followed>,
    ) -> Result<Self, Problem> {
        let lifted = load(&keeper.place().log)?;
        Ok(Self { link, heads, trust, keeper, lifted, followed })
    }

    /// Follows until nobody says any more that there are some.
    pub async fn run(mut self) {
        let mut backoff = Backoff::default();
        loop {
            let before = self.followed.place();
            let newest = self.heads.borrow_and_update().and_then(|heads| heads.directive);
            let failure = match newest {
                // Nothing is known yet, or there is nothing.
                None => None,
                Some(newest) => self.catch_up(newest).await.err(),
            };
            let missing = self.followed.0.lock().missing;
            let wait = match (&failure, missing) {
                (Some(_), _) => Some(backoff.wait(AGAIN_FIRST, AGAIN_LONGEST)),
                (None, Some(_)) => Some(MISSING_AGAIN),
                (None, None) => None,
            };
            match &failure {
                Some(why) => tracing::error!("signed orders are not followed: {why}"),
                None => backoff.reset(),
            }
            self.followed.0.lock().failure = failure;
            if self.followed.place() != before {
                // Somebody waits for it.
                self.link.tell_soon();
            }
            let again = async {
                match wait {
                    None => std::future::pending().await,
                    Some(wait) => sleep(wait).await,
                }
            };
            tokio::select! {
                changed = self.heads.changed() => if changed.is_err() { return },
                () = again => {}
            }
        }
    }

    /// Follows all up to the newest.
    async fn catch_up(&mut self, newest: Offer) -> Result<(), String> {
        if self.followed.is_at(newest) {
            return Ok(());
        }
        let (place, digest) = self.followed.place();
        let missing = self.followed.0.lock().missing;
        let is_other = match place.checked_sub(1) {
            None => false,
            // It was put back from before, and has others at these places by now.
            Some(_) if newest.number < place => true,
            Some(_) if newest.number == place => digest != Some(newest.digest),
            Some(before) => {
                let there = self.link.directives(before).await.map_err(|e| e.to_string())?;
                let there = there.first().map(|one| Digest::of(one.note.as_bytes()));
                there != digest
            }
        };
        if is_other {
            *self.followed.0.lock() = Seen::default();
        }
        let from = match is_other {
            true => 0,
            // What is known is not done twice.
            false => missing.map_or(place, |missing| missing - 1),
        };
        let all = self.behind(from).await?;
        let missing = (from + 1..).zip(&all).find(|(wanted, one)| one.place != *wanted);
        let missing = missing.map(|(wanted, _)| wanted);
        // All in one go: what is given and taken back is never in force between.
        self.follow(&all).await?;
        if let Some(last) = all.last() {
            let mut seen = self.followed.0.lock();
            (seen.place, seen.digest) = (last.place, Some(Digest::of(last.note.as_bytes())));
            // Those behind it are followed all the same.
            seen.missing = missing;
        }
        match all.last().is_some_and(|last| last.place >= newest.number) {
            true => Ok(()),
            false => Err(format!("the database has none at {}", newest.number)),
        }
    }

    /// All behind a place.
    async fn behind(&self, place: u64) -> Result<Vec<Placed>, String> {
        let mut all: Vec<Placed> = Vec::new();
        loop {
            let last = all.last().map_or(place, |one| one.place);
            let some = self.link.directives(last).await.map_err(|error| error.to_string())?;
            if some.first().is_none_or(|one| one.place <= last) {
                return Ok(all);
            }
            all.extend(some);
        }
    }

    /// Follows some, in their order; those that are not good are told and passed over.
    async fn follow(&mut self, all: &[Placed]) -> Result<(), String> {
        let mut good: Vec<(u64, SignedDirective)> = Vec::new();
        let mut refused = BTreeMap::new();
        for Placed { place, note } in all {
            match self.trust.accept_directive(note) {
                Ok(signed) => good.push((*place, signed)),
                Err(error) => drop(refused.insert(*place, error.to_string())),
            }
        }
        let taken_back = good.iter().filter_map(|(_, signed)| match &signed.directive.what {
            Directed::Lifted(id) => Some(id.clone()),
            Directed::Given(..) => None,
        });
        let before = self.lifted.len();
        self.lifted.extend(taken_back);
        let (place, lifted) = (self.keeper.place().clone(), self.lifted.clone());
        let is_new = lifted.len() > before;
        let shared = Arc::new(good);
        let (good, now) = (shared.clone(), Timestamp::now());
        let edited = spawn_blocking(move || {
            if is_new {
                save(&place.log, &lifted).map_err(|error| error.to_string())?;
            }
            let most = place.exception_max;
            let edited = edit(&place, |file| Ok(apply(file, &good, &lifted, (most, now))));
            edited.map_err(|error| error.to_string())
        });
        let edited = edited.await.map_err(|error| error.to_string())?;
        let taken = match edited {
            // In force, where they make grants fewer, before anybody is told that they are followed.
            Ok(problems) if self.keeper.look().await => Ok(problems),
            Ok(_) => Err("the file of orders is not what is in force".to_owned()),
            Err(error) => Err(error),
        };
        match taken {
            Ok(problems) => {
                self.keeper.hold(Vec::new());
                refused.extend(problems);
            }
            Err(error) => {
                self.keeper.hold(freezes(&shared, &self.lifted));
                return Err(error);
            }
        }
        let mut seen = self.followed.0.lock();
        for (place, why) in &refused {
            if seen.refused.get(place) != Some(why) {
                tracing::error!(place, "a signed order is not followed: {why}");
            }
        }
        seen.refused.extend(refused);
        Ok(())
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
