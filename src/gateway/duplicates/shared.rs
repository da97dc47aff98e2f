//! Keys that count for all gateways: each is claimed before its request is recorded.

use std::time::Instant;

use aws_lc_rs::digest::{Context, SHA256};

use super::repeat::{Again, Turn};
use super::table::{Asked, Grant, State};
use super::{Place, Told};
use crate::database::{Became, Claim, KeyDigest};
use crate::domain::{IdempotencyKey, Reason};
use crate::fleet::Keys;
use crate::policy::{Decision, Permit};

/// Claims the key of what has its place here; where another gateway has it, it is answered as that
/// one's.
pub(super) async fn claim<'d>(
    keys: &Keys,
    (permit, key): (Permit, &IdempotencyKey),
    place: Place<'d>,
    deadline: Instant,
) -> (Decision, Turn<'d>) {
    let claimed = match &place.grant {
        Some(grant) => keys.claim(&digest_of(grant, key), deadline).await,
        None => Some(Claim::Own),
    };
    match claimed {
        Some(Claim::Own) => (Decision::Permit(permit), Turn::Own(Some(place))),
        None => (Decision::Permit(permit.with_unconfirmed_key()), Turn::Own(Some(place))),
        Some(Claim::Reused) => {
            // Who waits has another key, or none: it may try again.
            place.refused(Reason::PermitExpired);
            (Decision::Denial(permit.refuse(Reason::IdempotencyKeyReused)), Turn::Own(None))
        }
        Some(Claim::Other(other)) => {
            place.known(other);
            let told = Box::new(Told::elsewhere(other));
            (Decision::Permit(permit), Turn::Again(Again::Known(told)))
        }
    }
}

/// What other gateways know of a key: nobody can tell from it who is granted what.
pub(super) fn digest_of(grant: &Grant, key: &IdempotencyKey) -> KeyDigest {
    let Grant { caller, asked } = grant;
    let Asked { operation, workspace, entrance, grantee } = asked;
    let workspace = workspace.as_ref().map_or("", |name| name.as_str());
    let (kind, who) = grantee.parts();
    KeyDigest {
        key: sha256(&[caller.as_str().as_bytes(), key.as_str().as_bytes()]),
        asked: sha256(&[
            // Without it, a digest could be tried out on ids.
            key.as_str().as_bytes(),
            operation.path().as_bytes(),
            workspace.as_bytes(),
            &entrance.as_u128().to_be_bytes(),
            kind.as_bytes(),
            &who,
        ]),
    }
}

/// Of all parts, each with its length before it.
fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

impl State {
    /// What others are told; none where it may be sent as if it had not been.
    pub(super) const fn became(self) -> Option<Became> {
        match self {
            Self::Nothing => None,
            Self::Flying => Some(Became::Sending),
            Self::Granted(_) => Some(Became::Granted),
            Self::Unknown(_) => Some(Became::Unknown),
        }
    }
}
