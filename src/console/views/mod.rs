//! The pages, each a function of what is asked for.

pub(super) mod audit;
pub(super) mod candidate;
pub(super) mod diff;
pub(super) mod doors;
pub(super) mod live;
pub(super) mod matrix;
pub(super) mod orders;
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
    pub(super) show: fn(&Asked) -> Reply,
    /// Where something has to be waited for, instead.
    pub(super) later: Option<Later>,
    /// What may be sent to it.
    pub(super) takes: Takes,
    /// Whether it tells for whom access was asked.
    pub(super) shows_grantees: bool,
    /// Whether it says what happens as it happens.
    pub(super) is_live: bool,
}

/// Headings.
pub(super) const SECTIONS: [&str; 3] = ["Now", "Who may what", "Evidence"];

const PAGE: View = View {
    path: "",
    name: "",
    section: None,
    show: overview::show,
    later: None,
    takes: Takes::Nothing,
    shows_grantees: false,
    is_live: false,
};

/// All pages.
pub(super) const VIEWS: &[View] = &[
    View { path: "", name: "Overview", section: Some("Now"), ..PAGE },
    View {
        path: "replicas",
        name: "Replicas",
        section: Some("Now"),
        later: Some(replicas::show),
        ..PAGE
    },
    View { path: "live", name: "Live", section: Some("Now"), show: live::show, ..PAGE },
    View {
        path: "live/stream",
        name: "Live",
        show: live::show,
        shows_grantees: true,
        is_live: true,
        ..PAGE
    },
    View {
        path: "orders",
        name: "Freeze and exceptions",
        section: Some("Now"),
        later: Some(orders::show_later),
        takes: Takes::Form,
        ..PAGE
    },
    View {
        path: "who",
        name: "Who opens a door",
        section: Some("Who may what"),
        show: who::show,
        ..PAGE
    },
    View {
        path: "doors",
        name: "Doors of a service",
        section: Some("Who may what"),
        show: doors::show,
        ..PAGE
    },
    View {
        path: "matrix",
        name: "Services by doors",
        section: Some("Who may what"),
        show: matrix::show,
        takes: Takes::Draft,
        ..PAGE
    },
    View {
        path: "what-if",
        name: "What if",
        section: Some("Who may what"),
        show: what_if::show,
        ..PAGE
    },
    View {
        path: "policy",
        name: "Policy",
        section: Some("Who may what"),
        show: policy::show,
        ..PAGE
    },
    View {
        path: "diff",
        name: "What an edit changes",
        section: Some("Who may what"),
        later: Some(diff::show_later),
        takes: Takes::Draft,
        ..PAGE
    },
    View {
        path: "candidate",
        name: "Candidate",
        section: Some("Who may what"),
        show: candidate::show,
        ..PAGE
    },
    View {
        path: "audit",
        name: "Decisions",
        section: Some("Evidence"),
        later: Some(audit::show_later),
        shows_grantees: true,
        ..PAGE
    },
    View {
        path: "audit/record",
        name: "Record",
        show: audit::record::show,
        shows_grantees: true,
        ..PAGE
    },
    View {
        path: "audit/proof",
        name: "Proof",
        show: audit::record::proof_of,
        shows_grantees: true,
        ..PAGE
    },
    View {
        path: "verification",
        name: "Is the log whole?",
        section: Some("Evidence"),
        show: verification::show,
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
