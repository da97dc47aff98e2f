//! Reading a line as a record: the fields that are searched for, counted, replayed, shipped
//! and proven.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use memchr::memmem;
use serde::Deserialize;

use crate::audit::record::encode::FORMAT;
use crate::audit::record::event::{ALLOW, DENY, Event};
use crate::audit::record::glance::has_escapes;
use crate::audit::record::limits::SEQ_MAX;
use crate::audit::tree::{Frontier, Hash};
use crate::domain::{GranteeKind, Operation};

/// A string of a line, borrowed from it where it has no escapes.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A record that was read: made by [`Record::parse`] only. A text that it does not have is
/// none.
#[derive(Debug, Deserialize)]
pub struct Record<'a> {
    /// The format's version; lines of version 0 do not say it.
    #[serde(default)]
    v: u32,
    pub(in crate::audit) seq: u64,
    #[serde(borrow, default)]
    time: Text<'a>,
    #[serde(borrow)]
    event: Text<'a>,
    #[serde(borrow)]
    request_id: Option<Text<'a>>,
    #[serde(borrow)]
    caller: Option<Text<'a>>,
    #[serde(borrow)]
    operation: Option<Text<'a>>,
    #[serde(borrow)]
    workspace: Option<Text<'a>>,
    #[serde(borrow)]
    entrance_id: Option<Text<'a>>,
    #[serde(borrow)]
    acs_user_id: Option<Text<'a>>,
    #[serde(borrow)]
    user_identity_id: Option<Text<'a>>,
    #[serde(borrow)]
    decision: Option<Text<'a>>,
    #[serde(borrow)]
    reason: Option<Text<'a>>,
    #[serde(borrow)]
    outcome: Option<Text<'a>>,
    #[serde(borrow)]
    seam_request_id: Option<Text<'a>>,
    pub(in crate::audit) decision_seq: Option<u64>,
    /// How many strangers were refused for which reason.
    pub(in crate::audit) reasons: Option<BTreeMap<String, u64>>,
    pub(in crate::audit) open_from: Option<u64>,
    /// The whole of it.
    #[serde(skip)]
    line: &'a [u8],
}

/// What only a checkpoint has, and what is seldom asked for. Read when it is: every field
/// makes reading a record slower.
#[derive(Deserialize)]
struct Seldom {
    batch: Option<u64>,
    revision: Option<String>,
    size: Option<u64>,
    root: Option<String>,
    hashes: Option<Vec<String>>,
    checkpoint: Option<String>,
    resolution: Option<String>,
    idempotency_key: Option<String>,
    same_as: Option<u64>,
    same_as_replica: Option<String>,
    checkpoints: Option<Vec<String>>,
    candidate: Option<SaidByCandidate>,
    rules: Option<Vec<String>>,
}

/// What a policy on trial said of a request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SaidByCandidate {
    /// Its revision.
    pub revision: String,
    /// `allow`, `deny`, `failed` or `skipped`.
    pub decision: String,
}

/// What a whole line is.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it is looked at and gone; nothing keeps it")]
pub(in crate::audit) enum Parsed<'a> {
    Record(Record<'a>),
    /// A record of a version that this program does not know.
    Newer(u64),
    Nothing,
}

impl<'a> Parsed<'a> {
    pub(in crate::audit) fn of(line: &'a [u8]) -> Self {
        #[derive(Deserialize)]
        struct Version {
            v: u64,
        }
        if let Some(record) = Record::parse(line) {
            return Self::Record(record);
        }
        match serde_json::from_slice::<Version>(line) {
            Ok(Version { v }) if v > u64::from(FORMAT) => Self::Newer(v),
            _ => Self::Nothing,
        }
    }
}

/// The sequence number of a whole line, whichever version of the format it is of.
pub(in crate::audit) fn seq_of(line: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Numbered {
        seq: u64,
    }
    serde_json::from_slice::<Numbered>(line).ok().map(|numbered| numbered.seq)
}

impl<'a> Record<'a> {
    /// The record that a whole line is; none when it is no record of a known version.
    #[must_use]
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let mut record: Self = serde_json::from_slice(line).ok()?;
        record.line = line;
        (record.v <= FORMAT && (1..=SEQ_MAX).contains(&record.seq)).then_some(record)
    }

    /// Its number.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// When it was made; none where that is no time.
    #[must_use]
    pub fn time(&self) -> Option<Timestamp> {
        self.time.0.parse().ok()
    }

    /// The same as it is stored.
    pub(in crate::audit) fn time_text(&self) -> &str {
        &self.time.0
    }

    /// The code of its event, which this program may not know.
    #[must_use]
    pub fn event(&self) -> &str {
        &self.event.0
    }

    /// Its event; none for one that this program does not know.
    #[must_use]
    pub fn known_event(&self) -> Option<Event> {
        Event::of(self.event())
    }

    pub(in crate::audit) fn is(&self, event: Event) -> bool {
        self.event() == event.as_str()
    }

    /// The gateway's id of the request.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        text(&self.request_id)
    }

    /// Who asked.
    #[must_use]
    pub fn caller(&self) -> Option<&str> {
        text(&self.caller)
    }

    /// What was asked for; none where the record names an operation that this program does not
    /// know.
    pub(in crate::audit) fn operation(&self) -> Option<Operation> {
        self.operation_name().map_or(Some(Operation::GrantAccess), Operation::parse)
    }

    /// The name of what was asked for; none where it is the one that needs none.
    #[must_use]
    pub fn operation_name(&self) -> Option<&str> {
        text(&self.operation)
    }

    /// In which workspace, where workspaces have names.
    #[must_use]
    pub fn workspace(&self) -> Option<&str> {
        text(&self.workspace)
    }

    /// For which entrance.
    #[must_use]
    pub fn entrance_id(&self) -> Option<&str> {
        text(&self.entrance_id)
    }

    /// Who was to get access, in whichever form.
    pub(in crate::audit) fn grantee(&self) -> Option<&str> {
        text(&self.acs_user_id).or_else(|| text(&self.user_identity_id))
    }

    /// In which form.
    pub(in crate::audit) fn grantee_kind(&self) -> Option<GranteeKind> {
        match (&self.acs_user_id, &self.user_identity_id) {
            (Some(_), _) => Some(GranteeKind::AcsUser),
            (None, Some(_)) => Some(GranteeKind::UserIdentity),
            (None, None) => None,
        }
    }

    /// `allow` or `deny`.
    #[must_use]
    pub fn decision(&self) -> Option<&str> {
        text(&self.decision)
    }

    pub(in crate::audit) fn allows(&self) -> bool {
        self.decision() == Some(ALLOW)
    }

    /// Whether it refuses a request.
    #[must_use]
    pub fn denies(&self) -> bool {
        self.decision() == Some(DENY)
    }

    /// The reason code.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        text(&self.reason)
    }

    /// The policy that decided.
    #[must_use]
    pub fn revision(&self) -> Option<String> {
        self.seldom()?.revision
    }

    /// The rules that decided.
    #[must_use]
    pub fn rules(&self) -> Vec<String> {
        self.seldom().and_then(|seldom| seldom.rules).unwrap_or_default()
    }

    /// What a policy on trial said of it.
    #[must_use]
    pub fn candidate(&self) -> Option<SaidByCandidate> {
        self.rare(b"\"candidate\"")?.candidate
    }

    /// What became of a grant.
    #[must_use]
    pub fn outcome(&self) -> Option<&str> {
        text(&self.outcome)
    }

    /// What was found out of an unknown outcome, and of which decision.
    #[must_use]
    pub fn resolution(&self) -> Option<(u64, String)> {
        self.decision_seq.filter(|_| self.is(Event::Resolved)).zip(self.seldom()?.resolution)
    }

    /// The caller's own name for the request.
    pub(in crate::audit) fn idempotency_key(&self) -> Option<String> {
        self.rare(b"\"idempotency_key\"")?.idempotency_key
    }

    /// The decision of this log whose outcome this is too.
    pub(in crate::audit) fn same_as(&self) -> Option<u64> {
        self.rare(b"\"same_as\"")?.same_as
    }

    /// The gateway one of whose decisions has this outcome, where it is another one's.
    pub(in crate::audit) fn same_as_replica(&self) -> Option<String> {
        self.rare(b"\"same_as_replica\"")?.same_as_replica
    }

    /// Checkpoints of other logs that were seen.
    pub(in crate::audit) fn witnessed(&self) -> Vec<String> {
        let seldom = self.is(Event::Witness).then(|| self.seldom()).flatten();
        seldom.and_then(|seldom| seldom.checkpoints).unwrap_or_default()
    }

    /// Whether it is the outcome of another decision, and nothing was sent for this one.
    pub(in crate::audit) fn is_of_another(&self) -> bool {
        self.same_as().is_some() || self.same_as_replica().is_some()
    }

    /// Seam's id of the request.
    pub(in crate::audit) fn seam_request_id(&self) -> Option<&str> {
        text(&self.seam_request_id)
    }

    /// The signed text of a checkpoint.
    pub(in crate::audit) fn checkpoint(&self) -> Option<String> {
        self.seldom()?.checkpoint
    }

    /// The tree that a checkpoint describes; none where its parts do not fit together.
    pub(in crate::audit) fn tree(&self) -> Option<Frontier> {
        let Seldom { size, root, hashes, .. } = self.seldom()?;
        let hashes: Option<Vec<Hash>> =
            hashes?.iter().map(|text| Hash::from_base64(text)).collect();
        let tree = Frontier::from_nodes(size?, hashes?)?;
        (tree.root().to_base64() == root?).then_some(tree)
    }

    /// The number of the first record that was made durable together with it; none where it
    /// is that record.
    pub(in crate::audit) fn batch(&self) -> Option<u64> {
        self.seldom()?.batch
    }

    /// The same where the line may have a field of this name: most have not.
    fn rare(&self, name: &[u8]) -> Option<Seldom> {
        let may_have = memmem::find(self.line, name).is_some() || has_escapes(self.line);
        may_have.then(|| self.seldom())?
    }

    fn seldom(&self) -> Option<Seldom> {
        serde_json::from_slice(self.line).ok()
    }
}

fn text<'f>(field: &'f Option<Text<'_>>) -> Option<&'f str> {
    field.as_ref().map(|text| text.0.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_another_version_or_without_a_number_is_no_record() {
        for line in [
            r#"{"v":2,"seq":1,"event":"log.stop"}"#,
            r#"{"seq":0,"event":"log.stop"}"#,
            r#"{"seq":9007199254740992,"event":"log.stop"}"#,
            r#"{"event":"log.stop"}"#,
            r#"{"seq":1}"#,
            r#"{"seq":1,"event":"log.stop""#,
            "",
        ] {
            assert!(Record::parse(line.as_bytes()).is_none(), "{line}");
        }
        let newer = br#"{"v":2,"seq":"one"}"#;
        assert!(matches!(Parsed::of(newer), Parsed::Newer(2)));
        assert!(matches!(Parsed::of(br#"{"v":1,"seq":0}"#), Parsed::Nothing));
        let last = Record::parse(br#"{"seq":9007199254740991,"event":"log.stop"}"#).unwrap();
        assert_eq!((last.seq, last.known_event()), (SEQ_MAX, Some(Event::Stop)));
    }

    #[test]
    fn texts_are_borrowed_from_the_line_where_they_can_be() {
        let line = br#"{"seq":1,"event":"grant.decision","caller":"desk","reason":"\u0061"}"#;
        let record = Record::parse(line).unwrap();
        assert!(matches!(record.caller, Some(Text(Cow::Borrowed("desk")))));
        assert!(matches!(&record.reason, Some(Text(Cow::Owned(a))) if a == "a"));
    }
}
