//! One mistake in something that a person wrote, with its place.

use std::fmt;

/// One mistake in a file or setting: what is wrong, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file as the user named it, or where else the text came from.
    pub file: String,
    /// Line, counted from 1.
    pub line: Option<u32>,
    /// Column in characters, counted from 1.
    pub column: Option<u32>,
    /// What is wrong and what to do: starts lower case, has no full stop.
    pub text: String,
}

impl Problem {
    /// A problem of a whole file.
    pub fn of_file(file: impl Into<String>, text: impl Into<String>) -> Self {
        Self { file: file.into(), line: None, column: None, text: text.into() }
    }

    /// A problem at the byte `offset` of `source`.
    pub fn at_offset(
        file: impl Into<String>,
        source: &str,
        offset: usize,
        text: impl Into<String>,
    ) -> Self {
        let before = source.get(..offset).unwrap_or(source);
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
        Self {
            file: file.into(),
            line: u32::try_from(line).ok(),
            column: u32::try_from(column).ok(),
            text: text.into(),
        }
    }
}

impl Problem {
    /// The text of `file`, which must be UTF-8.
    ///
    /// # Errors
    /// Where it is not, and what it may be instead.
    pub fn or_text<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, Self> {
        // Every second byte of ASCII in UTF-16 is zero.
        if matches!(
            bytes,
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, 0, _, ..] | [_, 0, _, 0, ..]
        ) {
            let text = "is text in UTF-16, as some editors save it; save it as UTF-8";
            return Err(Self::of_file(file, text));
        }
        std::str::from_utf8(bytes).map_err(|error| {
            let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let valid = String::from_utf8_lossy(valid);
            Self::at_offset(file, &valid, valid.len(), "not UTF-8; save the file as UTF-8")
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        write!(f, ": {}", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_not_utf_8_is_refused_with_its_place() {
        assert_eq!(Problem::or_text("f", "é\n".as_bytes()), Ok("é\n"));
        assert_eq!(Problem::or_text("f", b""), Ok(""));
        let latin = Problem::or_text("f", b"a\nb\xe9").unwrap_err();
        assert_eq!(latin.to_string(), "f:2:2: not UTF-8; save the file as UTF-8");
        let little: Vec<u8> = "[a]".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = "[a]".encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [&little[..], &big, &[&[0xff, 0xfe], &little[..]].concat()] {
            let problem = Problem::or_text("f", bytes).unwrap_err();
            assert!(problem.text.contains("is text in UTF-16"), "{problem}");
        }
    }
}
