//! Policies that come as signed bundles: who gets them in force, and what nobody can.

use super::authors::{Authors, OFFICE, bundle_of, status_of, until_bundle};
use super::*;
use crate::support::process::Process;

/// From an edit to doors: proposed, looked at, signed by two, promoted, in force, recorded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_is_in_force_once_two_have_signed_it() {
    let Some(authors) = Authors::new().await else { return };
    let site = &authors.site;
    authors.allow_office(false);
    let first = authors.publish();
    assert!(first.starts_with("1@"), "{first}");
    authors.lead(&[site]);
    let seam = Seam::start(site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    assert_eq!(status_of(site, &gateway, LOBBY).await, 200);
    assert_eq!(status_of(site, &gateway, OFFICE).await, 403);

    authors.allow_office(true);
    let second = authors.push();
    let review = authors.done("review", &["2"]);
    assert!(review.contains("gains") && review.contains("visitor-desk"), "{review}");
    assert!(review.contains("signed by alice (1 of 2)"), "{review}");
    let (code, _, error) = authors.run("promote", &["2"]);
    assert!(code == 1 && error.contains("signed by 1 of the keys"), "{error}");
    let (code, _, error) = authors.run("approve", &["2", "--key", &authors.path("bob.key")]);
    assert!(code == 1 && error.contains("with its digits"), "{error}");
    let (code, _, error) = authors.run("approve", &[&second, "--key", &authors.path("alice.key")]);
    assert!(code == 1 && error.contains("has signed it already"), "{error}");
    assert_eq!(status_of(site, &gateway, OFFICE).await, 403);
    until_beating(site).await;
    authors.done("approve", &[&second, "--key", &authors.path("bob.key")]);
    authors.done("promote", &["2"]);
    until_bundle(&gateway, 2, None).await;
    assert_eq!(status_of(site, &gateway, OFFICE).await, 200);
    let state = authors.done("status", &[]);
    assert!(state.contains("north: bundle 2; ready"), "{state}");

    // Back to what was: a bundle of its own.
    let back = ["--to", "1", "--why", "it was wrong", "--key", &authors.path("carol.key")];
    let out = authors.done("rollback", &back);
    let third = out.lines().last().unwrap();
    authors.done("approve", &[third, "--key", &authors.path("bob.key")]);
    authors.done("promote", &["3"]);
    assert_eq!(status_of(site, &gateway, OFFICE).await, 403);
    gateway.stop().await;
    let records = site.records();
    let reloads: Vec<&Value> =
        records.iter().filter(|record| record["event"] == "config.reload").collect();
    let said: Vec<_> = reloads.iter().map(|r| (&r["bundle"], r["signers"].to_string())).collect();
    assert_eq!(
        said,
        [
            (&2.into(), "[\"alice\",\"bob\"]".to_owned()),
            (&3.into(), "[\"bob\",\"carol\"]".to_owned()),
        ]
    );
    // The next start goes on with the newest, also without a database.
    drop(authors.server);
    let gateway = site.start(&seam, &[]).await;
    assert_eq!(bundle_of(&gateway).await["number"], 3);
    assert_eq!(status_of(site, &gateway, OFFICE).await, 403);
    gateway.stop().await;
}

/// A first start takes what the database has; without any it says what to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_takes_the_newest_bundle() {
    let Some(authors) = Authors::new().await else { return };
    let site = &authors.site;
    let seam = Seam::start(site, Behaviour::confirm()).await;
    let before = std::fs::read_to_string(site.path("grantgate.toml")).unwrap();
    authors.follow(site);
    let serve = || {
        let mut command = crate::support::process::serve(site, &seam, &[]);
        let output = command.output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, error) = serve();
    assert!(code == 1 && error.contains("there is no bundle yet"), "{error}");
    // A service manager that checks first may try: there may be one by then.
    let (code, text) = crate::support::check(site, &[]);
    assert!(
        code == Some(0) && text.contains("warning: ") && text.contains("no bundle yet"),
        "{text}"
    );
    authors.publish();
    let gateway = Process::serve(site, &seam);
    let status: Value =
        serde_json::from_str(&crate::support::admin(gateway.admin, "/status").await.1).unwrap();
    assert_eq!(status["bundle"]["number"], 1);
    assert_eq!(status["bundle"]["signers"], serde_json::json!(["alice", "bob"]));
    gateway.kill();
    let (code, text) = crate::support::check(site, &[]);
    assert_eq!(code, Some(0), "{text}");
    // Where it is kept nobody changes it unseen.
    let callers = site.path("bundles/current/callers.toml");
    let text = std::fs::read_to_string(&callers).unwrap();
    std::fs::write(&callers, format!("{text}\n")).unwrap();
    let (code, error) = serve();
    assert!(code == 3 && error.contains("`callers.toml` is not as it was signed"), "{error}");
    // Files beside a bundle are refused, not guessed about.
    let both = before.replace("[callers]\n", "[callers]\nfile = \"callers.toml\"\n");
    std::fs::write(site.path("grantgate.toml"), both).unwrap();
    authors.follow(site);
    let (code, text) = crate::support::check(site, &[]);
    assert!(code == Some(3) && text.contains("`callers.file` does nothing beside"), "{text}");
}

/// Two who push at once: the second is told, and looks at what it changes anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_bundles_of_one_number_one_counts() {
    let Some(authors) = Authors::new().await else { return };
    authors.allow_office(false);
    authors.publish();
    authors.allow_office(true);
    let one = authors.signed();
    let callers = authors.site.path("callers.toml");
    grantgate(&[
        "caller",
        "suspend",
        "visitor-desk",
        "--reason",
        "lost",
        "--callers",
        callers.to_str().unwrap(),
    ]);
    let (code, out, error) = authors.push_with(&[]);
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("caller visitor-desk\n  + is SUSPENDED: lost"), "{out}");
    let other = out.lines().last().unwrap().to_owned();
    let (code, _, error) = authors.run("review", &["2"]);
    assert!(code == 1 && error.contains(&one) && error.contains(&other), "{error}");
    authors.done("approve", &[&other, "--key", &authors.path("carol.key")]);
    authors.done("promote", &[&one, "--wait", "0"]);
    let admin = authors.server.admin("grantgate").await;
    let past = "SELECT grantgate.promote_1(3, p.digest, (SELECT digest FROM grantgate.bundle WHERE \
                number = 1), p.text, NULL) FROM grantgate.proposal p WHERE p.number = 2";
    let refused = admin.batch_execute(past).await.unwrap_err();
    assert_eq!(
        refused.code().map(|code| code.code()),
        Some("GG004"),
        "not past the commands either"
    );
    let (code, _, error) = authors.run("promote", &[&other, "--wait", "0"]);
    assert!(code == 1 && error.contains("2 is not proposed any more"), "{error}");
    let (code, out, _) = authors.push_with(&[]);
    assert!(code == 0 && out.lines().last().unwrap().starts_with("3@"), "{out}");
    let (code, _, error) = authors.push_with(&["--candidate", &authors.path("none.csv")]);
    assert!(code == 1 && error.contains("none.csv"), "{error}");
    // What is no policy is not proposed, nor what breaks a case.
    let rules = authors.site.path("policies/policy.csv");
    let text = std::fs::read_to_string(&rules).unwrap();
    std::fs::write(&rules, format!("{text}p, nonsense\n")).unwrap();
    assert_eq!(authors.push_with(&[]).0, 3);
    std::fs::write(&rules, text).unwrap();
    let case = format!(
        "[[case]]\nname = \"never\"\ncaller = \"visitor-desk\"\nentrance = \"{LOBBY}\"\ndecision = \"deny\"\n"
    );
    std::fs::create_dir_all(authors.site.path("policies/tests")).unwrap();
    std::fs::write(authors.site.path("policies/tests/never.toml"), case).unwrap();
    let (code, _, error) = authors.push_with(&[]);
    assert!(code == 2 && error.contains("case `never` fails"), "{error}");
    // A key that nobody trusts signs nothing.
    let eve = authors.path("eve.key");
    grantgate(&["audit", "keygen", "eve", "--out", &eve]);
    let id = authors.done("status", &["--format", "json"]);
    let id: Value = serde_json::from_str(&id).unwrap();
    let id = id["proposed"][0]["id"].as_str().unwrap();
    let (code, _, error) = authors.run("approve", &[id, "--key", &eve]);
    assert!(code == 1 && error.contains("is none of those that count"), "{error}");
    // A program may sign in the place of a file.
    let program = authors.site.path("sign");
    std::fs::write(&program, "#!/bin/sh\ncat > /dev/null\necho nothing\n").unwrap();
    std::os::unix::fs::chown(&program, None, None).unwrap();
    let _ = Command::new("chmod").arg("+x").arg(&program).status();
    let by = ["--sign-command", program.to_str().unwrap(), "--signer", "bob"];
    let (code, _, error) = authors.run("approve", &[&[id], &by[..]].concat());
    assert!(code == 1 && error.contains("the signature is of no use"), "{error}");
}

/// Some gateways first; one that cannot load a bundle keeps its own, and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_goes_first_and_a_bundle_that_does_not_load_changes_nothing() {
    let Some(authors) = Authors::new().await else { return };
    let site = &authors.site;
    let other = another(site, &authors.server);
    authors.allow_office(false);
    authors.publish();
    authors.lead(&[site, &other]);
    let seams = [
        Seam::start(site, Behaviour::confirm()).await,
        Seam::start(&other, Behaviour::confirm()).await,
    ];
    let north = site.start(&seams[0], &[]).await;
    let south = other.start(&seams[1], &[]).await;
    for _ in 0..500 {
        if status(site).1["replicas"].as_array().unwrap().len() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    authors.allow_office(true);
    let second = authors.signed();
    let (code, _, error) = authors.run("promote", &[&second, "--replicas", "nowhere"]);
    assert!(code == 1 && error.contains("known: north, south"), "{error}");
    authors.done("promote", &[&second, "--replicas", "south"]);
    until_bundle(&south, 2, None).await;
    until_bundle(&north, 1, None).await;
    let (code, out, _) = authors.run("status", &[]);
    assert!(code == 0 && out.contains("for only south"), "{out}");
    // Taken back before the others had it: for them nothing but the number changes.
    let why = ["--to", "1", "--why", "it was wrong", "--key", &authors.path("alice.key")];
    let back = authors.done("rollback", &why);
    let back = back.lines().last().unwrap();
    authors.done("approve", &[back, "--key", &authors.path("bob.key")]);
    authors.done("promote", &["3"]);
    until_bundle(&north, 3, None).await;
    until_bundle(&south, 3, None).await;
    // A freeze of a zone that the new rules do not know: this gateway cannot load them.
    let log = authors.path("grantgate.toml");
    let text = std::fs::read_to_string(site.path("policies/policy.csv")).unwrap();
    let zone =
        text.split("zone:").nth(1).unwrap().split([',', '\n']).next().unwrap().trim().to_owned();
    let freeze = ["freeze", "--zone", &zone, "--reason", "a test", "--config", &log];
    let (code, _, error) = run(&freeze);
    assert!(code == 2, "{error}");
    for _ in 0..500 {
        if north.admin("/readyz?verbose").await.1.contains("freeze") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    std::fs::write(
        site.path("policies/policy.csv"),
        text.replace(&format!("zone:{zone}"), "zone:other"),
    )
    .unwrap();
    let fourth = authors.signed();
    let (code, _, error) = authors.run("promote", &[&fourth, "--wait", "5s"]);
    assert!(
        code == 2 && error.contains("north has bundle 3") && error.contains("is frozen by order"),
        "{error}"
    );
    until_bundle(&south, 4, None).await;
    until_bundle(&north, 3, Some("is frozen by order")).await;
    // Other files do not wait for it.
    until_said(&north, "[+] reload").await;
    // Lifted, it is taken by itself.
    let (code, _, error) = run(&["unfreeze", "1", "--reason", "over", "--config", &log]);
    assert!(code == 2, "{error}");
    until_bundle(&north, 4, None).await;
    north.stop().await;
    south.stop().await;
}
