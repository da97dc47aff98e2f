//! Typed identifiers. Each has one representation, made by one parser.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

/// Why a text is not an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not the 36-character form of RFC 9562, section 4.
    #[error("is not a uuid of 36 characters with hyphens")]
    NotAUuid,
    /// Not a caller id.
    #[error(
        "must be 1 to 64 characters of a-z, 0-9, `.`, `_` and `-`, and start with a letter or digit"
    )]
    NotACallerId,
}

/// Parses the hyphenated 36-character form only: no braces, no `urn:uuid:`, no
/// simple form. Upper case is accepted and lost.
///
/// # Errors
/// [`IdError::NotAUuid`].
pub fn parse_uuid(text: &str) -> Result<Uuid, IdError> {
    if text.len() != 36 {
        return Err(IdError::NotAUuid);
    }
    Uuid::try_parse(text).map_err(|_| IdError::NotAUuid)
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// Parses the 36-character hyphenated form, in either case.
            ///
            /// # Errors
            /// [`IdError::NotAUuid`] for any other form.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                parse_uuid(text).map(Self)
            }

            /// The same as a number.
            #[must_use]
            pub const fn as_u128(&self) -> u128 {
                self.0.as_u128()
            }

            /// The same as any uuid.
            #[must_use]
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }

            /// Writes the canonical form: lower case, hyphenated.
            pub fn write(&self, out: &mut Vec<u8>) {
                let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
                out.extend_from_slice(self.0.hyphenated().encode_lower(&mut text).as_bytes());
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl fmt::Display for $name {
            /// The canonical form: lower case, hyphenated.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.hyphenated(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0.hyphenated())
            }
        }
    };
}

uuid_id! {
    /// A Seam `acs_entrance_id`: a door.
    EntranceId
}
uuid_id! {
    /// A Seam `acs_system_id`: the access system that an entrance belongs to.
    AcsSystemId
}
uuid_id! {
    /// A Seam `connected_account_id`: an account at a maker of access systems.
    ConnectedAccountId
}
uuid_id! {
    /// A Seam `space_id`: a set of doors that is kept in Seam.
    SpaceId
}
uuid_id! {
    /// A Seam `location_id`: what spaces were called before.
    LocationId
}
uuid_id! {
    /// A Seam `acs_user_id`: a user of one access system.
    AcsUserId
}
uuid_id! {
    /// A Seam `user_identity_id`: a person across access systems.
    UserIdentityId
}
uuid_id! {
    /// The gateway's own id of one request: in the answer's `seam-request-id`, in
    /// the log line and in every audit record about the request.
    RequestId
}

impl RequestId {
    /// A new id (UUID version 7, RFC 9562, section 5.7), so that ids sort by time.
    #[must_use]
    pub fn generate() -> Self {
        let now = std::time::SystemTime::now();
        let since_epoch = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(since_epoch.as_millis()).unwrap_or_default();
        let mut random = [0_u8; 10];
        // A generator in this process: no system call for each request. Should it fail,
        // ids of one millisecond are alike; nothing is decided by them.
        let _ = aws_lc_rs::rand::fill(&mut random);
        Self::of(millis, &random)
    }

    /// The id of this time, in milliseconds since 1970, with these bits.
    #[must_use]
    pub const fn of(millis: u64, random: &[u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(millis, random).into_uuid())
    }
}

/// A configured internal service. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallerId(Arc<str>);

impl CallerId {
    /// Parses a caller id.
    ///
    /// # Errors
    /// [`IdError::NotACallerId`] when the text has another shape than 1 to 64
    /// characters of `a-z 0-9 . _ -`, the first a letter or digit.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let mut bytes = text.bytes();
        let first = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let rest = bytes.all(|b| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-')
        });
        if first && rest && text.len() <= 64 {
            Ok(Self(text.into()))
        } else {
            Err(IdError::NotACallerId)
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CallerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CallerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallerId({})", self.0)
    }
}

/// The digest of the policy and the callers in force, as `sha256:` and 64
/// lower-case hexadecimal digits. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Revision(Arc<str>);

impl Revision {
    /// Names a SHA-256 digest.
    #[must_use]
    pub fn from_sha256(digest: &[u8]) -> Self {
        use fmt::Write as _;
        let mut text = String::with_capacity(7 + 2 * digest.len());
        text.push_str("sha256:");
        for byte in digest {
            let _ = write!(text, "{byte:02x}");
        }
        Self(text.into())
    }

    /// The revision as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Revision({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "d23d7180-c1ee-4bbe-8630-05df5031ce35";

    #[test]
    fn a_uuid_has_one_accepted_form_and_one_printed_form() {
        assert_eq!(EntranceId::parse(ID).unwrap().to_string(), ID);
        assert_eq!(EntranceId::parse(&ID.to_uppercase()).unwrap().to_string(), ID);
        for wrong in [
            "",
            "d23d7180c1ee4bbe863005df5031ce35",
            "{d23d7180-c1ee-4bbe-8630-05df5031ce35}",
            "urn:uuid:d23d7180-c1ee-4bbe-8630-05df5031ce35",
            "d23d7180-c1ee-4bbe-8630-05df5031ce3",
            "d23d7180-c1ee-4bbe-8630-05df5031ce355",
            "d23d7180-c1ee-4bbe-8630-05df5031ce3g",
            " d23d7180-c1ee-4bbe-8630-05df5031ce3",
            "d23d7180_c1ee_4bbe_8630_05df5031ce35",
            "d23d7180-c1ee-4bbe-863005-df5031ce35",
            "ｄ23d7180-c1ee-4bbe-8630-05df5031ce",
        ] {
            assert_eq!(EntranceId::parse(wrong), Err(IdError::NotAUuid), "{wrong:?}");
        }
    }

    #[test]
    fn request_ids_are_distinct_and_of_version_7() {
        let ids: std::collections::HashSet<RequestId> =
            (0..1000).map(|_| RequestId::generate()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.0.get_version_num() == 7));
    }

    #[test]
    fn a_request_id_has_the_time_that_it_was_made_for() {
        let id = RequestId::of(1_795_953_600_123, &[0xff; 10]);
        assert_eq!(id.to_string(), "01a2272d-267b-7fff-bfff-ffffffffffff");
        assert_eq!(id.0.get_version_num(), 7);
    }

    #[test]
    fn caller_ids_are_short_lower_case_names() {
        for right in ["a", "visitor-desk", "svc.front_1", "0"] {
            assert_eq!(CallerId::parse(right).unwrap().as_str(), right);
        }
        let long = "a".repeat(65);
        for wrong in ["", "-a", "Visitor", "a b", "a:b", "é", "a\n", long.as_str()] {
            assert_eq!(CallerId::parse(wrong), Err(IdError::NotACallerId), "{wrong:?}");
        }
    }
}
