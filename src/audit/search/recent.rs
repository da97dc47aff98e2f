//! The segments that may have records since a time.

use jiff::{SignedDuration, Timestamp};

use crate::audit::log::directory::LogReader;
use crate::audit::log::error::{InputError, ReadError};
use crate::audit::log::segment::Segment;

/// The clock that dates records may have been set back by so much.
const SLACK: SignedDuration = SignedDuration::from_hours(1);

/// The newest segments, back to the one that begins before a time. What files say of their own
/// times does not count: a log may have been copied.
pub(super) fn segments_since(log: &LogReader, since: Timestamp) -> Result<Vec<Segment>, ReadError> {
    let earliest = since.checked_sub(SLACK).unwrap_or(Timestamp::MIN);
    let mut found = Vec::new();
    for segment in log.list()?.into_iter().rev() {
        let begins = begin(log, &segment)?;
        found.push(segment);
        if begins.is_some_and(|begins| begins < earliest) {
            break;
        }
    }
    found.reverse();
    Ok(found)
}

/// The time of the first record; none where it has none that can be read.
fn begin(log: &LogReader, segment: &Segment) -> Result<Option<Timestamp>, InputError> {
    let Some(mut cursor) = log.read_if_there(segment)? else { return Ok(None) };
    let line = cursor.next()?;
    Ok(line.and_then(|line| line.record()?.time()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_read_back_to_the_one_that_begins_before() {
        let directory = tempfile::tempdir().unwrap();
        for (seq, text) in [
            (1, "{\"seq\":1,\"time\":\"2026-11-25T10:00:00Z\",\"event\":\"log.stop\"}\n"),
            (2, "{\"seq\":2,\"time\":\"2026-11-26T10:00:00Z\",\"event\":\"log.stop\"}\n"),
            (3, "nothing that can be read\n"),
            (4, "{\"seq\":4,\"time\":\"2026-11-28T10:00:00Z\",\"event\":\"log.stop\"}\n"),
        ] {
            std::fs::write(directory.path().join(format!("{seq:020}.jsonl")), text).unwrap();
        }
        let log = LogReader::new(directory.path());
        let since = |text: &str| {
            let found = segments_since(&log, text.parse().unwrap()).unwrap();
            found.iter().map(|segment| segment.first_seq).collect::<Vec<_>>()
        };
        assert_eq!(since("2026-11-28T12:00:00Z"), [4]);
        assert_eq!(since("2026-11-28T10:30:00Z"), [2, 3, 4], "the clock may have been set back");
        assert_eq!(since("2026-11-20T00:00:00Z"), [1, 2, 3, 4]);
    }
}
