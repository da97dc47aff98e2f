//! PEM texts (RFC 7468), read whole or refused: no other code of the gateway reads any.
//!
//! What begins is counted: each `-----BEGIN` becomes a block, or the file is refused with
//! the line. Text outside of blocks is accepted (section 2), since `openssl ca`,
//! `openssl x509 -text`, `openssl pkcs12` and `openssl s_client -showcerts` write some;
//! what looks like a boundary or like a block that lost its boundaries is not. Line ends
//! may be LF, CRLF or CR; white space at the ends of lines and empty lines are ignored.

mod boundary;
mod read;
pub(super) mod recognise;

use std::collections::HashMap;

use rustls::pki_types::pem::{PemObject as _, SectionKind};
use zeroize::Zeroizing;

use super::der::Value;
use crate::domain::Problem;
use boundary::{Boundary, is_broken_boundary, is_lost_base64};
pub(super) use read::revocation_lists;
pub use read::{Placed, PlacedCertificate, certificates, private_key};
use recognise::Kind;

/// A text with its name, for messages.
#[derive(Clone, Copy)]
pub struct PemFile<'a> {
    /// What the user calls it, mostly a path.
    pub name: &'a str,
    /// The text. It may be secret.
    pub bytes: &'a [u8],
}

impl PemFile<'_> {
    /// A problem of the whole file.
    pub(super) fn problem(self, text: impl Into<String>) -> Problem {
        Problem::of_file(self.name, text)
    }

    /// A problem in one line.
    pub(super) fn problem_at(self, line: u32, text: impl Into<String>) -> Problem {
        Problem { line: Some(line), ..self.problem(text) }
    }
}

/// One block.
struct Block<'a> {
    label: &'a str,
    /// Where it begins, counted from 1.
    line: u32,
    /// It says so in a header of RFC 1421 (`Proc-Type: 4,ENCRYPTED`).
    encrypted: bool,
    /// The contents; empty of what is not read anyway.
    der: Zeroizing<Vec<u8>>,
}

/// Every block of a text, in order.
///
/// # Errors
/// The first block or line that cannot be read whole. A text without any block is not one.
fn blocks(file: PemFile<'_>) -> Result<Vec<Block<'_>>, Problem> {
    let mut found: Vec<Block<'_>> = Vec::new();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let mut open: Option<Open<'_>> = None;
    for (line, number) in lines(file.bytes).zip(1_u32..) {
        let boundary = Boundary::of(line);
        let wrong = |text: String| file.problem_at(number, text);
        match (&mut open, boundary) {
            (None, Boundary::None) if is_broken_boundary(line) => {
                return Err(wrong(
                    "looks like the first or last line of a PEM block, and is not: it must \
                     read `-----BEGIN …-----` or `-----END …-----`, with five hyphens on each side"
                        .into(),
                ));
            }
            (None, Boundary::None) if is_lost_base64(line) => {
                return Err(wrong(
                    "holds base64 outside of a PEM block: a `-----BEGIN …-----` \
                    line before it is missing"
                        .into(),
                ));
            }
            (None, Boundary::None) => {}
            (None, Boundary::Begin(label)) => {
                let count = counts.entry(label).or_insert(0_usize);
                *count += 1;
                open = Some(Open::new(label, number, *count));
            }
            (Some(block), Boundary::End(label)) if label == block.label => {
                found.push(block.close(file)?);
                open = None;
            }
            (Some(block), Boundary::None) => block.take(line).map_err(wrong)?,
            (open, boundary) => {
                return Err(wrong(misplaced(open.as_ref(), &boundary, &found)));
            }
        }
    }
    match open {
        None => Ok(found),
        Some(block) => {
            let text = format!(
                "{} is cut off: the file ends before `-----END {}-----`",
                block.shown(),
                block.label
            );
            Err(file.problem_at(block.line, text))
        }
    }
}

/// Why a boundary cannot be where it is.
fn misplaced(open: Option<&Open<'_>>, boundary: &Boundary<'_>, found: &[Block<'_>]) -> String {
    let next = |label: &str| {
        let before = found.iter().filter(|block| block.label == label).count();
        let unfinished = open.is_some_and(|open| open.label == label);
        format!("the {} {}", ordinal(before + usize::from(unfinished) + 1), noun(label))
    };
    match (open, boundary) {
        (_, Boundary::Glued(label)) => format!(
            "{} begins on the line on which the block before it ends, and would not be read: \
             put `-----BEGIN {label}-----` on a line of its own (a file without a line end \
             was joined to another)",
            next(label)
        ),
        (_, Boundary::After(label, what)) => format!(
            "{} does not begin at the start of a line, and would not be read: take away {what} \
             before `-----BEGIN`",
            next(label)
        ),
        (_, Boundary::NoLineEnds(label)) => format!(
            "{} has lost its line ends: put `-----BEGIN {label}-----`, every 64 characters, and \
             `-----END {label}-----` on lines of their own",
            next(label)
        ),
        (_, Boundary::Unclear) => "has the beginning of a PEM boundary and something else: \
            `-----BEGIN …-----` and `-----END …-----` must be alone on their lines"
            .into(),
        (None, Boundary::End(label)) => {
            format!("`-----END {label}-----` ends a block that has no `-----BEGIN {label}-----`")
        }
        (Some(open), Boundary::Begin(label)) => format!(
            "{} has no end: another block, `{label}`, begins in it; add `-----END {}-----`",
            open.shown(),
            open.label
        ),
        (Some(open), Boundary::End(label)) => format!(
            "{} is ended by `-----END {label}-----`: the two lines must name the same",
            open.shown()
        ),
        // These are read elsewhere.
        (None, Boundary::Begin(_)) | (_, Boundary::None) => "is not read".into(),
    }
}

/// A block that has begun.
struct Open<'a> {
    label: &'a str,
    line: u32,
    number: usize,
    headers: bool,
    encrypted: bool,
    base64: Zeroizing<Vec<u8>>,
}

impl<'a> Open<'a> {
    fn new(label: &'a str, line: u32, number: usize) -> Self {
        let base64 = Zeroizing::default();
        Self { label, line, number, headers: false, encrypted: false, base64 }
    }

    fn shown(&self) -> String {
        shown(self.number, self.label, self.line)
    }

    /// Takes a line between the boundaries. No error text has anything of it.
    fn take(&mut self, line: &[u8]) -> Result<(), String> {
        let line = line.trim_ascii();
        if self.base64.is_empty() && line.contains(&b':') {
            self.headers = true;
            self.encrypted |= line.starts_with(b"Proc-Type:") && line.ends_with(b"ENCRYPTED");
            return Ok(());
        }
        let is_base64 = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
        if !line.iter().all(is_base64) {
            return Err(format!(
                "{} has characters in it that are not base64: copy it again, as it was issued",
                self.shown()
            ));
        }
        self.base64.extend_from_slice(line);
        Ok(())
    }

    fn close(&self, file: PemFile<'_>) -> Result<Block<'a>, Problem> {
        let Self { label, line, headers, encrypted, .. } = *self;
        let wrong = |what: &str| file.problem_at(line, format!("{} {what}", self.shown()));
        if headers && !encrypted {
            return Err(wrong(
                "has header lines, which PEM no longer has (RFC 7468, section 2): \
                take out what is between `-----BEGIN` and the first line of base64",
            ));
        }
        let kind = Kind::of_label(label);
        let is_read = matches!(kind, Kind::Certificate | Kind::PrivateKey | Kind::RevocationList);
        let der = if is_read && !encrypted {
            self.decode().ok_or_else(|| {
                wrong("is damaged: its base64 has characters too many or too few, or no end")
            })?
        } else {
            Zeroizing::default()
        };
        if !der.is_empty() && Value::of(&der).is_none() {
            return Err(wrong(match Value::first_of(&der) {
                Some(_) => "is damaged: something follows it inside the block",
                None => "is damaged: lines of it are missing or were altered",
            }));
        }
        Ok(Block { label, line, encrypted, der })
    }

    /// By the decoder of rustls, which takes the same time for every key. It is given the
    /// block as RFC 7468, section 3 wants it written.
    fn decode(&self) -> Option<Zeroizing<Vec<u8>>> {
        let mut text = Zeroizing::new(Vec::with_capacity(self.base64.len() + 100));
        text.extend_from_slice(format!("-----BEGIN {}-----\n", self.label).as_bytes());
        text.extend_from_slice(&self.base64);
        text.extend_from_slice(format!("\n-----END {}-----\n", self.label).as_bytes());
        let (_, der) = <(SectionKind, Vec<u8>)>::from_pem_slice(&text).ok()?;
        Some(Zeroizing::new(der)).filter(|der| !der.is_empty())
    }
}

fn shown(number: usize, label: &str, line: u32) -> String {
    format!("the {} {}, which begins in line {line},", ordinal(number), noun(label))
}

/// What a label is called in a message.
fn noun(label: &str) -> String {
    match label {
        "CERTIFICATE" => "certificate".into(),
        "X509 CRL" => "revocation list".into(),
        "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" => "private key".into(),
        other => format!("block `{other}`"),
    }
}

/// `1st`, `2nd`, `3rd`, `4th`, …, `11th`, …
pub(super) fn ordinal(number: usize) -> String {
    let suffix = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{suffix}")
}

/// The lines, ended by LF, CRLF or CR.
fn lines(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let end = memchr::memchr2(b'\n', b'\r', bytes).unwrap_or(bytes.len());
        let (line, rest) = bytes.split_at(end);
        bytes = rest.strip_prefix(b"\r\n").or_else(|| rest.get(1..)).unwrap_or_default();
        Some(line)
    })
}

#[cfg(test)]
mod tests;
