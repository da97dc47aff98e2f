//! Whether the log is what it was.
//!
//! Verifying reads the whole log: it runs on a thread of its own, one at a time, and everybody who looks
//! sees the same.

use std::sync::Arc;

use http::{HeaderValue, header::REFRESH};
use jiff::Timestamp;
use maud::{Markup, html};
use parking_lot::Mutex;

use crate::audit::ReadError;
use crate::audit::proof::{self, AnchorFinding, Verdict, VerifyReport};
use crate::console::Console;
use crate::console::asked::{Asked, Format, link};
use crate::console::page::{Page, command, formats, time};
use crate::console::reply::Reply;
use crate::view::audit::verified;

const TITLE: &str = "Is the log whole?";

/// Findings that are shown.
const SHOWN_MAX: usize = 50;

/// The verification that runs or ran last.
#[derive(Default)]
pub(in crate::console) struct Verifying(Arc<Mutex<Last>>);

#[derive(Default)]
enum Last {
    #[default]
    Never,
    /// Bytes that were read, of how many.
    Runs {
        began: Timestamp,
        read: u64,
        of: u64,
    },
    Done {
        at: Timestamp,
        report: Arc<Result<VerifyReport, String>>,
    },
}

impl Verifying {
    /// What the verification that ran last found, where that is not that all is well.
    pub(in crate::console) fn failed(
        &self,
    ) -> Option<(Timestamp, Arc<Result<VerifyReport, String>>)> {
        match &*self.0.lock() {
            Last::Done { at, report } => {
                let is_well = |report: &VerifyReport| {
                    matches!(report.verdict(), Verdict::Whole | Verdict::Empty)
                };
                (!report.as_ref().as_ref().is_ok_and(is_well)).then(|| (*at, report.clone()))
            }
            Last::Never | Last::Runs { .. } => None,
        }
    }

    fn start(&self, console: &Console, now: Timestamp) -> Result<(), String> {
        let mut last = self.0.lock();
        if matches!(*last, Last::Runs { .. }) {
            return Ok(());
        }
        let (log, keys, shared) = (console.reader(), console.keys.clone(), self.0.clone());
        let work = move || {
            let ending = Ending(shared.clone());
            let progress = |read, of| *shared.lock() = Last::Runs { began: now, read, of };
            let report = match proof::verify(&log, &keys, &[], progress) {
                Ok(report) => Ok(report),
                Err(ReadError::Empty(_)) => Ok(VerifyReport::default()),
                Err(error) => Err(error.to_string()),
            };
            *shared.lock() = Last::Done { at: Timestamp::now(), report: Arc::new(report) };
            drop(ending);
        };
        std::thread::Builder::new()
            .name("console-verify".into())
            .spawn(work)
            .map_err(|e| e.to_string())?;
        *last = Last::Runs { began: now, read: 0, of: 0 };
        Ok(())
    }
}

/// Whatever ends the work: the next one can begin.
struct Ending(Arc<Mutex<Last>>);

impl Drop for Ending {
    fn drop(&mut self) {
        let mut last = self.0.lock();
        if matches!(*last, Last::Runs { .. }) {
            let report = Err("it ended before it was done: a fault of this program".to_owned());
            *last = Last::Done { at: Timestamp::now(), report: Arc::new(report) };
        }
    }
}

pub(in crate::console) fn show(asked: &Asked) -> Reply {
    let verifying = &asked.console.work.verifying;
    if asked.form.is_some() {
        return match verifying.start(&asked.console, asked.now) {
            Ok(()) => Reply::moved(&link("verification", &[])),
            Err(text) => Page::refusal(http::StatusCode::SERVICE_UNAVAILABLE, &text),
        };
    }
    let last = verifying.0.lock();
    match (&*last, asked.format()) {
        (Last::Done { report, .. }, Format::Json | Format::Csv) => match &**report {
            Ok(report) => {
                let code = code(report.verdict());
                Reply::json(&verified(report, code == 0 && report.signed, code, None))
            }
            Err(error) => Reply::json(&serde_json::json!({ "error": error })),
        },
        (Last::Never, Format::Json | Format::Csv) => {
            Reply::json(&serde_json::json!({ "state": "never" }))
        }
        (Last::Runs { read, of, .. }, Format::Json | Format::Csv) => {
            Reply::json(&serde_json::json!({ "state": "runs", "bytes_read": read, "bytes": of }))
        }
        (last, Format::Page) => {
            let reply = Page::of(asked, TITLE, &page(asked, last));
            // It works without script, too.
            match last {
                Last::Runs { .. } => reply.with(REFRESH, HeaderValue::from_static("1")),
                Last::Never | Last::Done { .. } => reply,
            }
        }
    }
}

/// As `grantgate audit verify` exits.
const fn code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Whole => 0,
        Verdict::Damaged => 4,
        Verdict::NotVouchedFor | Verdict::NoLog => 5,
        Verdict::Empty => 6,
        Verdict::Newer => 7,
    }
}

fn page(asked: &Asked, last: &Last) -> Markup {
    let status = asked.console.state.status();
    html! {
        p { "Every record is bound to those before it, and checkpoints are signed. Verifying reads them all." }
        @match last {
            Last::Never => p #result .none { "It was not verified here since the gateway started." },
            Last::Runs { began, read, of } => {
                p #result { "Verifying since " (time(&began.to_string())) "." }
                progress value=(read) max=(of.max(&1)) aria-label="verified" { (percent(*read, *of)) " %" }
            },
            Last::Done { at, report } => (done(*at, report)),
        }
        @if !matches!(last, Last::Runs { .. }) {
            form method="post" action=(link("verification", &[])) { button type="submit" { "Verify now" } }
        }
        h2 { "What vouches for it" }
        dl .facts {
            dt { "Key" }
            dd {
                @for key in &asked.console.keys { code { (key.to_string()) } " " }
                @if asked.console.keys.is_empty() { "None: checkpoints are not signed, so that a log that was made anew would not show. Set " code { "audit.signing_key_file" } "." }
            }
            dt { "Newest checkpoint" }
            dd {
                @match &status.checkpoint {
                    Some(newest) => { (newest.size) " records, root " code { (newest.root) } @if let Some(text) = &newest.text { details { summary { "text" } pre tabindex="0" { (text) } } } },
                    None => "none yet",
                }
            }
            dt { "Records" } dd { (asked.console.gateway.journal.durable_seq()) }
        }
        h2 { "With the command line" }
        p { "A gateway that was broken into would say what it likes. An auditor verifies a copy, with the key and with checkpoints that were kept elsewhere:" }
        (command("grantgate audit verify DIR --key audit_signing_key.pub --checkpoint anchored"))
        @if matches!(last, Last::Done { .. }) { (formats(asked)) }
    }
}

/// What a page that shows the log says where the log is not what it was: of one record, where that is
/// within a finding.
pub(in crate::console) fn warning(asked: &Asked, seq: Option<u64>) -> Markup {
    let Some((at, report)) = asked.console.work.verifying.failed() else { return html! {} };
    let is_about = |seq| {
        let findings = report.as_ref().as_ref().map(|report| &report.findings);
        findings.is_ok_and(|all| all.iter().any(|one| (one.from_seq..=one.to_seq).contains(&seq)))
    };
    html! {
        @if seq.is_none_or(is_about) {
            p #unverified .problem role="alert" {
                @if seq.is_some() { "This record is among those that were not verified" } @else { "The log was not verified" }
                " at " (time(&at.to_string())) ": " a href=(link("verification", &[])) { "what is wrong" } "."
            }
        }
    }
}

fn percent(read: u64, of: u64) -> u64 {
    read.saturating_mul(100).checked_div(of).unwrap_or(0).min(100)
}

fn done(at: Timestamp, report: &Result<VerifyReport, String>) -> Markup {
    let report = match report {
        Ok(report) => report,
        Err(text) => {
            return html! { p #result .problem role="alert" { "It cannot be read: " (text) } };
        }
    };
    let verdict = report.verdict();
    let is_whole = verdict == Verdict::Whole;
    html! {
        section #result .answer.good[is_whole].bad[!is_whole] {
            p .headline {
                @match verdict {
                    Verdict::Whole if report.signed => "Verified: the log is what it was.",
                    Verdict::Whole => "It agrees with itself; no key vouches for it.",
                    Verdict::Damaged => "NOT VERIFIED: the log is damaged.",
                    Verdict::NotVouchedFor if report.checkpoints == 0 => "NOT VERIFIED yet: it has no checkpoint that could be signed by the key.",
                    Verdict::NotVouchedFor => "NOT VERIFIED: nothing of it is signed by the key.",
                    Verdict::NoLog => "NOT VERIFIED: no line is a record.",
                    Verdict::Empty => "There are no records.",
                    Verdict::Newer => "NOT VERIFIED: a newer version wrote it.",
                }
            }
            p {
                (report.records) " record(s), " (report.first_seq) " to " (report.last_seq) ", in " (report.segments) " segment(s); "
                (report.checkpoints) " checkpoint(s), the last covers " (report.verified_to) "; " (report.uncovered) " behind it. "
                "As of " (time(&at.to_string())) "."
            }
            @if let Some((records, _)) = report.pruned { p { (records) " record(s) were pruned before." } }
        }
        @if !report.findings.is_empty() {
            h2 { "What is wrong" }
            table #findings {
                thead { tr { th scope="col" { "Records" } th scope="col" { "How" } th scope="col" { "Where" } th scope="col" { "What" } } }
                tbody { @for one in report.findings.iter().take(SHOWN_MAX) {
                    tr {
                        th scope="row" { a href=(link("audit/record", &[("seq", &one.from_seq.to_string())])) { (one.from_seq) } @if one.to_seq != one.from_seq { " to " (one.to_seq) } }
                        td { span .tag.bad { (one.damage.as_str()) } }
                        td { code { (one.file) @if let Some(line) = one.line { ":" (line) } } }
                        td { (one.text) }
                    }
                } }
            }
            @if report.findings_total > SHOWN_MAX as u64 { p { "and " (report.findings_total - SHOWN_MAX as u64) " more" } }
        }
        @for (size, found) in report.anchors.iter().filter(|(_, found)| *found != AnchorFinding::Agrees) {
            p .problem { "The checkpoint of " (size) " records that is kept beside the log: " (found.as_str()) }
        }
    }
}
