//! Requests and handshakes that nobody was authenticated for: each is recorded, and one that
//! came with a client certificate is logged too, so that an operator can find out why a
//! service is refused.
//!
//! Anybody can come with any certificate: records are bounded by the journal's lane for
//! strangers and lines by a rate, and both count what they leave out.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::account::Account;
use super::{Context, Gateway, Presented, Refusal};
use crate::audit::{CertificateEntry, StrangerEntry};
use crate::authn::{Failure, Known};
use crate::domain::{Reason, RequestId};
use crate::tls::{CertificateFault, RefusedCertificate, Shown};

/// Lines about certificates in a minute, and at once.
const LINES_PER_MINUTE: NonZeroU32 = match NonZeroU32::new(60) {
    Some(number) => number,
    None => NonZeroU32::MIN,
};

/// Why a request has no principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unproven {
    pub(super) reason: Reason,
    /// What is wrong with the certificate itself.
    pub(super) fault: Option<CertificateFault>,
    /// Whose credential it is all the same.
    pub(super) known: Option<Known>,
}

impl From<Failure> for Unproven {
    fn from(Failure { reason, known }: Failure) -> Self {
        Self { reason, fault: None, known }
    }
}

/// Writes log lines about certificates by which nobody was authenticated.
pub struct CertificateLog {
    rate: DefaultDirectRateLimiter,
    left_out: AtomicU64,
}

impl Default for CertificateLog {
    fn default() -> Self {
        let rate = RateLimiter::direct(Quota::per_minute(LINES_PER_MINUTE));
        Self { rate, left_out: AtomicU64::new(0) }
    }
}

impl CertificateLog {
    /// One line, or one more that the next line counts. `at` is the listener.
    pub fn write(&self, at: &'static str, entry: &StrangerEntry<'_>) {
        let Some(certificate) = &entry.certificate else { return };
        if self.rate.check().is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let left_out = Some(self.left_out.swap(0, Ordering::Relaxed)).filter(|n| *n > 0);
        tracing::warn!(
            listener = at,
            request_id = %entry.request_id,
            peer = %entry.peer,
            reason = entry.reason.as_str(),
            fault = certificate.fault,
            names = certificate.names.join(", "),
            serial = certificate.serial,
            issuer = certificate.issuer,
            left_out,
            "client certificate refused"
        );
    }
}

impl Gateway {
    /// Notes a request that nobody was authenticated for, and refuses it. What is over the
    /// budget of its network is counted only: it leaves room on the record for others. Whose
    /// credential it was, where that is known, is said here and nowhere outside.
    pub(super) fn refuse_stranger(
        &self,
        context: &Context,
        unproven: Unproven,
        account: &mut Account,
    ) -> Refusal {
        if let Some(seconds) = self.admission.count_failure(context.peer.ip()) {
            self.journal.count_stranger(Reason::AuthenticationThrottled);
            return Refusal::retry_after(Reason::AuthenticationThrottled, seconds);
        }
        let of_certificate = matches!(
            unproven.reason,
            Reason::CertificateUnknown
                | Reason::CertificateMalformed
                | Reason::CertificateWithdrawn
        );
        let presented = context.certificate.as_deref().filter(|_| of_certificate);
        let shown = presented.and_then(Presented::shown);
        let entry = StrangerEntry {
            request_id: context.request_id,
            peer: context.peer,
            caller: unproven.known.as_ref().map(|known| &known.caller),
            credential: unproven.known.as_ref().map(|known| &*known.credential),
            reason: unproven.reason,
            certificate: presented.map(|_| entry_of(unproven.fault, shown.as_ref())),
        };
        self.certificate_log.write("listener", &entry);
        self.journal.note_stranger(&entry);
        account.caller = unproven.known.map(|known| known.caller);
        unproven.reason.into()
    }

    /// A client whose certificate was refused in the handshake: there is no
    /// request, and the attempt gets an id of its own.
    pub fn note_refused_handshake(&self, peer: SocketAddr, refused: &RefusedCertificate) {
        if self.admission.count_failure(peer.ip()).is_some() {
            self.journal.count_stranger(Reason::AuthenticationThrottled);
            return;
        }
        let entry = handshake(peer, refused);
        self.certificate_log.write("listener", &entry);
        self.journal.note_stranger(&entry);
    }

    /// The same for the admin listener, which answers no requests of callers: it is logged
    /// and not recorded.
    pub fn note_refused_admin(&self, peer: SocketAddr, refused: &RefusedCertificate) {
        self.certificate_log.write("admin.remote", &handshake(peer, refused));
    }
}

fn handshake(peer: SocketAddr, refused: &RefusedCertificate) -> StrangerEntry<'_> {
    StrangerEntry {
        request_id: RequestId::generate(),
        peer,
        caller: None,
        credential: None,
        reason: Reason::CertificateRefused,
        certificate: Some(entry_of(Some(refused.fault), refused.shown.as_ref())),
    }
}

fn entry_of(fault: Option<CertificateFault>, shown: Option<&Shown>) -> CertificateEntry<'_> {
    CertificateEntry {
        fault: fault.map(CertificateFault::as_str),
        names: shown.map_or(&[], |shown| &shown.names),
        serial: shown.map(|shown| shown.serial.as_str()),
        issuer: shown.map(|shown| shown.issuer.as_str()),
    }
}
