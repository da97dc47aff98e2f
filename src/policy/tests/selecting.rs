//! Lists: to which entrances a request is narrowed.

use super::deciding::{ENTRANCES, WORKSPACES, moment_of, small, workspace};
use super::*;
use crate::domain::{Act, GranteeKind, Objects};
use crate::policy::select::{Asking, Selection};
use proptest::prelude::*;

fn asking<'a>(caller: &'a CallerId, hour: u32) -> Asking<'a> {
    let moment = moment_of(Act::Read, (hour, GranteeKind::AcsUser));
    Asking { caller, act: Act::Read, workspace: None, moment }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, ..ProptestConfig::default() })]

    /// What a list is narrowed to is what may be read, no more and no less; where it is not
    /// narrowed, an entrance that no rule names may be read too; where it is denied, nothing
    /// may be read.
    #[test]
    fn a_list_is_narrowed_to_what_may_be_read(
        small in small(), hour in 8..14_u32, around in proptest::sample::select(&WORKSPACES[..])
    ) {
        let within = workspace(around);
        let policy = Policy::load(&source(MODEL, &small.text()), &callers(&TEAM), NOW).unwrap().policy;
        let doors: Vec<EntranceId> = ENTRANCES.iter().map(|id| EntranceId::parse(id).unwrap()).collect();
        for (caller, id) in TEAM.map(|id| CallerId::parse(id).unwrap()).iter().enumerate() {
            let when = (hour, GranteeKind::AcsUser);
            let may = |door| caller < 3 && small.allows(caller, Act::Read, (door, around), when);
            let mut readable: Vec<EntranceId> =
                doors.iter().zip(0..).filter(|(_, n)| may(Some(*n))).map(|(door, _)| *door).collect();
            readable.sort_unstable();

            let sorted = |selection: &Selection| {
                let mut found = selection.narrowed.clone();
                found.iter_mut().for_each(|ids| ids.sort_unstable());
                found
            };
            let asking = Asking { workspace: within.as_ref(), ..asking(id, hour) };
            let of_all = policy.select(asking, Objects::All, None);
            match (of_all.evaluation.is_allowed(), sorted(&of_all)) {
                (true, Some(narrowed)) => prop_assert_eq!(narrowed, readable.clone(), "{}", small.text()),
                (true, None) => prop_assert!(may(None), "{}", small.text()),
                (false, narrowed) => {
                    prop_assert!(readable.is_empty() && !may(None) && narrowed.is_none(), "{}", small.text());
                }
            }
            let of_these = policy.select(asking, Objects::Some(&doors), None);
            prop_assert_eq!(of_these.evaluation.is_allowed(), !readable.is_empty());
            prop_assert_eq!(sorted(&of_these), (!readable.is_empty()).then_some(readable));
            prop_assert_eq!(of_these.evaluation.is_allowed(), of_these.evaluation.reason == Reason::AllowedByRule);
        }
    }
}

#[test]
fn a_long_list_is_not_narrowed_and_a_closed_one_is_denied() {
    let door = |n: u32| format!("entrance:00000000-0000-4000-8000-{n:012}");
    let rules = |count: u32| -> String {
        let links: String = (0..count).map(|n| format!("g2, {}, zone:all\n", door(n))).collect();
        format!(
            "p, role:r, zone:all, read, allow, hours Etc/UTC 10:00-12:00\n\
             g, caller:facilities, role:r\n{links}"
        )
    };
    let caller = CallerId::parse("facilities").unwrap();
    let select = |count, hour| {
        let policy = Policy::load(&source(MODEL, &rules(count)), &callers(&TEAM), NOW).unwrap();
        policy.policy.select(asking(&caller, hour), Objects::All, None)
    };
    let found = select(500, 10);
    assert_eq!(found.narrowed.map(|ids| ids.len()), Some(500));
    assert_eq!(found.evaluation.rules.len(), 1);
    let found = select(501, 10);
    assert!(found.evaluation.is_allowed() && found.narrowed.is_none());
    assert_eq!(found.evaluation.rules[0].to_string(), "policy.csv:1");
    assert_eq!(select(501, 13).evaluation.reason, Reason::ConditionNotMet);
    // However many doors there are, a deny of all of them is one.
    let denied = |count| {
        let rules = rules(count) + "p, caller:facilities, *, read, deny\n";
        let policy = Policy::load(&source(MODEL, &rules), &callers(&TEAM), NOW).unwrap();
        policy.policy.select(asking(&caller, 10), Objects::All, None).evaluation.reason
    };
    assert_eq!((denied(500), denied(501)), (Reason::DeniedByRule, Reason::DeniedByRule));
}

/// Nothing is concluded from rules that were not looked at.
#[test]
fn a_caller_with_very_many_rules_is_not_denied_for_the_first_of_them() {
    let rule = |n: u32| {
        format!("p, caller:facilities, entrance:00000000-0000-4000-8000-{n:012}, read, deny\n")
    };
    let denies: String = (0..10_001).map(rule).collect();
    let rules = format!(
        "{denies}p, role:r, entrance:{}, read, allow\ng, caller:facilities, role:r\n",
        ENTRANCES[0]
    );
    let policy = Policy::load(&source(MODEL, &rules), &callers(&TEAM), NOW).unwrap().policy;
    let caller = CallerId::parse("facilities").unwrap();
    let found = policy.select(asking(&caller, 10), Objects::All, None);
    assert!(found.evaluation.is_allowed() && found.narrowed.is_none());
}

/// A record must stay a line that can be read, whatever the path of the policy is.
#[test]
fn a_list_names_no_more_rules_than_a_record_has_room_for() {
    let door = |n: u32| format!("entrance:00000000-0000-4000-8000-{n:012}");
    let rule = |n: u32| format!("p, caller:facilities, {}, read, allow\n", door(n));
    let rules: String = (0..100).map(rule).collect();
    let mut source = source(MODEL, &rules);
    source.rules.name = format!("/{}", "long/".repeat(300));
    let policy = Policy::load(&source, &callers(&TEAM), NOW).unwrap().policy;
    let caller = CallerId::parse("facilities").unwrap();
    let found = policy.select(asking(&caller, 10), Objects::All, None);
    assert_eq!(found.narrowed.unwrap().len(), 100);
    let bytes: usize = found.evaluation.rules.iter().map(|rule| rule.to_string().len()).sum();
    assert!(bytes <= NAMES_BYTES_MAX, "{bytes}");
}
