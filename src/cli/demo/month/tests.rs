use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::entry::{Entry, What};
use super::plan;
use crate::cli::demo::CALLER;
use crate::cli::init;
use crate::config::{self, Environment};
use crate::domain::{Grantee, Outcome, RequestId};
use crate::policy::Policy;
use crate::sandbox::Fixtures;
use crate::snapshot::{self, Files};

/// That of a demo.
fn policy(directory: &Path) -> Arc<Policy> {
    init::write(directory, &init::files(true).unwrap()).unwrap();
    let file = directory.join("grantgate.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let settings = config::load(&file, &text, &Environment::new()).unwrap();
    snapshot::load(&settings, Arc::new(Files)).ok().unwrap().snapshot.policy
}

fn requests(entries: &[Entry]) -> BTreeMap<RequestId, Vec<&Entry>> {
    let mut requests: BTreeMap<RequestId, Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        if let Some(id) = entry.request_id() {
            requests.entry(id).or_default().push(entry);
        }
    }
    requests
}

/// Whether it is what the demo prints to paste.
fn is_printed(grantee: Option<Grantee>) -> bool {
    let Some(Grantee::UserIdentity(id)) = grantee else { return false };
    Fixtures::user_identities().iter().any(|person| person.id == id.to_string())
}

#[test]
fn whatever_day_it_is_a_month_has_everything_once_and_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let policy = policy(directory.path());
    let monday: Timestamp = "2026-11-30T00:01:00Z".parse().unwrap();
    // Every day of the week, at another hour.
    for hours in (0..7).map(|day| day * 27) {
        let until = monday + SignedDuration::from_hours(hours);
        let entries = plan::entries(&policy, until).unwrap();
        assert!(entries.is_sorted_by_key(|entry| entry.at), "{until}");
        let (first, last) = (entries.first().unwrap().at, entries.last().unwrap().at);
        assert!(plan::beginning(until) < first && last < until, "{until}: {first} to {last}");
        assert!(last.duration_since(first) > SignedDuration::from_hours(28 * 24), "{until}");

        let requests = requests(&entries);
        assert!((1_500..4_000).contains(&requests.len()), "{until}: {}", requests.len());
        let (mut outcomes, mut reasons) = (BTreeSet::new(), BTreeSet::new());
        for (id, entries) in requests {
            let (What::Decided(asked), later) = (&entries[0].what, &entries[1..]) else {
                panic!("{id} begins with something else");
            };
            assert!(!(asked.caller.as_str() == CALLER && is_printed(asked.grantee)), "{id}");
            reasons.insert(asked.reason.as_str());
            let outcome = match later.first().map(|entry| &entry.what) {
                Some(What::Answered { answer, .. }) => Some(answer.outcome),
                _ => None,
            };
            assert_eq!(outcome.is_some(), asked.reason.permits(), "{id}");
            let is_unknown = outcome == Some(Outcome::Unknown);
            assert_eq!(later.len(), usize::from(outcome.is_some()) + usize::from(is_unknown));
            let age = until.duration_since(asked.at);
            assert!(!is_unknown || age > SignedDuration::from_hours(48), "{id}: {age}");
            outcomes.extend(outcome.map(Outcome::as_str));
        }
        assert_eq!(outcomes, BTreeSet::from(["granted", "not-sent", "rejected", "unknown"]));
        let denied =
            ["denied-by-rule", "no-rule-matches", "caller-outside-policy", "grantee-missing"];
        assert!(denied.iter().all(|reason| reasons.contains(reason)), "{until}: {reasons:?}");
    }
}

#[test]
fn the_same_month_is_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let policy = policy(directory.path());
    let until: Timestamp = "2026-11-30T15:00:00Z".parse().unwrap();
    let ids = || -> Vec<_> {
        let entries = plan::entries(&policy, until).unwrap();
        entries.iter().map(|entry| (entry.at, entry.request_id())).collect()
    };
    assert_eq!(ids(), ids());
}
