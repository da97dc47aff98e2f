//! The doors and people that the sandbox knows.

use std::collections::HashSet;

use crate::domain::{AcsUserId, EntranceId, GrantRequest, Grantee, UserIdentityId};
use crate::seam::SeamError;

/// A known id with a name for people.
#[derive(Debug, Clone, Copy)]
pub struct Fixture {
    /// The uuid.
    pub id: &'static str,
    /// What it is.
    pub name: &'static str,
}

/// The access system that all entrances belong to.
pub(super) const ACS_SYSTEM: &str = "3c5e9a1f-7b20-4d68-9e41-a0f2b6c8d713";

/// Those of the sample policy, under the names of the sample catalogue: a test compares.
const ENTRANCES: &[Fixture] = &[
    Fixture { id: "d23d7180-c1ee-4bbe-8630-05df5031ce35", name: "main entrance" },
    Fixture { id: "5f0c2a4e-8d6b-4c1f-9a37-2b9e6d1c7f08", name: "server room" },
    Fixture { id: "0a9f3c52-6f5e-4d0b-b1d4-93c4e7a8f216", name: "garage" },
    Fixture { id: "7c0e2b1d-53a4-4f86-8e9b-1d2c3f4a5b6c", name: "room 1" },
    Fixture { id: "b8d1f6e3-2c47-4a95-9f0e-6a7b8c9d0e1f", name: "room 2" },
    Fixture { id: "e4a7c9b2-18d3-4e6f-a5b0-3c2d1e0f9a8b", name: "open-plan office" },
];
const ACS_USERS: &[Fixture] =
    &[Fixture { id: "4b0a3f6e-6a0e-4a3f-8f3d-6b1f6e0d9a51", name: "a user of the access system" }];
const USER_IDENTITIES: &[Fixture] =
    &[Fixture { id: "c6247b75-f1cb-493a-9915-a85a0b9639ae", name: "a visitor" }];

/// What the sandbox knows.
pub struct Fixtures {
    entrances: HashSet<EntranceId>,
    acs_users: HashSet<AcsUserId>,
    user_identities: HashSet<UserIdentityId>,
}

impl Fixtures {
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
    pub fn entrances() -> &'static [Fixture] {
        ENTRANCES
    }

    /// All users of the access system.
    #[must_use]
    pub fn acs_users() -> &'static [Fixture] {
        ACS_USERS
    }

    /// All people.
    #[must_use]
    pub fn user_identities() -> &'static [Fixture] {
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
            Grantee::UserIdentity(id)
                if !self.user_identities.contains(id) && !is_of_the_crowd(*id) =>
            {
                Err(SeamError::new("user_identity_not_found", "no such user identity"))
            }
            Grantee::AcsUser(_) | Grantee::UserIdentity(_) => Ok(()),
        }
    }
}

/// People for whoever needs very many, such as a load generator.
fn is_of_the_crowd(id: UserIdentityId) -> bool {
    id.to_string().ends_with("-0000-4000-8000-000000000000")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;

    /// A newcomer who pulls from the sandbox gets what `init` wrote, and the names are
    /// those that the policy's comments use.
    #[test]
    fn the_sandbox_the_sample_catalogue_and_the_sample_policy_agree() {
        let sample = include_bytes!("../../policies/entrances.csv");
        let system = crate::domain::AcsSystemId::parse(ACS_SYSTEM).unwrap();
        let known = Fixtures::entrances().iter().map(|entrance| {
            let id = EntranceId::parse(entrance.id).unwrap();
            catalogue::Entry::new(id, entrance.name, system).unwrap()
        });
        let known: catalogue::Catalogue = known.collect();
        assert_eq!(catalogue::Catalogue::parse("entrances.csv", sample), Ok(known.clone()));
        assert_eq!(known.to_csv(), sample, "as `grantgate entrances pull` writes it");

        let policy = include_str!("../../policies/policy.csv");
        let mentioned: HashSet<&str> = policy
            .split("entrance:")
            .skip(1)
            .filter_map(|rest| rest.get(..36))
            .filter(|id| EntranceId::parse(id).is_ok())
            .collect();
        assert_eq!(mentioned, ENTRANCES.iter().map(|entrance| entrance.id).collect());
        for entrance in ENTRANCES {
            let comments = policy.lines().filter(|line| line.starts_with('#'));
            let named = comments.filter(|line| line.contains(entrance.name)).count();
            assert_ne!(named, 0, "{}", entrance.name);
        }
    }
}
