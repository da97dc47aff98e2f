//! `grantgate caller list`: who may call, and by which credentials.

use std::collections::BTreeMap;

use clap::Args;
use jiff::Timestamp;

use super::{FileArgument, read};
use crate::authn::callers::{Caller, Match, Suspension};
use crate::authn::{Callers, TokenForm};
use crate::cli::{Exit, Format, say};
use crate::domain::{Budget, WorkspaceName};

#[derive(Args)]
#[command(after_help = "Example: grantgate caller list --format json")]
pub(in crate::cli) struct Arguments {
    /// How to print the list
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    #[command(flatten)]
    file: FileArgument,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let callers = match read(&arguments.file.file) {
        Ok(callers) => callers,
        Err(exit) => return exit,
    };
    match arguments.format {
        Format::Json => say(json(&callers)),
        Format::Human => human(&callers),
    }
    Exit::Done
}

fn human(callers: &Callers) {
    let now = Timestamp::now();
    for caller in callers.all() {
        say(format_args!("{}  {}", caller.id, caller.description));
        if let Some(Suspension { since, reason }) = &caller.suspended {
            say(format_args!("  SUSPENDED    since {since}: {reason}"));
        }
        let Budget { grants, doors } = caller.budget;
        for (number, what) in [(grants, "grants"), (doors, "different doors")] {
            if let Some(number) = number {
                say(format_args!("  a day        at most {number} {what}"));
            }
        }
        for token in &caller.tokens {
            let expires = match token.expires {
                None => "does not expire".to_owned(),
                Some(time) if time <= now => format!("EXPIRED {time}"),
                Some(time) => format!("expires {time}"),
            };
            let form = match token.form {
                TokenForm::ApiKey => "",
                TokenForm::PersonalAccessToken => "  (a personal access token to SDKs)",
            };
            say(format_args!("  token        {}  {expires}{form}", token.name));
        }
        if !caller.workspaces.is_empty() {
            let names: Vec<&str> = caller.workspaces.iter().map(WorkspaceName::as_str).collect();
            say(format_args!("  workspaces   {}", names.join(", ")));
        }
        for name in &caller.certificates {
            say(format_args!("  certificate  {name}"));
        }
        for jwt in &caller.jwts {
            let (issuer, which) = (&jwt.issuer, &jwt.matches);
            say(format_args!("  jwt          {}  of {issuer}, {which}", jwt.name));
        }
    }
}

fn json(callers: &Callers) -> serde_json::Value {
    let one = |caller: &Caller| {
        let tokens: Vec<_> = caller
            .tokens
            .iter()
            .map(|token| {
                serde_json::json!({
                    "name": token.name,
                    "expires": token.expires.map(|time| time.to_string()),
                    "form": token.form.as_str(),
                })
            })
            .collect();
        let workspaces = caller.workspaces.iter().map(WorkspaceName::as_str);
        let jwts: Vec<_> = caller
            .jwts
            .iter()
            .map(|jwt| {
                let (subject, claims) = match &jwt.matches {
                    Match::Subject(subject) => (Some(subject), None),
                    Match::Claims(rules) => {
                        let rules = rules.iter().map(|rule| (rule.claim(), rule.text().to_owned()));
                        (None, Some(rules.collect::<BTreeMap<_, _>>()))
                    }
                };
                serde_json::json!({
                    "name": jwt.name,
                    "issuer": jwt.issuer,
                    "subject": subject,
                    "claims": claims,
                })
            })
            .collect();
        serde_json::json!({
            "id": caller.id.as_str(),
            "description": caller.description,
            "tokens": tokens,
            "certificates": caller.certificates,
            "jwts": jwts,
            "workspaces": workspaces.collect::<Vec<_>>(),
            "grants_per_day": caller.budget.grants,
            "doors_per_day": caller.budget.doors,
            "suspended": caller.suspended.as_ref().map(|suspended| serde_json::json!({
                "since": suspended.since.to_string(),
                "reason": suspended.reason,
            })),
        })
    };
    callers.all().iter().map(one).collect()
}
