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

/// What a request to grant access says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GrantRequest {
    /// The door.
    pub entrance: EntranceId,
    /// The person.
    pub grantee: Grantee,
}

/// Which of the two forms a grantee is named in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GranteeKind {
    /// [`Grantee::AcsUser`].
    AcsUser,
    /// [`Grantee::UserIdentity`].
    UserIdentity,
}

impl GranteeKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::AcsUser, Self::UserIdentity];

    /// The name in policies and commands.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AcsUser => "acs_user",
            Self::UserIdentity => "user_identity",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl Grantee {
    /// Which form it is.
    #[must_use]
    pub const fn kind(&self) -> GranteeKind {
        match self {
            Self::AcsUser(_) => GranteeKind::AcsUser,
            Self::UserIdentity(_) => GranteeKind::UserIdentity,
        }
    }
}
