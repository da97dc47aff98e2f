//! Certificates, keys and revocation lists out of PEM files: each file holds one kind.

use rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, PrivatePkcs1KeyDer,
    PrivatePkcs8KeyDer, PrivateSec1KeyDer,
};

use super::recognise::{Form, Kind, Wanted};
use super::{Block, PemFile, blocks};
use crate::domain::Problem;

/// Something out of a file, and the line in which it begins.
#[derive(Debug, Clone)]
pub struct Placed<T> {
    /// What was read.
    pub item: T,
    /// Counted from 1.
    pub line: u32,
}

/// A certificate and its place.
pub type PlacedCertificate = Placed<CertificateDer<'static>>;

/// All certificates of a file.
///
/// # Errors
/// When there is none, when one cannot be read whole, or when the file holds anything else.
pub fn certificates(file: PemFile<'_>) -> Result<Vec<PlacedCertificate>, Problem> {
    let place = |mut block: Block<'_>| Placed {
        item: CertificateDer::from(std::mem::take(&mut *block.der)),
        line: block.line,
    };
    Ok(only(file, Wanted::Certificates)?.into_iter().map(place).collect())
}

/// All revocation lists of a file.
///
/// # Errors
/// As [`certificates`].
pub(in crate::tls) fn revocation_lists(
    file: PemFile<'_>,
) -> Result<Vec<Placed<CertificateRevocationListDer<'static>>>, Problem> {
    let place = |mut block: Block<'_>| Placed {
        item: CertificateRevocationListDer::from(std::mem::take(&mut *block.der)),
        line: block.line,
    };
    Ok(only(file, Wanted::RevocationLists)?.into_iter().map(place).collect())
}

/// The one private key of a file: PKCS #8, PKCS #1 or SEC 1, the last also after the block
/// `EC PARAMETERS` that `openssl ecparam -genkey` writes. The key names its curve itself.
///
/// # Errors
/// As [`certificates`], and when there are two.
pub fn private_key(file: PemFile<'_>) -> Result<PrivateKeyDer<'static>, Problem> {
    let mut keys = only(file, Wanted::PrivateKey)?.into_iter();
    let (Some(mut key), second) = (keys.next(), keys.next()) else {
        return Err(nothing(file, Wanted::PrivateKey));
    };
    if let Some(second) = second {
        let text = "is a second private key: keep only the one that belongs to the certificate";
        return Err(file.problem_at(second.line, text));
    }
    let der = std::mem::take(&mut *key.der);
    Ok(match key.label {
        "RSA PRIVATE KEY" => PrivatePkcs1KeyDer::from(der).into(),
        "EC PRIVATE KEY" => PrivateSec1KeyDer::from(der).into(),
        _ => PrivatePkcs8KeyDer::from(der).into(),
    })
}

/// The blocks of a file that holds nothing but what is wanted.
fn only(file: PemFile<'_>, wanted: Wanted) -> Result<Vec<Block<'_>>, Problem> {
    text_only(file)?;
    let found = blocks(file)?;
    let fits = |block: &Block<'_>| {
        let kind = Kind::of_label(block.label);
        !block.encrypted
            && match wanted {
                Wanted::Certificates => kind == Kind::Certificate,
                Wanted::PrivateKey => kind == Kind::PrivateKey,
                Wanted::RevocationLists => kind == Kind::RevocationList,
            }
    };
    let any = found.iter().any(fits);
    let passes = |block: &Block<'_>| {
        let parameters = Kind::of_label(block.label) == Kind::CurveParameters;
        fits(block) || (wanted == Wanted::PrivateKey && parameters && any)
    };
    if let Some(other) = found.iter().find(|block| !passes(block)) {
        let kind = if other.encrypted { Kind::EncryptedKey } else { Kind::of_label(other.label) };
        let text = if kind == Kind::Other {
            format!(
                "`{}` is not read here: this file must hold nothing but a {}",
                other.label,
                wanted.noun()
            )
        } else {
            kind.instead_of(wanted, if any { Form::Beside } else { Form::Pem }, file.name)
        };
        return Err(file.problem_at(other.line, text));
    }
    if found.is_empty() {
        return Err(nothing(file, wanted));
    }
    if let Some(at) = memchr::memchr(0, file.bytes) {
        let before = file.bytes.get(..at).unwrap_or_default();
        let line = memchr::memchr_iter(b'\n', before).count() + 1;
        let text = "is not text: something binary was joined to a PEM file; convert it to PEM \
                    before that";
        return Err(file.problem_at(u32::try_from(line).unwrap_or(u32::MAX), text));
    }
    Ok(found.into_iter().filter(fits).collect())
}

/// What is not a text that PEM can be in is said at once.
fn text_only(file: PemFile<'_>) -> Result<(), Problem> {
    let bytes = file.bytes;
    if bytes.starts_with(b"\xef\xbb\xbf") {
        let text = format!(
            "begins with a byte order mark, which hides the first block from many programs: \
             take it away with `sed -i '1s/^\\xef\\xbb\\xbf//' {}`",
            file.name
        );
        return Err(file.problem_at(1, text));
    }
    let wide = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
    if wide || bytes.starts_with(b"-\0-\0") || bytes.starts_with(b"\0-\0-") {
        let text = format!(
            "is UTF-16, as some Windows programs write text: convert it with `iconv -f UTF-16 \
             -t US-ASCII {} > NEW`",
            file.name
        );
        return Err(file.problem(text));
    }
    Ok(())
}

/// For a file without any block.
fn nothing(file: PemFile<'_>, wanted: Wanted) -> Problem {
    let text = file.bytes.trim_ascii();
    let noun = wanted.noun();
    if text.is_empty() {
        return file.problem(format!("is empty: it must hold a {noun} in PEM form"));
    }
    // `LS0tLS1CRUdJTi` is the base64 of `-----BEGIN`.
    if text.starts_with(b"LS0tLS1CRUdJTi") {
        return file.problem(format!(
            "is the base64 of a PEM file, as in the `data` of a Kubernetes Secret: decode it \
             with `base64 -d {} > NEW`",
            file.name
        ));
    }
    if text.starts_with(b"{") && wanted == Wanted::Certificates {
        return file.problem(
            "is JSON, not PEM; a SPIFFE bundle (a JWK Set) is read by `bundle_file` of a \
             `[[trust_domain]]`, in place of `ca_file`",
        );
    }
    match Kind::of_bytes(file.bytes) {
        Some(kind) => file.problem(kind.instead_of(wanted, Form::Der, file.name)),
        None => file.problem(format!(
            "holds no {noun} in PEM form: a line `-----BEGIN …-----` is expected"
        )),
    }
}
