//! The words of the gateway: ids, operations, reasons, outcomes, secrets, time.
//!
//! Nothing here knows HTTP, casbin, files or sockets. Every other module may
//! import this one; it imports none of them.

mod algorithm;
mod backoff;
mod budget;
mod cause;
mod clock;
mod closed_set;
mod grant;
mod host;
mod idempotency;
mod ids;
mod networks;
mod operation;
mod order;
mod outcome;
mod printable;
mod problem;
mod reason;
mod request;
mod rule_ref;
mod secret;
mod spiffe;
mod trace;
mod typed_time;
mod version;
mod workspace;

pub use algorithm::JwsAlgorithm;
pub use backoff::Backoff;
pub use budget::{Budget, WhenAlone};
pub use cause::innermost;
pub use clock::{Clock, FixedClock, SystemClock, rfc3339, rfc3339_micros, write_rfc3339_micros};
pub(crate) use closed_set::closed_set;
pub use grant::{GrantRequest, Grantee, GranteeKind};
pub use host::{Host, HostError, check_dns_name};
pub use idempotency::IdempotencyKey;
pub use ids::{
    AcsSystemId, AcsUserId, CallerId, ConnectedAccountId, EntranceId, IdError, LocationId,
    RequestId, Revision, SpaceId, UserIdentityId, parse_uuid,
};
pub use networks::{Networks, network_of};
pub use operation::{Act, Effect, Operation};
pub use order::{DirectiveId, Order, OrderKind, Scope, Signature};
pub use outcome::{Outcome, Resolution};
pub use printable::{csv_cell, is_unfit, printable};
pub use problem::Problem;
pub use reason::Reason;
pub use request::{ListEntrances, Objects, Request};
pub use rule_ref::RuleRef;
pub use secret::Secret;
pub use spiffe::{BundleForm, TrustDomain, trust_domain_of};
pub use trace::TraceContext;
pub use typed_time::{parse_lasting, parse_length, parse_time};
pub use version::{COMMIT, VERSION};
pub use workspace::{WorkspaceId, WorkspaceName};
