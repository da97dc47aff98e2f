//! The words of the gateway: ids, grants, reasons, secrets, time.
//!
//! Nothing here knows HTTP, casbin, files or sockets. Every other module may
//! import this one; it imports none of them.

mod cause;
mod clock;
mod closed_set;
mod grant;
mod host;
mod ids;
mod outcome;
mod problem;
mod reason;
mod secret;
mod trace;
mod version;

pub use cause::innermost;
pub use clock::{Clock, FixedClock, SystemClock, rfc3339, rfc3339_micros};
pub(crate) use closed_set::closed_set;
pub use grant::{GrantRequest, Grantee, GranteeKind};
pub use host::{Host, HostError};
pub use ids::{
    AcsSystemId, AcsUserId, CallerId, EntranceId, IdError, RequestId, Revision, UserIdentityId,
};
pub use outcome::Outcome;
pub use problem::Problem;
pub use reason::Reason;
pub use secret::Secret;
pub use trace::TraceContext;
pub use version::{COMMIT, VERSION};
