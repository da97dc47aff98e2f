//! Whether a log is what it was, and proof of it for others.

pub(in crate::audit) mod prove;
pub(in crate::audit) mod pruned;
pub(in crate::audit) mod verify;
mod witness;

pub use prove::{ConsistencyProof, InclusionProof, ProofError, consistency, prove};
pub use verify::{AnchorFinding, Damage, Finding, Verdict, VerifyReport, verify};
pub use witness::witnessed;
