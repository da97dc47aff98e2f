//! SPIFFE bundles: the authorities of a trust domain as a JWK Set (SPIFFE, Trust Domain and
//! Bundle, section 4; X509-SVID, section 6).
//!
//! Read whole or refused, as PEM files are. What the specification wants ignored is passed over
//! and said in a warning. Only the certificates are used: that the key beside each is the same
//! one (RFC 7517, section 4.7) shows that the file is what its author meant.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::pki_types::{AlgorithmIdentifier, CertificateDer, alg_id};

use super::der::{BIT_STRING, INTEGER, SEQUENCE, Value};
use super::pem::{PemFile, Placed, PlacedCertificate};
use crate::domain::Problem;
use crate::json::{self, Bounds, Json, Object};

/// The largest bundle that is read, in bytes, and the most keys in one.
const BUNDLE_BYTES_MAX: usize = 1024 * 1024;
const KEYS_MAX: usize = 256;

/// Keys that a warning names.
const NAMED_MAX: usize = 4;

/// What a bundle holds for client certificates.
#[derive(Debug)]
pub(super) struct Bundle {
    /// Its authorities, at least one, each with the line in which its key begins.
    pub(super) authorities: Vec<PlacedCertificate>,
    /// That keys were passed over.
    pub(super) doubt: Option<Problem>,
}

/// What became of one key.
enum Key {
    Authority(CertificateDer<'static>),
    /// It is for another kind of document.
    Other,
    PassedOver(&'static str),
}

impl Bundle {
    /// Reads a bundle.
    ///
    /// # Errors
    /// What is wrong with the document, or with each of its keys.
    pub(super) fn read(file: PemFile<'_>) -> Result<Self, Vec<Problem>> {
        let document = document(file).map_err(|problem| vec![problem])?;
        let keys = keys_of(&document).map_err(|text| vec![file.problem(text)])?;
        let lines = json::lines_of_items(file.bytes, "keys");
        let (mut authorities, mut problems) = (Vec::new(), Vec::new());
        let mut passed_over: Vec<(usize, u32, &str)> = Vec::new();
        for (place, jwk) in keys.iter().enumerate() {
            let (number, line) = (place + 1, lines.get(place).copied().unwrap_or(1));
            match Key::read(jwk) {
                Ok(Key::Authority(item)) => authorities.push(Placed { item, line }),
                Ok(Key::Other) => {}
                Ok(Key::PassedOver(why)) => passed_over.push((number, line, why)),
                Err(why) => {
                    let text = format!("key {number} of the bundle {why}");
                    problems.push(file.problem_at(line, text));
                }
            }
        }
        if problems.is_empty() && authorities.is_empty() {
            problems.push(file.problem(
                "the bundle has no key for certificates (`use` of `x509-svid` with an `x5c`, \
                 X509-SVID, section 6.1): nobody of this trust domain could be accepted",
            ));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self { authorities, doubt: doubt(file, keys.len(), &passed_over) })
    }
}

fn document(file: PemFile<'_>) -> Result<Object, Problem> {
    if file.bytes.len() > BUNDLE_BYTES_MAX {
        return Err(file.problem(format!("the bundle is larger than {BUNDLE_BYTES_MAX} bytes")));
    }
    let text = Problem::or_text(file.name, file.bytes)?;
    if !text.trim_start().starts_with('{') && text.contains("-----BEGIN") {
        return Err(file.problem(
            "is PEM, not a SPIFFE bundle (a JWK Set): name it in `ca_file` in place of `bundle_file`",
        ));
    }
    let bounds = Bounds { depth: 6, values: 16 * 1024 };
    json::object(file.bytes, bounds).map_err(|error| {
        let said = error.to_string();
        let said = said.split(" at line ").next().unwrap_or_default();
        let place = |number| u32::try_from(number).ok().filter(|number| *number > 0);
        Problem {
            line: place(error.line()),
            // In bytes: a bundle is made of ASCII.
            column: place(error.column()),
            ..file.problem(format!("the bundle is not JSON that can be used: {said}"))
        }
    })
}

fn keys_of(document: &Object) -> Result<&[Json], String> {
    for member in ["spiffe_sequence", "spiffe_refresh_hint"] {
        let is_count = |found: &Json| found.number().is_some_and(|n| n >= 0.0 && n.fract() == 0.0);
        if document.get(member).is_some_and(|found| !is_count(found)) {
            return Err(format!(
                "`{member}` of the bundle is not an integer (Trust Domain and Bundle, section 4.1)"
            ));
        }
    }
    let keys = document.get("keys").and_then(Json::list).ok_or(
        "the bundle has no list `keys` (Trust Domain and Bundle, section 4.1.3): it must be the \
         whole JWK Set of one trust domain",
    )?;
    if keys.len() > KEYS_MAX {
        return Err(format!("the bundle has {} keys; at most {KEYS_MAX}", keys.len()));
    }
    Ok(keys)
}

/// That keys were passed over, in one sentence.
fn doubt(file: PemFile<'_>, all: usize, passed_over: &[(usize, u32, &str)]) -> Option<Problem> {
    let (_, line, _) = passed_over.first()?;
    let named = passed_over.iter().take(NAMED_MAX);
    let mut named: Vec<String> =
        named.map(|(number, _, why)| format!("key {number} {why}")).collect();
    let more = passed_over.len().saturating_sub(NAMED_MAX);
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    let text = format!(
        "{} of {all} keys of the bundle are not used, as the specification wants it: {}",
        passed_over.len(),
        named.join(", ")
    );
    Some(file.problem_at(*line, text))
}

impl Key {
    fn read(jwk: &Json) -> Result<Self, &'static str> {
        let jwk = jwk.object().ok_or("is not an object")?;
        match text(jwk, "use")? {
            Some("x509-svid") => {}
            Some("jwt-svid") => return Ok(Self::Other),
            Some(_) => return Ok(Self::PassedOver("has a `use` that is not known")),
            None => return Ok(Self::PassedOver("has no `use`")),
        }
        if let Some(private) = ["d", "k"].into_iter().find(|member| jwk.contains_key(*member)) {
            return Err(match private {
                "k" => "is a shared key, which no bundle may have",
                _ => "is a private key: whoever read it can sign as this authority; replace it",
            });
        }
        let Some(kind) = Kind::of(jwk)? else {
            return Ok(Self::PassedOver("is of a kind that is not known"));
        };
        let wrong = "has an `x5c` that is not a list of strings";
        let listed = match jwk.get("x5c") {
            None => return Ok(Self::PassedOver("has no certificate in `x5c`")),
            Some(found) => found.list().ok_or(wrong)?,
        };
        let certificate = match listed {
            [] => return Ok(Self::PassedOver("has no certificate in `x5c`")),
            [one] => one.text().ok_or(wrong)?,
            [_, _, ..] => {
                return Err(
                    "has more than one certificate in `x5c` (X509-SVID, section 6.1): which of \
                     them is the authority? Give each a key of its own",
                );
            }
        };
        let der = STANDARD.decode(certificate).map_err(|_| {
            "has an `x5c` that is not base64 with padding (RFC 7517, section 4.7): it is neither \
             base64url nor PEM, and has no line ends"
        })?;
        if Value::of(&der).is_none() {
            return Err("has a certificate in `x5c` that is damaged");
        }
        let certificate = CertificateDer::from(der);
        match kind.is_of(jwk, &certificate)? {
            true => Ok(Self::Authority(certificate)),
            false => Err(
                "and the certificate in its `x5c` have different keys (RFC 7517, section 4.7): one \
                 of the two is of another authority",
            ),
        }
    }
}

/// What kind a key is of. Curves that no certificate is verified with are not known either.
enum Kind {
    Rsa,
    Ec(AlgorithmIdentifier),
    Ed25519,
}

impl Kind {
    fn of(jwk: &Object) -> Result<Option<Self>, &'static str> {
        let kind = text(jwk, "kty")?.ok_or("has no `kty` (RFC 7517, section 4.1)")?;
        Ok(match (kind, text(jwk, "crv")?) {
            ("RSA", None) => Some(Self::Rsa),
            ("EC", Some("P-256")) => Some(Self::Ec(alg_id::ECDSA_P256)),
            ("EC", Some("P-384")) => Some(Self::Ec(alg_id::ECDSA_P384)),
            ("EC", Some("P-521")) => Some(Self::Ec(alg_id::ECDSA_P521)),
            ("OKP", Some("Ed25519")) => Some(Self::Ed25519),
            _ => None,
        })
    }

    /// Whether the key is the one that a certificate is of.
    fn is_of(&self, jwk: &Object, der: &CertificateDer<'_>) -> Result<bool, &'static str> {
        let (_, certificate) = x509_parser::parse_x509_certificate(der)
            .map_err(|_| "has something in `x5c` that is no certificate")?;
        let public = Value::of(certificate.public_key().raw).map(Value::children);
        let public = public.unwrap_or_default();
        let [algorithm, key] = public.as_slice() else { return Ok(false) };
        let is_for = |id: &AlgorithmIdentifier| {
            (algorithm.tag, algorithm.contents) == (SEQUENCE, id.as_ref())
        };
        // The first byte counts unused bits: keys have none.
        let Some(key) = key.contents.strip_prefix(&[0]).filter(|_| key.tag == BIT_STRING) else {
            return Ok(false);
        };
        Ok(match self {
            Self::Rsa => {
                let (n, e) = (decoded(jwk, "n")?, decoded(jwk, "e")?);
                let numbers = Value::of(key).map(Value::children).unwrap_or_default();
                let same = |found: &Value<'_>, said: &[u8]| {
                    found.tag == INTEGER && shortest(found.contents) == shortest(said)
                };
                matches!(numbers.as_slice(), [a, b] if same(a, &n) && same(b, &e))
            }
            Self::Ec(id) => {
                let (x, y) = (decoded(jwk, "x")?, decoded(jwk, "y")?);
                is_for(id) && key == [&[4], x.as_slice(), &y].concat()
            }
            Self::Ed25519 => is_for(&alg_id::ED25519) && key == decoded(jwk, "x")?,
        })
    }
}

/// A number without the zeros before it.
fn shortest(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

fn text<'j>(jwk: &'j Object, member: &str) -> Result<Option<&'j str>, &'static str> {
    let wrong = "has a member that should be a string and is not";
    jwk.get(member).map(|found| found.text().ok_or(wrong)).transpose()
}

fn decoded(jwk: &Object, member: &str) -> Result<Vec<u8>, &'static str> {
    let found = text(jwk, member)?.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    found.ok_or("has a member of its key missing or not in base64url (RFC 7518, section 6)")
}

#[cfg(test)]
mod tests;
