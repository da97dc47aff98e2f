//! The keys of an issuer: a JWK Set (RFC 7517, section 5) of which only keys that can verify a
//! signature are kept.

use std::sync::Arc;

use super::jwk::{Key, Unfit};
use crate::domain::JwsAlgorithm;
use crate::json::{self, Bounds, Json};

/// The largest JWK Set that is read, in bytes.
pub const JWKS_BYTES_MAX: usize = 256 * 1024;

/// The most keys in one.
const KEYS_MAX: usize = 64;

/// A key that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Which of the set, counted from 1.
    pub number: usize,
    /// Why.
    pub why: &'static str,
    /// Whether it is a mistake. Keys for another purpose are none: sets have them (RFC 7517,
    /// section 5).
    pub is_mistake: bool,
}

/// The keys of an issuer that can verify. Immutable.
pub struct KeySet {
    keys: Vec<Arc<Key>>,
    left_out: Vec<LeftOut>,
}

impl KeySet {
    /// Reads a JWK Set; `allowed` are the algorithms that the issuer may use. A key that is the
    /// same as in the set `before` is carried over, so that what it has verified stays so.
    ///
    /// # Errors
    /// What is wrong with the document as a whole.
    pub fn parse(
        bytes: &[u8],
        allowed: &[JwsAlgorithm],
        before: Option<&Self>,
    ) -> Result<Self, String> {
        if bytes.len() > JWKS_BYTES_MAX {
            return Err(format!("the JWK Set is larger than {JWKS_BYTES_MAX} bytes"));
        }
        let bounds = Bounds { depth: 6, values: 16 * 1024 };
        let document = json::object(bytes, bounds)
            .map_err(|error| format!("the JWK Set is not JSON that can be used: {error}"))?;
        let keys = document.get("keys").and_then(Json::list);
        let keys = keys.ok_or("the JWK Set has no list `keys` (RFC 7517, section 5)")?;
        if keys.len() > KEYS_MAX {
            return Err(format!("the JWK Set has {} keys; at most {KEYS_MAX}", keys.len()));
        }
        let mut set = Self { keys: Vec::new(), left_out: Vec::new() };
        for (number, jwk) in (1..).zip(keys) {
            match Key::read(jwk, allowed).and_then(|key| set.without_double(key)) {
                Ok(key) => set.keys.push(carried_over(key, before)),
                Err((is_mistake, why)) => set.left_out.push(LeftOut { number, why, is_mistake }),
            }
        }
        Ok(set)
    }

    /// How many keys can verify.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether none can.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that were not kept.
    #[must_use]
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// Whether it has the same keys.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let identities = |set: &Self| set.keys.iter().map(|key| key.identity).collect::<Vec<_>>();
        identities(self) == identities(other)
    }

    /// Whether it has this key.
    pub(super) fn has(&self, key: &Arc<Key>) -> bool {
        self.keys.iter().any(|known| Arc::ptr_eq(known, key))
    }

    /// The keys of this name. Without a name the only key there is: its set is the issuer's,
    /// and with more than one the sender would choose.
    pub(super) fn find(&self, kid: Option<&str>) -> impl Iterator<Item = &Arc<Key>> {
        let only = self.keys.len() == 1;
        self.keys.iter().filter(move |key| match kid {
            Some(kid) => key.kid.as_deref() == Some(kid),
            None => only,
        })
    }

    /// Two keys of one name and algorithm: which of them is meant?
    fn without_double(&self, key: Key) -> Result<Key, Unfit> {
        let mut same = self.keys.iter().filter(|other| other.kid == key.kid && key.kid.is_some());
        let double = same.any(|other| other.shares_algorithm(&key));
        if double { Err((true, "has the `kid` of another key")) } else { Ok(key) }
    }
}

/// The same key of the set before, if it has it.
fn carried_over(key: Key, before: Option<&KeySet>) -> Arc<Key> {
    let mut known = before.into_iter().flat_map(|before| &before.keys);
    let same = known.find(|known| known.identity == key.identity);
    same.map_or_else(|| Arc::new(key), Arc::clone)
}
