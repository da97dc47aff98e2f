//! A record as a row of a table: what is searched for, beside its line.

use jiff::Timestamp;
use uuid::Uuid;

use crate::audit::record::event::Event;
use crate::audit::record::parse::Record;

/// The line of a record, and what is searched for of it. Each is the field of the audit format
/// of that name; `entrance` and `grantee` are what its `entrance_id`, and either of its users' ids,
/// are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "said above")]
pub struct Row {
    pub seq: u64,
    pub time: Timestamp,
    pub event: String,
    pub request_id: Option<String>,
    pub caller: Option<String>,
    pub workspace: Option<String>,
    pub entrance: Option<Uuid>,
    pub grantee: Option<String>,
    pub decision: Option<String>,
    pub reason: Option<String>,
    pub outcome: Option<String>,
    pub decision_seq: Option<u64>,
    pub seam_request_id: Option<String>,
    pub idempotency_key: Option<String>,
    pub line: String,
}

impl Row {
    /// Of this line; none where it is no record.
    #[must_use]
    pub fn of(line: &[u8]) -> Option<Self> {
        let record = Record::parse(line)?;
        // A table has no place for a text with a zero in it; the line has it escaped.
        let owned =
            |text: Option<&str>| text.filter(|text| !text.contains('\0')).map(str::to_owned);
        Some(Self {
            seq: record.seq,
            time: record.time()?,
            event: owned(Some(record.event()))?,
            request_id: owned(record.request_id()),
            caller: owned(record.caller()),
            workspace: owned(record.workspace()),
            entrance: record.entrance_id().and_then(|id| Uuid::try_parse(id).ok()),
            grantee: owned(record.grantee()),
            decision: owned(record.decision()),
            reason: owned(record.reason()),
            outcome: owned(record.outcome()),
            decision_seq: record.decision_seq,
            seam_request_id: owned(record.seam_request_id()),
            idempotency_key: owned(record.idempotency_key().as_deref()),
            line: std::str::from_utf8(line).ok()?.to_owned(),
        })
    }

    /// The number of records, and the signed text, of a signed checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> Option<(u64, String)> {
        if self.event != Event::Checkpoint.as_str() {
            return None;
        }
        let record = Record::parse(self.line.as_bytes())?;
        let note = record.checkpoint()?;
        Some((record.tree()?.size(), note))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_what_its_line_says() {
        let golden = include_bytes!("../../../tests/golden/audit/records-v1.jsonl");
        let lines = golden.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let rows: Vec<Row> = lines.clone().map(|line| Row::of(line).unwrap()).collect();
        assert!(rows.iter().zip(lines).all(|(row, line)| row.line.as_bytes() == line));
        assert!(rows.iter().any(|row| row.idempotency_key.is_some()));
        assert!(rows.iter().any(|row| row.workspace.is_some()));
        assert!(rows.iter().any(|row| row.outcome.is_some() && row.decision_seq == Some(1)));
        let line = br#"{"v":1,"seq":1,"time":"2026-11-28T10:00:00Z","event":"grant.decision","caller":"a\u0000b"}"#;
        let row = Row::of(line).unwrap();
        assert_eq!((row.caller.as_deref(), row.line.contains("\\u0000")), (None, true));
        assert!(Row::of(b"{}").is_none());
    }
}
