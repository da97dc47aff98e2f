//! Orders over a policy.

use super::deciding::{ENTRANCES, small};
use super::*;
use crate::authn::callers::Configured;
use crate::domain::{GranteeKind, Order, OrderKind, Scope, Signature};
use proptest::prelude::*;

fn at() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

fn order(number: u32, kind: OrderKind) -> Order {
    let given = Signature { at: at(), by: "ada".into(), why: "test".into() };
    Order { number, kind, given, until: None, lifted: None, directive: None }
}

fn caller(id: &str) -> CallerId {
    CallerId::parse(id).unwrap()
}

fn door(id: &str) -> EntranceId {
    EntranceId::parse(id).unwrap()
}

fn sample() -> (Policy, Callers) {
    let callers = callers(&TEAM);
    (Policy::load(&source(MODEL, RULES), &callers, NOW).unwrap().policy, callers)
}

#[test]
fn a_freeze_stops_what_it_is_about_and_nothing_else() {
    use Reason as R;
    let (policy, callers) = sample();
    let zone = |name: &str| Scope::Zone(name.into());
    let allowed = (R::AllowedByRule, "policy.csv:8");
    for (scope, desk_lobby, facilities_lobby, facilities_office) in [
        (Scope::Everything, R::Frozen, R::Frozen, R::Frozen),
        (Scope::Caller(caller("visitor-desk")), R::Frozen, R::AllowedByRule, R::AllowedByRule),
        (zone("zone:lobby"), R::Frozen, R::Frozen, R::AllowedByRule),
        (zone("zone:offices"), R::AllowedByRule, R::AllowedByRule, R::Frozen),
        // Nobody knows what is in it.
        (zone("zone:nowhere"), R::Frozen, R::Frozen, R::Frozen),
        (Scope::Entrance(door(LOBBY)), R::Frozen, R::Frozen, R::AllowedByRule),
    ] {
        let orders = Orders::new([order(7, OrderKind::Freeze(scope.clone()))]);
        let memo = Memo::default();
        for (who, where_, reason) in [
            ("visitor-desk", LOBBY, desk_lobby),
            ("facilities", LOBBY, facilities_lobby),
            ("facilities", OFFICE, facilities_office),
        ] {
            // Also when casbin was asked before, and is asked after.
            let _ = policy.decide_with(attempt(&callers, who, where_), &memo);
            let decided = policy.decide_under(attempt(&callers, who, where_), &memo, &orders);
            let (said, rules) = found(decided);
            assert_eq!(said, reason, "{scope:?} {who} {where_}");
            if reason == R::Frozen {
                assert_eq!(rules, ["order:7"]);
            }
            let after = policy.decide_with(attempt(&callers, who, where_), &memo);
            assert_eq!(found(after).0, R::AllowedByRule);
        }
        let drill = Orders::new([order(7, OrderKind::Drill(scope))]);
        let decided = policy.decide_under(attempt(&callers, "visitor-desk", LOBBY), &memo, &drill);
        let (reason, rules) = found(decided);
        assert_eq!((reason, rules.as_slice()), (allowed.0, &[allowed.1.to_owned()][..]));
    }
}

#[test]
fn an_exception_allows_where_no_rule_says_anything_until_it_ends() {
    use Reason as R;
    let (policy, callers) = sample();
    let to = |entrance| OrderKind::Exception(caller("visitor-desk"), door(entrance));
    let mut orders = vec![order(1, to(OFFICE)), order(2, to(SERVER_ROOM)), order(3, to(LOBBY))];
    let decide = |orders: &[Order], who: &str, entrance: &str| {
        let orders = Orders::new(orders.to_vec());
        let attempt = attempt(&callers, who, entrance);
        found(policy.decide_under(attempt, &Memo::default(), &orders))
    };
    let excepted = (R::AllowedByException, vec!["order:1".to_owned()]);
    assert_eq!(decide(&orders, "visitor-desk", OFFICE), excepted);
    assert_eq!(decide(&orders, "visitor-desk", SERVER_ROOM).0, R::DeniedByRule, "a deny wins");
    assert_eq!(decide(&orders, "visitor-desk", LOBBY).0, R::AllowedByRule);
    assert_eq!(decide(&orders, "nobody", OFFICE).0, R::CallerOutsidePolicy, "another caller");
    assert_eq!(decide(&orders, "visitor-desk", ELSEWHERE).0, R::NoRuleMatches, "another door");
    orders.push(order(4, OrderKind::Freeze(Scope::Everything)));
    assert_eq!(decide(&orders, "visitor-desk", OFFICE).0, R::Frozen, "a freeze goes before it");
    orders.pop();
    orders[0].until = Some(at());
    assert_eq!(decide(&orders, "visitor-desk", OFFICE).0, R::NoRuleMatches, "its time is over");
    orders[0] = order(1, to(OFFICE));
    orders[0].lifted = Some(orders[0].given.clone());
    assert_eq!(decide(&orders, "visitor-desk", OFFICE).0, R::NoRuleMatches);
}

#[test]
fn reading_is_not_frozen_and_not_excepted() {
    let (policy, _) = sample();
    let moment = Moment { at: at(), grantee: None };
    let reader = caller("visitor-desk");
    let question = Question {
        caller: &reader,
        act: Act::Read,
        entrance: door(OFFICE),
        workspace: None,
        moment,
    };
    for kind in
        [OrderKind::Freeze(Scope::Everything), OrderKind::Exception(reader.clone(), door(OFFICE))]
    {
        assert!(
            Orders::new([order(1, kind)])
                .deciding(&policy, question, policy.evaluate(question).reason)
                .is_none()
        );
    }
}

#[test]
fn a_zone_that_the_policy_does_not_know_is_told() {
    let (policy, _) = sample();
    let zone = |number, name: &str| order(number, OrderKind::Freeze(Scope::Zone(name.into())));
    let mut over = zone(3, "zone:nowhere");
    over.until = Some(at());
    let orders = Orders::new([zone(1, "zone:lobby"), zone(2, "zone:nowhere"), over]);
    let numbers: Vec<u32> = policy.unclear(&orders, at()).iter().map(|o| o.number).collect();
    assert_eq!(numbers, [2]);
    assert_eq!(policy.zones(), ["zone:lobby", "zone:meeting-rooms", "zone:offices"]);
}

/// It may have had another name: nobody lifts a freeze by renaming a workspace.
#[test]
fn a_workspace_that_there_is_not_could_be_any() {
    let workspace = |name: &str| WorkspaceName::parse(name).unwrap();
    let known =
        Configured { workspaces: vec![workspace("hq"), workspace("lab")], ..Configured::default() };
    let text = "[[caller]]\nid = \"facilities\"\n";
    let callers = Callers::parse_with(&known, "callers.toml", text.as_bytes()).unwrap();
    let rules = "p, caller:facilities, *, grant, allow\n";
    let policy = Policy::load(&source(MODEL, rules), &callers, NOW).unwrap().policy;
    let asker = caller("facilities");
    let moment = Moment { at: at(), grantee: Some(GranteeKind::AcsUser) };
    let frozen = |frozen: &str, asked: Option<&str>| {
        let freeze = order(1, OrderKind::Freeze(Scope::Workspace(workspace(frozen))));
        let asked = asked.map(workspace);
        let question = Question {
            caller: &asker,
            act: Act::Grant,
            entrance: door(OFFICE),
            workspace: asked.as_ref(),
            moment,
        };
        Orders::new([freeze])
            .deciding(&policy, question, policy.evaluate(question).reason)
            .is_some()
    };
    assert!(frozen("lab", Some("lab")) && !frozen("lab", Some("hq")));
    assert!(frozen("lab", None), "it is not known in which it is");
    assert!(frozen("attic", Some("hq")), "there is no such workspace");
}

proptest! {
    /// Whatever the policy: orders change only what they are about, what a freeze covers is
    /// never permitted, and what a rule denies no exception allows.
    #[test]
    fn orders_change_only_what_they_are_about(
        small in small(),
        frozen in proptest::option::of(0_usize..3),
        excepted in (0_usize..3, 0_usize..3),
    ) {
        let callers = callers(&TEAM);
        let policy = Policy::load(&source(MODEL, &small.text()), &callers, NOW).unwrap().policy;
        let mut all = vec![order(
            1,
            OrderKind::Exception(caller(TEAM[excepted.0]), door(ENTRANCES[excepted.1])),
        )];
        all.extend(frozen.map(|n| order(2, OrderKind::Freeze(Scope::Entrance(door(ENTRANCES[n]))))));
        let orders = Orders::new(all);
        for (who, id) in TEAM.iter().take(3).enumerate() {
            for (place, entrance) in ENTRANCES.iter().enumerate() {
                let asker = caller(id);
                let moment = Moment { at: at(), grantee: Some(GranteeKind::AcsUser) };
                let question =
                    Question { caller: &asker, act: Act::Grant, entrance: door(entrance), workspace: None, moment };
                let said = policy.evaluate(question).reason;
                let attempt = attempt(&callers, id, entrance);
                let decided = found(policy.decide_under(attempt, &Memo::default(), &orders)).0;
                let expected = if frozen == Some(place) {
                    Reason::Frozen
                } else if excepted == (who, place) && said.is_silence() {
                    Reason::AllowedByException
                } else {
                    said
                };
                prop_assert_eq!(decided, expected);
            }
        }
    }
}
