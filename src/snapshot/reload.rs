//! Reloading: a whole new snapshot, recorded and swapped in, or nothing.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use super::build::{Built, build};
use super::bundles::{BundleInForce, Bundles, Whole, is_of_bundle};
use super::inputs::{Digests, Inputs};
use super::part::{PART_NAMES, PARTS};
use super::parts::trial;
use super::source::{Source, Wanted};
use super::{Origin, Snapshot, TrialToLoad};
use crate::audit::{AuditError, BundleEntry, Journal, ReloadEntry};
use crate::config::Settings;
use crate::domain::{Clock, Problem};
use crate::policy::Orders;
use crate::telemetry::Metrics;

/// At most this many problems go into a record, each cut to this many bytes.
const PROBLEMS_MAX: usize = 10;
const PROBLEM_BYTES_MAX: usize = 500;

/// How reloading stands.
#[derive(Debug, Clone)]
pub struct ReloadStatus {
    /// When the snapshot in force was loaded.
    pub loaded: Timestamp,
    /// The last reload, when it failed: the files on disk are not what is in force.
    pub failure: Option<ReloadFailure>,
}

/// A reload that failed.
#[derive(Debug, Clone)]
pub struct ReloadFailure {
    /// When.
    pub time: Timestamp,
    /// Why.
    pub problems: Vec<String>,
}

/// Asks for a reload. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ReloadHandle(mpsc::Sender<Request>);

/// A request for a reload, answered when it has ended.
pub(super) type Request = oneshot::Sender<()>;

/// What requests arrive at.
pub struct ReloadRequests(pub(super) mpsc::Receiver<Request>);

impl ReloadHandle {
    /// Asks for a reload, also of files that did not change since the last try. A
    /// request beside one that waits already changes nothing.
    pub fn request(&self) {
        let _ = self.0.try_send(oneshot::channel().0);
    }

    /// Asks for a reload and waits until it has succeeded or failed.
    pub async fn reload(&self) {
        let (sender, ended) = oneshot::channel();
        if self.0.send(sender).await.is_ok() {
            let _ = ended.await;
        }
    }
}

/// Replaces the snapshot in force.
pub struct Reloader {
    settings: Arc<Settings>,
    source: Arc<dyn Source>,
    bundles: Option<Arc<Bundles>>,
    current: Arc<ArcSwap<Snapshot>>,
    orders: Arc<ArcSwap<Orders>>,
    journal: Journal,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    loading_trial: tokio::sync::Mutex<()>,
}

/// Files are put in force when they were the same twice, this long after each other.
const STEADY: Duration = Duration::from_millis(250);

/// Files that keep changing are left alone after this many looks, until the next.
const LOOKS_MAX: usize = 40;

/// No request takes longer than these looks.
const DROP_LOOK: Duration = Duration::from_millis(200);
const DROP_LOOKS_MAX: usize = 600;

/// The parts whose files changed, the bundle that some are of, and what was made of the files.
struct Attempt {
    parts: Vec<&'static str>,
    bundle: Option<Arc<Whole>>,
    built: Result<Built, Vec<Problem>>,
}

struct State {
    in_force: Digests,
    /// Of the files that were tried last, if they are not in force.
    tried: Option<Digests>,
    /// A reload waits for nothing but its record.
    unrecorded: bool,
    status: ReloadStatus,
}

impl Reloader {
    /// For the snapshot `current`, which was made from these files, and orders beside it.
    pub fn new(
        settings: Arc<Settings>,
        (current, orders): (Arc<ArcSwap<Snapshot>>, Arc<ArcSwap<Orders>>),
        origin: Origin,
        journal: Journal,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let Origin { source, bundles, digests } = origin;
        let status = ReloadStatus { loaded: clock.now(), failure: None };
        let state = Mutex::new(State { in_force: digests, tried: None, unrecorded: false, status });
        let loading_trial = tokio::sync::Mutex::default();
        let reloader = Self {
            settings,
            source,
            bundles,
            current,
            orders,
            journal,
            metrics,
            clock,
            state,
            loading_trial,
        };
        reloader.show(&PART_NAMES);
        Arc::new(reloader)
    }

    /// How reloading stands.
    #[must_use]
    pub fn status(&self) -> ReloadStatus {
        self.state().status.clone()
    }

    /// Where policies come as bundles.
    #[must_use]
    pub fn bundles(&self) -> Option<Arc<Bundles>> {
        self.bundles.clone()
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A handle, and what it sends to.
    #[must_use]
    pub fn handle() -> (ReloadHandle, ReloadRequests) {
        let (sender, requests) = mpsc::channel(1);
        (ReloadHandle(sender), ReloadRequests(requests))
    }

    /// Looks at the files and puts them in force if they changed and are valid. Without
    /// `again`, files that were tried and refused are not tried once more.
    ///
    /// Returns whether to look again soon: the files are good, and could not be recorded.
    pub(super) async fn reload(self: &Arc<Self>, again: bool) -> bool {
        for _ in 0..LOOKS_MAX {
            let reloader = self.clone();
            let looked = blocking(move || reloader.read().1.1).await;
            let Some(seen) = looked.filter(|seen| self.is_worth_trying(seen, again)) else {
                return false;
            };
            // What is still being written must not be taken for whole: a policy without
            // its last lines may be valid and allow more. A bundle is whole.
            if !self.is_by_bundle(&seen) {
                sleep(STEADY).await;
            }
            let reloader = self.clone();
            match blocking(move || reloader.build(&seen)).await {
                Some(Some(Attempt { parts, bundle, built: Ok(loaded) })) => {
                    return self.put_in_force(&parts, bundle, loaded).await;
                }
                Some(Some(Attempt { parts, bundle, built: Err(problems) })) => {
                    self.fail((&parts, bundle.as_deref()), &problems, true);
                    return false;
                }
                Some(None) => {}
                None => {
                    let problem = Problem::of_file("reload", "ended in a panic");
                    self.fail((&[], None), &[problem], true);
                    return false;
                }
            }
        }
        tracing::warn!("the files keep changing; they will be looked at again");
        false
    }

    /// What to watch.
    pub(super) fn watched(&self) -> Vec<&Path> {
        let wanted = PARTS.iter().flat_map(|part| (part.files)(&self.settings));
        let of_bundle = |wanted: &Wanted<'_>| self.bundles.is_some() && is_of_bundle(wanted);
        let wanted = wanted.filter(|wanted| !of_bundle(wanted));
        wanted.filter_map(|wanted| self.source.watched(&wanted)).collect()
    }

    fn read(&self) -> (Option<Arc<Whole>>, (Inputs, Digests)) {
        let bundle = self.bundles.as_ref().map(|bundles| bundles.wanted());
        let read = Inputs::read(&self.settings, &*self.source, bundle.as_deref());
        (bundle, read)
    }

    fn is_by_bundle(&self, seen: &Digests) -> bool {
        let in_force = self.state().in_force;
        seen.differ_by_bundle(&in_force, &self.settings)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_worth_trying(&self, seen: &Digests, again: bool) -> bool {
        let mut state = self.state();
        if *seen == state.in_force {
            state.tried = None;
            state.unrecorded = false;
            if state.status.failure.take().is_some() {
                self.metrics.reload_failing.set(0);
                tracing::info!("the files are those in force again");
            }
            return false;
        }
        again || state.tried != Some(*seen)
    }

    /// Reads and builds, off the request path. `None` when the files are no longer those
    /// that were seen.
    fn build(&self, seen: &Digests) -> Option<Attempt> {
        let (bundle, (inputs, now)) = self.read();
        if !now.decide_as(seen) {
            return None;
        }
        let in_force = self.state().in_force;
        // What decides nothing, and alone is still being written, can wait; with more to put
        // in force it is taken as it is, and again when it changes.
        if now != *seen && now.decide_as(&in_force) {
            return None;
        }
        self.state().tried = Some(now);
        let parts = now.changed_from(&in_force);
        let before = self.current.load_full();
        let orders = self.orders.load();
        let of_bundle = bundle.as_ref().map(|whole| whole.in_force());
        let in_force = Some((&*before, &in_force));
        let built = build(&self.settings, (inputs, now), of_bundle, in_force, &orders);
        Some(Attempt { parts, bundle, built: built.map_err(|unloaded| unloaded.problems) })
    }

    /// Recorded first: a policy that is in force is one that the audit log knows.
    async fn put_in_force(
        self: &Arc<Self>,
        parts: &[&'static str],
        bundle: Option<Arc<Whole>>,
        loaded: Built,
    ) -> bool {
        if let Some(problem) = self.keep(bundle.as_ref()).await {
            self.state().tried = None;
            self.fail((parts, bundle.as_deref()), &[problem], true);
            return false;
        }
        let before = self.current.load_full();
        let revision_before = before.policy.revision().clone();
        let revision_before = revision_before.as_str();
        let revision = loaded.snapshot.policy.revision().as_str();
        let signed = bundle.as_deref().map(Signature::of);
        let bundle_entry = signed.as_ref().map(Signature::entry);
        let entry =
            ReloadEntry { parts, revision_before, revision, problems: &[], bundle: bundle_entry };
        if let Err(error) = self.journal.record_reload(&entry).await {
            let text = format!("the reload was not recorded: {error}");
            let first = {
                let mut state = self.state();
                state.tried = None;
                !std::mem::replace(&mut state.unrecorded, true)
            };
            // The record may still reach the disk; the next one then takes it back. One is
            // enough: while nothing can be written they would pile up.
            let what = (parts, bundle.as_deref());
            self.fail(what, &[Problem::of_file("audit log", text)], first);
            // A revocation must not wait for long because a commit was slow.
            return !matches!(error, AuditError::Broken(_));
        }
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        if !Arc::ptr_eq(&before.certificates, &loaded.snapshot.certificates) {
            loaded.snapshot.certificates.warn(self.clock.now());
        }
        let number = bundle.as_deref().map(|whole| whole.offer().number);
        tracing::info!(?parts, revision_before, revision, bundle = number, "reloaded");
        self.current.store(Arc::new(loaded.snapshot));
        self.load_trial(loaded.trial);
        tokio::spawn(drop_when_unused(before));
        {
            let mut state = self.state();
            state.in_force = loaded.digests;
            state.unrecorded = false;
            state.status = ReloadStatus { loaded: self.clock.now(), failure: None };
        }
        for part in parts {
            self.metrics.reloads.with_label_values(&[part, "ok"]).inc();
        }
        self.show(parts);
        false
    }

    /// The next start begins with this bundle: before it is in force, so that none ever begins
    /// with an older one.
    async fn keep(&self, bundle: Option<&Arc<Whole>>) -> Option<Problem> {
        let (bundles, whole) = self.bundles.clone().zip(bundle.cloned())?;
        match blocking(move || bundles.keep(&whole)).await {
            Some(kept) => kept.err(),
            None => Some(Problem::of_file("reload", "ended in a panic")),
        }
    }

    /// Loads a policy on trial, where there is one, beside everything else. Call it in a runtime.
    pub fn load_trial(self: &Arc<Self>, trial: Option<TrialToLoad>) {
        let Some(trial) = trial else { return };
        let reloader = self.clone();
        tokio::spawn(async move {
            // One after the other, and only one that is still wanted: however often the
            // file changes, there is one load.
            let _loading = reloader.loading_trial.lock().await;
            if trial.is_for(reloader.current.load().trial.as_ref()) {
                blocking(move || trial.load()).await;
                trial::show(&reloader.current.load(), &reloader.metrics);
            }
        });
    }

    /// Nothing changes but what is shown.
    fn fail(
        &self,
        (parts, bundle): (&[&'static str], Option<&Whole>),
        problems: &[Problem],
        record: bool,
    ) {
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        for text in &texts {
            tracing::error!("reload failed, the state before stays in force: {text}");
        }
        let short: Vec<String> = texts.iter().take(PROBLEMS_MAX).map(|text| cut(text)).collect();
        let failure = ReloadFailure { time: self.clock.now(), problems: texts };
        self.state().status.failure = Some(failure);
        self.metrics.reload_failing.set(1);
        for part in parts {
            self.metrics.reloads.with_label_values(&[part, "failed"]).inc();
        }
        let before = self.current.load_full();
        let revision = before.policy.revision().as_str();
        let signed = bundle.map(Signature::of);
        let entry = ReloadEntry {
            parts,
            revision_before: revision,
            revision,
            problems: &short,
            bundle: signed.as_ref().map(Signature::entry),
        };
        if record {
            self.journal.note_reload(&entry);
        }
    }

    /// Shows what is in force.
    fn show(&self, parts: &[&'static str]) {
        let snapshot = self.current.load_full();
        for part in &PARTS {
            (part.show)(&snapshot, &self.metrics);
        }
        let now = self.clock.now().as_second();
        for part in parts {
            self.metrics.last_reload.with_label_values(&[part]).set(now);
        }
        self.metrics.reload_failing.set(0);
    }
}

/// What a record says of a bundle.
struct Signature {
    number: u64,
    digest: String,
    signers: Vec<String>,
}

impl Signature {
    fn of(whole: &Whole) -> Self {
        let BundleInForce { offer, signers, .. } = whole.in_force();
        Self { number: offer.number, digest: offer.digest.to_string(), signers }
    }

    fn entry(&self) -> BundleEntry<'_> {
        BundleEntry { number: self.number, digest: &self.digest, signers: &self.signers }
    }
}

/// Drops a snapshot off the request path: the last request that uses it would else free
/// what a large policy holds.
async fn drop_when_unused(snapshot: Arc<Snapshot>) {
    for _ in 0..DROP_LOOKS_MAX {
        if Arc::strong_count(&snapshot) == 1 {
            break;
        }
        sleep(DROP_LOOK).await;
    }
    blocking(move || drop(snapshot)).await;
}

/// Runs what reads files. `None` when it panicked, which the panic's own message tells.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

/// As much of a text as a record takes.
fn cut(text: &str) -> String {
    let mut end = text.len().min(PROBLEM_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}
