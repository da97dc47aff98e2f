//! Signed notes as C2SP's signed-note says: a text, and lines that sign it.
//!
//! Keys are written as Go's `note` package writes them, which verifiers of such logs read:
//! `NAME+ID+BASE64(0x01 || public key)`, and `PRIVATE+KEY+NAME+ID+BASE64(0x01 || seed)`.
//! Only Ed25519 (RFC 8032), signature type `0x01`.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

const ED25519_TYPE: u8 = 1;

/// Signature lines beyond this many are not looked at; C2SP asks for at least 16.
const SIGNATURES_MAX: usize = 64;

/// Why a key or a note is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not a key as `grantgate audit keygen` writes it.
    #[error("not {0} such as `grantgate audit keygen` writes")]
    KeyMalformed(&'static str),
    /// The name of a key breaks the rules.
    #[error("a key's name must be one to 200 characters without spaces and `+`")]
    NameInvalid,
    /// Not a signed note.
    #[error("not a signed note")]
    NoteMalformed,
    /// No signature is by a key that is trusted.
    #[error("it is not signed by the key `{0}`")]
    KeyUnknown(String),
    /// A signature by a trusted key is false.
    #[error("its signature by the key `{0}` is false")]
    SignatureFalse(String),
}

/// A public key and its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifierKey {
    name: String,
    public: [u8; 32],
}

/// A private key and its name.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    verifier: VerifierKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.verifier.name)
    }
}

/// Whether a key may be called this.
fn is_name(name: &str) -> bool {
    let allowed = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
    (1..=200).contains(&name.chars().count()) && name.chars().all(allowed)
}

impl VerifierKey {
    /// A public key under a name.
    ///
    /// # Errors
    /// [`NoteError::NameInvalid`]
    pub fn of(name: &str, public: [u8; 32]) -> Result<Self, NoteError> {
        if !is_name(name) {
            return Err(NoteError::NameInvalid);
        }
        Ok(Self { name: name.to_owned(), public })
    }

    /// Reads `NAME+ID+KEY`.
    ///
    /// # Errors
    /// [`NoteError::KeyMalformed`], also when the id is not that of the name and the key.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        const WHAT: NoteError = NoteError::KeyMalformed("a public key");
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(WHAT);
        };
        let key = Self::of(name, typed_key(key).ok_or(WHAT)?).map_err(|_| WHAT)?;
        (hex(key.id()) == id).then_some(key).ok_or(WHAT)
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key without its name.
    #[must_use]
    pub const fn public(&self) -> [u8; 32] {
        self.public
    }

    /// Whether both have one name, or are one key under two.
    #[must_use]
    pub fn is_alike(&self, other: &Self) -> bool {
        self.name == other.name || self.public == other.public
    }

    fn id(&self) -> [u8; 4] {
        let mut input = self.name.as_bytes().to_vec();
        input.extend([b'\n', ED25519_TYPE]);
        input.extend(self.public);
        let mut id = [0; 4];
        for (to, from) in id.iter_mut().zip(digest(&SHA256, &input).as_ref()) {
            *to = *from;
        }
        id
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let typed: Vec<u8> = std::iter::once(ED25519_TYPE).chain(self.public).collect();
        write!(f, "{}+{}+{}", self.name, hex(self.id()), STANDARD.encode(typed))
    }
}

impl SigningKey {
    /// Makes a key. The text is the private key: whoever has it can sign.
    ///
    /// # Errors
    /// [`NoteError::NameInvalid`].
    pub fn generate(name: &str) -> Result<(Self, Zeroizing<String>), NoteError> {
        let mut seed = Zeroizing::new([0; 32]);
        rand::fill(&mut *seed).map_err(|_| NoteError::KeyMalformed("a private key"))?;
        let key = Self::from_seed(name, &seed)?;
        let typed: Zeroizing<Vec<u8>> =
            Zeroizing::new(std::iter::once(ED25519_TYPE).chain(*seed).collect());
        let encoded = Zeroizing::new(STANDARD.encode(&*typed));
        let id = hex(key.verifier.id());
        let text = Zeroizing::new(format!("PRIVATE+KEY+{name}+{id}+{}", &*encoded));
        Ok((key, text))
    }

    /// Reads `PRIVATE+KEY+NAME+ID+SEED`.
    ///
    /// # Errors
    /// [`NoteError::KeyMalformed`].
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        const WHAT: NoteError = NoteError::KeyMalformed("a private key");
        let rest = text.trim().strip_prefix("PRIVATE+KEY+").ok_or(WHAT)?;
        let mut parts = rest.splitn(3, '+');
        let (Some(name), Some(id), Some(seed)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(WHAT);
        };
        let seed = Zeroizing::new(typed_key(seed).ok_or(WHAT)?);
        let key = Self::from_seed(name, &seed).map_err(|_| WHAT)?;
        (hex(key.verifier.id()) == id).then_some(key).ok_or(WHAT)
    }

    fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, NoteError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed)
            .map_err(|_| NoteError::KeyMalformed("a private key"))?;
        let public = pair.public_key().as_ref().try_into();
        let public = public.map_err(|_| NoteError::KeyMalformed("a private key"))?;
        Ok(Self { verifier: VerifierKey::of(name, public)?, pair })
    }

    /// Its public half.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The note: the text, which ends with a newline, and the line that signs it.
    #[must_use]
    pub fn sign(&self, text: &str) -> String {
        join(text, &[self.signature(text)])
    }

    /// The line that signs a text, which ends with a newline, as this does.
    #[must_use]
    pub fn signature(&self, text: &str) -> String {
        let signature = self.pair.sign(text.as_bytes());
        let signed: Vec<u8> =
            self.verifier.id().iter().chain(signature.as_ref()).copied().collect();
        format!("\u{2014} {} {}\n", self.verifier.name, STANDARD.encode(signed))
    }
}

/// The note: a text and the lines that sign it.
#[must_use]
pub fn join(text: &str, signatures: &[String]) -> String {
    format!("{text}\n{}", signatures.concat())
}

/// The text of a note that this key has signed. Signatures of others are ignored, as
/// C2SP's signed-note asks.
///
/// # Errors
/// [`NoteError`]
pub fn verify<'a>(note: &'a str, key: &VerifierKey) -> Result<&'a str, NoteError> {
    let (text, signers) = signers(note, std::slice::from_ref(key))?;
    (!signers.is_empty()).then_some(text).ok_or_else(|| NoteError::KeyUnknown(key.name.clone()))
}

/// The text of a note, and which of these keys have signed it: each once, in the order of `keys`.
/// Signatures of others are ignored.
///
/// # Errors
/// [`NoteError`]: also where a signature of one of the keys is false.
pub fn signers<'a, 'k>(
    note: &'a str,
    keys: &'k [VerifierKey],
) -> Result<(&'a str, Vec<&'k VerifierKey>), NoteError> {
    let (text, signatures) = split(note).ok_or(NoteError::NoteMalformed)?;
    let mut signed = vec![false; keys.len()];
    for line in signatures.lines().take(SIGNATURES_MAX) {
        let parsed = line.strip_prefix("\u{2014} ").and_then(|line| line.split_once(' '));
        let Some((name, encoded)) = parsed.filter(|(name, _)| is_name(name)) else {
            return Err(NoteError::NoteMalformed);
        };
        let bytes = STANDARD.decode(encoded).map_err(|_| NoteError::NoteMalformed)?;
        let (id, signature) = bytes.split_at_checked(4).ok_or(NoteError::NoteMalformed)?;
        for (key, signed) in keys.iter().zip(&mut signed) {
            if name != key.name || id != key.id() {
                continue;
            }
            UnparsedPublicKey::new(&ED25519, &key.public)
                .verify(text.as_bytes(), signature)
                .map_err(|_| NoteError::SignatureFalse(key.name.clone()))?;
            *signed = true;
        }
    }
    let signers = keys.iter().zip(signed).filter(|(_, signed)| *signed).map(|(key, _)| key);
    Ok((text, signers.collect()))
}

/// Text with its last newline, and signature lines.
#[must_use]
pub fn split(note: &str) -> Option<(&str, &str)> {
    if note.chars().any(|c| c.is_ascii_control() && c != '\n') || !note.ends_with('\n') {
        return None;
    }
    let at = note.rfind("\n\n")?;
    let (text, rest) = note.split_at_checked(at + 1)?;
    let signatures = rest.strip_prefix('\n')?;
    (!signatures.is_empty()).then_some((text, signatures))
}

fn typed_key(encoded: &str) -> Option<[u8; 32]> {
    let bytes = Zeroizing::new(STANDARD.decode(encoded).ok()?);
    let (kind, key) = bytes.split_first()?;
    if *kind != ED25519_TYPE {
        return None;
    }
    key.try_into().ok()
}

fn hex(bytes: [u8; 4]) -> String {
    format!("{:08x}", u32::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use signed_note::{Note, StandardSigner, StandardVerifier, VerifierList};

    /// The example that the documentation of Go's `note` package publishes.
    #[test]
    fn the_published_example_verifies() {
        let key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let text = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
        let note = format!(
            "{text}\n\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2\
             pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
        );
        let key = VerifierKey::parse(key).unwrap();
        assert_eq!(verify(&note, &key), Ok(text));
        let altered = note.replace("cryptography", "Cryptography");
        assert!(matches!(verify(&altered, &key), Err(NoteError::SignatureFalse(_))));
    }

    #[test]
    fn what_is_signed_here_another_implementation_verifies_and_the_other_way_round() {
        let (key, private) = SigningKey::generate("example.org/doors").unwrap();
        assert_eq!(SigningKey::parse(&private).unwrap().verifier(), key.verifier());
        let text = "example.org/doors\n3\nAAAA\n";
        let note = key.sign(text);
        let public = key.verifier().to_string();
        assert_eq!(VerifierKey::parse(&public).unwrap(), *key.verifier());
        let theirs = StandardVerifier::new(&public).unwrap();
        let parsed = Note::from_bytes(note.as_bytes()).unwrap();
        let (verified, _) = parsed.verify(&VerifierList::new(vec![Box::new(theirs)])).unwrap();
        assert_eq!(verified.len(), 1);

        let mut other = Note::new(text.as_bytes(), &[]).unwrap();
        other.add_sigs(&[&StandardSigner::new(&private).unwrap()]).unwrap();
        let other = String::from_utf8(other.to_bytes()).unwrap();
        assert_eq!(verify(&other, key.verifier()), Ok(text));
        assert_eq!(other, note, "Ed25519 signatures are deterministic");
    }

    #[test]
    fn signatures_of_others_are_ignored_and_false_ones_are_not() {
        let (key, _) = SigningKey::generate("a").unwrap();
        let (same_name, _) = SigningKey::generate("a").unwrap();
        let (other, _) = SigningKey::generate("b").unwrap();
        let text = "a\n0\nAAAA\n";
        let lines = |key: &SigningKey| key.sign(text)[text.len() + 1..].to_owned();
        let both = format!("{text}\n{}{}{}", lines(&other), lines(&same_name), lines(&key));
        assert_eq!(verify(&both, key.verifier()), Ok(text));
        let (third, _) = SigningKey::generate("c").unwrap();
        assert_eq!(verify(&both, third.verifier()), Err(NoteError::KeyUnknown("c".into())));
        let false_line = key.sign("a\n1\nAAAA\n")[text.len() + 1..].to_owned();
        for lines in [format!("{}{false_line}", lines(&key)), false_line] {
            let note = format!("{text}\n{lines}");
            assert_eq!(verify(&note, key.verifier()), Err(NoteError::SignatureFalse("a".into())));
        }
    }

    #[test]
    fn keys_that_are_none_are_refused() {
        for name in ["", "a b", "a+b", "a\u{a0}b", "a\n"] {
            assert!(SigningKey::generate(name).is_err(), "{name:?}");
        }
        let (key, private) = SigningKey::generate("a").unwrap();
        let public = key.verifier().to_string();
        for text in [&public[1..], "", "a", "a+b", &public.replacen('a', "b", 1), private.as_str()]
        {
            assert!(VerifierKey::parse(text).is_err(), "{text}");
        }
        assert!(SigningKey::parse(&public).is_err());
        assert!(!format!("{key:?}").contains(&private[20..]));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "[a\u{2014} \n+/=A0-9]{0,80}") {
            let (key, _) = SigningKey::generate("a").unwrap();
            prop_assert!(verify(&text, key.verifier()).is_err());
            let _ = VerifierKey::parse(&text);
            let _ = SigningKey::parse(&text);
        }
    }
}
