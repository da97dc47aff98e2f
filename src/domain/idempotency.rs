//! A caller's own name for a request: the same name is the same request
//! (draft-ietf-httpapi-idempotency-key-header).

use std::fmt;
use std::sync::Arc;

/// The value of an `Idempotency-Key` header. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(Arc<str>);

impl IdempotencyKey {
    /// The longest one, in characters.
    pub const LENGTH_MAX: usize = 128;

    /// Reads the value of the header: a String (RFC 9651, section 4.2.5) without parameters,
    /// which is an Item of structured fields. None where it is not one, or is empty or too long.
    #[must_use]
    pub fn parse_item(field: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(field).ok()?.trim_matches(' ');
        let inside = text.strip_prefix('"')?.strip_suffix('"').filter(|_| text.len() > 1)?;
        let (mut value, mut bytes) = (String::with_capacity(inside.len()), inside.bytes());
        while let Some(byte) = bytes.next() {
            let plain = match byte {
                b'\\' => bytes.next().filter(|next| matches!(next, b'"' | b'\\'))?,
                b'"' => return None,
                b' '..=b'~' => byte,
                _ => return None,
            };
            value.push(char::from(plain));
        }
        Self::of_record(&value)
    }

    /// The key that a record has, which is what was inside the quotes.
    #[must_use]
    pub fn of_record(text: &str) -> Option<Self> {
        let printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        (printable && (1..=Self::LENGTH_MAX).contains(&text.len())).then(|| Self(text.into()))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdempotencyKey({:?})", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_string_in_quotes_and_nothing_else() {
        let longest = format!("\"{}\"", "k".repeat(128));
        let too_long = format!("\"{}\"", "k".repeat(129));
        for (field, key) in [
            ("\"8e03978e-40d5-43dd-bc93-6894a57f9324\"", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
            ("  \" a~ \"  ", " a~ "),
            (r#""\"\\""#, r#""\"#),
            (longest.as_str(), &longest[1..129]),
        ] {
            let read = IdempotencyKey::parse_item(field.as_bytes());
            assert_eq!(read.as_ref().map(IdempotencyKey::as_str), Some(key), "{field}");
        }
        for wrong in [
            "",
            "\"",
            "\"\"",
            "key",
            "\"key",
            "key\"",
            "'key'",
            "\"a\"b\"",
            "\"a\", \"b\"",
            "\"a\";p=1",
            r#""\a""#,
            r#""a\""#,
            "\"a\tb\"",
            "\t\"a\"",
            "\"\u{e9}\"",
            "\"\u{7f}\"",
            "42",
            ":YQ==:",
            "?1",
            too_long.as_str(),
        ] {
            assert_eq!(IdempotencyKey::parse_item(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(IdempotencyKey::parse_item(b"\"\xff\""), None);
        assert_eq!(IdempotencyKey::of_record(""), None);
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_as_a_string_is_read(key in "[ -~]{1,128}") {
            let escaped = key.replace('\\', "\\\\").replace('"', "\\\"");
            let read = IdempotencyKey::parse_item(format!("\"{escaped}\"").as_bytes());
            assert_eq!(read.unwrap().as_str(), key);
        }

        #[test]
        fn what_is_read_is_one_string(field in proptest::collection::vec(0x20..0x80_u8, 0..12)) {
            if let Some(key) = IdempotencyKey::parse_item(&field) {
                let escaped = key.as_str().replace('\\', "\\\\").replace('"', "\\\"");
                let text = String::from_utf8(field).unwrap();
                assert_eq!(text.trim_matches(' '), format!("\"{escaped}\""));
            }
        }
    }
}
