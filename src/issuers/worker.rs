//! Keeps the keys of one issuer fresh, as long as it runs.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::FetchResult;
use super::fetch::{Client, Document, Failure};
use crate::authn::jwt::{FetchedKeys, IssuerRules, KeySet};
use crate::domain::{Backoff, Clock};
use crate::telemetry::IssuerMetrics;

/// However short a sender says that keys may be used.
const REFRESH_MIN: Duration = Duration::from_secs(60);

/// Between tries that fail.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

pub(super) struct Worker {
    pub(super) client: Client,
    pub(super) keys: Arc<FetchedKeys>,
    pub(super) rules: Arc<IssuerRules>,
    pub(super) metrics: IssuerMetrics,
    pub(super) clock: Arc<dyn Clock>,
}

impl Worker {
    pub(super) async fn run(self) {
        let (mut backoff, mut failing) = (Backoff::default(), None::<String>);
        let refresh = self.client.refresh();
        loop {
            self.keys.begin();
            let fetched = self.fetch().await;
            let wait = match fetched {
                Ok((keys, fresh)) => {
                    self.keep(&keys, failing.take().is_some());
                    backoff.reset();
                    next(refresh, fresh)
                }
                Err(failure) => {
                    self.fail(&failure, &mut failing);
                    backoff.wait(FIRST.min(refresh), LONGEST.min(refresh))
                }
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = self.keys.wanted() => {}
            }
        }
    }

    async fn fetch(&self) -> Result<(Arc<KeySet>, Option<Duration>), Failure> {
        let Document { bytes, fresh } = self.client.fetch().await?;
        let last = self.keys.last();
        let before = last.as_ref().map(|held| &*held.keys);
        let keys = KeySet::parse(&bytes, &self.rules.algorithms, before);
        let keys = keys.map_err(|text| Failure { result: FetchResult::Invalid, text })?;
        Ok((Arc::new(keys), fresh))
    }

    fn keep(&self, keys: &Arc<KeySet>, recovered: bool) {
        let (issuer, count) = (self.client.name(), keys.len());
        let is_new = self.keys.last().is_none_or(|held| !held.keys.is_same(keys));
        if is_new {
            for key in keys.left_out().iter().filter(|key| key.is_mistake) {
                tracing::warn!(issuer, key = key.number, why = key.why, "a key is not used");
            }
            tracing::info!(issuer, keys = count, "the issuer has other keys");
        } else if recovered {
            tracing::info!(issuer, "the issuer answers again");
        }
        if keys.is_empty() {
            tracing::warn!(issuer, "the issuer has no key that can verify: its tokens are refused");
        }
        let now = self.clock.now();
        self.metrics.keys_fetched(issuer, count, now.as_second());
        self.metrics.fetched(issuer, FetchResult::Ok.as_str());
        self.keys.end(Some(keys.clone()), now);
    }

    /// Each new cause is logged once.
    fn fail(&self, failure: &Failure, failing: &mut Option<String>) {
        let issuer = self.client.name();
        self.metrics.fetched(issuer, failure.result.as_str());
        self.keys.end(None, self.clock.now());
        if failing.as_ref() != Some(&failure.text) {
            let usable = self.keys.is_usable();
            tracing::warn!(issuer, cause = failure.text, usable, "its keys cannot be fetched");
            *failing = Some(failure.text.clone());
        }
    }
}

/// When to fetch after a success: as the settings say, and earlier where the sender says that
/// keys grow old before.
fn next(refresh: Duration, fresh: Option<Duration>) -> Duration {
    let least = REFRESH_MIN.min(refresh);
    fresh.map_or(refresh, |fresh| fresh.mul_f64(0.8).clamp(least, refresh))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_fetched_ahead_of_their_expiry() {
        let s = Duration::from_secs;
        assert_eq!(next(s(600), None), s(600));
        assert_eq!(next(s(600), Some(s(300))), s(240), "before they are old");
        assert_eq!(next(s(600), Some(s(86_400))), s(600), "no later than the setting");
        assert_eq!(next(s(600), Some(s(0))), s(60), "no more often than once a minute");
        assert_eq!(next(s(5), Some(s(0))), s(5));
    }
}
