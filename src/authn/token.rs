//! Bearer tokens (RFC 6750, section 2.1), of which only the SHA-256 is stored.
//!
//! A token has 256 random bits, so a plain digest cannot be guessed from, and a slow
//! password hash would only slow the gateway. Looking the digest up leaks nothing
//! about a token through time.

use std::fmt;

use aws_lc_rs::{digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

use super::Callers;
use super::scheme::{Finding, Presented, Scheme};
use crate::domain::{Reason, Secret, closed_set};

closed_set! {
/// What a caller's token looks like: Seam's SDKs refuse, before any request, one of another form
/// than they were told it has.
pub enum TokenForm {
    /// Where Seam's SDKs expect an API key: the most, and without a form in the callers file.
    ApiKey = "api-key",
    /// Where they expect a personal access token, with which they name a workspace.
    PersonalAccessToken = "pat",
}
}

impl TokenForm {
    /// What its tokens begin with.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::ApiKey => "seam_gg_",
            Self::PersonalAccessToken => "seam_at_gg_",
        }
    }

    /// The form of this word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|form| form.as_str() == text)
    }
}

/// What Seam's personal access tokens begin with, and those of the gateway's own that take their
/// place.
const PERSONAL: &str = "seam_at";

/// The SHA-256 of a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// Digests a token.
    #[must_use]
    pub fn of(token: &str) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        Self(bytes)
    }

    /// Parses 64 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).ok().filter(|p| !p.starts_with('+'))?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenDigest({self})")
    }
}

/// A newly made caller token, shown once and never stored.
pub struct CallerToken(Secret);

impl CallerToken {
    /// Makes a token: the prefix of its form and 43 base64url characters (256 random bits).
    ///
    /// # Errors
    /// When the machine has no randomness.
    pub fn generate(form: TokenForm) -> Result<Self, std::io::Error> {
        let mut bytes = [0_u8; 32];
        rand::fill(&mut bytes).map_err(|_| std::io::Error::other("no random numbers"))?;
        Ok(Self(Secret::new(format!("{}{}", form.prefix(), URL_SAFE_NO_PAD.encode(bytes)))))
    }

    /// The token, to hand to its caller.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// What the callers file stores.
    #[must_use]
    pub fn digest(&self) -> TokenDigest {
        TokenDigest::of(self.expose())
    }
}

/// Tokens of the gateway's own, which the callers file knows by their digests.
pub(super) struct Tokens<'a>(pub(super) &'a Callers);

impl Scheme for Tokens<'_> {
    /// Takes every bearer token that has not the form of a JWT.
    fn find(&self, presented: &Presented<'_>, now: Timestamp) -> Finding {
        let Some(token) = presented.token() else { return Finding::Absent };
        match self.0.by_token(TokenDigest::of(token)) {
            None => Finding::Invalid(Reason::TokenUnknown),
            Some(known) if known.expires.is_some_and(|expires| expires <= now) => {
                Finding::Invalid(Reason::TokenExpired)
            }
            Some(known) if token.starts_with(PERSONAL) => {
                Finding::Proven(known.principal().with_named_workspace())
            }
            Some(known) => Finding::Proven(known.principal()),
        }
    }
}
