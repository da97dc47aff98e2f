//! A connection's client certificate: verified in the handshake, and again when the
//! authorities or revocation lists have changed since.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustls_pki_types::CertificateDer;

use super::strangers::Unproven;
use crate::authn::PeerCertificate;
use crate::domain::Reason;
use crate::tls::{ClientCertificates, Shown, expiry_of};

/// A certificate may expire while its connection is open: it is verified again after
/// this time.
const VERIFIED_FOR: Duration = Duration::from_secs(60);

/// The client certificate of one connection.
#[derive(Debug)]
pub struct Presented {
    names: PeerCertificate,
    chain: Vec<CertificateDer<'static>>,
    /// By which generation of authorities it was accepted last, and when.
    accepted: Mutex<Option<(u64, Instant)>>,
}

impl Presented {
    /// Takes the chain of a finished handshake, leaf first; `None` when it is empty.
    #[must_use]
    pub fn new(chain: &[CertificateDer<'static>]) -> Option<Self> {
        let names = PeerCertificate::read(chain.first()?);
        Some(Self { names, chain: chain.to_vec(), accepted: Mutex::new(None) })
    }

    /// The names in it, if it is accepted now.
    ///
    /// # Errors
    /// [`Reason::CertificateWithdrawn`], and what is wrong with it now.
    pub(super) fn verified(
        &self,
        clients: Option<&ClientCertificates>,
    ) -> Result<&PeerCertificate, Unproven> {
        let withdrawn =
            |fault| Unproven { reason: Reason::CertificateWithdrawn, fault, known: None };
        let clients = clients.ok_or(withdrawn(None))?;
        let mut accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = accepted.is_some_and(|(generation, at)| {
            generation == clients.generation() && at.elapsed() < VERIFIED_FOR
        });
        if !fresh {
            if let Err(fault) = clients.verify(&self.chain) {
                *accepted = None;
                return Err(withdrawn(Some(fault)));
            }
            *accepted = Some((clients.generation(), Instant::now()));
        }
        Ok(&self.names)
    }

    /// When it expires.
    pub(super) fn expires(&self) -> Option<Timestamp> {
        expiry_of(self.chain.first()?)
    }

    /// Whose it is, for a log.
    pub(super) fn shown(&self) -> Option<Shown> {
        Shown::of(self.chain.first()?)
    }
}
