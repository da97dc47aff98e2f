//! Rules files and names as people's tools leave them: formats, line ends, damage, hours.

use crate::review::{edited, json, policy};
use crate::support::{LOBBY, SERVER_ROOM, Site};

#[test]
fn a_file_is_formatted_and_means_the_same() {
    let site = Site::new();
    assert_eq!(policy(&site, &["fmt", "--check"]).0, 0, "what init writes is formatted");
    edited(
        &site,
        "policies/policy.csv",
        &[(
            "p, role:front-desk, zone:lobby,         grant,",
            "p,role:front-desk,zone:lobby,grant,",
        )],
    );
    let before = site.read("policies/policy.csv");
    let (code, out, error) = policy(&site, &["fmt", "--check"]);
    assert_eq!(code, 2);
    assert!(
        out.contains("policies/policy.csv:8: would be `p, role:front-desk, zone:lobby,  "),
        "{out}"
    );
    assert!(error.contains("run `grantgate policy fmt`"), "{error}");
    assert_eq!(site.read("policies/policy.csv"), before);
    std::fs::write(site.path("before.csv"), &before).unwrap();
    assert_eq!(policy(&site, &["fmt"]).0, 0);
    assert_eq!(policy(&site, &["fmt", "--check"]).0, 0);
    assert_eq!(policy(&site, &["diff", "before.csv", "policies/policy.csv"]).0, 0);
    std::fs::write(
        site.path("cut.csv"),
        "p, role:staff, zone:lobby, grant, deny, hours Etc/UTC Sa",
    )
    .unwrap();
    assert_eq!(policy(&site, &["fmt", "--rules", "cut.csv"]).0, 3, "the loader refuses it too");
    std::fs::write(site.path("mark.csv"), [b"\xef\xbb\xbf", &*before].concat()).unwrap();
    assert_eq!(policy(&site, &["fmt", "--rules", "mark.csv"]).0, 3, "the loader refuses it too");
}

#[test]
fn line_ends_of_windows_are_named_and_repaired() {
    let site = Site::new();
    let formatted = String::from_utf8(site.read("policies/policy.csv")).unwrap();
    let windows = formatted.replace('\n', "\r\n");
    std::fs::write(site.path("policies/policy.csv"), &windows).unwrap();
    assert_eq!(policy(&site, &["check", "--deny-warnings"]).0, 0, "the loader reads them");
    let (code, out, _) = policy(&site, &["fmt", "--check"]);
    assert_eq!(code, 2);
    let count = formatted.lines().count();
    let said = format!("{count} line(s) from here on end with CR LF, would end with LF\n");
    assert_eq!(out, format!("policies/policy.csv:1: {said}"));
    assert_eq!(policy(&site, &["fmt"]).0, 0);
    assert_eq!(String::from_utf8(site.read("policies/policy.csv")).unwrap(), formatted);
    // One such line among others, an indented comment, and an empty line too many at the end.
    let mixed = formatted.replacen(
        "zone:offices,       grant, allow\n",
        "zone:offices,       grant, allow\r\n",
        1,
    );
    let mixed = mixed.replacen("# Facilities", "  # Facilities", 1) + "\n";
    std::fs::write(site.path("policies/policy.csv"), &mixed).unwrap();
    let (code, out, _) = policy(&site, &["fmt", "--check"]);
    assert_eq!(code, 2);
    assert_eq!(
        out,
        format!(
            "policies/policy.csv:14: 1 line(s) from here on end with CR LF, would end with LF\n\
             policies/policy.csv:16: would be `# Facilities may grant any entrance.`\n\
             policies/policy.csv:{}: would be taken out\n",
            count + 1
        )
    );
    assert_eq!(policy(&site, &["fmt"]).0, 0);
    assert_eq!(String::from_utf8(site.read("policies/policy.csv")).unwrap(), formatted);
    // What is shown of a line is the line without its end.
    std::fs::write(
        site.path("policies/policy.csv"),
        windows.replacen("grant, allow\r", "grant, alow\r", 1),
    )
    .unwrap();
    let (_, _, error) = policy(&site, &["check"]);
    assert!(
        error.contains("\n     8 | p, role:front-desk, zone:lobby,         grant, alow\n"),
        "{error}"
    );
}

#[test]
fn damaged_names_stop_no_answer() {
    let site = Site::new();
    let names = ["entrance_id,display_name,acs_system_id\nnonsense\n", &"x\n".repeat(200)].concat();
    std::fs::write(site.path("policies/entrances.csv"), names).unwrap();
    std::fs::copy(site.path("policies/policy.csv"), site.path("other.csv")).unwrap();
    std::fs::remove_dir_all(site.path("policies/tests")).unwrap();
    let case = format!(
        "[[case]]\nname = \"x\"\ncaller = \"visitor-desk\"\nentrance = \"{LOBBY}\"\ndecision = \"allow\"\n"
    );
    std::fs::write(site.path("case.toml"), case).unwrap();
    let commands: [(&[&str], i32); 6] = [
        (&["who", LOBBY], 0),
        (&["doors", "visitor-desk"], 0),
        (&["explain", "visitor-desk", LOBBY], 0),
        (&["explain", "visitor-desk", SERVER_ROOM], 2),
        (&["diff", "policies/policy.csv", "other.csv"], 0),
        (&["test", "case.toml"], 0),
    ];
    for (command, expected) in commands {
        let (code, _, error) = policy(&site, command);
        assert_eq!(code, expected, "{command:?}: {error}");
        assert_eq!(error.matches("warning: policies/entrances.csv:2").count(), 1, "{error}");
        assert!(error.contains("more warnings of `policies/entrances.csv`"), "{error}");
    }
    // A name cannot be found, and the warning says why.
    let (code, _, error) = policy(&site, &["who", "main entrance"]);
    assert!(code == 1 && error.contains("warning: policies/entrances.csv:2"), "{error}");
    let (code, _, error) = policy(&site, &["check"]);
    assert!(code == 0 && error.contains("warning: policies/entrances.csv:2"), "{error}");
    assert_eq!(policy(&site, &["check", "--deny-warnings"]).0, 2);
    let found = json(&site, &["check"], 0);
    assert_eq!((&found["valid"], &found["problems"][0]["kind"]), (&true.into(), &"warning".into()));
    // A file that cannot be read is no other matter.
    std::fs::remove_file(site.path("policies/entrances.csv")).unwrap();
    std::fs::create_dir(site.path("policies/entrances.csv")).unwrap();
    let (code, _, error) = policy(&site, &["who", LOBBY]);
    assert!(
        code == 0 && error.contains("warning: policies/entrances.csv: cannot be read"),
        "{error}"
    );
}

#[test]
fn hours_are_marked_where_they_go_wrong() {
    let site = Site::new();
    let rule = ("zone:lobby,         grant, allow\n", "zone:lobby");
    let start = "p, role:front-desk, zone:lobby, grant, deny, hours Europe/Berlin ";
    for (marked, said) in [
        ("Jun ^31 08:00-18:00", "there is no `Jun 31`: Jun has 30 days"),
        ("Mo-Fr 08:00-18:00; 2026 Dec 24-^2026 Jan 02 off", "write the earlier date first"),
        ("Mo-We^: 08:00-18:00", "no `:` after days of the week"),
    ] {
        let text = marked.replace('^', "");
        let hours = format!("zone:lobby, grant, deny, hours Europe/Berlin {text}\n");
        edited(&site, "wrong.csv", &[(rule.0, &hours)]);
        let (code, _, error) = policy(&site, &["check", "--rules", "wrong.csv"]);
        assert_eq!(code, 3, "{text}");
        let column = start.len() + marked.find('^').unwrap();
        let mark = format!("     8 | {start}{text}\n       | {}^\n", " ".repeat(column));
        assert!(error.contains(&mark) && error.contains(said), "{error}");
        assert!(error.contains(&format!("wrong.csv:8:{}: ", column + 1)), "{error}");
    }
    // Valid, and not what was meant: a warning with its place.
    let hours =
        "zone:lobby, grant, deny, hours Europe/Berlin Mo-Fr 00:00-08:00; Mo-Fr 18:00-24:00\n";
    edited(&site, "void.csv", &[(rule.0, hours)]);
    let (code, _, error) = policy(&site, &["check", "--rules", "void.csv", "--deny-warnings"]);
    assert_eq!(code, 2);
    let said = "no day is left of `Mo-Fr 00:00-08:00`: a later part takes its place on each; write \
                `Mo-Fr 00:00-08:00,18:00-24:00`";
    assert!(error.contains(&format!("void.csv:8:{}: {said}", start.len() + 1)), "{error}");
}
