//! What the documentation lists is what there is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use grantgate::audit::Event;
use grantgate::authn::{CallerToken, TokenForm};
use grantgate::config::{self, Setting};
use grantgate::domain::{Outcome, Reason, Revision};
use grantgate::policy::Opinion;
use grantgate::server::CLOSED_SETS;
use grantgate::snapshot::PART_NAMES;
use grantgate::tls::CertificateFault;
use serde_json::Value;

use crate::review::{edited, policy};
use crate::seam::{Behaviour, Seam};
use crate::support::authority::Authority;
use crate::support::issuer::{Issuer, append};
use crate::support::{LOBBY, SERVER_ROOM, Site, grant_body, post};

fn page(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The cells of every table row that begins with a word in backticks.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Label names and, where the page lists them, their values.
fn labels(cell: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut found = BTreeMap::new();
    let mut rest = cell;
    while let Some((_, after)) = rest.split_once('`') {
        let (name, after) = after.split_once('`').unwrap();
        let mut values = BTreeSet::new();
        rest = after;
        if let Some(list) = after.strip_prefix(" (") {
            let (list, after) = list.split_once(')').unwrap();
            values = quoted(list).into_iter().collect();
            rest = after;
        }
        found.insert(name, values);
    }
    found
}

#[tokio::test]
async fn every_metric_is_documented_with_its_type_and_labels() {
    let site = Site::new();
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    std::fs::write(site.path("policies/c.csv"), site.read("policies/policy.csv")).unwrap();
    // Nobody is there: a fetch that failed is counted too.
    Issuer::configure(&site, "jwks_url = \"http://127.0.0.1:1/jwks.json\"");
    append(
        &site,
        "grantgate.toml",
        "\n[[trust_domain]]\nname = \"example.org\"\nca_file = \"certs/domain.pem\"\n\
         crl_file = \"certs/domain.crl\"\n",
    );
    let domain = Authority::new_in(&site, "certs/domain.pem");
    std::fs::write(site.path("certs/domain.crl"), domain.revocation_list(&[], 2100)).unwrap();
    // The only workspace, with a name.
    let text = String::from_utf8(site.read("grantgate.toml")).unwrap();
    let text = text.replace("\napi_key_file = \"secrets/seam_api_key\"\n", "\n");
    std::fs::write(site.path("grantgate.toml"), text).unwrap();
    let table =
        "\n[[workspace]]\nname = \"hq\"\nid = \"w\"\napi_key_file = \"secrets/seam_api_key\"\n";
    append(&site, "grantgate.toml", table);
    let candidate = [("GRANTGATE__POLICY__CANDIDATE_RULES_FILE", "policies/c.csv")];
    let gateway = site.start(&seam, &candidate).await;
    for _ in 0..200 {
        if gateway.admin("/metrics").await.1.contains("grantgate_candidate_info{") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    for entrance in [LOBBY, SERVER_ROOM] {
        post(&site.client(), &gateway, &site.token, grant_body(entrance)).await;
    }
    post(&site.client(), &gateway, "unknown", grant_body(LOBBY)).await;
    let (_, text) = gateway.admin("/metrics").await;
    gateway.stop().await;

    let page = page("docs/metrics.md");
    let documented: BTreeMap<String, Vec<&str>> = rows(&page)
        .into_iter()
        .map(|row| (format!("grantgate_{}", quoted(row[0])[0]), row))
        .collect();
    let shown: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .filter(|(name, _)| !name.starts_with("process_"))
        .collect();
    let names = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(
        names(documented.keys().map(String::as_str).collect()),
        names(shown.keys().copied().collect())
    );
    assert!(text.contains("\nprocess_resident_memory_bytes "), "without the prefix");
    for (name, row) in &documented {
        assert_eq!(row[1], shown[name.as_str()], "{name}");
        let documented = labels(row[2]);
        let series = text.lines().filter(|line| {
            line.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with(['{', '_', ' ']))
        });
        let mut seen = 0;
        for line in series.filter(|line| {
            // Not of a longer name.
            !shown.keys().any(|other| other.len() > name.len() && line.starts_with(*other))
        }) {
            seen += 1;
            let Some((list, _)) = line.split_once('{').and_then(|(_, rest)| rest.split_once('}'))
            else {
                assert_eq!(documented.len(), 0, "{line}");
                continue;
            };
            let pairs: BTreeMap<&str, &str> = list
                .split(',')
                .filter_map(|pair| pair.split_once("=\""))
                .map(|(label, value)| (label, value.trim_end_matches('"')))
                .filter(|(label, _)| *label != "le")
                .collect();
            let both: (BTreeSet<_>, BTreeSet<_>) =
                (pairs.keys().copied().collect(), documented.keys().copied().collect());
            assert_eq!(both.0, both.1, "{line}");
            for (label, value) in pairs {
                let values = &documented[label];
                assert!(values.is_empty() || values.contains(value), "{line}");
            }
        }
        assert_ne!(seen, 0, "{name} has no series");
    }
}

/// The parts of a snapshot, in the order of the list, wherever they are documented.
#[test]
fn every_part_of_a_reload_is_documented() {
    let (metrics, format) = (page("docs/metrics.md"), page("docs/audit-format.md"));
    let listed = |page: &str, row: &str, before: &str| {
        let row = page.lines().find(|line| line.starts_with(row)).unwrap().to_owned();
        let list = row.split_once(before).unwrap().1.split(')').next().unwrap().to_owned();
        quoted(&list).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(listed(&metrics, "| `reloads_total`", "`part` ("), PART_NAMES);
    assert_eq!(listed(&format, "| `config.reload`", "`parts` ("), PART_NAMES);
}

#[test]
fn every_fault_of_a_certificate_is_documented() {
    let page = page("docs/audit-format.md");
    let listed: Vec<&str> = table(&page, "fault").into_iter().map(|(fault, _)| fault).collect();
    assert_eq!(listed, CertificateFault::CODES);
}

/// The rows of the table whose first column has this head: their first words, and the rows.
fn table<'p>(page: &'p str, head: &str) -> Vec<(&'p str, Vec<&'p str>)> {
    let table = page.split_once(&format!("\n| {head} |")).unwrap().1;
    let rows = rows(table.split("\n\n").next().unwrap());
    rows.into_iter().map(|row| (quoted(row[0])[0], row)).collect()
}

/// What an event's schema says of a field's values.
fn schema_values(event: Event, path: &str) -> Vec<String> {
    let schema: Value = serde_json::from_str(&page("docs/audit-format.schema.json")).unwrap();
    let kinds = schema["oneOf"].as_array().unwrap();
    let kind = kinds.iter().find(|k| k["properties"]["event"]["const"] == event.as_str()).unwrap();
    let values = kind.pointer(path).unwrap().as_array().unwrap();
    values.iter().map(|value| value.as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_event_is_documented_and_no_other() {
    let page = page("docs/audit-format.md");
    let listed: Vec<&str> = table(&page, "event").into_iter().map(|(event, _)| event).collect();
    assert_eq!(listed, Event::CODES);
    let schema: Value = serde_json::from_str(&self::page("docs/audit-format.schema.json")).unwrap();
    let kinds = schema["oneOf"].as_array().unwrap().iter();
    let kinds: BTreeSet<&str> =
        kinds.map(|kind| kind["properties"]["event"]["const"].as_str().unwrap()).collect();
    assert_eq!(kinds, Event::CODES.iter().copied().collect());
}

#[test]
fn every_outcome_is_documented_and_no_other() {
    let codes = Outcome::ALL.map(Outcome::as_str);
    let page = page("docs/audit-format.md");
    let listed: Vec<&str> = table(&page, "outcome").into_iter().map(|(code, _)| code).collect();
    assert_eq!(listed, codes);
    assert_eq!(schema_values(Event::Outcome, "/properties/outcome/enum"), codes);
}

#[test]
fn what_a_candidate_and_a_reload_say_is_documented() {
    let revision = Revision::from_sha256(&[0]);
    let said = [
        (Some(true), Some(Reason::AllowedByRule)),
        (Some(false), Some(Reason::NoRuleMatches)),
        (None, Some(Reason::PolicyError)),
        (None, None),
    ]
    .map(|(allowed, reason)| Opinion { revision: revision.clone(), allowed, reason }.as_str());
    let path = "/properties/candidate/properties/decision/enum";
    assert_eq!(schema_values(Event::Decision, path), said);
    assert_eq!(schema_values(Event::Decision, "/properties/decision/enum"), ["allow", "deny"]);
    let page = page("docs/audit-format.md");
    let events: BTreeMap<&str, Vec<&str>> = table(&page, "event").into_iter().collect();
    let decision = events[Event::Decision.as_str()][2];
    let candidate = decision.split_once("(what a").unwrap().1;
    let words: Vec<&str> = quoted(candidate.split_once("`decision`: ").unwrap().1);
    assert_eq!(words[..4], said);
    let parts = events[Event::Reload.as_str()][2].split_once("`parts` (").unwrap().1;
    assert_eq!(quoted(parts.split(')').next().unwrap()), PART_NAMES);
}

#[test]
fn metrics_list_whole_closed_sets() {
    let page = page("docs/metrics.md");
    let metrics: BTreeMap<&str, Vec<&str>> = table(&page, "metric").into_iter().collect();
    for (metric, label, set) in [
        ("audit_failures_total", "stage", CLOSED_SETS.stages),
        ("audit_upkeep_failures_total", "task", CLOSED_SETS.tasks),
        ("audit_export_failures_total", "kind", CLOSED_SETS.export_failures),
        ("candidate_decisions_total", "agreement", CLOSED_SETS.agreements),
        ("reloads_total", "part", CLOSED_SETS.parts),
        ("issuer_fetches_total", "result", CLOSED_SETS.fetch_results),
        ("upstream_requests_total", "outcome", &Outcome::ALL.map(Outcome::as_str)),
    ] {
        let listed = &labels(metrics[metric][2])[label];
        assert_eq!(listed, &set.iter().copied().collect(), "{metric}");
    }
    assert_eq!(CLOSED_SETS.events, Event::CODES);
}

/// How a setting is written in the template.
#[derive(Debug, PartialEq, Eq)]
enum Shown {
    /// `key = value`
    Set,
    /// `# key = value`: the default.
    Default(String),
    /// `# example: key = value`
    Example,
}

fn template() -> BTreeMap<String, Shown> {
    let (mut section, mut shown) = (String::new(), BTreeMap::new());
    for line in page("src/cli/templates/grantgate.toml").lines() {
        // A table that there may be several of is a comment as a whole.
        if let Some(name) = line.strip_prefix('[').or_else(|| line.strip_prefix("# [[")) {
            section = name.trim_end_matches(']').to_owned();
        }
        let (line, is_comment) = line.strip_prefix("# ").map_or((line, false), |rest| (rest, true));
        let (line, is_example) =
            line.strip_prefix("example: ").map_or((line, false), |rest| (rest, true));
        let Some((key, value)) = line.split_once(" = ") else { continue };
        if !key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
            continue;
        }
        let how = match (is_comment, is_example) {
            (false, _) => Shown::Set,
            (true, false) => Shown::Default(value.to_owned()),
            (true, true) => Shown::Example,
        };
        assert_eq!(shown.insert(format!("{section}.{key}"), how), None, "{section}.{key} twice");
    }
    shown
}

#[test]
fn every_setting_is_in_the_template_with_its_default() {
    let mut template = template();
    for Setting { path, default, required, repeated } in config::all_settings() {
        let shown = template.remove(&path).unwrap_or_else(|| panic!("`{path}` is not in it"));
        match (shown, default) {
            (Shown::Set, _) => {}
            (Shown::Default(value), Some(default)) => assert_eq!(value, default, "{path}"),
            (Shown::Example, None) => assert!(!required || repeated, "{path}"),
            (shown, default) => {
                panic!("`{path}` is shown as {shown:?}, its default is {default:?}")
            }
        }
    }
    assert!(template.is_empty(), "no setting: {template:?}");
}

#[test]
fn every_setting_is_documented_with_its_default() {
    let page = page("docs/configuration.md");
    let mut documented: BTreeMap<String, String> = rows(&page)
        .iter()
        .filter(|row| quoted(row[0])[0].contains('.'))
        .map(|row| (quoted(row[0])[0].to_owned(), row[1].to_owned()))
        .collect();
    for Setting { path, default, required, .. } in config::all_settings() {
        let cell = documented.remove(&path).unwrap_or_else(|| panic!("`{path}` is not there"));
        let plain = cell.trim_matches('`');
        match default {
            Some(default) => assert_eq!(plain, default.trim_matches('"'), "{path}"),
            None if required => assert_eq!(cell, "required", "{path}"),
            None => {
                let other = ["none", "the machine's"].contains(&plain)
                    || ["SEAM_", "upstream."].iter().any(|start| plain.starts_with(start));
                assert!(other, "`{path}` has no default: {cell}");
            }
        }
    }
    assert!(documented.is_empty(), "no setting: {documented:?}");
}

/// What is between the lines that begin and end a block of this language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let begin = format!("\n```{language}\n");
    page.split(&begin).skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect()
}

#[test]
fn the_pattern_for_secret_scanners_finds_every_token_and_no_key_of_seams() {
    let page = page("docs/configuration.md");
    let [pattern] = blocks(&page, "regex")[..] else { panic!("one pattern") };
    let pattern = regex::Regex::new(pattern).unwrap();
    for form in TokenForm::ALL.iter().cycle().take(1_000) {
        let token = CallerToken::generate(*form).unwrap();
        let text = format!("key: \"{}\",", token.expose());
        let found = pattern.find(&text).map(|found| found.as_str());
        assert_eq!(found, Some(token.expose()));
        // No other text of the same length ends so.
        let last = text.len() - 3;
        let other = format!("{}{}", &text[..last], '-');
        assert!(!pattern.is_match(&other), "{other}");
    }
    let rest = "A".repeat(43);
    for other in ["seam_", "seam_at", "seam_at_", "seam_cst_", "seam_pk", "SEAM_GG_", "seam_gg-"] {
        assert!(!pattern.is_match(&format!("{other}{rest}")), "{other}");
    }
}

#[test]
fn the_readme_shows_what_an_edit_would_do() {
    let site = Site::new();
    let deny = format!("p, role:staff, entrance:{SERVER_ROOM}, grant, deny\n");
    edited(&site, "new.csv", &[(&deny, "")]);
    let (code, out, summary) = policy(&site, &["diff", "policies/policy.csv", "new.csv"]);
    assert_eq!(code, 2);
    let readme = page("README.md");
    let shown = [out, summary].concat();
    assert!(blocks(&readme, "text").contains(&shown.trim_end()), "it does not show\n{shown}");
}

#[test]
fn the_readmes_commands_are_run_by_ci() {
    let (readme, ci) = (page("README.md"), [".ci/readme-commands", ".ci/run"].map(page).concat());
    let lines = blocks(&readme, "sh").into_iter().flat_map(str::lines);
    let lines = lines.map(|line| line.split(" #").next().unwrap().trim());
    let mut commands: Vec<String> =
        lines.map(|line| line.replace("cargo run --release -- ", "grantgate ")).collect();
    let inline = quoted(&readme).into_iter().filter(|text| text.starts_with("grantgate "));
    commands.extend(inline.map(str::to_owned));
    assert!(commands.len() > 10, "{commands:?}");
    for command in commands {
        assert!(ci.contains(&command), "`{command}` is in the README and not run");
    }
}

/// A path that the architecture page names leads somewhere, from the root or from `src`.
#[test]
fn every_path_of_the_architecture_page_exists() {
    let page = page("docs/ARCHITECTURE.md");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let words = page.lines().flat_map(quoted).filter(|word| {
        // Not commands, types and Seam's routes.
        !word.contains([' ', ':']) && !word.starts_with("acs/")
    });
    let paths: BTreeSet<&str> =
        words.filter(|word| word.contains('/') || word.ends_with(".rs")).collect();
    assert!(paths.len() > 40, "{paths:?}");
    let missing: Vec<_> = paths
        .iter()
        .filter(|path| !root.join(path).exists() && !root.join("src").join(path).exists())
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
