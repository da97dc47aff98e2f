//! Reading a log: for people and for programs. Needs no lock and changes nothing.

use std::io::Write;

use crate::audit::log::directory::LogReader;
use crate::audit::log::error::ReadError;
use crate::audit::record::columns::{NameOf, for_people, is_numbered};
use crate::domain::Problem;

/// How records are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShowFormat {
    /// A line of columns per record.
    Human,
    /// The stored lines as they are.
    Json,
}

/// What was printed.
#[derive(Debug, Default)]
pub struct ShowSummary {
    /// Whole records.
    pub records: u64,
    /// Lines that are no records.
    pub damaged: Vec<Problem>,
    /// The last line of all, when it has no end: a gateway is writing it, or was killed
    /// while it did. The next start mends it.
    pub torn: Option<Problem>,
}

/// Prints every record of the log, in order, and names the damaged lines. For people,
/// entrances have their names of today beside their ids.
///
/// # Errors
/// [`ReadError`].
pub fn show(
    log: &LogReader,
    format: ShowFormat,
    name_of: NameOf<'_>,
    out: &mut impl Write,
) -> Result<ShowSummary, ReadError> {
    let mut summary = ShowSummary::default();
    let mut walk = log.walk(log.segments()?);
    while let Some(line) = walk.next()? {
        let shown = line.whole().and_then(|bytes| match format {
            ShowFormat::Json => is_numbered(bytes).then_some(Shown::Stored(bytes)),
            ShowFormat::Human => for_people(bytes, name_of).map(Shown::Columns),
        });
        let printed = match shown {
            Some(Shown::Stored(bytes)) => out.write_all(bytes).and_then(|()| out.write_all(b"\n")),
            Some(Shown::Columns(text)) => writeln!(out, "{text}"),
            None if line.is_torn() => {
                summary.torn = Some(line.problem());
                continue;
            }
            None => {
                summary.damaged.push(line.problem());
                continue;
            }
        };
        printed.map_err(ReadError::Output)?;
        summary.records += 1;
    }
    out.flush().map_err(ReadError::Output)?;
    Ok(summary)
}

/// A record, ready to be printed.
enum Shown<'a> {
    Stored(&'a [u8]),
    Columns(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_line_is_named_and_the_others_are_shown() {
        let directory = tempfile::tempdir().unwrap();
        let text =
            "{\"seq\":1,\"event\":\"log.stop\"}\nxx\n{\"seq\":2,\"event\":\"log.stop\"}\n{\"se";
        std::fs::write(directory.path().join("00000000000000000001.jsonl"), text).unwrap();
        let mut out = Vec::new();
        let summary =
            show(&LogReader::new(directory.path()), ShowFormat::Json, &|_| None, &mut out).unwrap();
        assert_eq!(summary.records, 2);
        let lines: Vec<_> = summary.damaged.iter().filter_map(|p| p.line).collect();
        assert_eq!(lines, [2]);
        assert_eq!(summary.torn.and_then(|p| p.line), Some(4), "still being written");
        assert_eq!(String::from_utf8(out).unwrap().lines().count(), 2);
        let empty = tempfile::tempdir().unwrap();
        let error =
            show(&LogReader::new(empty.path()), ShowFormat::Json, &|_| None, &mut Vec::new());
        assert!(matches!(error, Err(ReadError::Empty(_))));
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(directory.path().join("00000000000000000001.jsonl"), bytes).unwrap();
            let _ = show(&LogReader::new(directory.path()), ShowFormat::Human, &|_| None, &mut Vec::new());
        }
    }
}
