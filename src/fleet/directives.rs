//! Follows signed orders: each becomes an order of this gateway's own, in its file, from where it is
//! put in force, recorded and kept over restarts as one that was given here.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::chance;
use crate::bundle::{Directed, Directive, SignedDirective, Trust};
use crate::database::{Heads, Link, Placed};
use crate::domain::{Backoff, DirectiveId, Signature};
use crate::orders::{BY_CHARS_MAX, EditError, Keeper, OrdersFile, WHY_BYTES_MAX, edit};

/// What failed is tried again after this, doubled each time.
const AGAIN_FIRST: Duration = Duration::from_millis(500);
const AGAIN_LONGEST: Duration = Duration::from_secs(30);

/// How far they are followed.
#[derive(Default)]
pub struct Followed {
    place: AtomicU64,
    problem: Mutex<Option<String>>,
}

impl Followed {
    /// All up to this place were looked at.
    #[must_use]
    pub fn place(&self) -> u64 {
        self.place.load(Ordering::Relaxed)
    }

    /// Why one is not followed.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.problem.lock().clone()
    }
}

/// Follows signed orders.
pub struct Directives {
    link: Arc<Link>,
    heads: watch::Receiver<Option<Heads>>,
    trust: Trust,
    keeper: Arc<Keeper>,
    /// All up to this place were looked at since this process began. None is kept: with other keys, or
    /// more room, a start may follow what was refused before.
    place: u64,
    /// What was taken back, also where the order itself is not known here.
    lifted: BTreeSet<DirectiveId>,
    followed: Arc<Followed>,
}

impl Directives {
    /// Looks at all of them anew: what is known here is not done twice.
    #[must_use]
    pub fn new(
        link: Arc<Link>,
        heads: watch::Receiver<Option<Heads>>,
        trust: Trust,
        keeper: Arc<Keeper>,
    ) -> Self {
        let (place, lifted, followed) = (0, BTreeSet::new(), Arc::default());
        Self { link, heads, trust, keeper, place, lifted, followed }
    }

    /// How far they are followed.
    #[must_use]
    pub fn followed(&self) -> Arc<Followed> {
        self.followed.clone()
    }

    /// Follows until nobody says any more that there are some.
    pub async fn run(mut self) {
        let mut backoff = Backoff::default();
        loop {
            let newest = self.heads.borrow_and_update().map_or(0, |heads| heads.directives);
            let again = match newest {
                // Nothing is known yet, or there is nothing.
                0 => None,
                _ => self.catch_up(newest).await.err(),
            };
            if let Some(why) = &again {
                tracing::error!("signed orders are not followed: {why}");
            } else {
                backoff.reset();
            }
            let wait = again.is_some().then(|| backoff.wait(AGAIN_FIRST, AGAIN_LONGEST, chance()));
            *self.followed.problem.lock() = again.or_else(|| self.followed.problem());
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
    async fn catch_up(&mut self, newest: u64) -> Result<(), String> {
        if newest < self.place {
            // It was put back from before, and may have others at these places by now.
            self.place = 0;
        }
        while self.place < newest {
            let some = self.link.directives(self.place).await;
            let some = some.map_err(|error| error.to_string())?;
            let Some(last) = some.last().map(|one| one.place).filter(|last| *last > self.place)
            else {
                return Err(format!("the database has none at {newest}"));
            };
            self.follow(some).await?;
            self.place = last;
            self.followed.place.store(last, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Follows some, in their order; those that are not good are told and passed over.
    async fn follow(&mut self, some: Vec<Placed>) -> Result<(), String> {
        let mut refused = None;
        let mut good = Vec::new();
        for Placed { place, note } in some {
            match self.trust.accept_directive(&note) {
                Ok(signed) => good.push(signed),
                Err(error) => refused = Some(format!("the signed order at {place}: {error}")),
            }
        }
        for SignedDirective { directive, .. } in &good {
            if let Directed::Lifted(id) = &directive.what {
                self.lifted.insert(id.clone());
            }
        }
        let (place, lifted) = (self.keeper.place().clone(), self.lifted.clone());
        let edited = spawn_blocking(move || {
            let most = place.exception_max;
            edit(&place, |file| Ok(apply(file, &good, &lifted, most)))
        });
        let edited = edited.await.map_err(|error| error.to_string())?;
        let problems = edited.map_err(|error: EditError| error.to_string())?;
        // In force, where they make grants fewer, before anybody is told that they are followed.
        self.keeper.look().await;
        let problem = problems.into_iter().next_back().or(refused);
        if let Some(text) = &problem {
            tracing::error!("a signed order is not followed: {text}");
        }
        *self.followed.problem.lock() = problem;
        Ok(())
    }
}

/// Gives and takes back; what cannot be done is told.
fn apply(
    file: &mut OrdersFile,
    good: &[SignedDirective],
    lifted: &BTreeSet<DirectiveId>,
    exception_max: SignedDuration,
) -> Vec<String> {
    let (mut problems, now) = (Vec::new(), Timestamp::now());
    for SignedDirective { directive, .. } in good {
        let Directive { id, what, .. } = directive;
        let done = match what {
            // Taken back before it came, or long ago.
            Directed::Given(..) if lifted.contains(id) => lift(file, id, directive),
            Directed::Given(_, Some(until)) if *until <= now => Ok(()),
            Directed::Given(kind, until) => {
                let given = (kind.clone(), *until, signature(directive));
                file.give_directed(id, given, exception_max).map(drop)
            }
            Directed::Lifted(id) => lift(file, id, directive),
        };
        if let Err(error) = done {
            problems.push(format!("signed order {id}: {error}"));
        }
    }
    problems
}

/// Takes back an order that is in force here.
fn lift(file: &mut OrdersFile, id: &DirectiveId, by: &Directive) -> Result<(), EditError> {
    let Some(number) = file.number_of(id) else { return Ok(()) };
    let order = file.orders().iter().find(|order| order.number == number);
    let now = Timestamp::now();
    if order.is_none_or(|order| !order.holds(now)) {
        return Ok(());
    }
    let own = signature(by);
    file.lift(number, own).map(drop)
}

/// As an order has it, which is shorter.
fn signature(directive: &Directive) -> Signature {
    let by = directive.by.chars().take(BY_CHARS_MAX).collect();
    let mut end = directive.why.len().min(WHY_BYTES_MAX);
    while !directive.why.is_char_boundary(end) {
        end -= 1;
    }
    let why = directive.why.get(..end).unwrap_or_default().to_owned();
    Signature { at: directive.made, by, why }
}
