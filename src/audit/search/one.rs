//! One record, by its number.

use crate::audit::log::directory::LogReader;
use crate::audit::log::error::ReadError;
use crate::audit::record::parse::seq_of;

/// The line of this record, as it is stored; none where the log does not have it.
///
/// # Errors
/// [`ReadError`]
pub fn record(log: &LogReader, seq: u64) -> Result<Option<Vec<u8>>, ReadError> {
    let segments = log.segments()?;
    let of = segments.iter().rposition(|segment| segment.first_seq <= seq);
    // What is not where it should be was moved: looked for in no other place.
    let Some(segment) = of.and_then(|place| segments.get(place)) else { return Ok(None) };
    let mut cursor = log.read(segment)?;
    while let Some(line) = cursor.next()? {
        let number = line.whole().and_then(seq_of);
        if number == Some(seq) {
            return Ok(Some(line.bytes.to_vec()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_found_in_its_segment() {
        let directory = tempfile::tempdir().unwrap();
        let line = |seq: u64| format!("{{\"v\":1,\"seq\":{seq},\"event\":\"log.stop\"}}");
        let segment = |first: u64| directory.path().join(format!("{first:020}.jsonl"));
        std::fs::write(segment(1), format!("{}\n{}\n", line(1), line(2))).unwrap();
        std::fs::write(segment(3), format!("{}\nnonsense\n{}\n{{\"seq\":6", line(3), line(5)))
            .unwrap();
        let log = LogReader::new(directory.path());
        for seq in [1, 2, 3, 5] {
            assert_eq!(record(&log, seq).unwrap(), Some(line(seq).into_bytes()), "{seq}");
        }
        for seq in [4, 6, 7] {
            assert_eq!(record(&log, seq).unwrap(), None, "{seq}");
        }
    }
}
