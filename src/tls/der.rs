//! DER (X.690, section 10), as far as it takes to tell what a text or a file holds.
//!
//! It decides nothing about trust: certificates and lists are verified by rustls-webpki.

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const CONTEXT_0: u8 = 0xa0;

/// One value: tag, length, contents.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    pub(super) tag: u8,
    pub(super) contents: &'a [u8],
    /// With tag and length.
    pub(super) whole: &'a [u8],
}

impl<'a> Value<'a> {
    /// The value that `bytes` are from their first to their last.
    pub(super) fn of(bytes: &'a [u8]) -> Option<Self> {
        Self::first_of(bytes).filter(|value| value.whole.len() == bytes.len())
    }

    /// The value that `bytes` begin with. Tags of one byte and lengths of four at most.
    pub(super) fn first_of(bytes: &'a [u8]) -> Option<Self> {
        let (tag, length) = (*bytes.first()?, *bytes.get(1)?);
        let (start, length) = match length {
            0..=0x7f => (2, usize::from(length)),
            0x81..=0x84 => {
                let digits = bytes.get(2..2 + usize::from(length - 0x80))?;
                let length = digits.iter().try_fold(0_usize, |sum, digit| {
                    Some(sum.checked_mul(256)? + usize::from(*digit))
                });
                (2 + digits.len(), length?)
            }
            _ => return None,
        };
        let end = start.checked_add(length)?;
        Some(Self { tag, contents: bytes.get(start..end)?, whole: bytes.get(..end)? })
    }

    /// The values in it; none of one that is cut off.
    pub(super) fn children(self) -> Vec<Self> {
        let mut rest = self.contents;
        let mut found = Vec::new();
        while let Some(value) = Self::first_of(rest) {
            rest = rest.get(value.whole.len()..).unwrap_or_default();
            found.push(value);
        }
        found
    }

    /// The first value in it, when it has this tag.
    pub(super) fn first(self, tag: u8) -> Option<Self> {
        Self::first_of(self.contents).filter(|value| value.tag == tag)
    }
}

/// What is signed, by which algorithm, and the signature: certificates, requests and
/// revocation lists have one form (RFC 5280, sections 4.1 and 5.1).
pub(super) struct Signed<'a> {
    pub(super) content: Value<'a>,
    pub(super) algorithm: Value<'a>,
    pub(super) signature: &'a [u8],
}

impl<'a> Signed<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Option<Self> {
        let outer = Value::of(bytes).filter(|value| value.tag == SEQUENCE)?;
        match outer.children().as_slice() {
            [content, algorithm, signature]
                if (content.tag, algorithm.tag) == (SEQUENCE, SEQUENCE)
                    && signature.tag == BIT_STRING =>
            {
                // The first byte counts unused bits: signatures have none.
                let signature = signature.contents.strip_prefix(&[0])?;
                Some(Self { content: *content, algorithm: *algorithm, signature })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_whole_or_it_is_none() {
        let value = Value::of(&[0x30, 3, 2, 1, 5]).unwrap();
        assert_eq!((value.tag, value.contents), (SEQUENCE, &[2, 1, 5][..]));
        assert_eq!(value.first(INTEGER).unwrap().contents, [5]);
        for bytes in [
            &[][..],
            &[0x30],
            &[0x30, 3, 2, 1],
            &[0x30, 1, 5, 9],
            &[0x30, 0x80, 0, 0],
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[0x30, 0x88, 0, 0, 0, 0, 0, 0, 0, 1, 1],
        ] {
            assert!(Value::of(bytes).is_none(), "{bytes:x?}");
        }
        let long = [&[0x04, 0x82, 1, 0][..], &[7; 256]].concat();
        assert_eq!(Value::of(&long).unwrap().contents.len(), 256);
    }
}
