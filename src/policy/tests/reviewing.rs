use std::collections::BTreeMap;

use super::deciding::{ENTRANCES, Small, Spot, WORKSPACES, small, workspace};
use super::*;
use crate::domain::{Act, GranteeKind};
use crate::policy::review::{
    Access, Change, Effect, InWorkspace, Span, access_of, diff, doors, explain, who,
};
use proptest::prelude::*;

/// One day: every condition of these tests is the same each day.
pub(super) fn day() -> Span {
    let time = |text: &str| text.parse().unwrap();
    Span { from: time("2026-11-25T00:00:00Z"), until: time("2026-11-26T00:00:00Z") }
}

pub(super) fn load(small: &Small) -> Policy {
    Policy::load(&source(MODEL, &small.text()), &callers(&TEAM), NOW).unwrap().policy
}

fn about<'a>(
    caller: &'a CallerId,
    act: Act,
    entrance: EntranceId,
    workspace: Option<&'a WorkspaceName>,
) -> Question<'a> {
    let moment = Moment { at: NOW, grantee: None };
    Question { caller, act, entrance, workspace, moment }
}

/// The hours in which it is allowed, in one form of grantee and the other.
pub(super) fn hours(small: &Small, caller: usize, act: Act, spot: Spot) -> [Vec<bool>; 2] {
    GranteeKind::ALL.map(|kind| {
        (0..24).map(|hour| caller < 3 && small.allows(caller, act, spot, (hour, kind))).collect()
    })
}

fn expected(old: &[Vec<bool>; 2], new: &[Vec<bool>; 2]) -> Option<Effect> {
    let any = |hours: &[Vec<bool>; 2]| hours.iter().flatten().any(|allowed| *allowed);
    let mut pairs = old.iter().flatten().zip(new.iter().flatten());
    if old == new {
        None
    } else if !any(old) {
        Some(Effect::Gains)
    } else if !any(new) {
        Some(Effect::Loses)
    } else if pairs.any(|(old, new)| *new && !*old) {
        Some(Effect::Widens)
    } else {
        Some(Effect::Narrows)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// Every caller, every entrance and one that no policy names, at every hour, in both
    /// forms, under two policies: each difference is reported once, as what it is, and
    /// nothing else is.
    #[test]
    fn a_diff_is_exact(
        old in small(), new in small(), around in proptest::sample::select(&WORKSPACES[..])
    ) {
        let found = diff(&load(&old), &load(&new), day());
        let mut reported = BTreeMap::new();
        let is_named = |name: &WorkspaceName| {
            [&old, &new].iter().any(|small| small.text().contains(&format!("workspace:{name}")))
        };
        let place = match workspace(around).filter(is_named) {
            Some(name) => InWorkspace::Named(name),
            None => InWorkspace::EveryOther,
        };
        let is_here =
            |change: &&Change| change.workspaces.is_empty() || change.workspaces.contains(&place);
        for change in found.changes.iter().filter(is_here) {
            let doors = change.entrances.iter().map(|id| Some(id.to_string()));
            for door in doors.chain(change.and_every_other.then_some(None)) {
                for caller in &change.callers {
                    let key = (change.act.as_str(), caller.to_string(), door.clone());
                    prop_assert_eq!(reported.insert(key, change.effect), None, "{:?}", change);
                }
            }
        }
        for (caller, id) in TEAM.iter().enumerate() {
            for (act, entrance) in Act::ALL.into_iter().flat_map(|act| [Some(0), Some(1), Some(2), None].map(|door| (act, door))) {
                let (before, after) = (hours(&old, caller, act, (entrance, around)), hours(&new, caller, act, (entrance, around)));
                let door = entrance.map(|n| ENTRANCES[n].to_owned());
                let named = door.as_ref().is_none_or(|door| [&old, &new].iter().any(|s| s.text().contains(door)));
                // One that neither names is one of the others.
                let door = door.filter(|_| named);
                let effect = reported.get(&(act.as_str(), (*id).to_owned(), door)).copied();
                // A day does not show what hours say of other days.
                let effect = effect.filter(|effect| *effect != Effect::DiffersLater);
                prop_assert_eq!(
                    effect, expected(&before, &after),
                    "{} {:?}\n{}\n{}", id, entrance, old.text(), new.text()
                );
            }
        }
        for change in &found.changes {
            prop_assert!(change.effect != Effect::DiffersLater || change.differs_later);
        }
    }

    /// `who` and `doors` say the same as the engine does hour by hour.
    #[test]
    fn access_is_exact(
        small in small(), around in proptest::sample::select(&WORKSPACES[..])
    ) {
        let within = workspace(around);
        let within = within.as_ref();
        let policy = load(&small);
        let questions = ENTRANCES.iter().enumerate().flat_map(|door| Act::ALL.map(|act| (act, door)));
        for (act, (number, door)) in questions {
            let entrance = EntranceId::parse(door).unwrap();
            let allowed_ones = who(&policy, act, (entrance, within), day());
            for (caller, id) in TEAM.iter().enumerate() {
                let hours = hours(&small, caller, act, (Some(number), around));
                let id = CallerId::parse(id).unwrap();
                let access = access_of(&policy, about(&id, act, entrance, within), day());
                for (kind, hours) in GranteeKind::ALL.into_iter().zip(&hours) {
                    let allowed = hours.iter().filter(|allowed| **allowed).count();
                    let time = access.time(day(), kind).as_hours();
                    prop_assert_eq!(usize::try_from(time).unwrap(), allowed, "{}", small.text());
                }
                let all: Vec<bool> = hours.concat();
                prop_assert_eq!(access == Access::Always, all.iter().all(|a| *a));
                prop_assert_eq!(access == Access::Never, !all.iter().any(|a| *a));
                let listed = allowed_ones.iter().find(|one| one.caller == id);
                prop_assert_eq!(listed.map(|g| g.access.clone()), access.is_possible().then(|| access.clone()));
                let groups = doors(&policy, act, (&id, within), day());
                let group = groups.iter().find(|group| group.entrances.contains(&entrance));
                if small.text().contains(door) {
                    prop_assert_eq!(group.map(|g| g.access.clone()), access.is_possible().then_some(access));
                }
            }
        }
    }

    /// An explanation names the rules that the decision names, each with chains that begin
    /// at the caller and the entrance and end at the rule's subject and object.
    #[test]
    fn explanations_lead_to_the_rules(small in small(), hour in 0..24_u32, kind in 0..2_usize, act in 0..2_usize) {
        let policy = load(&small);
        let act = Act::ALL[act];
        let moment = super::deciding::moment_of(act, (hour, GranteeKind::ALL[kind]));
        for id in TEAM.map(|id| CallerId::parse(id).unwrap()) {
            for door in ENTRANCES.iter().chain([&ELSEWHERE]) {
                let entrance = EntranceId::parse(door).unwrap();
                let question = Question { caller: &id, act, entrance, workspace: None, moment };
                let found = explain(&policy, question, &Orders::default());
                prop_assert_eq!(&found.evaluation, &policy.evaluate(question));
                let rules: Vec<_> = found.deciding.iter().map(|rule| rule.rule.clone()).collect();
                prop_assert_eq!(&rules[..], &found.evaluation.rules[..]);
                for rule in &found.deciding {
                    let fields: Vec<&str> = rule.text.splitn(6, ", ").collect();
                    let name = |steps: &[review::Step], last: bool| {
                        let step = if last { steps.last() } else { steps.first() };
                        step.map(|step| step.name.clone()).unwrap()
                    };
                    prop_assert_eq!(name(&rule.subject, false), format!("caller:{id}"));
                    prop_assert_eq!(name(&rule.subject, true), fields[1]);
                    if fields[2] != "*" {
                        prop_assert_eq!(name(&rule.object, false), format!("entrance:{door}"));
                        prop_assert_eq!(name(&rule.object, true), fields[2]);
                    }
                }
                let allowed = found.evaluation.reason == Reason::AllowedByRule;
                prop_assert!(!allowed || found.misses.is_empty());
            }
        }
    }
}

/// All that is in a workspace moves with it, although no rule and no entrance changed.
#[test]
fn a_workspace_that_is_put_into_a_zone_is_a_change() {
    let rules = format!(
        "p, caller:facilities, zone:sites, grant, allow\n\
         p, caller:facilities, workspace:w8, read, allow\n\
         g2, entrance:{LOBBY}, zone:sites\n"
    );
    let load =
        |rules: &str| Policy::load(&source(MODEL, rules), &callers(&TEAM), NOW).unwrap().policy;
    let moved = format!("{rules}g2, workspace:w8, zone:sites\n");
    let found = diff(&load(&rules), &load(&moved), day());
    let [change] = &found.changes[..] else { panic!("{found:?}") };
    assert_eq!((change.effect, change.act), (Effect::Gains, Act::Grant));
    assert!(change.and_every_other && change.entrances.is_empty(), "{change:?}");
    let w8 = WorkspaceName::parse("w8").unwrap();
    assert_eq!(change.workspaces, [InWorkspace::Named(w8)]);
}

/// At hours of ten days around each date at which calendars go wrong.
#[test]
fn hours_a_week_do_not_depend_on_the_day() {
    let rules = format!(
        "p, role:desk, entrance:{LOBBY}, grant, allow, hours Europe/Berlin Mo-Fr 08:00-18:00\n\
         g, caller:visitor-desk, role:desk\n"
    );
    let policy = Policy::load(&source(MODEL, &rules), &callers(&TEAM), NOW).unwrap().policy;
    let caller = CallerId::parse("visitor-desk").unwrap();
    let entrance = EntranceId::parse(LOBBY).unwrap();
    for date in ["2026-03-24", "2026-10-20", "2026-12-26", "2028-02-24"] {
        let start: jiff::Timestamp = format!("{date}T00:30:00Z").parse().unwrap();
        for hour in (0..240).step_by(7) {
            let from = start + jiff::SignedDuration::from_hours(hour);
            // 28 days and 100 end on the other side of a change of the clocks.
            for days in [8, 28, 100] {
                let until = from + jiff::SignedDuration::from_hours(24 * days);
                let access = access_of(
                    &policy,
                    about(&caller, Act::Grant, entrance, None),
                    Span { from, until },
                );
                let hours = access.hours_a_week(GranteeKind::AcsUser);
                assert_eq!(hours, Some(50.0), "{from} {days}");
            }
        }
    }
}

#[test]
fn a_denial_names_what_was_nearest_to_an_allow() {
    let rules = format!(
        "p, role:desk, zone:lobby, grant, allow, hours Europe/Berlin Mo-Fr 08:00-18:00\n\
         p, role:night, zone:lobby, grant, allow\n\
         p, role:desk, entrance:{OFFICE}, grant, allow\n\
         p, role:desk, entrance:{SERVER_ROOM}, grant, deny\n\
         p, role:desk, entrance:{SERVER_ROOM}, grant, allow, grantee acs_user\n\
         g, caller:visitor-desk, role:desk\n\
         g2, entrance:{LOBBY}, zone:lobby\n"
    );
    let policy = Policy::load(&source(MODEL, &rules), &callers(&TEAM), NOW).unwrap().policy;
    let caller = CallerId::parse("visitor-desk").unwrap();
    let grantee = Some(GranteeKind::UserIdentity);
    let moment = Moment { at: "2026-11-28T12:00:00Z".parse().unwrap(), grantee };
    let misses = |entrance: &str| -> Vec<String> {
        let entrance = EntranceId::parse(entrance).unwrap();
        let question =
            Question { caller: &caller, act: Act::Grant, entrance, workspace: None, moment };
        let found = explain(&policy, question, &Orders::default());
        found.misses.iter().map(|miss| format!("{}: {}", miss.rule, miss.missing)).collect()
    };
    assert_eq!(
        misses(LOBBY),
        [
            "policy.csv:1: `hours Europe/Berlin Mo-Fr 08:00-18:00` is not met; it is next at \
             2026-11-30T07:00:00Z",
            "policy.csv:2: it allows `role:night` this entrance, which the caller is not in",
            "policy.csv:3: it allows this caller `entrance:e4a7c9b2-18d3-4e6f-a5b0-3c2d1e0f9a8b`, \
             another entrance",
            "policy.csv:5: it allows this caller `entrance:5f0c2a4e-8d6b-4c1f-9a37-2b9e6d1c7f08`, \
             another entrance",
        ]
    );
    assert_eq!(
        misses(SERVER_ROOM),
        ["policy.csv:5: `grantee acs_user` is not met; and the deny would go before it"]
    );
}
