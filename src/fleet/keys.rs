//! Idempotency keys that count for all gateways: each is claimed in the database before its request
//! is recorded, and settled when it has ended.
//!
//! What the database cannot say in time is as if this gateway were alone: the record says so. What is
//! not settled, since a gateway was killed or cut off, is unknown to others, and not sent again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::silence::Silence;
use crate::database::{Became, Claim, DatabaseError, KeyDigest, KeyTimes, Link, Log, OtherClaim};
use crate::domain::{Backoff, Resolution, closed_set};
use crate::telemetry::DuplicateMetrics;

/// A request waits so long for the database, and no longer.
const ANSWER_WAIT: Duration = Duration::from_millis(100);

/// What is in flight at another gateway is asked for again after this.
const AGAIN: Duration = Duration::from_millis(100);

/// What is to be settled and cannot be for now; what comes on top is not, and stays unknown to others.
const SETTLING_MAX: usize = 10_000;

/// One that cannot be settled is tried again after this, doubled each time, and given up after so
/// many times.
const SETTLE_FIRST: Duration = Duration::from_millis(250);
const SETTLE_LONGEST: Duration = Duration::from_secs(10);
const SETTLE_TRIES: u32 = 60;

/// The database has heard by then what it was to be told.
const FRESH: Duration = Duration::from_secs(5);

/// What is remembered of what the database has said of other gateways' keys, for when it says nothing.
const TOLD_MAX: usize = 100_000;

closed_set! {
    /// What came of asking whether another gateway knows a key.
    pub enum ClaimResult {
        /// It is this gateway's.
        Own = "own",
        /// Another gateway sent it, or is about to.
        Other = "other",
        /// It was used for something else, there or here.
        Reused = "reused",
        /// The database gave no answer in time.
        NoAnswer = "no-answer",
    }
}

/// Claims and settles keys.
#[derive(Clone)]
pub struct Keys {
    link: Arc<Link>,
    log: Arc<Log>,
    times: KeyTimes,
    shared: Arc<Mutex<Shared>>,
    silence: Arc<Silence>,
    settling: mpsc::Sender<Settle>,
    metrics: DuplicateMetrics,
}

/// What is known without asking.
struct Shared {
    /// The tries that are in flight here, so that what is said of one is not taken for another.
    attempts: HashMap<[u8; 32], i64>,
    /// No two of one gateway have the same number.
    next: i64,
    /// What other gateways have, by the database's word, and until when that counts.
    told: HashMap<[u8; 32], Told>,
}

#[derive(Clone, Copy)]
struct Told {
    other: OtherClaim,
    /// The database is still to hear of it.
    is_on_its_way: bool,
    at: Instant,
    until: Instant,
}

impl Shared {
    fn attempt(&mut self, digest: &KeyDigest) -> i64 {
        let next = &mut self.next;
        *self.attempts.entry(digest.key).or_insert_with(|| {
            *next += 1;
            *next
        })
    }

    fn tell(
        &mut self,
        digest: &KeyDigest,
        (other, is_on_its_way): (OtherClaim, bool),
        window: Duration,
    ) {
        let at = Instant::now();
        if self.told.len() >= TOLD_MAX {
            self.told.retain(|_, told| told.until > at);
        }
        if self.told.len() < TOLD_MAX {
            self.told.insert(digest.key, Told { other, is_on_its_way, at, until: at + window });
        }
    }

    /// What is known of another gateway's key.
    fn told(&self, digest: &KeyDigest) -> Option<OtherClaim> {
        let Told { other, until, .. } = *self.told.get(&digest.key)?;
        (until > Instant::now()).then_some(other.by_now())
    }

    /// What the database may not know yet.
    fn on_its_way(&self, digest: &KeyDigest) -> Option<OtherClaim> {
        let told = self.told.get(&digest.key)?;
        self.told(digest).filter(|_| told.is_on_its_way && told.at.elapsed() < FRESH)
    }
}

/// What is to be said of a key, not running yet.
pub struct Settling {
    link: Arc<Link>,
    log: Arc<Log>,
    times: KeyTimes,
    settled: mpsc::Receiver<Settle>,
}

#[derive(Debug)]
enum Settle {
    /// It waits for what another one of this gateway's brings.
    Joined(KeyDigest, i64),
    Ended(KeyDigest, i64, Option<Became>, Option<u64>),
    Resolved(u64, Option<Became>),
}

impl Keys {
    /// For all that come with keys.
    #[must_use]
    pub fn new(
        link: Arc<Link>,
        log: Arc<Log>,
        times: KeyTimes,
        metrics: DuplicateMetrics,
    ) -> (Self, Settling) {
        let (settling, settled) = mpsc::channel(SETTLING_MAX);
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let shared = Shared {
            attempts: HashMap::new(),
            // From one start to the next it rises.
            next: i64::try_from(since.as_micros()).unwrap_or_default(),
            told: HashMap::new(),
        };
        let later = Settling { link: link.clone(), log: log.clone(), times, settled };
        let shared = Arc::new(Mutex::new(shared));
        (Self { link, log, times, shared, silence: Arc::default(), settling, metrics }, later)
    }

    /// Claims a key; none where nobody could be asked. What is in flight at another gateway is waited
    /// for, until then.
    pub async fn claim(&self, digest: &KeyDigest, deadline: Instant) -> Option<Claim> {
        let (attempt, told) = {
            let mut shared = self.shared.lock();
            (shared.attempt(digest), shared.on_its_way(digest))
        };
        let claimed = match told {
            Some(other) => Some(Claim::Other(other)),
            None => self.ask_until(digest, attempt, deadline).await,
        };
        let result = match claimed {
            Some(Claim::Own) => ClaimResult::Own,
            Some(Claim::Reused) => ClaimResult::Reused,
            Some(Claim::Other(_)) => ClaimResult::Other,
            None => ClaimResult::NoAnswer,
        };
        self.metrics.claims.with_label_values(&[result.as_str()]).inc();
        claimed
    }

    async fn ask_until(
        &self,
        digest: &KeyDigest,
        attempt: i64,
        deadline: Instant,
    ) -> Option<Claim> {
        // What another gateway had once is not sent here for want of an answer.
        let mut known = self.shared.lock().told(digest);
        loop {
            let other = match self.ask(digest, attempt).await {
                Some(Claim::Other(other)) => other,
                Some(own @ (Claim::Own | Claim::Reused)) => return Some(own),
                None => return known.map(Claim::Other),
            };
            self.shared.lock().tell(digest, (other, false), self.times.window);
            known = Some(other.by_now());
            if other.became != Became::Sending || Instant::now() + AGAIN >= deadline {
                return known.map(Claim::Other);
            }
            sleep(AGAIN).await;
        }
    }

    /// None without an answer.
    async fn ask(&self, digest: &KeyDigest, attempt: i64) -> Option<Claim> {
        if self.silence.lasts() {
            return None;
        }
        let asked = self.link.claim_key(&self.log, (digest, attempt), &self.times);
        let why = match timeout(ANSWER_WAIT, asked).await {
            Ok(Ok(claimed)) => return Some(claimed),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} ms", ANSWER_WAIT.as_millis()),
        };
        tracing::warn!("the database does not say whether another gateway knows a key: {why}");
        self.silence.begins();
        None
    }

    /// A request with this key waits for what another one of this gateway's brings: others are to
    /// know. It waits for nothing itself.
    pub fn joined(&self, digest: KeyDigest) {
        let attempt = self.shared.lock().attempt(&digest);
        self.later(Settle::Joined(digest, attempt));
    }

    /// Another gateway's grant was this one's, too, which came with another key: whoever comes with that
    /// key is told the same.
    pub fn known(&self, digest: KeyDigest, other: OtherClaim) {
        self.shared.lock().tell(&digest, (other, true), self.times.window);
        self.settle(digest, Some(other.became), None);
    }

    /// The try with this key is over, and is another gateway's.
    pub fn forget(&self, digest: &KeyDigest) {
        self.shared.lock().attempts.remove(&digest.key);
    }

    /// What became of a request with this key; none where nothing was changed. It is over: what comes
    /// with the key from now on is another try.
    pub fn settle(&self, digest: KeyDigest, became: Option<Became>, seq: Option<u64>) {
        let attempt = self.shared.lock().attempts.remove(&digest.key);
        if let Some(attempt) = attempt {
            self.later(Settle::Ended(digest, attempt, became, seq));
        }
    }

    /// What was found out of an unknown outcome, by the number of its decision.
    pub fn resolved(&self, seq: u64, resolution: Resolution) {
        match resolution {
            Resolution::Granted => self.later(Settle::Resolved(seq, Some(Became::Granted))),
            Resolution::Absent => self.later(Settle::Resolved(seq, None)),
            Resolution::CannotTell => {}
        }
    }

    fn later(&self, settle: Settle) {
        if self.settling.try_send(settle).is_err() {
            tracing::warn!("other gateways are not told what became of a key: too many wait");
        }
    }
}

/// Says it.
pub struct Settled {
    task: JoinHandle<()>,
    ending: CancellationToken,
}

impl Settled {
    /// Says what is left, for at most so long.
    pub async fn finish(own: Option<Self>, at_most: Duration) {
        let Some(mut own) = own else { return };
        own.ending.cancel();
        if timeout(at_most, &mut own.task).await.is_err() {
            own.task.abort();
        }
    }
}

impl Settling {
    /// Begins to tell the database.
    #[must_use]
    pub fn start(self) -> Settled {
        let ending = CancellationToken::new();
        Settled { task: tokio::spawn(self.run(ending.clone())), ending }
    }

    /// Tells one after the other.
    async fn run(mut self, ending: CancellationToken) {
        loop {
            let settle = tokio::select! {
                biased;
                settle = self.settled.recv() => settle,
                () = ending.cancelled() => None,
            };
            let Some(settle) = settle else { return };
            let (mut backoff, mut tries) = (Backoff::default(), 0);
            while let Err(error) = self.say(&settle).await {
                tries += 1;
                let is_passing = error.is_passing();
                if tries == SETTLE_TRIES || !is_passing {
                    tracing::warn!(%error, "other gateways are not told what became of a key");
                    break;
                }
                sleep(backoff.wait(SETTLE_FIRST, SETTLE_LONGEST)).await;
            }
        }
    }

    async fn say(&self, settle: &Settle) -> Result<(), DatabaseError> {
        match settle {
            Settle::Joined(digest, attempt) => {
                let claimed = self.link.claim_key(&self.log, (digest, *attempt), &self.times);
                claimed.await.map(drop)
            }
            Settle::Ended(digest, attempt, became, seq) => {
                let (key, became) = ((digest, *attempt, self.times.window), (*became, *seq));
                self.link.settle_key(&self.log, key, became).await
            }
            Settle::Resolved(seq, became) => self.link.resolve_key(&self.log, *seq, *became).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::{Access, Address, Files};
    use crate::domain::Secret;
    use crate::telemetry::{ClosedSets, Metrics};

    /// What this gateway has said of a key may be on its way to the database, which knows less.
    #[tokio::test]
    async fn what_was_said_a_moment_ago_is_not_asked_for() {
        let address = Address::parse("postgresql://gate@/grantgate?host=/nowhere").unwrap();
        let files = Files { address, password_file: None, ca_file: None };
        let link = Arc::new(Link::new(Access::load(&files).unwrap()));
        let log = Log {
            replica: uuid::Uuid::nil(),
            name: "north".into(),
            origin: "north".into(),
            verifier_key: String::new(),
            token: Secret::new(String::new()),
        };
        let times = KeyTimes { window: Duration::from_secs(60), sending: Duration::from_secs(9) };
        let metrics = Metrics::new(&ClosedSets::default()).unwrap().duplicates;
        let (keys, _settling) = Keys::new(link, Arc::new(log), times, metrics);
        let digest = KeyDigest { key: [1; 32], asked: [2; 32] };
        let (replica, became) = (uuid::Uuid::max(), Became::Unknown);
        let other = OtherClaim { replica, seq: None, became };
        keys.joined(digest);
        keys.known(digest, other);
        let deadline = Instant::now() + Duration::from_secs(5);
        for _ in 0..3 {
            assert_eq!(keys.claim(&digest, deadline).await, Some(Claim::Other(other)));
            assert!(!keys.silence.lasts(), "the database was asked");
        }
        let new = KeyDigest { key: [3; 32], ..digest };
        assert_eq!(keys.claim(&new, deadline).await, None);
        assert!(keys.silence.lasts());
    }
}
