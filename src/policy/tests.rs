use std::collections::HashSet;

use super::*;
use crate::authn::{Principal, TokenDigest, authenticate};
use crate::domain::{AcsUserId, GrantRequest, Grantee, RequestId};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use proptest::prelude::*;

const MODEL: &str = include_str!("../../policies/model.conf");
const RULES: &str = include_str!("../../policies/policy.csv");
const LOBBY: &str = "d23d7180-c1ee-4bbe-8630-05df5031ce35";
const OFFICE: &str = "e4a7c9b2-18d3-4e6f-a5b0-3c2d1e0f9a8b";
const SERVER_ROOM: &str = "5f0c2a4e-8d6b-4c1f-9a37-2b9e6d1c7f08";
const ELSEWHERE: &str = "11111111-2222-4333-8444-555555555555";

fn callers(ids: &[&str]) -> Callers {
    let text: String = ids
        .iter()
        .map(|id| {
            let digest = TokenDigest::of(id);
            format!(
                "[[caller]]\nid = \"{id}\"\ntokens = [{{ name = \"t\", sha256 = \"{digest}\" }}]\n"
            )
        })
        .collect();
    Callers::parse("callers.toml", text.as_bytes()).unwrap()
}

fn principal(callers: &Callers, id: &str) -> Principal {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, format!("Bearer {id}").parse().unwrap());
    authenticate(&headers, None, callers, jiff::Timestamp::now()).unwrap()
}

fn source(model: &str, rules: &str) -> PolicySource {
    let file = |name: &str, text: &str| SourceFile { name: name.into(), bytes: text.into() };
    PolicySource { model: file("model.conf", model), rules: file("policy.csv", rules) }
}

const TEAM: [&str; 4] = ["visitor-desk", "cleaning-rota", "facilities", "nobody"];

fn decide(
    policy: &Policy,
    callers: &Callers,
    caller: &str,
    entrance: &str,
) -> (Reason, Vec<String>) {
    let attempt = Attempt {
        request_id: RequestId::generate(),
        peer: ([127, 0, 0, 1], 1).into(),
        principal: principal(callers, caller),
        grant: GrantRequest {
            entrance: EntranceId::parse(entrance).unwrap(),
            grantee: Grantee::AcsUser(AcsUserId::parse(LOBBY).unwrap()),
        },
        body_sha256: [0; 32],
    };
    let rules = |rules: &[RuleRef]| rules.iter().map(RuleRef::to_string).collect();
    match policy.decide(attempt) {
        Decision::Permit(permit) => {
            assert_eq!(permit.reason(), Reason::AllowedByRule);
            (permit.reason(), rules(permit.rules()))
        }
        Decision::Denial(denial) => {
            assert_ne!(denial.reason(), Reason::AllowedByRule);
            (denial.reason(), rules(denial.rules()))
        }
    }
}

#[test]
fn the_sample_policy_decides_as_its_comments_say() {
    use Reason as R;
    let callers = callers(&TEAM);
    let loaded = Policy::load(&source(MODEL, RULES), &callers).unwrap();
    let texts: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["policy.csv: no rule can match caller `nobody`: it can grant nothing"]);
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
    let loaded = Policy::load(&source(MODEL, &narrow), &callers).unwrap();
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

fn problems(model: &str, rules: &str) -> Vec<String> {
    let problems = Policy::load(&source(model, rules), &callers(&TEAM)).unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn every_line_that_casbin_would_skip_or_misread_is_refused() {
    let ok = "p, role:a, zone:b, grant, allow\n";
    let e = LOBBY;
    let upper = format!("p, role:a, entrance:{}, grant, allow", e.to_uppercase());
    let long = format!("p, role:{}, zone:b, grant, allow", "a".repeat(2000));
    let table: Vec<(&str, &str, &str)> = vec![
        ("unknown kind", "p2, role:a, zone:b, grant, allow", "`p2` is no kind of line"),
        ("upper-case kind", "P, role:a, zone:b, grant, allow", "`P` is no kind of line"),
        ("semicolons", "p; role:a; zone:b; grant; allow", "is no kind of line"),
        ("missing comma", "p role:a, zone:b, grant, deny", "is no kind of line"),
        (
            "comment behind",
            "p, role:a, zone:c, grant, deny # x",
            ":2:32: a comment must be on a line",
        ),
        ("misspelt deny", "p, role:a, zone:c, grant, denny", "`denny` is no effect"),
        ("upper-case deny", "p, role:a, zone:c, grant, DENY", "`DENY` is no effect"),
        ("no effect", "p, role:a, zone:c, grant", "a `p` line has four fields"),
        ("empty effect", "p, role:a, zone:c, grant,", "`` is no effect"),
        ("extra column", "p, role:a, zone:c, grant, allow, x", "a `p` line has four fields"),
        ("extra column on g", "g, caller:nobody, role:a, x", "a `g` line has two fields"),
        ("extra column on g2", "g2, zone:c, zone:b, x", "a `g2` line has two fields"),
        ("quotes", "p, \"role:a\", zone:c, grant, allow", ":2:4: quotes are not allowed"),
        ("tab", "p,\trole:a, zone:c, grant, allow", ":2:3: `\\t` is not allowed"),
        ("NUL", "p, role:a\0, zone:c, grant, allow", ":2:10: `\\u{0}` is not allowed"),
        ("lone CR", "p, role:a, zone:c\r, grant, allow", "`\\r` is not allowed"),
        ("not ASCII", "p, role:é, zone:c, grant, allow", ":2:9: `\\u{e9}` is not allowed"),
        ("unknown act", "p, role:a, zone:c, unlock, allow", "`unlock` is no act"),
        ("no prefix", "p, a, zone:c, grant, allow", "`a` is no caller or role"),
        ("zone as subject", "p, zone:a, zone:c, grant, allow", "`zone:a` is no caller or role"),
        ("wildcard subject", "p, *, zone:c, grant, allow", "`*` is no caller or role"),
        ("role as object", "p, role:a, role:c, grant, allow", "`role:c` is no entrance or zone"),
        ("pattern", "p, role:a, zone:*, grant, allow", "`zone:*` is no entrance or zone"),
        ("empty object", "p, role:a, , grant, allow", "`` is no entrance or zone"),
        ("no uuid", "p, role:a, entrance:1, grant, allow", "is not a uuid"),
        ("upper-case uuid", &upper, "write the entrance in lower case"),
        (
            "unknown caller",
            "p, caller:ghost, zone:c, grant, allow",
            "caller `ghost` is not in the callers file",
        ),
        (
            "unknown caller in g",
            "g, caller:ghost, role:a",
            "caller `ghost` is not in the callers file",
        ),
        ("caller as role", "g, role:a, caller:nobody", "`caller:nobody` is no role"),
        ("zone in g", "g, caller:nobody, zone:b", "`zone:b` is no role"),
        ("caller in g2", "g2, caller:nobody, zone:b", "`caller:nobody` is no entrance or zone"),
        ("role in g2", "g2, zone:b, role:a", "`role:a` is no zone"),
        ("duplicate", "p, role:a,zone:b,grant,allow", "the same as line 1"),
        ("in itself", "g, role:a, role:a", "`role:a` is in itself"),
        ("cycle", "g, role:a, role:c\ng, role:c, role:a", "are in a cycle"),
        (
            "too deep",
            "g, role:a, role:c\ng, role:c, role:d\ng, role:d, role:e\ng, role:e, role:f\ng, role:f, role:g\ng, role:g, role:h",
            "a chain of more than 5 links begins at `role:a`",
        ),
        ("long line", &long, "the line is longer than 1024 bytes"),
    ];
    for (name, line, expected) in table {
        let found = problems(MODEL, &format!("{ok}{line}\n"));
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        assert!(found[0].contains(expected), "{name}: {found:?}");
        assert!(found[0].starts_with("policy.csv:2"), "{name}: {found:?}");
    }
    let cut = problems(MODEL, &ok.replace('\n', ""));
    assert!(cut[0].contains("policy.csv:1: the last line has no end"), "{cut:?}");
    assert!(problems(MODEL, "")[0].contains("has no rule"));
    assert!(problems(MODEL, "# only a comment\n")[0].contains("has no rule"));
    assert!(
        problems(MODEL, "\u{feff}p, role:a, zone:b, grant, allow")[0].contains("byte order mark")
    );
    let mut bytes = source(MODEL, ok);
    bytes.rules.bytes.push(0xff);
    let refused = Policy::load(&bytes, &callers(&TEAM)).unwrap_err();
    assert_eq!(refused[0].to_string(), "policy.csv:2:1: not UTF-8");
    let several = problems(MODEL, "p, a, b, c, d\nx\n");
    assert_eq!(several.len(), 5, "all at once: {several:?}");
}

#[test]
fn only_models_whose_meaning_is_known_are_taken() {
    let ok = "p, role:a, zone:b, grant, allow\n";
    let edit = |from: &str, to: &str| {
        assert!(MODEL.contains(from), "{from}");
        MODEL.replace(from, to)
    };
    let matcher = "g(r.sub, p.sub) && ";
    let table: Vec<(&str, String, &str)> = vec![
        ("allow-override", edit(" && !some(where (p.eft == deny))", ""), "`e` must be"),
        ("effect column", edit("act, eft", "act, effect"), "`p` must be"),
        ("matcher without subject", edit(matcher, ""), "must be three conditions"),
        ("always true", edit(matcher, "true && "), "must be three conditions"),
        ("or", edit(matcher, "g(r.sub, p.sub) || "), "must be three conditions"),
        ("eval", edit(matcher, "eval(p.sub) && "), "must be three conditions"),
        (
            "twice",
            edit(matcher, "g(r.sub, p.sub) && g(r.sub, p.sub) && "),
            "must be three conditions",
        ),
        ("misspelt section", edit("[matchers]", "[Matchers]"), "there is no section `[Matchers]`"),
        ("misspelt key", edit("\nm =", "\nM ="), "there is no `M`"),
        ("second matcher", format!("{MODEL}m = true\n"), "`m` is defined on line"),
        ("numbered matcher", format!("{MODEL}m2 = true\n"), "there is no `m2`"),
        ("three columns", edit("g = _, _", "g = _, _, _"), "`g` must be `_, _`"),
        ("stray text", format!("{MODEL}hello\n"), "must be `[section]`"),
        ("not ASCII", format!("{MODEL}# é\n"), "printable ASCII"),
        ("empty", String::new(), "`r` is missing"),
    ];
    for (name, model, expected) in table {
        let found = problems(&model, ok);
        assert!(found.iter().any(|p| p.contains(expected)), "{name}: {found:?}");
        assert!(found.iter().all(|p| p.starts_with("model.conf")), "{name}: {found:?}");
    }
    let plain = MODEL
        .replace("g(r.sub, p.sub)", "r.sub == p.sub")
        .replace("(p.obj == \"*\" || g2(r.obj, p.obj))", "r.obj == p.obj");
    let found =
        problems(&plain, "p, role:a, *, grant, allow\ng, role:b, role:a\ng2, zone:b, zone:a\n");
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn what_does_nothing_is_pointed_out() {
    let rules = "\
p, role:empty, zone:hollow, grant, allow
p, caller:nobody, zone:b, grant, allow
p, role:r, zone:b, grant, deny
g, caller:nobody, role:r
g, caller:facilities, role:unused
g2, entrance:d23d7180-c1ee-4bbe-8630-05df5031ce35, zone:b
g2, entrance:d23d7180-c1ee-4bbe-8630-05df5031ce35, zone:unused
";
    let loaded = Policy::load(&source(MODEL, rules), &callers(&["nobody", "facilities"])).unwrap();
    let found: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "policy.csv:1: no caller has `role:empty`",
            "policy.csv:1: no entrance is in `zone:hollow`",
            "policy.csv:2: a deny always overrides this rule",
            "policy.csv:5: no rule names `role:unused`",
            "policy.csv:7: no rule names `zone:unused`",
            "policy.csv: no rule can match caller `facilities`: it can grant nothing",
        ]
    );
}

#[test]
fn the_revision_changes_with_every_part() {
    let revision = |model: &str, rules: &str, ids: &[&str]| {
        Policy::load(&source(model, rules), &callers(ids)).unwrap().policy.revision().clone()
    };
    let base = revision(MODEL, RULES, &TEAM);
    assert_eq!(base, revision(MODEL, RULES, &TEAM));
    assert_ne!(base, revision(&format!("{MODEL}\n"), RULES, &TEAM));
    assert_ne!(base, revision(MODEL, &format!("{RULES}\n"), &TEAM));
    assert_ne!(base, revision(MODEL, RULES, &["visitor-desk", "cleaning-rota", "facilities"]));
}

const ENTRANCES: [&str; 3] = [LOBBY, OFFICE, SERVER_ROOM];

/// A small policy as plain data, judged by a few lines of code that owe casbin nothing.
#[derive(Debug, Clone)]
struct Small {
    rules: Vec<(usize, usize, bool)>,
    roles: Vec<(usize, usize)>,
    zones: Vec<(usize, usize)>,
}

/// 0 to 2 are callers, 3 to 6 roles.
fn subject(n: usize) -> String {
    if n < 3 { format!("caller:{}", TEAM[n]) } else { format!("role:r{n}") }
}

/// 0 to 2 are entrances, 3 to 6 zones, 7 the wildcard.
fn object(n: usize) -> String {
    match n {
        0..3 => format!("entrance:{}", ENTRANCES[n]),
        7 => "*".into(),
        _ => format!("zone:z{n}"),
    }
}

fn within(links: &[(usize, usize)], name: usize, group: usize) -> bool {
    name == group || links.iter().any(|(m, g)| *m == name && within(links, *g, group))
}

impl Small {
    fn text(&self) -> String {
        let mut lines: Vec<String> = self
            .rules
            .iter()
            .map(|(s, o, allow)| {
                let effect = if *allow { "allow" } else { "deny" };
                format!("p, {}, {}, grant, {effect}\n", subject(*s), object(*o))
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

    fn allows(&self, caller: usize, entrance: Option<usize>) -> bool {
        let matches = |allow: bool| {
            self.rules.iter().any(|(s, o, effect)| {
                *effect == allow
                    && within(&self.roles, caller, *s)
                    && (*o == 7 || entrance.is_some_and(|e| within(&self.zones, e, *o)))
            })
        };
        matches(true) && !matches(false)
    }
}

fn small() -> impl Strategy<Value = Small> {
    let links = || {
        // A group has a higher number than its members, so there is no cycle.
        proptest::collection::vec((0..6_usize, 3..7_usize), 0..8)
            .prop_map(|links| links.into_iter().filter(|(m, g)| m < g).collect::<Vec<_>>())
    };
    let rules = proptest::collection::vec((0..7_usize, 0..8_usize, any::<bool>()), 1..10);
    (rules, links(), links()).prop_map(|(rules, roles, zones)| Small { rules, roles, zones })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// 2,000 policies of 12 requests each.
    #[test]
    fn decisions_are_those_of_an_independent_evaluation(small in small()) {
        let callers = callers(&TEAM);
        let loaded = Policy::load(&source(MODEL, &small.text()), &callers).unwrap();
        for (caller, id) in TEAM.iter().take(3).enumerate() {
            for entrance in [Some(0), Some(1), Some(2), None] {
                let uuid = entrance.map_or(ELSEWHERE, |e| ENTRANCES[e]);
                let (reason, rules) = decide(&loaded.policy, &callers, id, uuid);
                let expected = small.allows(caller, entrance);
                prop_assert_eq!(reason == Reason::AllowedByRule, expected, "{} {}\n{}", id, uuid, small.text());
                let by_rule = matches!(reason, Reason::AllowedByRule | Reason::DeniedByRule);
                prop_assert_eq!(by_rule, !rules.is_empty());
            }
        }
    }

    /// casbin on the rules that the index finds says what casbin says on all rules, and
    /// names the same rules; what the index refuses, no rule matches.
    #[test]
    fn the_index_changes_no_verdict(small in small()) {
        let callers = callers(&TEAM);
        let policy = Policy::load(&source(MODEL, &small.text()), &callers).unwrap().policy;
        let all: Vec<usize> = (0..policy.rule_count()).collect();
        for caller in TEAM.map(|id| CallerId::parse(id).unwrap()) {
            for entrance in ENTRANCES.into_iter().chain([ELSEWHERE]) {
                let entrance = EntranceId::parse(entrance).unwrap();
                let (subject, object) = (format!("caller:{caller}"), format!("entrance:{entrance}"));
                let plain = policy.engine.judge(&subject, &object, &all).unwrap();
                let indexed = policy.judge(&caller, entrance);
                let none = Verdict { allowed: false, rules: Vec::new() };
                prop_assert_eq!(&indexed.clone().unwrap_or(none), &plain, "{} {}\n{}", subject, object, small.text());
                let outside = [Reason::CallerOutsidePolicy, Reason::EntranceOutsidePolicy];
                prop_assert!(indexed.is_ok() || outside.contains(&indexed.unwrap_err()));
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(model in proptest::collection::vec(any::<u8>(), 0..200), rules in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut source = source(MODEL, RULES);
        source.rules.bytes = rules.clone();
        let _ = Policy::load(&source, &callers(&TEAM));
        source.model.bytes = model;
        let _ = Policy::load(&source, &callers(&TEAM));
    }
}
