//! What was found, as rows: a table for people, stored lines for programs, or CSV.

use std::io::{self, BufWriter, IsTerminal as _, Write};

use clap::ValueEnum;

use super::search::{csv_cell, csv_writer, door, io_error, is_unfit, printable};
use super::table::Table;
use crate::audit::Record;
use crate::audit::search::{Found, Hit};
use crate::catalogue::Catalogue;
use crate::view::audit::{CSV_COLUMNS, csv_row};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum RowFormat {
    /// A table for people.
    Human,
    /// The stored lines.
    Json,
    /// For spreadsheets.
    Csv,
}

/// Rows as they are asked for.
pub(super) struct Rows<'c> {
    to: To,
    catalogue: &'c Catalogue,
    of_several: bool,
}

enum To {
    Table(Box<Table<BufWriter<Stdout>>>),
    Lines { out: BufWriter<Stdout>, is_terminal: bool },
    Csv(Box<csv::Writer<BufWriter<Stdout>>>),
}

type Stdout = io::StdoutLock<'static>;

impl<'c> Rows<'c> {
    pub(super) fn new(format: RowFormat, catalogue: &'c Catalogue, of_several: bool) -> Self {
        let stdout = io::stdout().lock();
        let is_terminal = stdout.is_terminal();
        let out = BufWriter::new(stdout);
        let to = match format {
            RowFormat::Human if of_several => {
                let names: Vec<&str> = HUMAN.into_iter().chain(["REPLICA"]).collect();
                To::Table(Box::new(Table::new(out, &names)))
            }
            RowFormat::Human => To::Table(Box::new(Table::new(out, &HUMAN))),
            RowFormat::Json => To::Lines { out, is_terminal },
            RowFormat::Csv => To::Csv(Box::new(csv_writer(out))),
        };
        Self { to, catalogue, of_several }.with_names()
    }

    /// CSV has its names also where nothing is found.
    fn with_names(mut self) -> Self {
        if let To::Csv(writer) = &mut self.to {
            let more = self.of_several.then_some("replica");
            // What cannot be written is told with the first row, or at the end.
            let _ = writer.write_record(CSV_COLUMNS.into_iter().chain(more));
        }
        self
    }

    /// With what was found out of it later.
    pub(super) fn row(&mut self, replica: &str, hit: &Hit, later: Option<&[u8]>) -> io::Result<()> {
        let resolution = later.and_then(|line| Some(Record::parse(line)?.resolution()?.1));
        let resolution = resolution.as_deref();
        match &mut self.to {
            To::Table(table) => {
                let mut row = human(&hit.fields(), resolution, self.catalogue);
                row.extend(self.of_several.then(|| printable(replica)));
                table.row(row)
            }
            To::Lines { out, is_terminal } => {
                let lines = [Some(hit.line()), hit.outcome_line(), later];
                lines.into_iter().flatten().try_for_each(|line| stored(out, line, *is_terminal))
            }
            To::Csv(writer) => {
                let row = csv_row(&hit.fields(), resolution.unwrap_or_default(), self.catalogue);
                let more = self.of_several.then(|| csv_cell(replica));
                writer.write_record(row.into_iter().chain(more)).map_err(io_error)
            }
        }
    }

    pub(super) fn finish(self) -> io::Result<()> {
        match self.to {
            To::Table(table) => table.finish(),
            To::Lines { mut out, .. } => out.flush(),
            To::Csv(mut writer) => writer.flush(),
        }
    }
}

/// The line as it is; on a terminal, characters that JSON lets through and a terminal
/// obeys are escaped.
pub(super) fn stored(out: &mut impl Write, line: &[u8], terminal: bool) -> io::Result<()> {
    match std::str::from_utf8(line) {
        Ok(text) if terminal && text.contains(is_unfit) => {
            for c in text.chars() {
                if is_unfit(c) {
                    write!(out, "\\u{:04x}", u32::from(c))?;
                } else {
                    write!(out, "{c}")?;
                }
            }
        }
        _ => out.write_all(line)?,
    }
    out.write_all(b"\n")
}

const HUMAN: [&str; 8] =
    ["TIME", "CALLER", "ENTRANCE", "GRANTEE", "DECISION", "REASON", "OUTCOME", "REQUEST"];

fn human(found: &Found, resolution: Option<&str>, catalogue: &Catalogue) -> Vec<String> {
    let shown = |text: &str| if text.is_empty() { "-".to_owned() } else { printable(text) };
    // Of a decision this is said by the column's name.
    let decision = if found.decision.is_empty() { &found.event } else { &found.decision };
    let outcome = match found.outcome_reason.as_str() {
        reason if reason.is_empty() || reason == found.reason => shown(&found.outcome),
        reason => format!("{} ({})", shown(&found.outcome), printable(reason)),
    };
    let outcome = match (found.same_as, &found.same_as_replica) {
        (Some(seq), _) => format!("{outcome}, same as {seq}"),
        (None, Some(replica)) => format!("{outcome}, by gateway {}", printable(replica)),
        (None, None) => outcome,
    };
    let outcome = match resolution {
        Some(resolution) => format!("{outcome}, then {}", printable(resolution)),
        None => outcome,
    };
    // Nobody is to get access where entrances are read.
    let grantee = if found.grantee.is_empty() { &found.operation } else { &found.grantee };
    let entrance = match found.workspace.as_str() {
        "" => door(catalogue, &found.entrance_id),
        name => format!("{} in {}", door(catalogue, &found.entrance_id), printable(name)),
    };
    vec![
        shown(&found.time),
        shown(&found.caller),
        entrance,
        shown(grantee),
        shown(decision),
        shown(&found.reason),
        outcome,
        shown(&found.request_id),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_what_became_of_it() {
        let mut found = Found {
            time: "t\u{1b}".into(),
            event: "grant.decision".into(),
            decision: "allow".into(),
            reason: "allowed-by-rule".into(),
            outcome: "unknown".into(),
            outcome_reason: "upstream-timeout".into(),
            ..Found::default()
        };
        let row = human(&found, Some("granted"), &Catalogue::default()).join("|");
        assert_eq!(
            row,
            "t\\u{1b}|-|-|-|allow|allowed-by-rule|unknown (upstream-timeout), then granted|-"
        );
        found.same_as = Some(7);
        let row = human(&found, Some("granted"), &Catalogue::default()).join("|");
        assert!(row.contains("|unknown (upstream-timeout), same as 7, then granted|"), "{row}");
        found.decision.clear();
        assert_eq!(human(&found, None, &Catalogue::default())[4], "grant.decision");
        let mut out = Vec::new();
        stored(&mut out, "{\"a\":\"\u{9b}\"}".as_bytes(), true).unwrap();
        stored(&mut out, "{\"a\":\"\u{9b}\"}".as_bytes(), false).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "{\"a\":\"\\u009b\"}\n{\"a\":\"\u{9b}\"}\n");
    }
}
