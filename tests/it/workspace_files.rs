//! Several workspaces in files: mistakes that stop a start, and what the tools say of them.

use serde_json::{Value, json};

use crate::support::{LOBBY, Site, check};
use crate::workspaces::{HQ, KEYS, LAB, run_in, three};

/// Nobody lifts a freeze by giving its workspace another name.
#[test]
fn a_start_without_a_frozen_workspace_is_refused() {
    let site = Site::new();
    three(&site, ["https://localhost:1", "https://localhost:2", "https://localhost:3"]);
    let (_, out, error) = run_in(&site, &["freeze", "--workspace", "attic", "--reason", "x"]);
    assert!(out.contains("workspace attic is frozen"), "{out}{error}");
    assert_eq!(check(&site, &[]).0, Some(0));
    let text = String::from_utf8(site.read("grantgate.toml")).unwrap();
    let renamed = text.replace("name = \"attic\"", "name = \"loft\"");
    std::fs::write(site.path("grantgate.toml"), renamed).unwrap();
    let (code, said) = check(&site, &[]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("workspace `attic` is frozen by order 1"), "{said}");
}

#[test]
fn a_mistake_in_the_workspaces_stops_a_start() {
    let good = |site: &Site| {
        three(site, ["https://localhost:1", "https://localhost:2", "https://localhost:3"])
    };
    let site = Site::new();
    good(&site);
    let (code, text) = check(&site, &[]);
    assert_eq!(code, Some(0), "{text}");
    let rows = [
        ("grantgate.toml", "name = \"lab\"", "name = \"hq\"", "a second workspace `hq`"),
        ("grantgate.toml", LAB, HQ, "workspace `hq` has the id"),
        ("grantgate.toml", "default = true\n", "", "write `default = true` into one"),
        (
            "grantgate.toml",
            "name = \"lab\"\n",
            "name = \"lab\"\ndefault = true\n",
            "only one can be",
        ),
        ("grantgate.toml", "name = \"lab\"", "name = \"Lab\"", "a workspace's name must be"),
        ("grantgate.toml", "name = \"lab\"\n", "", "`workspace.name` is missing"),
        (
            "grantgate.toml",
            "api_key_file = \"secrets/lab\"\n",
            "",
            "give the file of the workspace's key",
        ),
        (
            "grantgate.toml",
            "api_key_file = \"secrets/lab\"",
            "api_key_file = \"secrets/hq\"",
            "name the same file; give each its own",
        ),
        ("grantgate.toml", "https://localhost:2", "http://localhost:2", "must be https://host"),
        ("grantgate.toml", "name = \"lab\"\n", "name = \"lab\"\nkey = \"x\"\n", "key"),
        (
            "grantgate.toml",
            "[upstream]",
            "[upstream]\nworkspace_id = \"w\"",
            "is of the only workspace",
        ),
        ("secrets/lab", KEYS[1], KEYS[0], "has the key of workspace `hq`"),
        ("secrets/lab", KEYS[1], "seam_at1234567890", "holds a personal access token"),
        (
            "callers.toml",
            "\"hq\", \"lab\"",
            "\"hq\", \"cellar\"",
            "there is no [[workspace]] `cellar`",
        ),
        ("callers.toml", "\"hq\", \"lab\"", "\"hq\", \"hq\"", "stands here twice"),
        ("callers.toml", "\"hq\", \"lab\"", "", "name a workspace, or leave"),
        ("callers.toml", "[\"hq\", \"lab\"]", "\"hq\"", "must be a list of strings"),
        (
            "policies/policy.csv",
            "zone:offices,       grant",
            "workspace:cellar, grant",
            "there is no [[workspace]] `cellar`",
        ),
    ];
    for (file, from, to, part) in rows {
        let text = String::from_utf8(site.read(file)).unwrap();
        assert!(text.contains(from), "{file}: {from}");
        std::fs::write(site.path(file), text.replacen(from, to, 1)).unwrap();
        let (code, said) = check(&site, &[]);
        assert_eq!(code, Some(3), "{to}: {said}");
        assert!(said.contains(part), "{to} {part}: {said}");
        assert!(KEYS.iter().all(|key| !said.contains(key)), "{said}");
        std::fs::write(site.path(file), text).unwrap();
    }
}

/// The tools for policies answer for a workspace, or say that they must know which.
#[test]
fn the_tools_ask_in_which_workspace() {
    let site = Site::new();
    three(&site, ["https://localhost:1", "https://localhost:2", "https://localhost:3"]);
    let run = |arguments: &[&str]| run_in(&site, arguments);
    let (code, _, _) = run(&["policy", "explain", "visitor-desk", LOBBY]);
    assert_eq!(code, 0, "no rule names a workspace");
    let policy = String::from_utf8(site.read("policies/policy.csv")).unwrap();
    std::fs::write(site.path("old.csv"), &policy).unwrap();
    let more = "p, role:front-desk, workspace:lab, grant, deny\n";
    std::fs::write(site.path("policies/policy.csv"), policy + more).unwrap();
    let (code, _, error) = run(&["policy", "explain", "visitor-desk", LOBBY]);
    assert_eq!(code, 1);
    assert!(error.contains("rules or orders tell workspaces apart (lab)"), "{error}");
    let explain = |name| run(&["policy", "explain", "visitor-desk", LOBBY, "--workspace", name]);
    assert_eq!((explain("lab").0, explain("hq").0), (2, 0));
    let (_, out, error) = explain("attic");
    assert!(
        out.contains("allowed: ") && error.contains("is not in workspace `attic`"),
        "{out}{error}"
    );
    let (_, out, _) = run(&["policy", "who", LOBBY, "--workspace", "lab", "--format", "json"]);
    let who: Value = serde_json::from_str(&out).unwrap();
    let names: Vec<_> = who["callers"].as_array().unwrap().iter().map(|c| &c["caller"]).collect();
    assert_eq!(
        (json!(names), &who["workspace"]),
        (json!(["cleaning-rota", "facilities"]), &json!("lab"))
    );
    let (_, out, _) = run(&["policy", "who", LOBBY, "--workspace", "attic"]);
    assert!(out.contains("cleaning-rota") && !out.contains("visitor-desk"), "not there: {out}");
    let (_, out, _) = run(&["policy", "doors", "visitor-desk", "--format", "json"]);
    let doors: Value = serde_json::from_str(&out).unwrap();
    let places: Vec<_> =
        doors["groups"].as_array().unwrap().iter().map(|g| &g["workspace"]).collect();
    assert!(!places.is_empty() && places.iter().all(|place| **place == "hq"), "{doors}");
    let (code, out, error) = run(&["policy", "diff", "./old.csv", "./policies/policy.csv"]);
    assert!(out.contains("in workspace lab"), "{code} {out}{error}");
    // The catalogue says where an entrance is.
    let names = String::from_utf8(site.read("policies/entrances.csv")).unwrap();
    let mut lines = names.lines().map(|line| format!("{line},lab\n"));
    let header = lines.next().unwrap().replace(",lab", ",workspace");
    std::fs::write(
        site.path("policies/entrances.csv"),
        header + lines.collect::<String>().as_str(),
    )
    .unwrap();
    let (code, out, _) = run(&["policy", "explain", "visitor-desk", LOBBY]);
    assert!(code == 2 && out.contains("workspace lab"), "{code} {out}");
    let (code, _, error) = run(&["policy", "explain", "visitor-desk", LOBBY, "--workspace", "hq"]);
    assert!(code == 1 && error.contains("is in workspace `lab`, says `"), "{error}");
    let (code, out, _) = run(&["policy", "doors", "visitor-desk"]);
    assert_eq!(code, 2, "{out}");
}
