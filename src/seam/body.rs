//! The body of a grant request: read strictly, written from the parsed value.
//!
//! Readers of JSON differ over duplicate keys, escapes, byte order marks, trailing
//! bytes and the spellings of a UUID. Whatever could be read in two ways is refused.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};

use crate::domain::{AcsUserId, EntranceId, GrantRequest, Grantee, Reason, UserIdentityId};

const ENTRANCE: &str = "acs_entrance_id";
const ACS_USER: &str = "acs_user_id";
const USER_IDENTITY: &str = "user_identity_id";

/// Why a body is not a grant request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyError {
    /// The reason to record.
    pub reason: Reason,
    /// The field at fault, when there is one. Always one of the operation's own names.
    pub field: Option<&'static str>,
    /// What to tell the caller. Holds nothing of the body. With a field it is what follows
    /// the field's name.
    pub message: &'static str,
}

impl BodyError {
    const fn whole(reason: Reason, message: &'static str) -> Self {
        Self { reason, field: None, message }
    }

    const fn field(reason: Reason, field: &'static str, message: &'static str) -> Self {
        Self { reason, field: Some(field), message }
    }
}

/// Parses a body.
///
/// # Errors
/// The first thing that is wrong, each with a reason of its own.
pub fn parse_grant(body: &[u8]) -> Result<GrantRequest, BodyError> {
    if body.is_empty() {
        return Err(BodyError::whole(Reason::BodyEmpty, "the body is empty; send a JSON object"));
    }
    if body.starts_with(b"\xef\xbb\xbf") {
        let message = "the body starts with a byte order mark; send JSON without one";
        return Err(BodyError::whole(Reason::BodyByteOrderMark, message));
    }
    let text = std::str::from_utf8(body)
        .map_err(|_| BodyError::whole(Reason::BodyNotUtf8, "the body is not UTF-8"))?;
    let mut found = Fields::default();
    let mut json = serde_json::Deserializer::from_str(text);
    let is_object = text.trim_ascii_start().starts_with('{');
    if !is_object {
        return Err(not_an_object(text));
    }
    if (&mut found).deserialize(&mut json).is_err() {
        return Err(found.error.unwrap_or(NOT_JSON));
    }
    if json.end().is_err() {
        let message = "something follows the JSON object; send one object and nothing else";
        return Err(BodyError::whole(Reason::BodyTrailingBytes, message));
    }
    found.into_grant()
}

const NOT_JSON: BodyError = BodyError::whole(Reason::BodyNotJson, "the body is not valid JSON");

fn not_an_object(text: &str) -> BodyError {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => BodyError::whole(
            Reason::BodyNotObject,
            "the body is JSON but not an object; send an object",
        ),
        Err(_) => NOT_JSON,
    }
}

/// The fields found so far, and the first error.
#[derive(Default)]
struct Fields {
    entrance: Option<EntranceId>,
    acs_user: Option<AcsUserId>,
    user_identity: Option<UserIdentityId>,
    error: Option<BodyError>,
}

impl Fields {
    fn into_grant(self) -> Result<GrantRequest, BodyError> {
        let Some(entrance) = self.entrance else {
            return Err(BodyError::field(Reason::EntranceMissing, ENTRANCE, "is required"));
        };
        let grantee = match (self.acs_user, self.user_identity) {
            (Some(id), None) => Grantee::AcsUser(id),
            (None, Some(id)) => Grantee::UserIdentity(id),
            (None, None) => {
                let message = "one of `acs_user_id` and `user_identity_id` is required";
                return Err(BodyError::whole(Reason::GranteeMissing, message));
            }
            (Some(_), Some(_)) => {
                let message = "give only one of `acs_user_id` and `user_identity_id`";
                return Err(BodyError::whole(Reason::GranteeAmbiguous, message));
            }
        };
        Ok(GrantRequest { entrance, grantee })
    }

    fn read<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(FieldName)? {
            let Some(name) = name else {
                let message = "the body has a field that this operation does not have";
                return self.fail(BodyError::whole(Reason::BodyUnknownKey, message));
            };
            let seen = match name {
                ENTRANCE => self.entrance.is_some(),
                ACS_USER => self.acs_user.is_some(),
                _ => self.user_identity.is_some(),
            };
            if seen {
                return self.fail(BodyError::field(Reason::BodyDuplicateKey, name, "occurs twice"));
            }
            let result = match map.next_value_seed(FieldValue)? {
                Value::Text(text) => self.set(name, &text),
                Value::Null => Err((Reason::FieldNull, "must not be null; leave the field out")),
                Value::Other => Err((Reason::FieldNotString, "must be a string")),
            };
            if let Err((reason, message)) = result {
                return self.fail(BodyError::field(reason, name, message));
            }
        }
        Ok(())
    }

    fn set(&mut self, name: &'static str, text: &str) -> Result<(), (Reason, &'static str)> {
        let not_uuid = |_| (Reason::FieldNotUuid, "must be a uuid of 36 characters with hyphens");
        match name {
            ENTRANCE => self.entrance = Some(EntranceId::parse(text).map_err(not_uuid)?),
            ACS_USER => self.acs_user = Some(AcsUserId::parse(text).map_err(not_uuid)?),
            _ => self.user_identity = Some(UserIdentityId::parse(text).map_err(not_uuid)?),
        }
        Ok(())
    }

    fn fail<E: serde::de::Error>(&mut self, error: BodyError) -> Result<(), E> {
        self.error = Some(error);
        Err(E::custom("refused"))
    }
}

impl<'de> DeserializeSeed<'de> for &mut Fields {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Fields {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.read(&mut map)
    }
}

/// A key, compared after its escapes are undone; `None` for one we do not know.
struct FieldName;

impl<'de> DeserializeSeed<'de> for FieldName {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldName {
    type Value = Option<&'static str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok([ENTRANCE, ACS_USER, USER_IDENTITY].into_iter().find(|known| *known == name))
    }
}

/// A value: only strings are looked into.
struct FieldValue;

enum Value {
    Text(String),
    Null,
    Other,
}

impl<'de> DeserializeSeed<'de> for FieldValue {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for FieldValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        while map.next_entry::<serde::de::IgnoredAny, serde::de::IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }
}

/// Writes the body that goes to the upstream.
#[must_use]
pub fn encode_grant(grant: &GrantRequest) -> Vec<u8> {
    let (field, id) = match &grant.grantee {
        Grantee::AcsUser(id) => (ACS_USER, id.to_string()),
        Grantee::UserIdentity(id) => (USER_IDENTITY, id.to_string()),
    };
    // UUIDs and field names hold nothing that JSON would have to escape.
    format!(r#"{{"{ENTRANCE}":"{}","{field}":"{id}"}}"#, grant.entrance).into_bytes()
}

#[cfg(test)]
mod tests;
