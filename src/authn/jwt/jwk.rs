//! One key of a JWK Set (RFC 7517), parsed once and for the algorithms that it may be used for.

use aws_lc_rs::digest;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
    RsaPublicKeyComponents,
};

use super::base64url;
use crate::domain::JwsAlgorithm;
use crate::json::{Json, Object};

/// The longest `kid`, in bytes.
pub(super) const KID_BYTES_MAX: usize = 256;

/// Sizes of an RSA key, in bits: at least as RFC 7518, section 3.3 has it.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Members of keys that are not public (RFC 7518, sections 6.2.2, 6.3.2 and 6.4; RFC 8037).
const PRIVATE: &[&str] = &["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A key that verifies.
pub(super) struct Key {
    pub(super) kid: Option<String>,
    /// The SHA-256 of all that decides: name, algorithms and key.
    pub(super) identity: [u8; 32],
    verifiers: Vec<(JwsAlgorithm, ParsedPublicKey)>,
}

impl Key {
    /// Reads a JWK; `allowed` are the algorithms that its issuer may use.
    pub(super) fn read(jwk: &Json, allowed: &[JwsAlgorithm]) -> Result<Self, Unfit> {
        let jwk = jwk.object().ok_or((true, "is not an object"))?;
        let kid = text(jwk, "kid")?.map(str::to_owned);
        if kid.as_ref().is_some_and(|kid| kid.is_empty() || kid.len() > KID_BYTES_MAX) {
            return Err((true, "has a `kid` that is empty or too long"));
        }
        if PRIVATE.iter().any(|member| jwk.contains_key(*member)) {
            return Err((true, "is a private or shared key; whoever read it can make tokens"));
        }
        if !is_to_verify(jwk)? {
            return Err((false, "is not for signatures"));
        }
        let (possible, public) = public_key(jwk)?;
        let named = text(jwk, "alg")?.map(|name| JwsAlgorithm::parse(name).ok_or(OTHER_KIND));
        let named = named.transpose()?;
        if named.is_some_and(|named| !possible.contains(&named)) {
            return Err((true, "has an `alg` that does not fit its kind"));
        }
        let fit = possible.iter().filter(|algorithm| {
            allowed.contains(algorithm) && named.is_none_or(|named| named == **algorithm)
        });
        let verifiers: Vec<_> = fit
            .map(|algorithm| Ok((*algorithm, public.parse(*algorithm)?)))
            .collect::<Result<_, Unfit>>()?;
        if verifiers.is_empty() {
            return Err((false, "is for an algorithm that the issuer may not use"));
        }
        let identity = identity(kid.as_deref(), &verifiers, &public);
        Ok(Self { kid, identity, verifiers })
    }

    /// Whether one of the algorithms is the other's too.
    pub(super) fn shares_algorithm(&self, other: &Self) -> bool {
        self.verifiers.iter().any(|(algorithm, _)| other.is_for(*algorithm))
    }

    /// Whether it may be used for this algorithm.
    pub(super) fn is_for(&self, algorithm: JwsAlgorithm) -> bool {
        self.verifiers.iter().any(|(known, _)| *known == algorithm)
    }

    /// Whether the signature is one of this key's, by this algorithm.
    pub(super) fn verifies(
        &self,
        algorithm: JwsAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        let verifier = self.verifiers.iter().find(|(known, _)| *known == algorithm);
        verifier.is_some_and(|(_, key)| key.verify_sig(message, signature).is_ok())
    }
}

/// Whether it is a mistake that a key does not fit, and why it does not.
pub(super) type Unfit = (bool, &'static str);

const OTHER_KIND: Unfit = (false, "is of a kind that is not used here");

/// RFC 7517, sections 4.2 and 4.3.
fn is_to_verify(jwk: &Object) -> Result<bool, Unfit> {
    let used = text(jwk, "use")?.is_none_or(|used| used == "sig");
    let wrong = (true, "has `key_ops` that is no list");
    let operations = jwk.get("key_ops").map(|found| found.list().ok_or(wrong)).transpose()?;
    let verifies = |list: &[Json]| list.iter().any(|one| one.text() == Some("verify"));
    Ok(used && operations.is_none_or(verifies))
}

/// What a key is made of.
enum Public {
    /// A point on a curve, or an Ed25519 key.
    Bytes(Vec<u8>),
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
}

/// The algorithms that a key of this kind can be used for, and the key.
fn public_key(jwk: &Object) -> Result<(&'static [JwsAlgorithm], Public), Unfit> {
    use JwsAlgorithm as A;
    let kind = text(jwk, "kty")?.ok_or((true, "has no `kty`"))?;
    match (kind, text(jwk, "crv")?) {
        ("EC", Some("P-256")) => Ok((&[A::Es256], point(jwk, 32)?)),
        ("EC", Some("P-384")) => Ok((&[A::Es384], point(jwk, 48)?)),
        ("OKP", Some("Ed25519")) => {
            let x = decoded(jwk, "x")?;
            if x.len() != 32 {
                return Err((true, "has an `x` of another length than its curve"));
            }
            Ok((&[A::EdDsa], Public::Bytes(x)))
        }
        ("RSA", None) => {
            let of_rsa = &[A::Rs256, A::Rs384, A::Rs512, A::Ps256, A::Ps384, A::Ps512];
            Ok((of_rsa, rsa(jwk)?))
        }
        _ => Err(OTHER_KIND),
    }
}

/// RFC 7518, section 6.2.1: each coordinate has the length of the curve's field.
fn point(jwk: &Object, length: usize) -> Result<Public, Unfit> {
    let (x, y) = (decoded(jwk, "x")?, decoded(jwk, "y")?);
    if x.len() != length || y.len() != length {
        return Err((true, "has an `x` or `y` of another length than its curve"));
    }
    Ok(Public::Bytes([&[4], x.as_slice(), &y].concat()))
}

fn rsa(jwk: &Object) -> Result<Public, Unfit> {
    let (n, e) = (decoded(jwk, "n")?, decoded(jwk, "e")?);
    // RFC 7518, section 6.3.1.1: without leading zeros.
    let (Some(first), Some(last)) = (n.first().filter(|b| **b != 0), e.last()) else {
        return Err((true, "has an `n` or `e` that is no number in its shortest form"));
    };
    let bits = n.len() * 8 - usize::try_from(first.leading_zeros()).unwrap_or_default();
    if !RSA_BITS.contains(&bits) {
        return Err((true, "is an RSA key of less than 2048 or more than 8192 bits"));
    }
    let is_small = e.as_slice() == [1] || e.first() == Some(&0) || e.len() > 4;
    if is_small || last.is_multiple_of(2) {
        return Err((true, "has an exponent that is not secure"));
    }
    Ok(Public::Rsa { n, e })
}

impl Public {
    fn parse(&self, algorithm: JwsAlgorithm) -> Result<ParsedPublicKey, Unfit> {
        use JwsAlgorithm as A;
        let parsed = match (self, algorithm) {
            (Self::Rsa { n, e }, algorithm) => {
                let parameters = rsa_parameters(algorithm).ok_or(OTHER_KIND)?;
                RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters)
            }
            (Self::Bytes(point), A::Es256) => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point),
            (Self::Bytes(point), A::Es384) => ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point),
            (Self::Bytes(key), A::EdDsa) => ParsedPublicKey::new(&ED25519, key),
            (Self::Bytes(_), A::Rs256 | A::Rs384 | A::Rs512 | A::Ps256 | A::Ps384 | A::Ps512) => {
                return Err(OTHER_KIND);
            }
        };
        // Among others a point that is not on the curve (RFC 8725, section 3.4).
        parsed.map_err(|_| (true, "is no valid key of its kind"))
    }
}

fn rsa_parameters(algorithm: JwsAlgorithm) -> Option<&'static RsaParameters> {
    use JwsAlgorithm as A;
    match algorithm {
        A::Rs256 => Some(&RSA_PKCS1_2048_8192_SHA256),
        A::Rs384 => Some(&RSA_PKCS1_2048_8192_SHA384),
        A::Rs512 => Some(&RSA_PKCS1_2048_8192_SHA512),
        A::Ps256 => Some(&RSA_PSS_2048_8192_SHA256),
        A::Ps384 => Some(&RSA_PSS_2048_8192_SHA384),
        A::Ps512 => Some(&RSA_PSS_2048_8192_SHA512),
        A::Es256 | A::Es384 | A::EdDsa => None,
    }
}

fn identity(
    kid: Option<&str>,
    verifiers: &[(JwsAlgorithm, ParsedPublicKey)],
    public: &Public,
) -> [u8; 32] {
    let names = verifiers.iter().map(|(algorithm, _)| algorithm.as_str().as_bytes());
    let key: Vec<&[u8]> = match public {
        Public::Bytes(bytes) => vec![bytes],
        Public::Rsa { n, e } => vec![n, e],
    };
    let kid = [&[u8::from(kid.is_some())], kid.unwrap_or_default().as_bytes()].concat();
    let mut context = digest::Context::new(&digest::SHA256);
    // Each with its length, so that no two keys look alike.
    for part in names.chain(key).chain([kid.as_slice()]) {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

fn text<'j>(jwk: &'j Object, member: &str) -> Result<Option<&'j str>, Unfit> {
    let wrong = (true, "has a member that should be a string and is not");
    jwk.get(member).map(|found| found.text().ok_or(wrong)).transpose()
}

fn decoded(jwk: &Object, member: &str) -> Result<Vec<u8>, Unfit> {
    let found = text(jwk, member)?.and_then(base64url);
    found.ok_or((true, "has a member of its key missing or not in base64url"))
}
