//! The doors and people that the sandbox knows.

use std::collections::HashSet;

use crate::domain::{AcsUserId, EntranceId, GrantRequest, Grantee, UserIdentityId};
use crate::seam::SeamError;

/// A known id with a name for people.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The uuid.
    pub id: &'static str,
    /// What it is.
    pub name: &'static str,
}

const ENTRANCES: &[Entry] = &[
    Entry { id: "d23d7180-c1ee-4bbe-8630-05df5031ce35", name: "main entrance" },
    Entry { id: "5f0c2a4e-8d6b-4c1f-9a37-2b9e6d1c7f08", name: "server room" },
];
const ACS_USERS: &[Entry] =
    &[Entry { id: "4b0a3f6e-6a0e-4a3f-8f3d-6b1f6e0d9a51", name: "a user of the access system" }];
const USER_IDENTITIES: &[Entry] =
    &[Entry { id: "c6247b75-f1cb-493a-9915-a85a0b9639ae", name: "a visitor" }];

/// What the sandbox knows.
pub struct Catalogue {
    entrances: HashSet<EntranceId>,
    acs_users: HashSet<AcsUserId>,
    user_identities: HashSet<UserIdentityId>,
}

impl Catalogue {
    /// The built-in doors and people.
    #[must_use]
    pub fn built_in() -> Self {
        Self {
            entrances: ENTRANCES.iter().filter_map(|e| EntranceId::parse(e.id).ok()).collect(),
            acs_users: ACS_USERS.iter().filter_map(|e| AcsUserId::parse(e.id).ok()).collect(),
            user_identities: USER_IDENTITIES
                .iter()
                .filter_map(|e| UserIdentityId::parse(e.id).ok())
                .collect(),
        }
    }

    /// All doors.
    #[must_use]
    pub fn entrances() -> &'static [Entry] {
        ENTRANCES
    }

    /// All users of the access system.
    #[must_use]
    pub fn acs_users() -> &'static [Entry] {
        ACS_USERS
    }

    /// All people.
    #[must_use]
    pub fn user_identities() -> &'static [Entry] {
        USER_IDENTITIES
    }

    pub(super) fn check(&self, grant: &GrantRequest) -> Result<(), SeamError> {
        if !self.entrances.contains(&grant.entrance) {
            return Err(SeamError::new("acs_entrance_not_found", "no such entrance"));
        }
        match &grant.grantee {
            Grantee::AcsUser(id) if !self.acs_users.contains(id) => {
                Err(SeamError::new("acs_user_not_found", "no such user"))
            }
            Grantee::UserIdentity(id) if !self.user_identities.contains(id) => {
                Err(SeamError::new("user_identity_not_found", "no such user identity"))
            }
            Grantee::AcsUser(_) | Grantee::UserIdentity(_) => Ok(()),
        }
    }
}
