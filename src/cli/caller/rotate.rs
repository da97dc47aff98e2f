//! `grantgate caller rotate`: a token that takes the place of old ones, which are accepted a
//! while longer.

use clap::Args;
use jiff::{SignedDuration, Timestamp};

use super::{
    FileArgument, caller_id, edit, form, generate, hand_over, note_suspension, read, today,
};
use crate::authn::callers::{NewToken, Rotation, Token, rotate};
use crate::authn::{Callers, TokenForm};
use crate::cli::{Exit, fail, note};
use crate::domain::{CallerId, parse_length, rfc3339};

#[derive(Args)]
#[command(after_help = "Example: grantgate caller rotate visitor-desk --overlap 7d")]
pub(in crate::cli) struct Arguments {
    /// The caller's id
    #[arg(value_parser = caller_id)]
    caller: CallerId,
    /// The name of the token to replace; without it all of the caller's
    #[arg(long, value_name = "NAME")]
    token: Option<String>,
    /// How long old tokens are still accepted, at most; 0 ends them at once
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = parse_length)]
    overlap: SignedDuration,
    /// The new token's name [default: today's date, with a number if that is taken]
    #[arg(long, value_name = "NAME", value_parser = caller_id)]
    name: Option<CallerId>,
    /// When the new token stops being accepted (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = rfc3339)]
    expires: Option<Timestamp>,
    /// What Seam's SDK of the service is told that the token is: `api-key` or `pat`
    /// [default: as the tokens that are replaced]
    #[arg(long, value_name = "FORM", value_parser = form)]
    form: Option<TokenForm>,
    #[command(flatten)]
    file: FileArgument,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let (caller, now) = (&arguments.caller, Timestamp::now());
    let Ok(until) = now.checked_add(arguments.overlap) else {
        return fail("--overlap is longer than time goes");
    };
    if let Some(expires) = arguments.expires.filter(|expires| *expires <= until) {
        return fail(format_args!(
            "--expires {expires}: the new token would end no later than the old ones ({until:.0})"
        ));
    }
    let form = arguments.form.map_or_else(|| form_of_old(arguments), Ok);
    let token = form.and_then(|form| Ok((form, generate(form)?)));
    let (form, token) = match token {
        Ok(token) => token,
        Err(exit) => return exit,
    };
    let (mut name, mut old, mut callers) = (String::new(), Vec::new(), None);
    let edited = edit(&arguments.file.file, |file, text| {
        old = tokens_of(file, text, caller);
        name = arguments.name.as_ref().map_or_else(|| free_name(&old), CallerId::to_string);
        let (sha256, expires) = (token.digest(), arguments.expires);
        let new = NewToken { name: &name, sha256, expires, form };
        let rotation = Rotation { new, old: arguments.token.as_deref(), until };
        let text = rotate(file, text, caller, rotation)?;
        callers = Callers::parse(file, text.as_bytes()).ok();
        Ok(text)
    });
    if let Err(exit) = edited {
        return exit;
    }
    let replaced =
        old.iter().filter(|old| arguments.token.as_ref().is_none_or(|name| old.name == *name));
    for old in replaced {
        note(fate(old, now, until));
    }
    let end = match arguments.expires {
        Some(expires) => format!("expires {expires}"),
        None => "does not expire".to_owned(),
    };
    note(format_args!(
        "caller `{caller}` has a new token `{name}`, which {end}; it is shown only now:"
    ));
    if let Err(exit) = hand_over(&token, caller, &name, &arguments.file.file) {
        return exit;
    }
    if let Some(callers) = callers {
        note_suspension(&callers, caller);
    }
    Exit::Done
}

/// The form of the tokens that are replaced: the new one takes their place.
fn form_of_old(arguments: &Arguments) -> Result<TokenForm, Exit> {
    let callers = read(&arguments.file.file)?;
    let caller = callers.all().iter().find(|caller| caller.id == arguments.caller);
    let tokens = caller.map(|caller| caller.tokens.as_slice()).unwrap_or_default();
    let is_replaced =
        |token: &&Token| arguments.token.as_ref().is_none_or(|name| token.name == *name);
    let mut forms = tokens.iter().filter(is_replaced).map(|token| token.form);
    let first = forms.next().unwrap_or(TokenForm::ApiKey);
    match forms.all(|form| form == first) {
        true => Ok(first),
        false => Err(fail(
            "the tokens to replace have different forms: say which one with --token, or --form",
        )),
    }
}

/// The tokens that a caller has before; none of a file that is refused afterwards.
fn tokens_of(file: &str, text: &str, caller: &CallerId) -> Vec<Token> {
    let callers = Callers::parse(file, text.as_bytes()).ok();
    let found = callers.as_ref().and_then(|all| all.all().iter().find(|c| c.id == *caller));
    found.map(|caller| caller.tokens.clone()).unwrap_or_default()
}

/// Today's date, with a number where that is taken.
fn free_name(taken: &[Token]) -> String {
    let today = today();
    let numbered = (2..=taken.len() + 1).map(|number| format!("{today}-{number}"));
    let mut names = std::iter::once(today.clone()).chain(numbered);
    names.find(|name| taken.iter().all(|token| token.name != *name)).unwrap_or(today)
}

/// What becomes of an old token.
fn fate(old: &Token, now: Timestamp, until: Timestamp) -> String {
    let name = &old.name;
    match old.expires {
        Some(expires) if expires <= now => format!("token `{name}` has expired, {expires}"),
        Some(expires) if expires <= until => {
            format!("token `{name}` keeps its earlier end: it expires {expires}")
        }
        Some(_) | None if until <= now => format!("token `{name}` is not accepted any more"),
        Some(_) | None => format!("token `{name}` is accepted until {until:.0}"),
    }
}
