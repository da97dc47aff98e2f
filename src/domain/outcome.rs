//! What became of a permitted request.

use super::{Effect, closed_set};

closed_set! {
    /// What was found out, later, of a grant whose outcome was unknown.
    pub enum Resolution {
        /// The person can open the entrance.
        Granted = "granted",
        /// The person cannot.
        Absent = "absent",
        /// Nobody can tell: Seam gave no answer to it, or the record hides who it is about.
        CannotTell = "cannot-tell",
    }
}

/// What became of a request after policy permitted it. Where there is any doubt whether Seam
/// changed something the outcome is `Unknown`, and nothing is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Seam confirmed the grant: its own 200 with `"ok":true` was read.
    Granted,
    /// Seam answered what was to be read.
    Answered,
    /// Seam, or something in front of it, refused with a 4xx status.
    Rejected,
    /// The request may have reached Seam, and no trustworthy answer came back.
    Unknown,
    /// No trustworthy answer came back to something that only reads: nothing has changed.
    Unanswered,
    /// Not one byte of the request was sent.
    NotSent,
}

impl Outcome {
    /// Every outcome, for metrics and tests.
    pub const ALL: [Self; 6] = [
        Self::Granted,
        Self::Answered,
        Self::Rejected,
        Self::Unknown,
        Self::Unanswered,
        Self::NotSent,
    ];

    /// Seam confirmed what was asked.
    #[must_use]
    pub const fn confirmed(effect: Effect) -> Self {
        match effect {
            Effect::Changes => Self::Granted,
            Effect::Reads => Self::Answered,
        }
    }

    /// Nobody can say what Seam did.
    #[must_use]
    pub const fn in_doubt(effect: Effect) -> Self {
        match effect {
            Effect::Changes => Self::Unknown,
            Effect::Reads => Self::Unanswered,
        }
    }

    /// The stable name used in audit records and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Answered => "answered",
            Self::Rejected => "rejected",
            Self::Unknown => "unknown",
            Self::Unanswered => "unanswered",
            Self::NotSent => "not-sent",
        }
    }
}
