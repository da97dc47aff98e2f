//! What became of a permitted grant.

/// What became of a grant after policy permitted it. Where there is any doubt the
/// outcome is `Unknown`: Seam may or may not have acted, and nothing is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Seam confirmed the grant: its own 200 with `"ok":true` was read.
    Granted,
    /// Seam, or something in front of it, refused with a 4xx status.
    Rejected,
    /// The request may have reached Seam, and no trustworthy answer came back.
    Unknown,
    /// Not one byte of the request was sent.
    NotSent,
}

impl Outcome {
    /// Every outcome, for metrics and tests.
    pub const ALL: [Self; 4] = [Self::Granted, Self::Rejected, Self::Unknown, Self::NotSent];

    /// The stable name used in audit records and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Rejected => "rejected",
            Self::Unknown => "unknown",
            Self::NotSent => "not-sent",
        }
    }
}
