//! What is counted of token issuers, their keys and the cache of their tokens.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Result};

use super::registrar::Registrar;

/// The issuers' part. Issuers are those of the settings.
#[derive(Clone)]
pub struct IssuerMetrics {
    keys: IntGaugeVec,
    usable: IntGaugeVec,
    last_fetch: IntGaugeVec,
    fetches: IntCounterVec,
    cached: IntGauge,
    hits: IntCounter,
    misses: IntCounter,
    results: &'static [&'static str],
}

impl IssuerMetrics {
    pub(super) fn new(made: &Registrar, results: &'static [&'static str]) -> Result<Self> {
        Ok(Self {
            keys: made.gauges("issuer_keys", "Keys of an issuer that can verify.", &["issuer"])?,
            usable: made.gauges(
                "issuer_usable",
                "Whether tokens of an issuer can be verified: 1 or 0.",
                &["issuer"],
            )?,
            last_fetch: made.gauges(
                "issuer_last_fetch_timestamp_seconds",
                "When the keys of an issuer were fetched last.",
                &["issuer"],
            )?,
            fetches: made.counters(
                "issuer_fetches_total",
                "Fetches of an issuer's keys.",
                &[("issuer", &[]), ("result", results)],
            )?,
            cached: made.gauge("jwt_cache_tokens", "Verified tokens in the cache.")?,
            hits: made.counter("jwt_cache_hits_total", "Tokens that were found in the cache.")?,
            misses: made.counter("jwt_cache_misses_total", "Tokens that had to be verified.")?,
            results,
        })
    }

    /// Shows the series of an issuer whose keys are fetched, before there are any.
    pub fn expect(&self, issuer: &str) {
        self.keys.with_label_values(&[issuer]).set(0);
        self.last_fetch.with_label_values(&[issuer]).set(0);
        for result in self.results {
            self.fetches.with_label_values(&[issuer, result]);
        }
    }

    /// A fetch ended so.
    pub fn fetched(&self, issuer: &str, result: &str) {
        self.fetches.with_label_values(&[issuer, result]).inc();
    }

    /// The keys that were fetched at this moment.
    pub fn keys_fetched(&self, issuer: &str, keys: usize, at_second: i64) {
        self.keys_in_force(issuer, keys);
        self.last_fetch.with_label_values(&[issuer]).set(at_second);
    }

    /// The keys that can verify.
    pub fn keys_in_force(&self, issuer: &str, keys: usize) {
        self.keys.with_label_values(&[issuer]).set(i64::try_from(keys).unwrap_or(i64::MAX));
    }

    /// Whether its tokens can be verified at this moment.
    pub fn usable_now(&self, issuer: &str, usable: bool) {
        self.usable.with_label_values(&[issuer]).set(usable.into());
    }

    /// What the cache has counted since the start.
    pub fn cache(&self, tokens: usize, hits: u64, misses: u64) {
        self.cached.set(i64::try_from(tokens).unwrap_or(i64::MAX));
        self.hits.inc_by(hits.saturating_sub(self.hits.get()));
        self.misses.inc_by(misses.saturating_sub(self.misses.get()));
    }
}
