//! Reading a log: for people and for programs. Needs no lock and changes nothing.

use std::io::Write;
use std::path::Path;

use serde_json::Value;

use crate::audit::log::error::ReadError;
use crate::audit::log::segment::{Segment, segments};
use crate::domain::{EntranceId, Problem};

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

/// What people call an entrance, where that is known.
pub type NameOf<'a> = &'a dyn Fn(EntranceId) -> Option<String>;

/// Prints every record of the log in `directory`, in order, and names the damaged
/// lines. For people, entrances have their names of today beside their ids.
///
/// # Errors
/// [`ReadError`].
pub fn show(
    directory: &Path,
    format: ShowFormat,
    name_of: NameOf<'_>,
    out: &mut impl Write,
) -> Result<ShowSummary, ReadError> {
    let found = segments(directory).map_err(|e| ReadError::Input(directory.to_owned(), e))?;
    if found.is_empty() {
        return Err(ReadError::Empty(directory.to_owned()));
    }
    let mut summary = ShowSummary::default();
    for segment in &found {
        summary.damaged.extend(summary.torn.take());
        show_segment(segment, format, name_of, out, &mut summary)?;
    }
    out.flush().map_err(ReadError::Output)?;
    Ok(summary)
}

fn show_segment(
    segment: &Segment,
    format: ShowFormat,
    name_of: NameOf<'_>,
    out: &mut impl Write,
    summary: &mut ShowSummary,
) -> Result<(), ReadError> {
    let input = |error| ReadError::Input(segment.path.clone(), error);
    let mut lines = segment.lines().map_err(input)?;
    while let Some(line) = lines.next().map_err(input)? {
        let record = line.whole.then(|| serde_json::from_slice::<Value>(line.bytes).ok());
        let Some(record) = record.flatten().filter(|record| record.get("seq").is_some()) else {
            let problem = Problem {
                file: segment.name(),
                line: Some(u32::try_from(line.number).unwrap_or(u32::MAX)),
                column: None,
                text: "not a whole record".into(),
            };
            if line.is_torn() {
                summary.torn = Some(problem);
            } else {
                summary.damaged.push(problem);
            }
            continue;
        };
        summary.records += 1;
        match format {
            ShowFormat::Json => out.write_all(line.bytes).and_then(|()| out.write_all(b"\n")),
            ShowFormat::Human => writeln!(out, "{}", columns(&record, name_of)),
        }
        .map_err(ReadError::Output)?;
    }
    Ok(())
}

/// One line for people. Control characters are shown, not obeyed.
pub(in crate::audit) fn columns(record: &Value, name_of: NameOf<'_>) -> String {
    let shown = Shown(record);
    let rest = match shown.text("event").as_str() {
        "grant.decision" => shown.decision(name_of),
        "grant.outcome" => shown.outcome(),
        "authn.failure" => shown.stranger(),
        "authn.suppressed" => shown.suppressed(),
        "config.reload" => shown.reload(),
        "log.start" => shown.start(),
        "log.recovery" => shown.recovery(),
        "log.checkpoint" => shown.checkpoint(),
        "log.outage" => shown.outage(),
        "log.stop" => "stop".to_owned(),
        other => other.to_owned(),
    };
    format!("{:>6}  {}  {rest}", shown.text("seq"), shown.text("time"))
}

/// A record as people see it.
struct Shown<'a>(&'a Value);

impl Shown<'_> {
    /// The text of a field; empty where there is none.
    fn text(&self, key: &str) -> String {
        match self.0.get(key) {
            Some(Value::String(text)) => text.chars().flat_map(visible).collect::<String>(),
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        }
    }

    /// The text of a field with a word before it; nothing where there is none.
    fn with(&self, word: &str, key: &str) -> String {
        match self.text(key) {
            text if text.is_empty() => text,
            text => format!("  {word} {text}"),
        }
    }

    fn decision(&self, name_of: NameOf<'_>) -> String {
        let (user, identity) = (self.text("acs_user_id"), self.text("user_identity_id"));
        let grantee = match (user.is_empty(), identity.is_empty()) {
            (false, _) => format!("acs user {user}"),
            (true, false) => format!("user identity {identity}"),
            (true, true) => "-".to_owned(),
        };
        let entrance = match self.text("entrance_id") {
            id if id.is_empty() => "-".to_owned(),
            id => match EntranceId::parse(&id).ok().and_then(name_of) {
                None => id,
                Some(name) => {
                    format!("{id} ({})", name.chars().flat_map(visible).collect::<String>())
                }
            },
        };
        let (decision, caller) = (self.text("decision"), self.text("caller"));
        let (reason, rules) = (self.text("reason"), listed(self.0, "rules"));
        format!("{decision:<8}  {caller}  entrance {entrance}  {grantee}  {reason}{rules}")
    }

    fn outcome(&self) -> String {
        let (outcome, of) = (self.text("outcome"), self.text("decision_seq"));
        let (reason, status) = (self.text("reason"), self.with("status", "status"));
        format!("{outcome:<8}  of {of}  {reason}{status}")
    }

    fn stranger(&self) -> String {
        let (reason, peer) = (self.text("reason"), self.text("peer"));
        format!("refused   stranger  {reason}  from {peer}{}", certificate(self.0))
    }

    fn suppressed(&self) -> String {
        let (count, since) = (self.text("suppressed"), self.text("since"));
        format!("refused   {count} strangers more since {since}  {}", self.text("reasons"))
    }

    fn reload(&self) -> String {
        let (parts, problems) = (listed(self.0, "parts"), listed(self.0, "problems"));
        let (result, revision) = (self.text("result"), self.text("revision"));
        format!("reload    {result}{parts}  revision {revision}{problems}")
    }

    /// Version 0 said in it what a record of its own says now.
    fn start(&self) -> String {
        let (version, revision) = (self.text("version"), self.text("revision"));
        let closed = self.with("closed decisions", "closed_decisions");
        format!("start     version {version}  revision {revision}{closed}")
    }

    fn recovery(&self) -> String {
        let (closed, cut) = (self.text("closed_decisions"), self.text("cut_bytes"));
        let kept = match cut.as_str() {
            "" => String::new(),
            cut => format!("  {cut} torn bytes kept in {}", self.text("cut_kept_in")),
        };
        format!("recovery  closed decisions {closed}{kept}")
    }

    fn checkpoint(&self) -> String {
        let (size, root) = (self.text("size"), self.text("root"));
        let signed = if self.0.get("checkpoint").is_some() { "signed" } else { "not signed" };
        format!("checkpoint of {size} records  {root}  {signed}")
    }

    fn outage(&self) -> String {
        let (since, refused) = (self.text("since"), self.text("refused_decisions"));
        format!("outage    since {since}  refused decisions {refused}  {}", self.text("cause"))
    }
}

/// The certificate by which a stranger was not believed.
fn certificate(record: &Value) -> String {
    let Some(certificate) = record.get("certificate") else { return String::new() };
    let part = |key: &str| {
        let text = certificate.get(key).and_then(Value::as_str)?;
        Some(format!("  {key} {}", text.chars().flat_map(visible).collect::<String>()))
    };
    let parts = ["fault", "serial", "issuer"].map(|key| part(key).unwrap_or_default());
    format!("{}{}", parts.concat(), listed(certificate, "names"))
}

/// The texts of a list, each after two spaces.
fn listed(record: &Value, key: &str) -> String {
    let texts = record.get(key).and_then(Value::as_array).into_iter().flatten();
    let shown = texts.filter_map(Value::as_str).flat_map(|text| "  ".chars().chain(text.chars()));
    shown.flat_map(visible).collect()
}

fn visible(c: char) -> impl Iterator<Item = char> {
    let escaped = if c.is_control() { Some(c.escape_default()) } else { None };
    let plain = escaped.is_none().then_some(c);
    escaped.into_iter().flatten().chain(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_of_a_record_do_not_reach_the_terminal() {
        let record = serde_json::json!({
            "seq": 1, "event": "grant.decision", "caller": "a\u{1b}[2J\n", "rules": ["x\u{7}:1"],
            "entrance_id": "d23d7180-c1ee-4bbe-8630-05df5031ce35",
        });
        let line = columns(&record, &|_| Some("\u{1b}".into()));
        assert!(!line.chars().any(char::is_control), "{line:?}");
        assert!(line.contains(r"a\u{1b}[2J\n"), "{line}");
    }

    #[test]
    fn a_damaged_line_is_named_and_the_others_are_shown() {
        let directory = tempfile::tempdir().unwrap();
        let text =
            "{\"seq\":1,\"event\":\"log.stop\"}\nxx\n{\"seq\":2,\"event\":\"log.stop\"}\n{\"se";
        std::fs::write(directory.path().join("00000000000000000001.jsonl"), text).unwrap();
        let mut out = Vec::new();
        let summary = show(directory.path(), ShowFormat::Json, &|_| None, &mut out).unwrap();
        assert_eq!(summary.records, 2);
        let lines: Vec<_> = summary.damaged.iter().filter_map(|p| p.line).collect();
        assert_eq!(lines, [2]);
        assert_eq!(summary.torn.and_then(|p| p.line), Some(4), "still being written");
        assert_eq!(String::from_utf8(out).unwrap().lines().count(), 2);
        let empty = tempfile::tempdir().unwrap();
        let error = show(empty.path(), ShowFormat::Json, &|_| None, &mut Vec::new());
        assert!(matches!(error, Err(ReadError::Empty(_))));
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(directory.path().join("00000000000000000001.jsonl"), bytes).unwrap();
            let _ = show(directory.path(), ShowFormat::Human, &|_| None, &mut Vec::new());
        }
    }
}
