//! Who is to get access, in as few bytes as tell people apart: the same for a request as for its
//! record, also where the record has a pseudonym.

use crate::audit::record::pseudonym::PseudonymKey;
use crate::domain::{AcsUserId, Grantee, GranteeKind, UserIdentityId};

/// A grantee as the log tells it from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GranteeMark {
    kind: GranteeKind,
    /// The id, or what is left of its pseudonym without the prefix.
    bits: [u8; 16],
}

impl GranteeMark {
    /// Of somebody whose records have pseudonyms by this key, if any.
    pub(in crate::audit) fn new(grantee: Grantee, key: Option<&PseudonymKey>) -> Self {
        let (kind, bits) = match grantee {
            Grantee::AcsUser(id) => (GranteeKind::AcsUser, id.as_u128()),
            Grantee::UserIdentity(id) => (GranteeKind::UserIdentity, id.as_u128()),
        };
        let hidden = key.and_then(|key| {
            let id = match grantee {
                Grantee::AcsUser(id) => id.to_string(),
                Grantee::UserIdentity(id) => id.to_string(),
            };
            PseudonymKey::bits(&key.pseudonym(&id))
        });
        Self { kind, bits: hidden.unwrap_or(bits).to_be_bytes() }
    }

    /// In which form, and what tells it from others of that form.
    #[must_use]
    pub const fn parts(&self) -> (&'static str, [u8; 16]) {
        (self.kind.as_str(), self.bits)
    }

    /// Of whom a record names; none where it names nobody that can be.
    pub(in crate::audit) fn of_record(
        kind: GranteeKind,
        text: &str,
        key: Option<&PseudonymKey>,
    ) -> Option<Self> {
        if let Some(bits) = PseudonymKey::bits(text) {
            return Some(Self { kind, bits: bits.to_be_bytes() });
        }
        let grantee = match kind {
            GranteeKind::AcsUser => AcsUserId::parse(text).ok().map(Grantee::AcsUser),
            GranteeKind::UserIdentity => {
                UserIdentityId::parse(text).ok().map(Grantee::UserIdentity)
            }
        };
        grantee.map(|grantee| Self::new(grantee, key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "c6247b75-f1cb-493a-9915-a85a0b9639ae";

    #[test]
    fn a_record_has_the_mark_of_its_request_with_and_without_pseudonyms() {
        let id = UserIdentityId::parse(ID).unwrap();
        let (person, kind) = (Grantee::UserIdentity(id), GranteeKind::UserIdentity);
        let key = PseudonymKey::new(&"k".repeat(32)).unwrap();
        let plain = GranteeMark::new(person, None);
        let hidden = GranteeMark::new(person, Some(&key));
        assert_ne!(plain, hidden);
        assert_eq!(GranteeMark::of_record(kind, ID, None), Some(plain));
        assert_eq!(GranteeMark::of_record(kind, &ID.to_uppercase(), None), Some(plain));
        // Recorded before there were pseudonyms, and since.
        assert_eq!(GranteeMark::of_record(kind, ID, Some(&key)), Some(hidden));
        assert_eq!(GranteeMark::of_record(kind, &key.pseudonym(ID), Some(&key)), Some(hidden));
        let user = AcsUserId::parse(ID).unwrap();
        assert_ne!(GranteeMark::new(Grantee::AcsUser(user), None), plain, "another form");
        assert_eq!(GranteeMark::of_record(kind, "x", None), None);
    }
}
