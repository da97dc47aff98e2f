//! The grant: who is to get access to which entrance.

use crate::domain::{AcsUserId, EntranceId, UserIdentityId};

/// Who is to get access. Seam takes exactly one of the two forms, and this type
/// cannot say both or neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Grantee {
    /// A user of one access system (`acs_user_id`).
    AcsUser(AcsUserId),
    /// A person across access systems (`user_identity_id`).
    UserIdentity(UserIdentityId),
}

/// A parsed grant request: the one value that policy judges, the audit log
/// records and the upstream request is encoded from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GrantRequest {
    /// The door.
    pub entrance: EntranceId,
    /// The person.
    pub grantee: Grantee,
}
