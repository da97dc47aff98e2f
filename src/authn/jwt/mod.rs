//! JSON Web Tokens of trusted issuers (RFC 7519), with the advice of RFC 8725.
//!
//! A token is taken apart strictly, its issuer found by the exact `iss`, its signature verified
//! by a key of that issuer's and an algorithm that both the issuer and the key allow; then its
//! claims are checked and mapped to a caller. Nothing here fetches: keys are of a file or of
//! the last fetch.

mod cache;
mod claims;
mod compact;
mod discovery;
mod held;
mod jwk;
mod key_set;
mod verify;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;

use super::scheme::Presented;
use crate::domain::{JwsAlgorithm, Reason};
pub(in crate::authn) use crate::json::Object as Claims;
use cache::Cache;
pub use cache::{CacheCounts, TOKENS_MAX};
pub use claims::ClaimRule;
use compact::Compact;
pub use compact::has_form;
pub use discovery::jwks_uri;
pub use held::{ASK_AGAIN, FetchedKeys, Held};
pub use key_set::{JWKS_BYTES_MAX, KeySet, LeftOut};
pub(super) use verify::Jwts;
pub use verify::person;

/// The largest token that is looked at, in bytes.
pub(super) const JWT_BYTES_MAX: usize = 8 * 1024;

/// What is accepted of an issuer.
#[derive(Debug, Clone)]
pub struct IssuerRules {
    /// What callers and metrics call it.
    pub name: Arc<str>,
    /// The exact `iss` of its tokens.
    pub issuer: String,
    /// One of these must be in a token's `aud`.
    pub audiences: Vec<String>,
    /// How its tokens may be signed.
    pub algorithms: Vec<JwsAlgorithm>,
    /// How far its clock may be away.
    pub leeway: Duration,
    /// How far away a token's end may be.
    pub lifetime_max: Option<Duration>,
}

/// Where the keys of an issuer are.
#[derive(Clone)]
pub enum IssuerKeys {
    /// In a file, which is reloaded.
    File(Arc<KeySet>),
    /// They are fetched.
    Fetched(Arc<FetchedKeys>),
}

/// A trusted issuer.
#[derive(Clone)]
pub struct Issuer {
    /// What is accepted of it.
    pub rules: Arc<IssuerRules>,
    /// Its keys.
    pub keys: IssuerKeys,
}

impl Issuer {
    /// The keys that may be used now.
    #[must_use]
    pub fn usable(&self) -> Option<Arc<KeySet>> {
        match &self.keys {
            IssuerKeys::File(keys) => Some(keys.clone()),
            IssuerKeys::Fetched(fetched) => fetched.usable(),
        }
    }
}

/// All trusted issuers, and the tokens of theirs that were verified.
pub struct Issuers {
    all: Vec<Issuer>,
    by_iss: HashMap<String, usize>,
    cache: Arc<Cache>,
}

impl std::fmt::Debug for Issuers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.all.iter().map(|issuer| &issuer.rules.name);
        f.debug_list().entries(names).finish()
    }
}

impl Issuers {
    /// Trusts these, each with an `iss` of its own and in the order of `before`, if there was
    /// another version: tokens that were verified stay so while their keys are there.
    #[must_use]
    pub fn new(all: Vec<Issuer>, before: Option<&Self>) -> Self {
        let iss = |(number, issuer): (usize, &Issuer)| (issuer.rules.issuer.clone(), number);
        let by_iss = all.iter().enumerate().map(iss).collect();
        let cache = before.map_or_else(|| Arc::new(Cache::new()), |before| before.cache.clone());
        Self { all, by_iss, cache }
    }

    /// All of them, in the order of the settings.
    #[must_use]
    pub fn all(&self) -> &[Issuer] {
        &self.all
    }

    /// The one of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Issuer> {
        self.all.iter().find(|issuer| &*issuer.rules.name == name)
    }

    /// What the cache of tokens counts.
    #[must_use]
    pub fn cached(&self) -> CacheCounts {
        self.cache.counts()
    }

    /// The keys with which a request that was refused for this reason may be accepted: those of
    /// its token's own issuer, if they are wanted or on their way.
    #[must_use]
    pub fn awaited(&self, headers: &HeaderMap, refused: Reason) -> Option<Arc<FetchedKeys>> {
        if ![Reason::JwtKeyUnknown, Reason::JwtIssuerUnavailable].contains(&refused) {
            return None;
        }
        // Read again rather than handed on: seldom, and no other scheme has an issuer.
        let presented = Presented::read(headers, None).ok()?;
        let compact = Compact::read(presented.jwt()?).ok()?;
        match &self.of(&compact)?.1.keys {
            IssuerKeys::File(_) => None,
            IssuerKeys::Fetched(fetched) => Some(fetched.clone()).filter(|keys| keys.is_busy()),
        }
    }

    /// The issuer that a token names, and its number.
    fn of(&self, compact: &Compact<'_>) -> Option<(usize, &Issuer)> {
        let number = *self.by_iss.get(compact.claims.get("iss")?.text()?)?;
        Some((number, self.all.get(number)?))
    }
}

/// Base64url without padding (RFC 7515, section 2): each value has one form only.
fn base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests;
