//! A record as people see it: one line of columns.

use serde_json::Value;

use crate::audit::record::event::Event;
use crate::audit::tree::checkpoint::Checkpoint;
use crate::domain::EntranceId;

/// What people call an entrance, where that is known.
pub(in crate::audit) type NameOf<'a> = &'a dyn Fn(EntranceId) -> Option<String>;

/// One line for people, of whatever has a sequence number; none where nothing has. Control
/// characters are shown, not obeyed.
#[must_use]
pub fn for_people(line: &[u8], name_of: NameOf<'_>) -> Option<String> {
    Some(columns(&numbered(line)?, name_of))
}

/// Whether a line has a sequence number, whatever else it is: of a newer version, perhaps.
pub(in crate::audit) fn is_numbered(line: &[u8]) -> bool {
    numbered(line).is_some()
}

fn numbered(line: &[u8]) -> Option<Value> {
    serde_json::from_slice::<Value>(line).ok().filter(|record| record.get("seq").is_some())
}

fn columns(record: &Value, name_of: NameOf<'_>) -> String {
    let shown = Shown(record);
    let event = shown.text("event");
    let rest = match Event::of(&event) {
        Some(Event::Decision) => shown.decision(name_of),
        Some(Event::Outcome) => shown.outcome(),
        Some(Event::Resolved) => shown.resolved(),
        Some(Event::Stranger) => shown.stranger(),
        Some(Event::Suppressed) => shown.suppressed(),
        Some(Event::Reload) => shown.reload(),
        Some(Event::Order) => shown.order(),
        Some(Event::Start) => shown.start(),
        Some(Event::Recovery) => shown.recovery(),
        Some(Event::Checkpoint) => shown.checkpoint(),
        Some(Event::Witness) => shown.witness(),
        Some(Event::Outage) => shown.outage(),
        Some(Event::Stop) => "stop".to_owned(),
        None => event,
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
        let grantee = match (user.is_empty(), identity.is_empty(), self.text("operation")) {
            (false, ..) => format!("acs user {user}"),
            (true, false, _) => format!("user identity {identity}"),
            // Nobody is to get access where entrances are read.
            (true, true, operation) if operation.is_empty() => "-".to_owned(),
            (true, true, operation) => operation,
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
        let workspace = self.with("in workspace", "workspace");
        let key = self.with("key", "idempotency_key");
        format!(
            "{decision:<8}  {caller}  entrance {entrance}{workspace}  {grantee}  {reason}{rules}{key}"
        )
    }

    fn outcome(&self) -> String {
        let (outcome, of) = (self.text("outcome"), self.text("decision_seq"));
        let (reason, status) = (self.text("reason"), self.with("status", "status"));
        let entrances = self.with("entrances", "entrances");
        let same_as = self.with("same as", "same_as");
        let replica = self.with("by gateway", "same_as_replica");
        let seq = self.with("its decision", "same_as_replica_seq");
        format!("{outcome:<8}  of {of}  {reason}{status}{entrances}{same_as}{replica}{seq}")
    }

    fn resolved(&self) -> String {
        let (resolution, of) = (self.text("resolution"), self.text("decision_seq"));
        let (reason, status) = (self.with("", "reason"), self.with("status", "status"));
        format!("resolved  of {of}  {resolution}{reason}{status}")
    }

    fn stranger(&self) -> String {
        let (reason, peer) = (self.text("reason"), self.text("peer"));
        let who = match self.text("caller") {
            caller if caller.is_empty() => "stranger".to_owned(),
            caller => caller,
        };
        format!("refused   {who}  {reason}  from {peer}{}", certificate(self.0))
    }

    fn order(&self) -> String {
        let (order, change, kind) = (self.text("order"), self.text("change"), self.text("kind"));
        let about = [
            ("caller", "caller"),
            ("zone", "zone"),
            ("workspace", "workspace"),
            ("entrance", "entrance_id"),
        ];
        let about: String = about.map(|(word, key)| self.with(word, key)).concat();
        let about = if about.is_empty() { "  everything".to_owned() } else { about };
        let (until, by, why) =
            (self.with("until", "until"), self.with("by", "by"), self.with("because", "why"));
        format!("{kind} {change}  order {order}{about}{until}{by}{why}")
    }

    fn suppressed(&self) -> String {
        let (count, since) = (self.text("suppressed"), self.text("since"));
        format!("refused   {count} strangers more since {since}  {}", self.text("reasons"))
    }

    fn reload(&self) -> String {
        let (parts, problems) = (listed(self.0, "parts"), listed(self.0, "problems"));
        let (result, revision) = (self.text("result"), self.text("revision"));
        let (bundle, signers) = (self.with("bundle", "bundle"), listed(self.0, "signers"));
        let by = if signers.is_empty() { "" } else { "  signed by" };
        format!("reload    {result}{parts}  revision {revision}{bundle}{by}{signers}{problems}")
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

    fn witness(&self) -> String {
        let all = self.0.get("checkpoints").and_then(Value::as_array);
        let of = all.into_iter().flatten().filter_map(Value::as_str);
        let named = of.filter_map(Checkpoint::unverified).map(|kept| {
            let origin: String = kept.origin.chars().flat_map(visible).collect();
            format!("{origin} ({} records)", kept.size)
        });
        format!("witness   {}", named.collect::<Vec<_>>().join(", "))
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
}
