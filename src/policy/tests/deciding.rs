use std::collections::HashSet;

use super::*;
use crate::domain::{Act, GranteeKind};
use proptest::prelude::*;

#[test]
fn the_sample_policy_decides_as_its_comments_say() {
    use Reason as R;
    let callers = callers(&TEAM);
    let loaded = Policy::load(&source(MODEL, RULES), &callers, NOW).unwrap();
    let texts: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["policy.csv: no rule can match caller `nobody`: it may do nothing"]);
    let table: [(&str, &str, Reason, &[&str]); 9] = [
        ("visitor-desk", LOBBY, R::AllowedByRule, &["policy.csv:8"]),
        ("visitor-desk", OFFICE, R::NoRuleMatches, &[]),
        ("visitor-desk", SERVER_ROOM, R::DeniedByRule, &["policy.csv:20"]),
        ("visitor-desk", ELSEWHERE, R::NoRuleMatches, &[]),
        ("cleaning-rota", OFFICE, R::AllowedByRule, &["policy.csv:14"]),
        ("facilities", OFFICE, R::AllowedByRule, &["policy.csv:17"]),
        ("facilities", ELSEWHERE, R::AllowedByRule, &["policy.csv:17"]),
        ("facilities", SERVER_ROOM, R::DeniedByRule, &["policy.csv:20"]),
        ("nobody", LOBBY, R::CallerOutsidePolicy, &[]),
    ];
    for (caller, entrance, reason, rules) in table {
        let (found, named) = decide(&loaded.policy, &callers, caller, entrance);
        assert_eq!(
            (found, named.as_slice()),
            (reason, rules.map_to_strings().as_slice()),
            "{caller} {entrance}"
        );
    }
    let narrow = RULES.replace("p, role:facilities, *, grant, allow", "");
    let loaded = Policy::load(&source(MODEL, &narrow), &callers, NOW).unwrap();
    let outside = decide(&loaded.policy, &callers, "visitor-desk", ELSEWHERE);
    assert_eq!(outside.0, R::EntranceOutsidePolicy);
}

trait MapToStrings {
    fn map_to_strings(&self) -> Vec<String>;
}

impl MapToStrings for &[&str] {
    fn map_to_strings(&self) -> Vec<String> {
        self.iter().map(|text| (*text).to_owned()).collect()
    }
}

pub(super) const ENTRANCES: [&str; 3] = [LOBBY, OFFICE, SERVER_ROOM];

/// Conditions, and what they mean in the words of this test: from and to which hour, and
/// for whom.
pub(super) const CONDITIONS: [(&str, (u32, u32), Option<GranteeKind>); 4] = [
    ("grantee acs_user", (0, 24), Some(GranteeKind::AcsUser)),
    ("hours Etc/UTC 10:00-12:00", (10, 12), None),
    (
        "hours Etc/UTC 11:00-13:00 & grantee user_identity",
        (11, 13),
        Some(GranteeKind::UserIdentity),
    ),
    ("hours Etc/UTC 00:00-24:00; 11:00-24:00 off", (0, 11), None),
];

/// An entrance and a workspace; none is one that no policy names.
pub(super) type Spot = (Option<usize>, Option<usize>);

/// The workspaces of these policies, one that none of them names, and none.
pub(super) const WORKSPACES: [Option<usize>; 4] = [Some(8), Some(9), Some(10), None];

pub(super) fn workspace(n: Option<usize>) -> Option<WorkspaceName> {
    n.map(|n| WorkspaceName::parse(&format!("w{n}")).unwrap())
}

/// An hour of the day, and how the grantee is named.
pub(super) type When = (u32, GranteeKind);

/// A small policy as plain data, judged by a few lines of code that owe casbin nothing.
#[derive(Debug, Clone)]
pub(super) struct Small {
    rules: Vec<SmallRule>,
    roles: Vec<(usize, usize)>,
    zones: Vec<(usize, usize)>,
}

/// Subject, object, act, effect, and which condition.
type SmallRule = (usize, usize, Act, bool, Option<usize>);

/// 0 to 2 are callers, 3 to 6 roles.
fn subject(n: usize) -> String {
    if n < 3 { format!("caller:{}", TEAM[n]) } else { format!("role:r{n}") }
}

/// 0 to 2 are entrances, 3 to 6 zones, 7 the wildcard, 8 and 9 workspaces.
fn object(n: usize) -> String {
    match n {
        0..3 => format!("entrance:{}", ENTRANCES[n]),
        7 => "*".into(),
        8.. => format!("workspace:w{n}"),
        _ => format!("zone:z{n}"),
    }
}

fn within(links: &[(usize, usize)], name: usize, group: usize) -> bool {
    name == group || links.iter().any(|(m, g)| *m == name && within(links, *g, group))
}

pub(super) fn moment((hour, grantee): When) -> Moment {
    Moment { at: format!("2026-11-25T{hour:02}:30:00Z").parse().unwrap(), grantee: Some(grantee) }
}

/// The same for an act that may have no grantee.
pub(super) fn moment_of(act: Act, when: When) -> Moment {
    match act {
        Act::Grant => moment(when),
        Act::Read => Moment { grantee: None, ..moment(when) },
    }
}

impl Small {
    pub(super) fn text(&self) -> String {
        let mut lines: Vec<String> = self
            .rules
            .iter()
            .map(|(s, o, act, allow, when)| {
                let effect = if *allow { "allow" } else { "deny" };
                let when = when.map_or(String::new(), |n| format!(", {}", CONDITIONS[n].0));
                let act = act.as_str();
                format!("p, {}, {}, {act}, {effect}{when}\n", subject(*s), object(*o))
            })
            .collect();
        lines.extend(
            self.roles.iter().map(|(m, g)| format!("g, {}, {}\n", subject(*m), subject(*g))),
        );
        lines.extend(
            self.zones.iter().map(|(m, g)| format!("g2, {}, {}\n", object(*m), object(*g))),
        );
        let mut seen = HashSet::new();
        lines.retain(|line| seen.insert(line.clone()));
        lines.concat()
    }

    pub(super) fn allows(
        &self,
        caller: usize,
        act: Act,
        (entrance, workspace): Spot,
        (hour, grantee): When,
    ) -> bool {
        let is_in = |object| {
            [entrance, workspace].into_iter().flatten().any(|n| within(&self.zones, n, object))
        };
        let matches = |allow: bool| {
            self.rules.iter().any(|(s, o, of, effect, when)| {
                *effect == allow
                    && *of == act
                    && within(&self.roles, caller, *s)
                    && (*o == 7 || is_in(*o))
                    && when.is_none_or(|n| {
                        let (_, (from, to), kind) = CONDITIONS[n];
                        (from..to).contains(&hour) && kind.is_none_or(|kind| kind == grantee)
                    })
            })
        };
        matches(true) && !matches(false)
    }

    /// casbin as it comes: its own model, role graph and effector, all rules, no index.
    /// Each `when` is a number here, of those above.
    fn plain(&self) -> casbin::Enforcer {
        use casbin::{CoreApi as _, DefaultModel, Enforcer, MgmtApi as _};
        fn holds(when: casbin::rhai::Dynamic) -> casbin::rhai::Dynamic {
            let Ok(number) = when.into_immutable_string().unwrap().parse::<usize>() else {
                return true.into();
            };
            let (hour, grantee) = PLAIN.get().unwrap();
            let (_, (from, to), kind) = CONDITIONS[number];
            ((from..to).contains(&hour) && kind.is_none_or(|kind| kind == grantee)).into()
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let model = MODEL.replace("r = sub, obj, act", "r = sub, obj, act, around");
            let both = "g2(r.obj, p.obj) || g2(r.around, p.obj)";
            let model = model.replace("g2(r.obj, p.obj)", both);
            let model = DefaultModel::from_str(&model).await.unwrap();
            let mut enforcer = Enforcer::new(model, ()).await.unwrap();
            let function = casbin::function_map::OperatorFunction::Arg1(holds);
            enforcer.add_function("holds", function);
            for (s, o, act, allow, when) in &self.rules {
                let effect = if *allow { "allow" } else { "deny" };
                let when = when.map_or(String::new(), |n| n.to_string());
                let rule = [subject(*s), object(*o), act.as_str().into(), effect.into(), when];
                // One that is there already is not added.
                enforcer.add_policy(rule.into()).await.unwrap();
            }
            for (member, group) in &self.roles {
                let link = vec![subject(*member), subject(*group)];
                enforcer.add_named_grouping_policy("g", link).await.unwrap();
            }
            for (member, group) in &self.zones {
                let link = vec![object(*member), object(*group)];
                enforcer.add_named_grouping_policy("g2", link).await.unwrap();
            }
            enforcer
        })
    }
}

thread_local! {
    static PLAIN: std::cell::Cell<Option<When>> = const { std::cell::Cell::new(None) };
}

pub(super) fn small() -> impl Strategy<Value = Small> {
    let links = || {
        // A group has a higher number than its members, so there is no cycle.
        proptest::collection::vec((0..6_usize, 3..7_usize), 0..8)
            .prop_map(|links| links.into_iter().filter(|(m, g)| m < g).collect::<Vec<_>>())
    };
    let around = proptest::collection::vec((8..10_usize, 3..7_usize), 0..3);
    let zones = (links(), around).prop_map(|(links, around)| [links, around].concat());
    let when = prop_oneof![2 => Just(None), 1 => (0..CONDITIONS.len()).prop_map(Some)];
    let act = prop_oneof![2 => Just(Act::Grant), 1 => Just(Act::Read)];
    let rule = (0..7_usize, 0..10_usize, act, any::<bool>(), when).prop_map(|mut rule| {
        // Reading has no grantee whom a condition could ask for.
        if rule.2 == Act::Read && rule.4.is_some_and(|n| CONDITIONS[n].2.is_some()) {
            rule.4 = Some(1);
        }
        rule
    });
    let rules = proptest::collection::vec(rule, 1..10);
    (rules, links(), zones).prop_map(|(rules, roles, zones)| Small { rules, roles, zones })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1600, ..ProptestConfig::default() })]

    /// 1,600 policies of 512 requests each, 819,200 in all: the decision is that of plain
    /// casbin and that of an independent evaluation, and the rules named are those that
    /// casbin matches when it is given all of them.
    #[test]
    fn the_index_changes_no_decision(small in small()) {
        use casbin::CoreApi as _;
        let text = small.text();
        let policy = Policy::load(&source(MODEL, &text), &callers(&TEAM), NOW).unwrap().policy;
        let plain = small.plain();
        let all: Vec<RuleNo> = (0..).take(policy.rule_count()).collect();
        for (caller, id) in TEAM.map(|id| CallerId::parse(id).unwrap()).iter().enumerate() {
            let spots = [Some(0), Some(1), Some(2), None].into_iter();
            for spot in spots.flat_map(|entrance| WORKSPACES.map(|around| (entrance, around))) {
                let (entrance, around) = spot;
                let within = workspace(around);
                let named = within.as_ref().map_or("none".to_owned(), |name| format!("workspace:{name}"));
                let door = EntranceId::parse(entrance.map_or(ELSEWHERE, |e| ENTRANCES[e])).unwrap();
                let [subject, object] = [format!("caller:{id}"), format!("entrance:{door}")];
                let times = [9, 11].into_iter().flat_map(|hour| GranteeKind::ALL.map(|kind| (hour, kind)));
                for (when, act) in times.flat_map(|when| Act::ALL.map(|act| (when, act))) {
                    let moment = moment_of(act, when);
                    let question = Question { caller: id, act, entrance: door, workspace: within.as_ref(), moment };
                    let found = policy.evaluate(question);
                    let allowed = found.reason == Reason::AllowedByRule;
                    PLAIN.set(Some(when));
                    let by_casbin = plain.enforce((&subject, &object, act.as_str(), &named)).unwrap();
                    prop_assert_eq!(allowed, by_casbin, "{} {} {:?}\n{}", subject, object, when, text);
                    // `nobody` is in no rule and no role.
                    let expected = caller < 3 && small.allows(caller, act, spot, when);
                    prop_assert_eq!(allowed, expected, "{} {} {:?}\n{}", subject, object, when, text);
                    let request = policy.request(question);
                    let on_all = policy.engine.judge(request, &all, moment).unwrap();
                    prop_assert_eq!(&found.rules, &policy.rule_refs(&on_all), "{}", text);
                    let by_rule = matches!(found.reason, Reason::AllowedByRule | Reason::DeniedByRule);
                    prop_assert_eq!(by_rule, !found.rules.is_empty());
                }
            }
        }
    }
}

#[test]
fn a_denial_says_when_only_a_condition_was_missing() {
    let rules = format!(
        "p, role:r, entrance:{LOBBY}, grant, allow, hours Europe/Berlin Mo-Fr 08:00-18:00\n\
         p, role:r, entrance:{LOBBY}, grant, deny, grantee acs_user\n\
         p, role:r, entrance:{OFFICE}, grant, deny, grantee acs_user\n\
         g, caller:facilities, role:r\n"
    );
    let policy = Policy::load(&source(MODEL, &rules), &callers(&TEAM), NOW).unwrap().policy;
    let caller = CallerId::parse("facilities").unwrap();
    use GranteeKind::{AcsUser, UserIdentity};
    for (entrance, at, grantee, reason) in [
        (LOBBY, "2026-11-25T12:00:00Z", UserIdentity, Reason::AllowedByRule),
        (LOBBY, "2026-11-25T12:00:00Z", AcsUser, Reason::DeniedByRule),
        (LOBBY, "2026-11-25T20:00:00Z", AcsUser, Reason::DeniedByRule),
        (LOBBY, "2026-11-25T20:00:00Z", UserIdentity, Reason::ConditionNotMet),
        (OFFICE, "2026-11-25T12:00:00Z", UserIdentity, Reason::NoRuleMatches),
    ] {
        let moment = Moment { at: at.parse().unwrap(), grantee: Some(grantee) };
        let entrance = EntranceId::parse(entrance).unwrap();
        let act = Act::Grant;
        let found =
            policy.evaluate(Question { caller: &caller, act, entrance, workspace: None, moment });
        assert_eq!(found.reason, reason, "{entrance} {at} {grantee:?}");
    }
}

#[test]
fn a_trial_that_would_take_long_is_not_judged() {
    let caller = CallerId::parse("facilities").unwrap();
    let entrance = EntranceId::parse(LOBBY).unwrap();
    let opinion = |rules: &str| {
        let policy = Policy::load(&source(MODEL, rules), &callers(&TEAM), NOW).unwrap().policy;
        let moment = moment((9, GranteeKind::AcsUser));
        let act = Act::Grant;
        policy
            .opinion(Question { caller: &caller, act, entrance, workspace: None, moment })
            .as_str()
    };
    // So many rules match.
    let rules = |count: usize| -> String {
        let rule = |n| format!("p, role:r{n}, *, grant, allow\ng, caller:facilities, role:r{n}\n");
        (0..count).map(rule).collect()
    };
    assert_eq!(opinion(&rules(64)), "allow");
    assert_eq!(opinion(&rules(65)), "skipped");
    // None matches, and there would be so many pairs of role and zone to look up.
    let pairs = |count: usize| -> String {
        let lines = |n| {
            format!(
                "p, role:r{n}, zone:other, grant, allow\ng, caller:facilities, role:r{n}\n\
                 p, role:nobody, zone:z{n}, grant, allow\ng2, entrance:{LOBBY}, zone:z{n}\n"
            )
        };
        (0..count).map(lines).collect()
    };
    assert_eq!(opinion(&pairs(32)), "deny");
    assert_eq!(opinion(&pairs(33)), "skipped");
}
