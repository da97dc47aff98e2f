//! The pages, each a function of what is asked for.

pub(super) mod audit;
pub(super) mod candidate;
pub(super) mod diff;
pub(super) mod doors;
pub(super) mod live;
pub(super) mod matrix;
mod moment;
pub(super) mod orders;
mod others;
pub(super) mod overview;
pub(super) mod policy;
pub(super) mod replicas;
pub(super) mod verification;
pub(super) mod what_if;
pub(super) mod who;

use std::pin::Pin;

use super::asked::Asked;
use super::reply::Reply;

/// An answer that is not computed but waited for.
pub(super) type Later = fn(Asked) -> Pin<Box<dyn Future<Output = Reply> + Send>>;

/// How a page is made.
pub(super) enum Shows {
    /// On a thread of its own, in a few seconds.
    Computed(fn(&Asked) -> Reply),
    /// After something was waited for.
    Waited(Later),
    /// It has no end: records as they are written.
    Stream,
}

/// What may be sent to a page.
#[derive(Clone, Copy)]
pub(super) enum Takes {
    Nothing,
    Form,
    /// A form that may have a draft of a policy in it.
    Draft,
}

/// One page.
pub(super) struct View {
    /// Behind the root.
    pub(super) path: &'static str,
    pub(super) name: &'static str,
    /// Under which heading it is among the others; none where it is reached from another page.
    pub(super) section: Option<&'static str>,
    pub(super) shows: Shows,
    /// What may be sent to it.
    pub(super) takes: Takes,
    /// Whether it tells for whom access was asked.
    pub(super) shows_grantees: bool,
    /// What its address may ask, beside the format.
    pub(super) asks: &'static [&'static str],
    /// In which formats programs have it.
    pub(super) formats: &'static [&'static str],
}

/// Headings.
pub(super) const SECTIONS: [&str; 3] = ["Now", "Who may what", "Evidence"];

const PAGE: View = View {
    path: "",
    name: "",
    section: None,
    shows: Shows::Computed(overview::show),
    takes: Takes::Nothing,
    shows_grantees: false,
    asks: &[],
    formats: &["json"],
};

/// All pages.
pub(super) const VIEWS: &[View] = &[
    View { path: "", name: "Overview", section: Some("Now"), ..PAGE },
    View {
        path: "replicas",
        name: "Replicas",
        section: Some("Now"),
        shows: Shows::Waited(replicas::show),
        ..PAGE
    },
    View {
        path: "live",
        name: "Live",
        section: Some("Now"),
        shows: Shows::Computed(live::show),
        asks: &["caller", "entrance", "decision", "workspace"],
        formats: &[],
        ..PAGE
    },
    View {
        path: "live/stream",
        name: "Live",
        shows: Shows::Stream,
        shows_grantees: true,
        asks: &["caller", "entrance", "decision", "workspace", "after"],
        formats: &[],
        ..PAGE
    },
    View {
        path: "orders",
        name: "Freeze and exceptions",
        section: Some("Now"),
        shows: Shows::Waited(orders::show_later),
        takes: Takes::Form,
        asks: &["given"],
        ..PAGE
    },
    View {
        path: "who",
        name: "Who opens a door",
        section: Some("Who may what"),
        shows: Shows::Computed(who::show),
        asks: &["entrance", "act", "at", "from", "days", "workspace"],
        formats: &["json", "csv"],
        ..PAGE
    },
    View {
        path: "doors",
        name: "Doors of a service",
        section: Some("Who may what"),
        shows: Shows::Computed(doors::show),
        asks: &["caller", "act", "at", "from", "days", "workspace"],
        formats: &["json", "csv"],
        ..PAGE
    },
    View {
        path: "matrix",
        name: "Services by doors",
        section: Some("Who may what"),
        shows: Shows::Computed(matrix::show),
        takes: Takes::Draft,
        asks: &[
            "role",
            "caller",
            "zone",
            "entrance",
            "act",
            "workspace",
            "row",
            "column",
            "changes",
            "from",
            "days",
            "at",
        ],
        ..PAGE
    },
    View {
        path: "what-if",
        name: "What if",
        section: Some("Who may what"),
        shows: Shows::Computed(what_if::show),
        asks: &["caller", "entrance", "act", "grantee", "at", "workspace", "policy", "record"],
        ..PAGE
    },
    View {
        path: "policy",
        name: "Policy",
        section: Some("Who may what"),
        shows: Shows::Computed(policy::show),
        asks: &["text", "line", "skip"],
        ..PAGE
    },
    View {
        path: "diff",
        name: "What an edit changes",
        section: Some("Who may what"),
        shows: Shows::Waited(diff::show_later),
        takes: Takes::Draft,
        asks: &["proposal", "replay", "from", "days", "at"],
        ..PAGE
    },
    View {
        path: "candidate",
        name: "Candidate",
        section: Some("Who may what"),
        shows: Shows::Computed(candidate::show),
        asks: &["since"],
        ..PAGE
    },
    View {
        path: "audit",
        name: "Decisions",
        section: Some("Evidence"),
        shows: Shows::Waited(audit::show_later),
        shows_grantees: true,
        asks: &[
            "caller",
            "entrance",
            "decision",
            "reason",
            "for",
            "since",
            "until",
            "gateway",
            "workspace",
            "act",
            "outcome",
            "event",
            "request_id",
            "seam_request_id",
            "idempotency_key",
            "before",
            "limit",
        ],
        formats: &["json", "csv"],
        ..PAGE
    },
    View {
        path: "audit/record",
        name: "Record",
        shows: Shows::Computed(audit::record::show),
        shows_grantees: true,
        asks: &["seq"],
        ..PAGE
    },
    View {
        path: "audit/proof",
        name: "Proof",
        shows: Shows::Computed(audit::record::proof_of),
        shows_grantees: true,
        asks: &["seq"],
        formats: &[],
        ..PAGE
    },
    View {
        path: "verification",
        name: "Is the log whole?",
        section: Some("Evidence"),
        shows: Shows::Computed(verification::show),
        takes: Takes::Form,
        ..PAGE
    },
];

impl View {
    /// The page among the others that it belongs to.
    pub(super) fn within(&self) -> &'static str {
        match self.section {
            Some(_) => self.path,
            None => self.path.split('/').next().unwrap_or_default(),
        }
    }
}
