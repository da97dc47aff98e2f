//! Doors and people that the sandbox knows, and what a request about them looks like.

use aws_lc_rs::digest;

use crate::cli::demo::Failure;
use crate::domain::{EntranceId, Grantee, UserIdentityId};
use crate::sandbox::Fixtures;

/// A door that Seam does not know, and a work order does.
const REMOVED: &str = "9d1c5b7e-4a26-4f0c-8d3e-51b7a0c9e264";

/// The doors that there are.
#[derive(Clone, Copy)]
pub(super) struct Doors {
    pub(super) main: EntranceId,
    pub(super) garage: EntranceId,
    pub(super) rooms: [EntranceId; 2],
    pub(super) office: EntranceId,
    pub(super) servers: EntranceId,
    pub(super) removed: EntranceId,
}

impl Doors {
    pub(super) fn new() -> Result<Self, Failure> {
        let door = |name: &str| {
            let known = Fixtures::entrances().iter().find(|door| door.name == name);
            let known = known.ok_or_else(|| format!("the sandbox has no {name}"))?;
            Ok::<_, Failure>(EntranceId::parse(known.id)?)
        };
        Ok(Self {
            main: door("main entrance")?,
            garage: door("garage")?,
            rooms: [door("room 1")?, door("room 2")?],
            office: door("open-plan office")?,
            servers: door("server room")?,
            removed: EntranceId::parse(REMOVED)?,
        })
    }

    /// Whether Seam knows both.
    pub(super) fn is_known(&self, entrance: EntranceId, grantee: Option<Grantee>) -> bool {
        let is_person = match grantee {
            Some(Grantee::UserIdentity(id)) => id.to_string().ends_with(CROWD),
            Some(Grantee::AcsUser(_)) | None => true,
        };
        is_person && entrance != self.removed
    }
}

/// The end of the ids of people whom the sandbox knows.
const CROWD: &str = "-0000-4000-8000-000000000000";

/// One of very many people.
pub(super) fn crowd(number: u64) -> String {
    format!("{number:08x}{CROWD}")
}

/// By the id.
pub(super) fn person(id: &str) -> Result<Grantee, Failure> {
    Ok(Grantee::UserIdentity(UserIdentityId::parse(id)?))
}

/// What the caller would have sent.
pub(super) fn body(entrance: EntranceId, grantee: Option<Grantee>) -> String {
    let grantee = match grantee {
        Some(Grantee::UserIdentity(id)) => format!(",\"user_identity_id\":\"{id}\""),
        Some(Grantee::AcsUser(id)) => format!(",\"acs_user_id\":\"{id}\""),
        None => String::new(),
    };
    format!("{{\"acs_entrance_id\":\"{entrance}\"{grantee}}}")
}

pub(super) fn sha256(text: &str) -> [u8; 32] {
    let mut out = [0; 32];
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    out.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    out
}
