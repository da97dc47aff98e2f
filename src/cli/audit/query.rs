//! `grantgate audit query`: the decisions that are searched for, with what became of them.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use clap::builder::PossibleValuesParser;
use jiff::Timestamp;

use super::rows::{RowFormat, Rows};
use super::search::{Common, reason, shown, tell_damage, usage};
use super::source::{Log, Source};
use crate::audit::search::{self, Filter, Hit, Indexes, QuerySummary, Take};
use crate::audit::{Event, PseudonymKey, ReadError};
use crate::catalogue::Catalogue;
use crate::cli::{Exit, fail, note};
use crate::database::Part;
use crate::domain::{Act, Outcome, Reason, UserIdentityId};
use crate::files::read_secret;

#[derive(Args)]
#[command(after_help = "Example: grantgate audit query /var/lib/grantgate/audit \
    --entrance \"main entrance\" --decision deny --since 7d\n\n\
    All filters must hold. A decision and its outcome are one row. The first search of a\n\
    closed segment leaves an index beside it, where it may write. With --database it is in\n\
    the logs of all gateways, by time.\n\n\
    Exit codes: 0 found, 2 nothing found, 1 cannot be read, 4 damaged lines were met, 64 usage.")]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    common: Common,
    /// Only for this person: an acs user's or a user identity's id, or a pseudonym
    #[arg(long, value_name = "ID", value_parser = grantee)]
    grantee: Option<String>,
    /// The key of the log's pseudonyms, with which --grantee finds an id in it
    #[arg(long, value_name = "FILE", requires = "grantee")]
    pseudonym_key: Option<PathBuf>,
    /// Only requests to do this: `grant` or `read`
    #[arg(long, value_name = "ACT", value_parser = PossibleValuesParser::new(Act::ALL.map(Act::as_str)))]
    act: Option<String>,
    /// Only with this reason, of the decision or of its outcome
    #[arg(long, value_name = "CODE", value_parser = reason)]
    reason: Option<Reason>,
    /// Records of this event instead of decisions; may be given more than once
    #[arg(long, value_name = "EVENT", value_parser = PossibleValuesParser::new(Event::CODES))]
    event: Vec<String>,
    /// Only what ended so
    #[arg(long, value_parser = PossibleValuesParser::new(Outcome::ALL.map(Outcome::as_str)))]
    outcome: Option<String>,
    /// From this time on: RFC 3339, a date (UTC), or how long ago (`2h`, `7d`)
    #[arg(long, value_name = "TIME", value_parser = super::time)]
    since: Option<Timestamp>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = super::time)]
    until: Option<Timestamp>,
    /// The request with this id, as in the answer's `seam-request-id`
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// The request that has this id at Seam
    #[arg(long, value_name = "ID")]
    seam_request_id: Option<String>,
    /// Requests with this key, as in the caller's `Idempotency-Key`, without quotes around it
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// The oldest N
    #[arg(long, value_name = "N", conflicts_with = "last")]
    limit: Option<usize>,
    /// The newest N
    #[arg(long, value_name = "N")]
    last: Option<usize>,
    /// `json` prints the lines of decisions and outcomes as they are stored
    #[arg(long, value_enum, default_value_t = RowFormat::Human)]
    format: RowFormat,
}

/// An id in its canonical form, or a pseudonym.
fn grantee(text: &str) -> Result<String, String> {
    if let Ok(id) = UserIdentityId::parse(text) {
        return Ok(id.to_string());
    }
    PseudonymKey::is_pseudonym(text).then(|| text.to_owned()).ok_or_else(|| {
        "must be a uuid of 36 characters with hyphens, or `hmac-sha256:` and 32 hexadecimal \
         digits"
            .into()
    })
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let catalogue = arguments.common.names();
    let filter = match filter(arguments, &catalogue) {
        Ok(filter) => filter,
        Err(exit) => return exit,
    };
    if let Some(fault) = filter.fault() {
        return usage(fault);
    }
    let take = match (arguments.limit, arguments.last) {
        (Some(most), _) => Take::First(most),
        (None, Some(most)) => Take::Last(most),
        (None, None) => Take::All,
    };
    let began = Instant::now();
    let logs = match arguments.source.logs(Part::Found(&filter, take)) {
        Ok(logs) => logs,
        Err(exit) => return exit,
    };
    let printed = match logs.as_slice() {
        [log] if !arguments.source.is_database() => {
            print(arguments, &filter, take, &catalogue, log)
        }
        logs => print_all(arguments, &filter, take, &catalogue, logs),
    };
    match printed {
        Ok(summary) => {
            tell_damage(&summary.damaged, summary.damaged_lines, summary.torn.as_ref());
            tell(&summary, began, arguments.source.is_database());
            match (summary.damaged_lines, summary.found) {
                (0, 0) => Exit::Different,
                (0, _) => Exit::Done,
                _ => Exit::Damaged,
            }
        }
        // The reader has seen enough: `audit query | head`.
        Err(ReadError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
        Err(error) => fail(error),
    }
}

fn filter(arguments: &Arguments, catalogue: &Catalogue) -> Result<Filter, Exit> {
    let mut grantees: Vec<String> = arguments.grantee.iter().cloned().collect();
    if let (Some(file), Some(id)) = (&arguments.pseudonym_key, &arguments.grantee) {
        let bytes = read_secret(file).map_err(fail)?;
        let key = PseudonymKey::new(std::str::from_utf8(&bytes).unwrap_or_default())
            .map_err(|error| usage(format_args!("`{}`: {error}", shown(file))))?;
        if !PseudonymKey::is_pseudonym(id) {
            grantees.push(key.pseudonym(id));
        }
    }
    let outcome = arguments.outcome.as_deref();
    Ok(Filter {
        caller: arguments.common.caller.clone(),
        workspace: arguments.common.workspace.clone(),
        entrance: arguments.common.entrance(catalogue)?,
        grantees,
        act: arguments.act.as_deref().and_then(Act::parse),
        allowed: arguments.common.allowed(),
        reason: arguments.reason,
        outcome: Outcome::ALL.into_iter().find(|known| Some(known.as_str()) == outcome),
        since: arguments.since,
        until: arguments.until,
        before: None,
        request_id: arguments.request_id.clone(),
        seam_request_id: arguments.seam_request_id.clone(),
        idempotency_key: arguments.idempotency_key.clone(),
        events: arguments.event.iter().filter_map(|code| Event::of(code)).collect(),
    })
}

/// Takes a hit, and the line that tells what was found out of it later.
type Each<'e> = &'e mut dyn FnMut(Hit, Option<&[u8]>) -> io::Result<()>;

/// Searches one log, and gives each hit with what was found out of it later.
fn search(
    log: &Log,
    filter: &Filter,
    take: Take,
    each: Each<'_>,
) -> Result<QuerySummary, ReadError> {
    let shows = io::stderr().is_terminal();
    let indexing = |made, of| {
        if shows {
            let _ = write!(io::stderr(), "\r{made} of {of} segments indexed\r");
        }
    };
    let known = search::resolutions(&log.reader, filter, (Indexes::Kept(&indexing), None))?;
    search::query(&log.reader, filter, take, Indexes::Kept(&indexing), &mut |hit| {
        let later = known.get(&hit.fields().sent_as()).map(Vec::as_slice);
        each(hit, later)
    })
}

/// Prints what is found in one log as it is found.
fn print(
    arguments: &Arguments,
    filter: &Filter,
    take: Take,
    catalogue: &Catalogue,
    log: &Log,
) -> Result<QuerySummary, ReadError> {
    let mut rows = Rows::new(arguments.format, catalogue, false);
    let summary = search(log, filter, take, &mut |hit, later| rows.row("", &hit, later))?;
    rows.finish().map_err(ReadError::Output)?;
    Ok(summary)
}

/// A hit of one of several logs: its time, its gateway, and what was found out of it later.
type Placed<'l> = (Option<Timestamp>, &'l str, Hit, Option<Vec<u8>>);

/// Prints what is found in several logs, by time.
fn print_all(
    arguments: &Arguments,
    filter: &Filter,
    take: Take,
    catalogue: &Catalogue,
    logs: &[Log],
) -> Result<QuerySummary, ReadError> {
    let (mut all, mut summary) = (Vec::<Placed<'_>>::new(), QuerySummary::default());
    for log in logs {
        let name = log.replica.as_deref().unwrap_or_default();
        let each = &mut |hit: Hit, later: Option<&[u8]>| {
            all.push((hit.fields().time.parse().ok(), name, hit, later.map(<[u8]>::to_vec)));
            Ok(())
        };
        match search(log, filter, take, each) {
            Ok(found) => {
                summary.damaged_lines += found.damaged_lines;
                summary.damaged.extend(found.damaged);
            }
            // Nothing of this log may be found.
            Err(ReadError::Empty(_)) => {}
            Err(error) => return Err(error),
        }
    }
    all.sort_by_key(|(time, ..)| *time);
    match take {
        Take::First(most) => all.truncate(most),
        Take::Last(most) => drop(all.drain(..all.len().saturating_sub(most))),
        Take::All => {}
    }
    summary.found = u64::try_from(all.len()).unwrap_or(u64::MAX);
    let mut rows = Rows::new(arguments.format, catalogue, true);
    for (_, name, hit, later) in &all {
        rows.row(name, hit, later.as_deref()).map_err(ReadError::Output)?;
    }
    rows.finish().map_err(ReadError::Output)?;
    Ok(summary)
}

fn tell(summary: &QuerySummary, began: Instant, is_database: bool) {
    let seconds = began.elapsed().as_secs_f64();
    if is_database {
        return note(format_args!("{} found in {seconds:.2} s in the database", summary.found));
    }
    let read = format!("{} of {} segments read", summary.segments_read, summary.segments);
    match summary.records {
        Some(records) => note(format_args!(
            "{} found among {records} records in {seconds:.2} s ({read})",
            summary.found
        )),
        None => note(format_args!(
            "{} found in {seconds:.2} s ({read}); there may be more: --limit ended the search",
            summary.found
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grantee_is_an_id_or_a_pseudonym() {
        let id = "C6247B75-F1CB-493A-9915-A85A0B9639AE";
        assert_eq!(grantee(id).unwrap(), id.to_lowercase());
        let pseudonym = "hmac-sha256:f404473fe9b5ca393be62a67128c7aca";
        assert_eq!(grantee(pseudonym).unwrap(), pseudonym);
        for wrong in ["", "anna", "hmac-sha256:", "hmac-sha256:F404473fe9b5ca393be62a67128c7aca"] {
            assert!(grantee(wrong).unwrap_err().contains("36 characters"), "{wrong}");
        }
    }
}
