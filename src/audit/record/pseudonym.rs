//! Grantees under another name: a keyed hash in place of their ids.
//!
//! Ids of people are few enough to be tried one after the other on a plain hash; without
//! the key that is no use here (HMAC, RFC 2104, with SHA-256). One key gives one id the
//! same pseudonym for ever, so that a log can still be searched for a person.

use std::fmt;

use aws_lc_rs::hmac;

/// Bytes of the code that are kept: collisions are out of the question, lines stay short.
const KEPT: usize = 16;

/// What every pseudonym begins with, so that none is taken for an id.
const PREFIX: &str = "hmac-sha256:";

/// The key.
pub struct PseudonymKey(hmac::Key);

impl fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PseudonymKey(…)")
    }
}

/// Why a text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key of pseudonyms must have 32 bytes or more; `openssl rand -hex 32` makes one")]
pub struct KeyTooShort;

impl PseudonymKey {
    /// Takes the text of a key file, without the white space around it.
    ///
    /// # Errors
    /// [`KeyTooShort`] below 32 bytes.
    pub fn new(text: &str) -> Result<Self, KeyTooShort> {
        let text = text.trim();
        let key = || Self(hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes()));
        (text.len() >= 32).then(key).ok_or(KeyTooShort)
    }

    /// Whether a text is a pseudonym: of whichever key.
    #[must_use]
    pub fn is_pseudonym(text: &str) -> bool {
        let code = text.strip_prefix(PREFIX).unwrap_or_default();
        let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        code.len() == 2 * KEPT && code.bytes().all(is_hex)
    }

    /// The code of a pseudonym as a number; none of another text.
    pub(in crate::audit) fn bits(text: &str) -> Option<u128> {
        let code = text.strip_prefix(PREFIX).filter(|_| Self::is_pseudonym(text))?;
        u128::from_str_radix(code, 16).ok()
    }

    /// What stands in the log for this id.
    #[must_use]
    pub fn pseudonym(&self, id: &str) -> String {
        use fmt::Write as _;
        let code = hmac::sign(&self.0, id.as_bytes());
        code.as_ref().iter().take(KEPT).fold(PREFIX.to_owned(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pseudonym_depends_on_the_key_and_the_id_and_on_nothing_else() {
        let id = "c6247b75-f1cb-493a-9915-a85a0b9639ae";
        let key = PseudonymKey::new(&"k".repeat(32)).unwrap();
        let same = PseudonymKey::new(&format!(" {}\n", "k".repeat(32))).unwrap();
        let other = PseudonymKey::new(&"l".repeat(32)).unwrap();
        assert_eq!(key.pseudonym(id), same.pseudonym(id));
        assert_ne!(key.pseudonym(id), other.pseudonym(id));
        assert_ne!(key.pseudonym(id), key.pseudonym("c6247b75-f1cb-493a-9915-a85a0b9639af"));
        // `printf %s ID | openssl dgst -sha256 -hmac kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk`
        assert_eq!(key.pseudonym(id), "hmac-sha256:f404473fe9b5ca393be62a67128c7aca");
        assert!(PseudonymKey::is_pseudonym(&key.pseudonym(id)) && !PseudonymKey::is_pseudonym(id));
        assert_eq!(PseudonymKey::new("short").unwrap_err(), KeyTooShort);
    }
}
