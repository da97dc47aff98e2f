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
