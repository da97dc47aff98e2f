//! Fetches the keys of token issuers, ahead of their expiry and beside all requests.
//!
//! Only the addresses that the settings name are asked, and the one that an issuer's own
//! metadata name. A token can ask for a fetch earlier, and no more: how often, and where, it
//! does not decide.

mod fetch;
mod worker;

use std::sync::Arc;

use crate::authn::Issuers;
use crate::authn::jwt::IssuerKeys;
use crate::config::{KeySource, Settings};
use crate::domain::{Clock, Problem, closed_set};
use crate::telemetry::IssuerMetrics;
use fetch::Client;
use tokio::task::JoinSet;
use worker::Worker;

closed_set! {
/// What came of a fetch.
pub enum FetchResult {
    /// There are keys.
    Ok = "ok",
    /// No connection, or it broke.
    Connection = "connection",
    /// No whole answer in time.
    Timeout = "timeout",
    /// A status other than 200.
    Status = "status",
    /// An answer that is too large, or is not what was asked for.
    Invalid = "invalid",
}
}

/// What fetches the keys of all issuers that have an address.
pub struct Fetchers(Vec<Client>);

impl Fetchers {
    /// Reads the files of authorities; connects to nothing.
    ///
    /// # Errors
    /// Every problem of the files.
    pub fn new(settings: &Settings) -> Result<Self, Vec<Problem>> {
        let (mut clients, mut problems) = (Vec::new(), Vec::new());
        for issuer in &settings.issuers {
            let KeySource::Fetched(fetch) = &issuer.keys else { continue };
            match Client::new(issuer, fetch) {
                Ok(client) => clients.push(client),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(Self(clients)) } else { Err(problems) }
    }

    /// Fetches from now on, until the answer is dropped.
    pub fn start(
        self,
        issuers: &Issuers,
        metrics: &IssuerMetrics,
        clock: &Arc<dyn Clock>,
    ) -> JoinSet<()> {
        let mut fetching = JoinSet::new();
        for client in self.0 {
            let of = issuers.named(client.name()).map(|issuer| (&issuer.rules, &issuer.keys));
            let Some((rules, IssuerKeys::Fetched(keys))) = of else { continue };
            metrics.expect(client.name());
            let (keys, rules) = (keys.clone(), rules.clone());
            let (metrics, clock) = (metrics.clone(), clock.clone());
            fetching.spawn(Worker { client, keys, rules, metrics, clock }.run());
        }
        fetching
    }
}
