//! The first and last lines of PEM blocks (RFC 7468, section 3), and what only looks like
//! one.

use memchr::memmem::find;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const HYPHENS: &[u8] = b"-----";

/// No label is longer.
const LABEL_BYTES_MAX: usize = 64;

/// Lines that may be a block's own are at least this long: 60 or more characters of
/// base64, of which DER of a useful length begins with `MI`.
const BASE64_LINE_MIN: usize = 60;

/// What a line is.
pub(super) enum Boundary<'a> {
    /// None at all.
    None,
    Begin(&'a str),
    End(&'a str),
    /// A block with this label begins on the line on which another ends.
    Glued(&'a str),
    /// A block with this label begins after something on its line.
    After(&'a str, &'static str),
    /// The block follows its first line on the same line.
    NoLineEnds(&'a str),
    /// It has the beginning of a boundary in it, and is not one.
    Unclear,
}

impl<'a> Boundary<'a> {
    pub(super) fn of(line: &'a [u8]) -> Self {
        // Trailing white space is allowed.
        let line = line.trim_ascii_end();
        let Some(at) = find(line, b"-----BEGIN").or_else(|| find(line, b"-----END")) else {
            return Self::None;
        };
        if let Some(label) = line.strip_prefix(BEGIN).and_then(label_of) {
            return Self::Begin(label);
        }
        if let Some(label) = line.strip_prefix(END).and_then(label_of) {
            return Self::End(label);
        }
        let (before, from) = line.split_at(at);
        let Some(label) = from.strip_prefix(BEGIN).and_then(label_of) else {
            let label = from
                .strip_prefix(BEGIN)
                .and_then(|rest| rest.split_at_checked(find(rest, HYPHENS)?));
            return match label.and_then(|(label, _)| label_from(label)) {
                Some(label) if before.is_empty() => Self::NoLineEnds(label),
                _ => Self::Unclear,
            };
        };
        if find(before, b"-----END").is_some() {
            return Self::Glued(label);
        }
        Self::After(
            label,
            match before {
                b"\xef\xbb\xbf" => "the byte order mark",
                before if before.trim_ascii().is_empty() => "the white space",
                _ => "what is",
            },
        )
    }
}

/// A label that the line's five hyphens end.
fn label_of(rest: &[u8]) -> Option<&str> {
    label_from(rest.strip_suffix(HYPHENS)?)
}

/// What can be a label.
fn label_from(label: &[u8]) -> Option<&str> {
    let fits = (1..=LABEL_BYTES_MAX).contains(&label.len())
        && label.iter().all(|b| b.is_ascii_graphic() || *b == b' ')
        && find(label, HYPHENS).is_none();
    str::from_utf8(label).ok().filter(|_| fits)
}

/// A boundary that lost hyphens, or whose hyphens a word processor has replaced.
pub(super) fn is_broken_boundary(line: &[u8]) -> bool {
    let Some(text) = str::from_utf8(line).ok().filter(|text| text.len() < 200) else {
        return false;
    };
    let of_frame = |c: char| {
        matches!(c, '-' | '_' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{2500}' | '\u{feff}')
            || c.is_whitespace()
    };
    let inner = text.trim_matches(of_frame).to_ascii_uppercase();
    let Some(label) = inner.strip_prefix("BEGIN ").or_else(|| inner.strip_prefix("END ")) else {
        return false;
    };
    ["CERTIFICATE", " KEY", "CRL", "PARAMETERS", "PKCS7", "CMS"]
        .iter()
        .any(|word| label.contains(word))
}

/// A line that is most likely of a block whose first line is gone.
pub(super) fn is_lost_base64(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    let is_base64 = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
    line.len() >= BASE64_LINE_MIN && line.starts_with(b"MI") && line.iter().all(is_base64)
}
