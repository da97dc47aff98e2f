//! `grantgate audit stats`: how many decisions, by whom, for which door, and when.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::names;
use super::plot::{Ink, bar, line};
use super::search::{csv_cell, csv_writer, door, io_error, name, printable, tell_damage, usage};
use super::source::Source;
use super::table::Table;
use crate::audit::ReadError;
use crate::audit::search::{self, By, Counts, Every, Series, Stats, StatsRequest};
use crate::catalogue::Catalogue;
use crate::cli::output::write_json;
use crate::cli::{Exit, fail, note};
use crate::database::Part;
use crate::domain::Act;
use crate::view::audit::{counted, other, sorted_rows};

/// Rows for people, unless more are asked for.
const ROWS: usize = 20;

/// The longest bar, in characters.
const BAR: u64 = 24;

/// More spans of time than this are not filled up with empty ones.
const SPANS_MAX: usize = 10_000;

#[derive(Args)]
#[command(after_help = "Example: grantgate audit stats /var/lib/grantgate/audit --since 30d \
    --by caller,entrance --every day\n\n\
    Days and weeks (from Monday) are those of UTC.\n\n\
    Exit codes: 0 done, 2 no decisions, 1 cannot be read, 4 damaged lines were met, 64 usage.")]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    source: Source,
    /// Only requests to do this: `grant` or `read`
    #[arg(long, value_name = "ACT", value_parser = PossibleValuesParser::new(Act::ALL.map(Act::as_str)))]
    act: Option<String>,
    /// From this time on: RFC 3339, a date (UTC), or how long ago (`2h`, `7d`)
    #[arg(long, value_name = "TIME", value_parser = super::time)]
    since: Option<Timestamp>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = super::time)]
    until: Option<Timestamp>,
    /// What to tell apart; several with commas between them
    #[arg(long, value_enum, value_delimiter = ',', default_value = "caller,entrance")]
    by: Vec<ByArgument>,
    /// Count over time as well
    #[arg(long, value_enum)]
    every: Option<EveryArgument>,
    /// So many rows for people; the largest ones
    #[arg(long, value_name = "N", default_value_t = ROWS)]
    rows: usize,
    /// How to print it
    #[arg(long, value_enum, default_value_t = StatsFormat::Human)]
    format: StatsFormat,
    /// The names of entrances [default: policies/entrances.csv, where there is one]
    #[arg(long, value_name = "FILE")]
    catalogue: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ByArgument {
    Caller,
    Workspace,
    Entrance,
    Reason,
    Decision,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EveryArgument {
    Hour,
    Day,
    Week,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StatsFormat {
    /// A table with bars for people.
    Human,
    /// One JSON object.
    Json,
    /// A line for each row, and for each of its spans of time.
    Csv,
}

impl ByArgument {
    fn as_by(self) -> By {
        match self {
            Self::Caller => By::Caller,
            Self::Workspace => By::Workspace,
            Self::Entrance => By::Entrance,
            Self::Reason => By::Reason,
            Self::Decision => By::Decision,
        }
    }

    fn as_str(self) -> &'static str {
        self.as_by().as_str()
    }
}

impl EveryArgument {
    fn as_every(self) -> Every {
        match self {
            Self::Hour => Every::Hour,
            Self::Day => Every::Day,
            Self::Week => Every::Week,
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    if let (Some(since), Some(until)) = (arguments.since, arguments.until)
        && since >= until
    {
        return usage(format_args!("nothing is both after `{since}` and before `{until}`"));
    }
    let catalogue = names(arguments.catalogue.as_deref());
    let request = StatsRequest {
        act: arguments.act.as_deref().and_then(Act::parse),
        since: arguments.since,
        until: arguments.until,
        by: arguments.by.iter().map(|by| by.as_by()).collect(),
        every: arguments.every.map(EveryArgument::as_every),
    };
    let logs = match arguments.source.logs(Part::Whole) {
        Ok(logs) => logs,
        Err(exit) => return exit,
    };
    let stats = match search::stats_of(logs.iter().map(|log| &log.reader), &request) {
        Ok(stats) => stats,
        Err(error) => return fail(error),
    };
    tell_damage(&stats.damaged, stats.damaged_lines, None);
    let report = Report { arguments, catalogue: &catalogue, spans: spans(&stats, &request), stats };
    let mut out = BufWriter::new(io::stdout().lock());
    let printed = match arguments.format {
        StatsFormat::Human => report.human(&mut out),
        StatsFormat::Json => {
            write_json(&mut out, &counted(&report.stats, &request, report.catalogue))
        }
        StatsFormat::Csv => report.csv(&mut out),
    };
    match printed.and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => fail(ReadError::Output(error)),
        _ if report.stats.damaged_lines > 0 => Exit::Damaged,
        _ if report.stats.all.total.all() == 0 => Exit::Different,
        _ => Exit::Done,
    }
}

/// The spans of time from the first decision to the last, also those without one.
fn spans(stats: &Stats, request: &StatsRequest) -> Vec<Timestamp> {
    let counted = &stats.all.over_time;
    let ends = (counted.keys().next(), counted.keys().next_back());
    let (Some(every), (Some(first), Some(last))) = (request.every, ends) else { return Vec::new() };
    let next = |time: &Timestamp| time.checked_add(every.length()).ok();
    let all = std::iter::successors(Some(*first), next).take_while(|time| time <= last);
    let all: Vec<Timestamp> = all.take(SPANS_MAX + 1).collect();
    if all.len() > SPANS_MAX { counted.keys().copied().collect() } else { all }
}

struct Report<'a> {
    arguments: &'a Arguments,
    catalogue: &'a Catalogue,
    stats: Stats,
    spans: Vec<Timestamp>,
}

impl Report<'_> {
    fn human(&self, out: &mut impl Write) -> io::Result<()> {
        let ink = Ink::of_locale();
        if self.stats.all.total.all() > 0 {
            self.human_spans(out, ink)?;
            self.human_rows(out, ink)?;
        }
        let Counts { allow, deny } = self.stats.all.total;
        note(format_args!("{} decisions: {allow} allowed, {deny} denied", allow + deny));
        Ok(())
    }

    fn human_spans(&self, out: &mut impl Write, ink: Ink) -> io::Result<()> {
        if self.spans.is_empty() {
            return Ok(());
        }
        let counts = |span| self.stats.all.over_time.get(span).copied().unwrap_or_default();
        let max = self.spans.iter().map(|span| counts(span).all()).max().unwrap_or(0);
        let mut table = Table::new(&mut *out, &["FROM", "ALLOW", "DENY", ""]);
        for span in &self.spans {
            let Counts { allow, deny } = counts(span);
            let plot = bar(allow + deny, max, BAR, ink);
            table.row(vec![self.when(*span), allow.to_string(), deny.to_string(), plot])?;
        }
        table.finish()?;
        writeln!(out)
    }

    /// Days need no time of day.
    fn when(&self, span: Timestamp) -> String {
        let text = span.to_string();
        let days = self.arguments.every != Some(EveryArgument::Hour);
        text.get(..10).filter(|_| days).map_or(text.clone(), str::to_owned)
    }

    fn human_rows(&self, out: &mut impl Write, ink: Ink) -> io::Result<()> {
        let by = &self.arguments.by;
        let mut header: Vec<String> = by.iter().map(|by| by.as_str().to_uppercase()).collect();
        header.extend(["ALLOW", "DENY", ""].map(str::to_owned));
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        let mut table = Table::new(&mut *out, &header);
        let rows = sorted_rows(&self.stats);
        let max = rows.first().map_or(0, |(_, series)| series.total.all());
        let rest = rows.iter().skip(self.arguments.rows);
        let (mut more, mut left) = (other(&self.stats).cloned().unwrap_or_default(), 0_u64);
        for (_, series) in rest {
            left += 1;
            more.total += series.total;
            for (span, counts) in &series.over_time {
                *more.over_time.entry(*span).or_default() += *counts;
            }
        }
        for (key, series) in rows.iter().take(self.arguments.rows) {
            let cells = by.iter().zip(*key).map(|(by, value)| match by {
                ByArgument::Entrance => door(self.catalogue, value),
                ByArgument::Caller
                | ByArgument::Workspace
                | ByArgument::Reason
                | ByArgument::Decision => {
                    if value.is_empty() {
                        "-".to_owned()
                    } else {
                        printable(value)
                    }
                }
            });
            table.row(self.with_plot(cells.collect(), series, max, ink))?;
        }
        if more.total.all() > 0 {
            let mut cells = vec![String::new(); by.len()];
            if let Some(first) = cells.first_mut() {
                let uncounted = if other(&self.stats).is_some() { " and more" } else { "" };
                *first = format!("other ({left}{uncounted})");
            }
            table.row(self.with_plot(cells, &more, max.max(more.total.all()), ink))?;
        }
        table.finish()
    }

    fn with_plot(
        &self,
        mut cells: Vec<String>,
        series: &Series,
        max: u64,
        ink: Ink,
    ) -> Vec<String> {
        let Counts { allow, deny } = series.total;
        let over_time = |span| series.over_time.get(span).map_or(0, |counts| counts.all());
        let plot = if self.spans.is_empty() {
            bar(allow + deny, max, BAR, ink)
        } else {
            line(&self.spans.iter().map(over_time).collect::<Vec<_>>(), ink)
        };
        cells.extend([allow.to_string(), deny.to_string(), plot]);
        cells
    }

    fn csv(&self, out: &mut impl Write) -> io::Result<()> {
        let mut writer = csv_writer(out);
        let timed = self.arguments.every.is_some();
        let mut header: Vec<&str> = if timed { vec!["from"] } else { vec![] };
        for by in &self.arguments.by {
            if *by == ByArgument::Entrance {
                header.extend(["entrance_id", "entrance_name"]);
            } else {
                header.push(by.as_str());
            }
        }
        header.extend(["allow", "deny"]);
        writer.write_record(&header).map_err(io_error)?;
        let mut other_cells = vec![String::new(); self.arguments.by.len()];
        if let Some(first) = other_cells.first_mut() {
            *first = "other".into();
        }
        let mut rows = sorted_rows(&self.stats);
        rows.extend(other(&self.stats).map(|series| (other_cells.as_slice(), series)));
        for (key, series) in rows {
            let mut cells = Vec::new();
            for (by, value) in self.arguments.by.iter().zip(key) {
                cells.push(csv_cell(value));
                if *by == ByArgument::Entrance {
                    cells.push(csv_cell(name(self.catalogue, value).unwrap_or_default()));
                }
            }
            let mut write = |from: Option<&Timestamp>, counts: &Counts| {
                let from = from.map(Timestamp::to_string);
                let counts = [counts.allow.to_string(), counts.deny.to_string()];
                writer.write_record(from.iter().chain(&cells).chain(&counts)).map_err(io_error)
            };
            if timed {
                series.over_time.iter().try_for_each(|(from, counts)| write(Some(from), counts))?;
            } else {
                write(None, &series.total)?;
            }
        }
        writer.flush()
    }
}
