//! Who sent a request, as a snapshot knows callers, issuers and certificates.

use std::time::Duration;

use http::HeaderMap;

use super::account::Account;
use super::strangers::Unproven;
use super::{Context, Gateway, Refusal};
use crate::authn::{self, Principal};
use crate::snapshot::Snapshot;

/// How long a request waits for keys of its token's issuer that are on their way, where it
/// cannot be judged without them.
const KEYS_WAIT: Duration = Duration::from_secs(1);

impl Gateway {
    /// Who is calling. Who is nobody goes on the record, as far as room is kept for such.
    pub(super) async fn identify(
        &self,
        context: &Context,
        headers: &HeaderMap,
        snapshot: &Snapshot,
        account: &mut Account,
    ) -> Result<Principal, Refusal> {
        let mut known = self.authenticate(context, headers, snapshot);
        let refused = known.as_ref().err().map(|unproven| unproven.reason);
        let awaited = refused.and_then(|refused| snapshot.issuers.awaited(headers, refused));
        if let Some(keys) = awaited {
            // Boxed: seldom. Whoever's key is here does not come here.
            let arrived = Box::pin(tokio::time::timeout(KEYS_WAIT, keys.settled()));
            let _ = arrived.await;
            known = self.authenticate(context, headers, snapshot);
        }
        known.map_err(|unproven| self.refuse_stranger(context, unproven, account))
    }

    /// The same by what is at hand; nothing is recorded.
    pub(super) fn authenticate(
        &self,
        context: &Context,
        headers: &HeaderMap,
        snapshot: &Snapshot,
    ) -> Result<Principal, Unproven> {
        let clients = snapshot.certificates.clients.as_ref();
        let certificate = context.certificate.as_ref();
        let certificate = certificate.map(|c| c.verified(clients)).transpose()?;
        let (callers, issuers, now) = (&snapshot.callers, &snapshot.issuers, self.clock.now());
        Ok(authn::authenticate(headers, certificate, callers, issuers, now)?)
    }
}
