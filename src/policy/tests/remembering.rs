//! The memo: with it, each decision is the one that would be made without.

use super::deciding::{ENTRANCES, Small, WORKSPACES, moment_of, small, workspace};
use super::*;
use crate::domain::{Act, GrantRequest, GranteeKind, Operation, Request as Asked, UserIdentityId};
use crate::policy::engine::Engine;
use proptest::prelude::*;

fn load(text: &str) -> Policy {
    Policy::load(&source(MODEL, text), &callers(&TEAM), NOW).unwrap().policy
}

fn caller(id: &str) -> CallerId {
    CallerId::parse(id).unwrap()
}

fn door(n: u32) -> EntranceId {
    EntranceId::parse(&format!("00000000-0000-4000-8000-{n:012x}")).unwrap()
}

fn question<'a>(caller: &'a CallerId, act: Act, entrance: EntranceId) -> Question<'a> {
    Question {
        caller,
        act,
        entrance,
        workspace: None,
        moment: moment_of(act, (9, GranteeKind::AcsUser)),
    }
}

/// Which policy is in force, who asks, to do what, to which entrance, at which hour, for whom, in
/// which workspace.
type Step = (usize, usize, Act, usize, u32, GranteeKind, Option<usize>);

/// Of a policy whose rules name no workspace.
fn put(question: Question<'_>) -> memo::Asked<'_> {
    memo::Asked { question, workspace: None }
}

fn attempt(registry: &Callers, (_, who, act, entrance, hour, kind, around): Step) -> Attempt {
    let entrance = EntranceId::parse(ENTRANCES.get(entrance).unwrap_or(&ELSEWHERE)).unwrap();
    let grantee = match kind {
        GranteeKind::AcsUser => Grantee::AcsUser(AcsUserId::parse(LOBBY).unwrap()),
        GranteeKind::UserIdentity => Grantee::UserIdentity(UserIdentityId::parse(LOBBY).unwrap()),
    };
    Attempt {
        request_id: RequestId::generate(),
        peer: ([127, 0, 0, 1], 1).into(),
        principal: principal(registry, TEAM[who]).within(workspace(around)),
        request: match act {
            Act::Grant => Asked::GrantAccess(GrantRequest { entrance, grantee }),
            Act::Read => Asked::GetEntrance(entrance),
        },
        body_sha256: [0; 32],
        key: None,
        is_key_unconfirmed: false,
        at: moment_of(act, (hour, kind)).at,
        trial: None,
    }
}

/// All that a record has of a decision.
fn of(decision: &Decision) -> (Operation, bool, Reason, Vec<String>, Revision) {
    let (allowed, attempt, reason, rules, revision) = match decision {
        Decision::Permit(p) => (true, p.attempt(), p.reason(), p.rules(), p.revision()),
        Decision::Denial(d) => (false, d.attempt(), d.reason(), d.rules(), d.revision()),
    };
    let rules = rules.iter().map(RuleRef::to_string).collect();
    (attempt.request.operation(), allowed, reason, rules, revision.clone())
}

fn storm() -> impl Strategy<Value = (Vec<Small>, Vec<Step>)> {
    let act = prop_oneof![Just(Act::Grant), Just(Act::Read)];
    let kind = (0..2_usize).prop_map(|kind| GranteeKind::ALL[kind]);
    let around = proptest::sample::select(&WORKSPACES[..]);
    let step = (0..6_usize, 0..TEAM.len(), act, 0..4_usize, 8..14_u32, kind, around);
    (proptest::collection::vec(small(), 1..4), proptest::collection::vec(step, 200))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// 40,000 decisions, grants and reads, while one policy takes another's place at almost
    /// every step, and comes back; each text is loaded twice, into two policies.
    #[test]
    fn a_storm_of_reloads_changes_no_decision((smalls, steps) in storm()) {
        let registry = callers(&TEAM);
        let texts: Vec<String> = smalls.iter().chain(&smalls).map(Small::text).collect();
        let policies: Vec<Policy> = texts.iter().map(|text| load(text)).collect();
        // So few sets that verdicts of all kinds meet in each.
        let memo = Memo::with_sets(3);
        for step in steps {
            let policy = &policies[step.0 % policies.len()];
            let fresh = policy.decide(attempt(&registry, step));
            let found = policy.decide_with(attempt(&registry, step), &memo);
            prop_assert_eq!(of(&found), of(&fresh), "{:?}\n{}", step, texts.join("\n"));
        }
    }
}

#[test]
fn casbin_is_asked_once_and_again_after_a_reload() {
    let rules = format!(
        "p, caller:facilities, entrance:{LOBBY}, grant, allow\n\
         p, caller:facilities, entrance:{OFFICE}, grant, deny\n\
         p, caller:facilities, entrance:{LOBBY}, read, deny\n"
    );
    let memo = Memo::default();
    let caller = caller("facilities");
    let [lobby, office] = [LOBBY, OFFICE].map(|id| EntranceId::parse(id).unwrap());
    let table = [
        (Act::Grant, lobby, Reason::AllowedByRule),
        (Act::Grant, office, Reason::DeniedByRule),
        (Act::Read, lobby, Reason::DeniedByRule),
    ];
    let mut policy = load(&rules);
    let judge = |policy: &Policy| {
        table.map(|(act, entrance, _)| {
            policy.evaluate_by(question(&caller, act, entrance), Some(&memo)).reason
        })
    };
    let right = table.map(|(.., reason)| reason);
    assert_eq!(judge(&policy), right);
    policy.engine = broken(&policy, "regexMatch(r.sub, \"(\")");
    assert_eq!(judge(&policy), right, "a question that was put before is not put again");
    assert_eq!(memo.len(), 3);

    // The same bytes from another file are another policy: its rules stand elsewhere.
    let mut source = source(MODEL, &rules);
    source.rules.name = "other.csv".into();
    let other = Policy::load(&source, &callers(&TEAM), NOW).unwrap().policy;
    assert_eq!(other.revision(), policy.revision());
    let found = other.evaluate_by(question(&caller, Act::Grant, lobby), Some(&memo));
    assert_eq!(found.rules[0].to_string(), "other.csv:1");
}

/// An engine for the rules of this policy with another condition on the caller.
fn broken(policy: &Policy, condition: &str) -> Engine {
    let mut model = model::parse(&source(MODEL, "").model).unwrap();
    for text in [&mut model.text, &mut model.text_without_when] {
        *text = text.replace("g(r.sub,p.sub)", condition);
        assert!(text.contains(condition));
    }
    Engine::new(&model, policy.rules.clone(), policy.graph.clone()).unwrap()
}

#[test]
fn what_failed_is_not_remembered() {
    let mut policy = load(&format!("p, caller:facilities, entrance:{LOBBY}, grant, allow\n"));
    let (memo, caller) = (Memo::default(), caller("facilities"));
    let ask = |policy: &Policy| {
        let question = question(&caller, Act::Grant, EntranceId::parse(LOBBY).unwrap());
        policy.evaluate_by(question, Some(&memo)).reason
    };
    for (condition, reason) in [
        ("unknown_function(r.sub)", Reason::PolicyError),
        ("regexMatch(r.sub, \"(\")", Reason::PolicyPanic),
    ] {
        policy.engine = broken(&policy, condition);
        assert_eq!((ask(&policy), memo.len()), (reason, 0));
    }
    policy.engine = broken(&policy, "true");
    assert_eq!((ask(&policy), memo.len()), (Reason::AllowedByRule, 1), "and goes on");
}

#[test]
fn what_depends_on_the_moment_is_not_remembered() {
    let rules = format!(
        "p, caller:facilities, entrance:{LOBBY}, grant, allow\n\
         p, caller:facilities, entrance:{LOBBY}, grant, deny, hours Etc/UTC 10:00-12:00\n\
         p, caller:facilities, entrance:{OFFICE}, grant, allow, grantee acs_user\n"
    );
    let (policy, memo, caller) = (load(&rules), Memo::default(), caller("facilities"));
    let ask = |entrance, hour, kind| {
        let entrance = EntranceId::parse(entrance).unwrap();
        let moment = moment_of(Act::Grant, (hour, kind));
        let question =
            Question { caller: &caller, act: Act::Grant, entrance, workspace: None, moment };
        policy.evaluate_by(question, Some(&memo)).reason
    };
    use GranteeKind::{AcsUser, UserIdentity};
    for _ in 0..2 {
        assert_eq!(ask(LOBBY, 9, AcsUser), Reason::AllowedByRule);
        assert_eq!(ask(LOBBY, 11, AcsUser), Reason::DeniedByRule);
        assert_eq!(ask(OFFICE, 9, AcsUser), Reason::AllowedByRule);
        assert_eq!(ask(OFFICE, 9, UserIdentity), Reason::ConditionNotMet);
    }
    assert_eq!(memo.len(), 0);
}

#[test]
fn what_no_rule_reaches_takes_no_room() {
    let rules = format!(
        "p, caller:facilities, entrance:{LOBBY}, grant, allow\n\
         p, caller:cleaning-rota, entrance:{OFFICE}, grant, allow\n"
    );
    let (policy, memo, caller) = (load(&rules), Memo::default(), caller("facilities"));
    for entrance in (0..1000).map(door).chain([EntranceId::parse(OFFICE).unwrap()]) {
        let found = policy.evaluate_by(question(&caller, Act::Grant, entrance), Some(&memo));
        assert!(!found.is_allowed());
    }
    assert_eq!(memo.len(), 0);
}

/// A rule for `*` lets a caller ask about as many entrances as it likes.
#[test]
fn one_caller_cannot_push_out_what_others_have() {
    let (memo, policy) = (Memo::default(), load("p, caller:facilities, *, grant, allow\n"));
    let verdict = Evaluation::without_rules(Reason::AllowedByRule);
    let [few, many] = ["cleaning-rota", "facilities"].map(caller);
    let flood = |doors: std::ops::Range<u32>| {
        for n in doors {
            memo.put(policy.identity, put(question(&many, Act::Grant, door(n))), verdict.clone());
        }
    };
    let held = || {
        let of_few = (0..100).map(|n| question(&few, Act::Grant, door(n)));
        of_few.filter(|question| memo.get(policy.identity, put(*question)).is_some()).count()
    };
    flood(0..400_000);
    assert_eq!(memo.len(), 65_536, "and no more");
    for n in 0..100 {
        memo.put(policy.identity, put(question(&few, Act::Grant, door(n))), verdict.clone());
    }
    assert_eq!(held(), 100, "who has little finds room");
    flood(400_000..600_000);
    assert_eq!((held(), memo.len()), (100, 65_536), "and keeps it");

    // Of its own, a caller keeps what it asks about.
    let often = question(&many, Act::Read, door(7));
    memo.put(policy.identity, put(often), verdict.clone());
    for n in 600_000..700_000 {
        assert!(memo.get(policy.identity, put(often)).is_some(), "{n}");
        flood(n..n + 1);
    }
}
