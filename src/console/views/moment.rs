//! What is said at one moment, of the pages that are about any time; and the tables of both.

use std::collections::BTreeSet;

use jiff::Timestamp;
use maud::{Markup, html};

use crate::console::reply::Reply;
use crate::domain::{Act, CallerId, EntranceId, GranteeKind, WorkspaceName, csv_cell};
use crate::inquiry::{Known, Then};

/// A moment that may be asked about, and what is known then.
pub(super) struct At<'a> {
    pub(super) known: Known<'a>,
    pub(super) act: Act,
    pub(super) at: Option<Timestamp>,
}

impl<'a> At<'a> {
    /// What is said at the moment; none where none is asked about.
    pub(super) fn said(
        &self,
        caller: &CallerId,
        place: (EntranceId, Option<&WorkspaceName>),
    ) -> Option<Then> {
        self.at.map(|at| self.known.then(caller, self.act, place, at))
    }

    /// Who may by an exception alone.
    pub(super) fn excepted(
        &self,
        place: (EntranceId, Option<&WorkspaceName>),
    ) -> BTreeSet<&'a CallerId> {
        let excepted = self.at.map(|at| self.known.excepted(self.act, place, at));
        excepted.unwrap_or_default()
    }
}

/// Whether something is allowed at the moment; where none is asked about there is no difference.
pub(super) fn may(said: Option<&Then>) -> bool {
    said.is_none_or(Then::is_allowed)
}

/// What is said at a moment, in a word.
pub(super) fn in_tag(then: &Then) -> Markup {
    let reason = then.said.first().map_or("", |(_, reason)| reason.as_str());
    html! {
        @match (then.is_allowed(), then.only_for()) {
            (true, None) => span .tag.good { "may" },
            (true, Some(GranteeKind::AcsUser)) => span .tag.warn { "may, for an acs user" },
            (true, Some(GranteeKind::UserIdentity)) => span .tag.warn { "may, for a user identity" },
            (false, _) => { span .tag.bad { "may not" } @if !then.is_refused && !reason.is_empty() { " " code { (reason) } } },
        }
    }
}

/// A table for spreadsheets (RFC 4180), with these columns more; what one would take for a formula begins
/// with an apostrophe.
pub(super) fn csv(
    name: &str,
    more: &[&str],
    rows: impl Iterator<Item = ([String; 5], Vec<String>)>,
) -> Reply {
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let columns = ["entrance_id", "entrance_name", "caller", "when", "allowed_by"];
    // Memory takes everything.
    let _ = writer.write_record(columns.iter().chain(more));
    for (cells, more) in rows {
        let _ = writer.write_record(cells.iter().chain(&more).map(|cell| csv_cell(cell)));
    }
    Reply::file("text/csv; charset=utf-8", name, writer.into_inner().unwrap_or_default())
}

/// What is said at a moment, for each form of a grantee; nothing of what has no name.
pub(super) fn in_cell(then: Option<&Then>) -> String {
    let Some(then) = then else { return String::new() };
    match (then.is_allowed(), then.only_for()) {
        (true, None) => "may".to_owned(),
        (true, Some(kind)) => format!("may for {}", kind.as_str()),
        (false, _) => "may not".to_owned(),
    }
}
