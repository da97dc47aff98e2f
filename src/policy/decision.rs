//! What was asked, and what was decided.

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Moment, Opinion};
use crate::authn::Principal;
use crate::domain::{
    Effect, Grantee, IdempotencyKey, Reason, Request, RequestId, Revision, RuleRef,
};

/// What is to be decided: an authenticated caller's request.
#[derive(Debug)]
pub struct Attempt {
    /// The request.
    pub request_id: RequestId,
    /// Where it came from.
    pub peer: SocketAddr,
    /// Who asks.
    pub principal: Principal,
    /// For what.
    pub request: Request,
    /// SHA-256 of the caller's body, or of its query where it has no body.
    pub body_sha256: [u8; 32],
    /// The caller's own name for the request, where it has one.
    pub key: Option<IdempotencyKey>,
    /// Whether it could not be asked if another gateway knows that name.
    pub is_key_unconfirmed: bool,
    /// When it is decided: conditions are judged, and the record is dated, at this time.
    pub at: Timestamp,
    /// What a policy on trial says of it, where there is one. It decides nothing.
    pub trial: Option<Opinion>,
}

impl Attempt {
    /// When it is asked for, and for which form of grantee.
    #[must_use]
    pub fn moment(&self) -> Moment {
        let grantee = self.request.grantee();
        Moment { at: self.at, grantee: grantee.as_ref().map(Grantee::kind) }
    }
}

/// What a decision rests on. Boxed, as it goes from hand to hand.
#[derive(Debug)]
pub(super) struct Grounds {
    pub(super) attempt: Attempt,
    pub(super) reason: Reason,
    pub(super) rules: Arc<[RuleRef]>,
    pub(super) revision: Revision,
}

/// A decision: exactly one of the two.
#[derive(Debug)]
pub enum Decision {
    /// It may be forwarded, once it is recorded.
    Permit(Permit),
    /// It may not.
    Denial(Denial),
}

impl Decision {
    /// The one place where a permit is made.
    pub(super) fn new(grounds: Grounds) -> Self {
        if grounds.reason.permits() {
            Self::Permit(Permit(Box::new(grounds)))
        } else {
            Self::Denial(Denial(Box::new(grounds)))
        }
    }

    /// Why it was decided so.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Permit(permit) => permit.reason(),
            Self::Denial(denial) => denial.reason(),
        }
    }
}

/// Policy's permission for one attempt. It cannot be made elsewhere, copied or kept:
/// ```compile_fail,E0423
/// # use grantgate::policy::Permit;
/// fn forge() -> Permit { Permit(todo!()) }
/// ```
/// ```compile_fail,E0599
/// # use grantgate::policy::Permit;
/// fn copy(permit: &Permit) -> Permit { Permit::clone(permit) }
/// ```
#[derive(Debug)]
#[must_use]
pub struct Permit(Box<Grounds>);

/// Policy's refusal of one attempt.
#[derive(Debug)]
#[must_use]
pub struct Denial(Box<Grounds>);

macro_rules! accessors {
    ($name:ident) => {
        impl $name {
            /// What was asked.
            #[must_use]
            pub fn attempt(&self) -> &Attempt {
                &self.0.attempt
            }

            /// Why it was decided so.
            #[must_use]
            pub fn reason(&self) -> Reason {
                self.0.reason
            }

            /// The rules that decided; empty where none did.
            #[must_use]
            pub fn rules(&self) -> &[RuleRef] {
                &self.0.rules
            }

            /// The policy that was in force.
            #[must_use]
            pub fn revision(&self) -> &Revision {
                &self.0.revision
            }
        }
    };
}

accessors!(Permit);
accessors!(Denial);

/// A permit that can change nothing: it may be sent without a record where the audit log keeps
/// none of reads. It is made from a permit by [`Permit::by_effect`] alone:
/// ```compile_fail,E0423
/// # use grantgate::policy::{Permit, ReadPermit};
/// fn forge(permit: Permit) -> ReadPermit { ReadPermit(permit) }
/// ```
#[derive(Debug)]
#[must_use]
pub struct ReadPermit(Permit);

/// A permit by what it permits.
#[derive(Debug)]
pub enum ByEffect {
    /// To change something.
    Changes(Permit),
    /// To read, and no more.
    Reads(ReadPermit),
}

impl Permit {
    /// A refusal of what it permits, for a reason that is not the policy's.
    pub fn refuse(self, reason: Reason) -> Denial {
        let Self(grounds) = self;
        Denial(Box::new(Grounds { reason, rules: Arc::default(), ..*grounds }))
    }

    /// The same permit, of a request of which nobody could be asked if another gateway knows its key.
    pub fn with_unconfirmed_key(mut self) -> Self {
        self.0.attempt.is_key_unconfirmed = true;
        self
    }

    /// The same permit, by what it permits.
    #[must_use]
    pub fn by_effect(self) -> ByEffect {
        match self.attempt().request.operation().effect() {
            Effect::Changes => ByEffect::Changes(self),
            Effect::Reads => ByEffect::Reads(ReadPermit(self)),
        }
    }
}

impl ByEffect {
    /// The permit, to be recorded whatever it permits.
    pub fn into_permit(self) -> Permit {
        match self {
            Self::Changes(permit) | Self::Reads(ReadPermit(permit)) => permit,
        }
    }
}

impl ReadPermit {
    /// What is permitted.
    pub fn permit(&self) -> &Permit {
        &self.0
    }
}
