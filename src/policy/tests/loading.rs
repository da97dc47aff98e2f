use super::*;
use proptest::prelude::*;

fn problems(model: &str, rules: &str) -> Vec<String> {
    let problems = Policy::load(&source(model, rules), &callers(&TEAM), NOW).unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn every_line_that_casbin_would_skip_or_misread_is_refused() {
    let ok = "p, role:a, zone:b, grant, allow\n";
    let e = LOBBY;
    let upper = format!("p, role:a, entrance:{}, grant, allow", e.to_uppercase());
    let long = format!("p, role:{}, zone:b, grant, allow", "a".repeat(2000));
    let table: Vec<(&str, &str, &str)> = vec![
        ("unknown kind", "p2, role:a, zone:b, grant, allow", "`p2` is not a kind of line"),
        ("upper-case kind", "P, role:a, zone:b, grant, allow", "`P` is not a kind of line"),
        ("semicolons", "p; role:a; zone:b; grant; allow", ":2:2: `;` separates nothing"),
        ("one semicolon", "p, role:a; zone:b, grant, allow", ":2:10: `;` separates nothing"),
        ("two on a line", "p, role:a, *, grant, deny; p", ":2:26: `;` separates nothing"),
        ("trailing comma", "g, caller:nobody, role:a,", ":2:25: a comma at the end"),
        ("trailing comma on p", "p, role:a, *, grant, deny,", ":2:26: a comma at the end"),
        ("missing comma", "p role:a, zone:b, grant, deny", "is not a kind of line"),
        (
            "comment behind",
            "p, role:a, zone:c, grant, deny # x",
            ":2:32: a comment must be on a line",
        ),
        ("misspelt deny", "p, role:a, zone:c, grant, denny", "`denny` is not an effect"),
        ("upper-case deny", "p, role:a, zone:c, grant, DENY", "`DENY` is not an effect"),
        ("no effect", "p, role:a, zone:c, grant", "a `p` line has four fields"),
        ("empty effect", "p, role:a, zone:c, grant, , grantee acs_user", "`` is not an effect"),
        ("extra column", "p, role:a, zone:c, grant, allow, x", "`x` is not a condition"),
        (
            "hours",
            "p, role:a, zone:c, grant, deny, hours Berlin Mo",
            ":2:39: `Berlin` is not a time zone",
        ),
        ("empty when", "p, role:a, zone:c, grant, deny, &", "`` is not a condition"),
        (
            "dash of print",
            "p, role:a, *, grant, deny, hours Etc/UTC 8:00\u{2013}9:00",
            ":2:46: `\\u{2013}`",
        ),
        ("blank of print", "p, role:a,\u{a0}*, grant, deny", "write a plain one"),
        ("quotes of print", "p, \u{201e}role:a\u{201c}, *, grant, deny", "quotes are not allowed"),
        ("extra column on g", "g, caller:nobody, role:a, x", "a `g` line has two fields"),
        ("extra column on g2", "g2, zone:c, zone:b, x", "a `g2` line has two fields"),
        ("quotes", "p, \"role:a\", zone:c, grant, allow", ":2:4: quotes are not allowed"),
        (
            "tab",
            "p,\trole:a, zone:c, grant, allow",
            ":2:3: `\\t` is not allowed here: a tab; write",
        ),
        ("NUL", "p, role:a\0, zone:c, grant, allow", ":2:10: `\\u{0}` is not allowed"),
        ("lone CR", "p, role:a, zone:c\r, grant, allow", "`\\r` is not allowed"),
        ("not ASCII", "p, role:é, zone:c, grant, allow", ":2:9: `\\u{e9}` is not allowed"),
        ("unknown act", "p, role:a, zone:c, unlock, allow", "`unlock` is not an act"),
        ("no prefix", "p, a, zone:c, grant, allow", "`a` is not a caller or role"),
        ("zone as subject", "p, zone:a, zone:c, grant, allow", "`zone:a` is not a caller or role"),
        ("wildcard subject", "p, *, zone:c, grant, allow", "`*` is not a caller or role"),
        (
            "role as object",
            "p, role:a, role:c, grant, allow",
            "`role:c` is not an entrance, workspace or zone",
        ),
        (
            "pattern",
            "p, role:a, zone:*, grant, allow",
            "`zone:*` is not an entrance, workspace or zone",
        ),
        ("empty object", "p, role:a, , grant, allow", "`` is not an entrance, workspace or zone"),
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
        ("caller as role", "g, role:a, caller:nobody", "`caller:nobody` is not a role"),
        ("zone in g", "g, caller:nobody, zone:b", "`zone:b` is not a role"),
        (
            "caller in g2",
            "g2, caller:nobody, zone:b",
            "`caller:nobody` is not an entrance, workspace or zone",
        ),
        ("role in g2", "g2, zone:b, role:a", "`role:a` is not a zone"),
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
    let refused = Policy::load(&bytes, &callers(&TEAM), NOW).unwrap_err();
    assert_eq!(refused[0].to_string(), "policy.csv:2:1: not UTF-8");
    let several = problems(MODEL, "p, a, b, c, d\nx\n");
    assert_eq!(several.len(), 5, "all at once: {several:?}");
}

#[test]
fn indented_comments_and_either_line_end_are_read() {
    let rules = "  # who\n\t# and where\n \np, role:a, *, grant, allow\ng, caller:nobody, role:a\n";
    for text in [rules.to_owned(), rules.replace('\n', "\r\n")] {
        let loaded = Policy::load(&source(MODEL, &text), &callers(&TEAM), NOW).unwrap();
        assert_eq!(loaded.policy.rule_texts().next().unwrap().0, 4);
    }
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
    let without_when = MODEL.replace(", when", "");
    assert!(problems(&without_when, ok)[0].contains("go together"));
    let without_holds = MODEL.replace(" && holds(p.when)", "");
    assert!(problems(&without_holds, ok)[0].contains("go together"));
    let without = without_when.replace(" && holds(p.when)", "");
    assert!(Policy::load(&source(&without, ok), &callers(&TEAM), NOW).is_ok());
    let conditional = ok.replace("allow", "allow, grantee acs_user");
    assert!(problems(&without, &conditional)[0].contains("policy.csv:1: the model has no `when`"));
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
    let loaded =
        Policy::load(&source(MODEL, rules), &callers(&["nobody", "facilities"]), NOW).unwrap();
    let found: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "policy.csv:1: no caller has `role:empty`",
            "policy.csv:1: no entrance is in `zone:hollow`",
            "policy.csv:2: a deny always overrides this rule",
            "policy.csv:5: no rule names `role:unused`",
            "policy.csv:7: no rule names `zone:unused`",
            "policy.csv: no rule can match caller `facilities`: it may do nothing",
        ]
    );
}

#[test]
fn memberships_are_bounded() {
    // 5,000 zones in one that is in 5,000 others: 25 million follow from 10,000 links.
    let links = |n| format!("g2, zone:a{n}, zone:b\ng2, zone:b, zone:c{n}\n");
    let rules: String = (0..5_000).map(links).collect();
    let found = problems(MODEL, &format!("p, role:a, zone:b, grant, allow\n{rules}"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("more than 20000000 memberships of roles and zones"), "{found:?}");
}

#[test]
fn the_revision_changes_with_every_part() {
    let revision = |model: &str, rules: &str, ids: &[&str]| {
        Policy::load(&source(model, rules), &callers(ids), NOW).unwrap().policy.revision().clone()
    };
    let base = revision(MODEL, RULES, &TEAM);
    assert_eq!(base, revision(MODEL, RULES, &TEAM));
    assert_ne!(base, revision(&format!("{MODEL}\n"), RULES, &TEAM));
    assert_ne!(base, revision(MODEL, &format!("{RULES}\n"), &TEAM));
    assert_ne!(base, revision(MODEL, RULES, &["visitor-desk", "cleaning-rota", "facilities"]));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn lines_that_are_nearly_right_never_panic(
        line in "(p|g|g2)(, ?(role:a|caller:nobody|zone:b|\\*|grant|allow|deny|hours|[ -~]{0,12})){0,6}",
        hours in "(Mo|Tu-Fr|Dec 25|24/7|week 1-53/2|2026|PH|easter|[0-9:+,;/()-]{0,8}|off| |[ -~]){0,8}",
    ) {
        let text = format!(
            "{line}\np, role:a, zone:b, grant, allow, hours Europe/Berlin {hours}\n\
             p, role:a, zone:b, grant, deny, {hours}\n"
        );
        let _ = Policy::load(&source(MODEL, &text), &callers(&TEAM), NOW);
        let alone = format!("p, role:a, zone:b, grant, allow, hours Europe/Berlin {hours}\n");
        if let Ok(loaded) = Policy::load(&source(MODEL, &alone), &callers(&TEAM), NOW) {
            prop_assert_eq!(loaded.policy.rule_count(), 1);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(model in proptest::collection::vec(any::<u8>(), 0..200), rules in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut source = source(MODEL, RULES);
        source.rules.bytes = rules.clone();
        let _ = Policy::load(&source, &callers(&TEAM), NOW);
        source.model.bytes = model;
        let _ = Policy::load(&source, &callers(&TEAM), NOW);
    }
}
