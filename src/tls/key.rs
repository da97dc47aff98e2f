//! The private key: which kinds TLS has here, and what another one is.

use std::sync::Arc;

use rustls::pki_types::PrivateKeyDer;
use rustls::sign::SigningKey;

use super::der::{CONTEXT_0, INTEGER, OID, SEQUENCE, Value};
use super::pem::recognise::NEW_KEY;
use super::provider;

/// Shorter RSA keys are refused by every client of today.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// A key that can sign, or why it cannot. It is not in the text.
pub(super) fn signing_key(key: &PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, String> {
    provider().key_provider.load_private_key(key.clone_key()).map_err(|error| {
        let named = Named::of(key);
        match named.and_then(Named::refused) {
            Some(what) => format!("{what}{NEW_KEY}"),
            None => format!("holds a private key that cannot be used: {error}"),
        }
    })
}

/// What a key says it is.
enum Named<'a> {
    Rsa {
        bits: usize,
    },
    /// By the contents of its OID; none where the curve is described in full.
    Curve(Option<&'a [u8]>),
    Algorithm(&'a [u8]),
}

/// Object identifiers as they are encoded, and names.
const CURVES: &[(&[u8], &str)] = &[
    (&[0x2b, 0x81, 0x04, 0x00, 0x0a], "secp256k1"),
    (&[0x2b, 0x81, 0x04, 0x00, 0x21], "P-224 (secp224r1)"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x01], "P-192 (prime192v1)"),
    (&[0x2b, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x07], "brainpoolP256r1"),
    (&[0x2b, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x0b], "brainpoolP384r1"),
    (&[0x2b, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x0d], "brainpoolP512r1"),
];

const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];

const ALGORITHMS: &[(&[u8], &str)] = &[
    (&[0x2b, 0x65, 0x71], "an Ed448 key"),
    (&[0x2b, 0x65, 0x6e], "an X25519 key, which cannot sign"),
    (&[0x2b, 0x65, 0x6f], "an X448 key, which cannot sign"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x01], "a DSA key"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a], "an RSA key for PSS only"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x03, 0x01], "a Diffie-Hellman key"),
];

impl<'a> Named<'a> {
    fn of(key: &'a PrivateKeyDer<'static>) -> Option<Self> {
        match key {
            PrivateKeyDer::Pkcs1(der) => rsa(der.secret_pkcs1_der()),
            PrivateKeyDer::Sec1(der) => {
                let values = Value::of(der.secret_sec1_der())?.children();
                let parameters = values.iter().find(|value| value.tag == CONTEXT_0)?;
                Some(Self::Curve(parameters.first(OID).map(|oid| oid.contents)))
            }
            PrivateKeyDer::Pkcs8(der) => {
                let values = Value::of(der.secret_pkcs8_der())?.children();
                let [_, algorithm, key, ..] = values.as_slice() else { return None };
                let parts = algorithm.children();
                let name = parts.first().filter(|value| value.tag == OID)?.contents;
                let parameters = parts.get(1);
                match name {
                    RSA => rsa(key.contents),
                    EC => {
                        let curve = parameters.filter(|value| value.tag == OID);
                        Some(Self::Curve(curve.map(|oid| oid.contents)))
                    }
                    _ => Some(Self::Algorithm(name)),
                }
            }
            _ => None,
        }
    }

    /// Why it cannot be used; none where the kind is not the reason.
    fn refused(self) -> Option<String> {
        let named = |table: &'static [(&[u8], &'static str)], oid: &[u8]| {
            table.iter().find(|(known, _)| *known == oid).map(|(_, name)| *name)
        };
        match self {
            Self::Rsa { bits } if RSA_BITS.contains(&bits) => None,
            Self::Rsa { bits } => {
                Some(format!("holds an RSA key of {bits} bits; 2048 to 8192 are accepted"))
            }
            Self::Curve(Some(P256 | P384 | P521)) => None,
            Self::Curve(Some(oid)) => {
                let name = named(CURVES, oid).unwrap_or("another curve");
                Some(format!(
                    "holds a key on the curve {name}; P-256, P-384 and P-521 are accepted"
                ))
            }
            Self::Curve(None) => Some(
                "holds a key whose curve is described in full instead of named (RFC 5480, \
                 section 2.1.1)"
                    .into(),
            ),
            Self::Algorithm(oid) => named(ALGORITHMS, oid).map(|name| {
                format!("holds {name}; RSA, P-256, P-384, P-521 and Ed25519 are accepted")
            }),
        }
    }
}

/// The size of an RSA key is that of its modulus (RFC 8017, appendix A.1.2).
fn rsa(der: &[u8]) -> Option<Named<'_>> {
    let values = Value::of(der).filter(|value| value.tag == SEQUENCE)?.children();
    let modulus = values.get(1).filter(|value| value.tag == INTEGER)?;
    let zeros = modulus.contents.iter().take_while(|byte| **byte == 0).count();
    let digits = modulus.contents.get(zeros..)?;
    let unused = digits.first()?.leading_zeros() as usize;
    Some(Named::Rsa { bits: digits.len() * 8 - unused })
}
