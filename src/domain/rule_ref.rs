//! Where a rule stands.

use std::fmt;
use std::sync::Arc;

/// Where a rule stands: prints as `policies/policy.csv:12`. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleRef {
    file: Arc<str>,
    line: u32,
}

impl RuleRef {
    /// In this file, on this line, counted from 1.
    #[must_use]
    pub fn new(file: Arc<str>, line: u32) -> Self {
        Self { file, line }
    }

    /// The file, as it is shown.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line in its file, counted from 1.
    #[must_use]
    pub fn line(&self) -> u32 {
        self.line
    }
}

impl fmt::Display for RuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
