//! A draft of the rules, pasted into a form: read, and never put in force from here.

use http::StatusCode;
use maud::{Markup, html};

use super::asked::{Asked, Format, link};
use super::page::Page;
use super::reply::Reply;
use crate::domain::Problem;
use crate::policy::{Loaded, SourceFile};

/// What it is called in its problems.
const NAME: &str = "draft";

/// A comparison asks at every time at which a condition begins or ends, so that it is as long as there
/// are different ones.
const CONDITIONS_MAX: usize = 1_000;

/// Problems that are shown.
const SHOWN_MAX: usize = 100;

/// A longer draft is not shown in its form again: a browser takes seconds to lay out so much text.
const EDITED_MAX: usize = 1 << 20;

/// One that is longer than this is not sent back at all: it would be most of an answer.
const KEPT_MAX: usize = 8 << 20;

/// The id of its form, for buttons elsewhere on the page that send it.
pub(super) const FORM: &str = "draft";

/// Where a form was sent with a draft: its text, and what it is.
pub(super) struct Draft {
    pub(super) text: String,
    pub(super) loaded: Loaded,
}

impl Draft {
    /// The draft of the form, or why it is not taken; none where there is none.
    pub(super) fn of(asked: &Asked) -> Result<Option<Self>, Broken> {
        let Some(sent) = asked.form.as_ref().and_then(|form| form.raw("rules")) else {
            return Ok(None);
        };
        // A browser sends every end of a line as CR LF (HTML Standard, section 4.10.21.8).
        let text = sent.replace("\r\n", "\n");
        let rules = SourceFile { name: NAME.into(), bytes: text.clone().into_bytes() };
        let in_force = &asked.snapshot.policy;
        match in_force.draft(rules, &asked.snapshot.callers, asked.now) {
            Err(problems) => Err(Broken { text, problems }),
            Ok(loaded) => {
                let most = CONDITIONS_MAX.max(2 * in_force.condition_count());
                let different = loaded.policy.condition_count();
                if different <= most {
                    return Ok(Some(Self { text, loaded }));
                }
                let said = format!(
                    "has {different} different conditions, and at most {most} are compared here: ask \
                     `grantgate policy diff`, which takes its time"
                );
                Err(Broken { text, problems: vec![Problem::of_file(NAME, said)] })
            }
        }
    }
}

/// A draft that is no policy, or has too much in it.
pub(super) struct Broken {
    text: String,
    problems: Vec<Problem>,
}

impl Broken {
    /// Every problem with its line, below the form that has the draft.
    pub(super) fn reply(
        &self,
        asked: &Asked,
        title: &str,
        before: &Markup,
        more: &Markup,
    ) -> Reply {
        let problems = &self.problems;
        if asked.format() != Format::Page {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            let text =
                serde_json::json!({ "error": "the draft is not taken", "problems": problems });
            let (status, kind) = (StatusCode::UNPROCESSABLE_ENTITY, "application/json");
            return Reply::new(status, kind, format!("{text}\n"));
        }
        let lines: Vec<&str> = self.text.lines().collect();
        let line = |problem: &Problem| {
            let place = problem.line.and_then(|line| usize::try_from(line).ok())?.checked_sub(1)?;
            lines.get(place).copied()
        };
        let content = html! {
            (before)
            (form(asked, Some(&self.text), more))
            section #problems .problem role="alert" {
                p { strong { "The draft is not taken: " (problems.len()) " problem(s). Nothing has changed." } }
                ul { @for problem in problems.iter().take(SHOWN_MAX) {
                    li { (problem.to_string()) @if let Some(text) = line(problem) { pre { (text) } } }
                } }
            }
        };
        Page::with_status(asked, StatusCode::UNPROCESSABLE_ENTITY, title, &content)
    }
}

/// The form of a page that takes a draft, with what else it asks.
pub(super) fn form(asked: &Asked, draft: Option<&str>, more: &Markup) -> Markup {
    let policy = &asked.snapshot.policy;
    html! {
        p { "Paste the whole rules file with the edit in it. In force: " (policy.rule_count()) " rules of " code { (policy.file()) } ". Nothing in force changes." }
        form id=(FORM) .draft method="post" action={ (link(asked.view.path, &[])) "?" (asked.query.with(&[])) } {
            @match draft.filter(|text| text.len() > EDITED_MAX) {
                Some(text) if text.len() > KEPT_MAX => {
                    p #kept { "The draft has " (text.lines().count()) " lines, which are too many to be kept here: choose the file again to change it." }
                    label { span { "Rules" } textarea name="rules" rows="14" spellcheck="false" autocomplete="off" required {} }
                },
                Some(text) => {
                    input type="hidden" name="rules" value=(text);
                    p #kept { "The draft has " (text.lines().count()) " lines, which are too many to be shown here. It is sent again as it is; " a href={ (link(asked.view.path, &[])) "?" (asked.query.with(&[])) } { "begin with another one" } "." }
                }
                None => label { span { "Rules" } textarea name="rules" rows="14" spellcheck="false" autocomplete="off" required { (draft.unwrap_or_default()) } },
            }
            label .file hidden { span { "or a file" } input type="file" accept=".csv,text/csv,text/plain" data-into="rules"; }
            (more)
            button type="submit" { "Show what it changes" }
        }
    }
}
